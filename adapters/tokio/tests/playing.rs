//! Sound that is played in one call, heard at the other end over real UDP on this machine.

mod common;

use std::time::Duration;

use common::*;
use parlour_tokio::{AudioOptions, MixedReader};

/// How many frames of 20 ms with the tone are heard until there has been none for so long.
async fn heard_until_silence(heard: &mut MixedReader, silence: Duration) -> usize {
    let (mut pcm, mut loud, mut quiet) = ([0; FRAME], 0, Duration::ZERO);
    while quiet < silence {
        heard.next_frame(&mut pcm).await;
        if amplitude(&pcm, 440.0) > 1_000.0 {
            (loud, quiet) = (loud + 1, Duration::ZERO);
        } else {
            quiet += Duration::from_millis(20);
        }
    }
    loud
}

/// A bot says four seconds in one call, and is interrupted while it says four more.
#[tokio::test]
async fn what_is_played_is_heard_whole_until_it_is_cleared() {
    const SECONDS: usize = 4;
    let server = serve();
    let (bot, ben) = meet(&server).await;
    let options = AudioOptions::opus(RATE);
    let mut voice = bot.publish_audio("voice", options).await.unwrap();
    let mut heard = ben.mixed_audio(RATE).unwrap();
    let mut tone = Tone::new(440.0);
    let speech: Vec<i16> = (0..SECONDS * 50).flat_map(|_| tone.frame()).collect();

    // Silence of two seconds is the end: it is the next that is played, too.
    let silence = Duration::from_secs(2);
    let playing = tokio::spawn(async move {
        voice.play(&speech).await.unwrap();
        (voice, speech)
    });
    let whole = within(heard_until_silence(&mut heard, silence)).await;
    let (mut voice, speech) = playing.await.unwrap();
    assert_eq!(voice.played(), Duration::from_secs(SECONDS as u64));
    let frames = SECONDS * 50;
    assert!(
        (frames - 5..=frames + 10).contains(&whole),
        "{whole} of {frames}"
    );

    let before = voice.played();
    let interrupted = async {
        voice.write(&speech).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        voice.clear();
        voice.played()
    };
    let (played, rest) = tokio::join!(
        interrupted,
        within(heard_until_silence(&mut heard, silence))
    );
    let said = played - before;
    // The audio that was sent, and no more than the jitter buffer adds at its end.
    let said = said.as_millis() as usize / 20;
    assert!(said < frames / 2, "{said} of {frames}");
    assert!(
        (said - 10..=said + 10).contains(&rest),
        "{rest} heard of {said}"
    );

    // Later audio is heard at once and not behind the cleared audio.
    let begins = voice.played();
    let next = &speech[..RATE.samples(500)];
    let (played, next) = tokio::join!(
        within(voice.play(next)),
        within(heard_until_silence(&mut heard, silence))
    );
    played.unwrap();
    assert_eq!(voice.played() - begins, Duration::from_millis(500));
    assert!((20..=35).contains(&next), "{next} of 25");
}
