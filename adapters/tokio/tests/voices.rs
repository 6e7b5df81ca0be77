//! One participant's sound beside the mix, and encoded frames, over real UDP on this machine.

mod common;

use common::*;
use parlour_tokio::{AudioOptions, Codec, JoinOptions, SampleRate, StreamKey, StreamRef};

/// The last 100 ms of what a reader gave.
#[derive(Default)]
struct Last(Vec<i16>);

impl Last {
    fn add(&mut self, pcm: &[i16]) {
        self.0.extend_from_slice(pcm);
        let excess = self.0.len().saturating_sub(5 * FRAME);
        self.0.drain(..excess);
    }

    fn has(&self, hz: f64) -> bool {
        self.0.len() == 5 * FRAME && amplitude(&self.0, hz) > 3_000.0
    }

    fn lacks(&self, hz: f64) -> bool {
        amplitude(&self.0, hz) < 300.0
    }
}

#[tokio::test]
async fn each_reader_hears_its_own_participant_and_silence_when_it_has_left() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let cleo = join(&server, "room", "cleo").await;
    let mut low = within(anna.publish_audio("mic", AudioOptions::opus(RATE)))
        .await
        .unwrap();
    let mut high = within(ben.publish_audio("mic", AudioOptions::pcmu(RATE)))
        .await
        .unwrap();
    let stream = StreamRef {
        participant: id("ben"),
        key: StreamKey::new("mic").unwrap(),
    };
    let mut of_anna = cleo.audio_of(id("anna"), RATE);
    let mut of_ben = cleo.audio_of(&stream, RATE);
    let mut of_nobody = cleo.audio_of(id("nobody"), SampleRate::Hz44100);
    let mut all = cleo.mixed_audio(RATE).unwrap();
    let (mut a, mut b) = (Tone::new(440.0), Tone::new(1_000.0));
    let (mut anna_said, mut ben_said, mut all_said) =
        (Last::default(), Last::default(), Last::default());
    let mut pcm = [0; FRAME];
    within(async {
        loop {
            low.write(&a.frame()).unwrap();
            high.write(&b.frame()).unwrap();
            let heard = of_anna.next_frame(&mut pcm).await;
            assert!(heard.is_none_or(|heard| heard.participant == id("anna")));
            anna_said.add(&pcm);
            let heard = of_ben.read(&mut pcm);
            assert!(heard.is_none_or(|heard| heard == stream));
            ben_said.add(&pcm);
            all.read(&mut pcm);
            all_said.add(&pcm);
            assert_eq!(of_nobody.read(&mut pcm), None);
            assert_eq!(pcm, [0; FRAME]);
            let apart = anna_said.lacks(1_000.0) && ben_said.lacks(440.0);
            let each = anna_said.has(440.0) && ben_said.has(1_000.0);
            if apart && each && all_said.has(440.0) && all_said.has(1_000.0) {
                return;
            }
        }
    })
    .await;
    drop(low);
    within(anna.leave()).await;
    let mut silent = 0;
    within(async {
        while silent < 25 {
            let heard = of_anna.next_frame(&mut pcm).await;
            let is_silent = heard.is_none() && pcm == [0; FRAME];
            silent = if is_silent { silent + 1 } else { 0 };
        }
    })
    .await;

    // She comes back, under another SSRC.
    anna_said = Last::default();
    let anna = join(&server, "room", "anna").await;
    let mut low = within(anna.publish_audio("mic", AudioOptions::opus(RATE)))
        .await
        .unwrap();
    within(async {
        while !anna_said.has(440.0) {
            low.write(&a.frame()).unwrap();
            of_anna.next_frame(&mut pcm).await;
            anna_said.add(&pcm);
        }
    })
    .await;
}

/// Two take turns in the one slot of a listener; each reader hears its own without a gap being concealed.
#[tokio::test]
async fn turns_in_one_slot_are_told_apart() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let options = JoinOptions {
        slots: 1,
        ..JoinOptions::default()
    };
    let cleo = join_by(&server, "cleo", options).await;
    let mut mics = [
        within(anna.publish_audio("mic", AudioOptions::opus(RATE)))
            .await
            .unwrap(),
        within(ben.publish_audio("mic", AudioOptions::opus(RATE)))
            .await
            .unwrap(),
    ];
    let mut tones = [Tone::new(440.0), Tone::new(1_000.0)];
    let mut readers = [
        cleo.audio_of(id("anna"), RATE),
        cleo.audio_of(id("ben"), RATE),
    ];
    let mut pcm = [0; FRAME];
    let mut loud = [[0; 2]; 4];
    for (turn, loud) in loud.iter_mut().enumerate() {
        // A second of speech and half a second of silence.
        for frame in 0..75 {
            if frame < 50 {
                mics[turn % 2].write(&tones[turn % 2].frame()).unwrap();
            }
            let (first, second) = readers.split_at_mut(1);
            first[0].next_frame(&mut pcm).await;
            loud[0] += i32::from(amplitude(&pcm, 440.0) > 1_000.0);
            second[0].read(&mut pcm);
            loud[1] += i32::from(amplitude(&pcm, 1_000.0) > 1_000.0);
        }
    }
    for (turn, loud) in loud.iter().enumerate() {
        let (own, other) = (loud[turn % 2], loud[1 - turn % 2]);
        assert!((40..=60).contains(&own) && other <= 3, "{turn}: {loud:?}");
    }
}

#[tokio::test]
async fn frames_come_encoded_with_whose_they_are() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let mut mic = within(anna.publish_audio("mic", AudioOptions::pcmu(RATE)))
        .await
        .unwrap();
    let mut frames = ben.frames();
    let mut tone = Tone::new(440.0);
    let began = tokio::time::Instant::now();
    let mut read = Vec::new();
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    within(async {
        while read.len() < 50 {
            tokio::select! {
                frame = frames.next() => read.push(frame.expect("the room is closed")),
                _ = ticks.tick() => mic.write(&tone.frame()).unwrap(),
            }
        }
    })
    .await;
    let first = &read[0];
    assert_eq!(first.stream.participant, id("anna"));
    assert_eq!(first.stream.key, *mic.key());
    assert!(first.marker && first.arrived >= began);
    for (two, frame) in read.windows(2).zip(&read) {
        assert_eq!((frame.codec, frame.payload.len()), (Codec::Pcmu, 160));
        assert_eq!(frame.duration, 960);
        let level = frame.level.unwrap().level;
        assert!((12..=15).contains(&level), "{level}");
        let steps = two[1].sequence - two[0].sequence;
        assert_eq!(two[1].timestamp - two[0].timestamp, steps * 960);
    }
    assert!(frames.missed() <= 5, "{}", frames.missed());
    within(ben.leave()).await;
    while within(frames.next()).await.is_some() {}
}
