//! A microphone in a simulated room: reflections, a loudspeaker that distorts, clocks that differ, sound that moves, a fan.

mod simulated;

use parlour_core::audio::codec::SampleRate;
use parlour_examples::measure;
use parlour_voice::{Options, Voice};
use simulated::{Random, Room, level, mixed};

const HZ: usize = 16_000;
const PIECE: usize = HZ / 100;
const ECHO: Options = Options {
    echo: true,
    ..Options::OFF
};

fn noise(seed: u64, len: usize, dbov: f64) -> Vec<i16> {
    let mut random = Random(seed);
    // The mean power of numbers from −1 to 1 is a third.
    let peak = 32_768.0 * 10_f64.powf(dbov / 20.0) * 3_f64.sqrt();
    // A fan hums more than it hisses.
    let mut low = 0.0;
    (0..len)
        .map(|_| {
            low += 0.2 * (random.next() * peak * 3.0 - low);
            low as i16
        })
        .collect()
}

/// A voice at [`HZ`].
fn speech(name: &str, seconds: usize) -> Vec<i16> {
    simulated::speech(name, seconds, SampleRate::Hz16000)
}

/// What becomes of `microphone` while `far` is played, and when somebody speaks: one for each piece.
fn process(options: Options, far: &[i16], microphone: &[i16]) -> (Vec<i16>, Vec<bool>) {
    let (mut voice, mut played) = Voice::new(HZ as u32, HZ as u32, options).unwrap();
    let (mut out, mut voices) = (Vec::new(), Vec::new());
    for (far, near) in far.chunks(PIECE).zip(microphone.chunks(PIECE)) {
        played.play(far);
        voice.hear(near, |piece| {
            out.extend_from_slice(piece.pcm);
            voices.push(piece.is_voice);
        });
    }
    (out, voices)
}

/// dB by which the echo becomes quieter in these seconds, for whom nobody speaks near.
fn removed(room: Room, seconds: std::ops::Range<usize>) -> f64 {
    let far = speech("host", seconds.end);
    let microphone = mixed(&room.echo(&far), &[]);
    let (out, _) = process(ECHO, &far, &microphone);
    let part = seconds.start * HZ..seconds.end * HZ;
    let removed = level(&microphone[part.clone()]) - level(&out[part]);
    println!("{removed:.1} dB of the echo removed");
    removed
}

#[test]
fn echo_is_gone_after_five_seconds() {
    // The longer a room rings, the more is left to the suppressor: 0.5 s is a bare one.
    for (seed, reverberation, least) in [(1, 0.15, 35.0), (2, 0.3, 35.0), (3, 0.5, 30.0)] {
        let room = Room {
            seed,
            reverberation,
            ..Room::LIVING
        };
        assert!(removed(room, 5..15) >= least, "{reverberation} s");
    }
}

#[test]
fn a_loudspeaker_may_distort() {
    let room = Room {
        distorts: true,
        ..Room::LIVING
    };
    assert!(removed(room, 5..15) >= 35.0);
}

#[test]
fn clocks_may_differ() {
    for ppm in [-200.0, 200.0] {
        let room = Room {
            ppm,
            ..Room::LIVING
        };
        assert!(removed(room, 5..30) >= 35.0, "{ppm} ppm");
    }
}

#[test]
fn what_is_played_may_move() {
    let room = Room {
        moves: 10 * HZ,
        ..Room::LIVING
    };
    assert!(removed(room, 13..25) >= 35.0);
}

#[test]
fn who_speaks_alone_stays_as_loud() {
    let near = speech("device", 20);
    let far = vec![0; near.len()];
    let options = Options {
        noise: true,
        ..ECHO
    };
    let (out, _) = process(options, &far, &near);
    let part = 5 * HZ..20 * HZ;
    let change = level(&out[part.clone()]) - level(&near[part.clone()]);
    println!("{change:.2} dB");
    assert!(change.abs() <= 1.0, "{change} dB");
    let similarity = measure::find(&near[part.clone()], &out[part]).similarity;
    assert!(similarity >= 0.9, "{similarity}");
}

#[test]
fn who_speaks_over_the_echo_is_understood() {
    let (far, mut near) = (speech("host", 25), speech("device", 25));
    near[..10 * HZ].fill(0);
    let echo = mixed(&Room::LIVING.echo(&far), &[]);
    let microphone = mixed(&Room::LIVING.echo(&far), &near);
    let (out, _) = process(ECHO, &far, &microphone);
    let part = 10 * HZ..25 * HZ;
    let similarity = |of: &[i16]| measure::find(&of[part.clone()], &out[part.clone()]).similarity;
    let (near, echo) = (similarity(&near), similarity(&echo));
    println!("similarity of the voice {near:.2}, of the echo {echo:.2}");
    assert!(near >= 0.75, "{near}");
    assert!(echo <= 0.25, "{echo}");
}

#[test]
fn a_fan_is_quieter_and_no_voice() {
    let options = Options {
        noise: true,
        ..Options::OFF
    };
    for dbov in [-60.0, -45.0, -30.0, -20.0] {
        let fan = noise(7, 15 * HZ, dbov);
        let (out, voices) = process(options, &vec![0; fan.len()], &fan);
        let part = 5 * HZ..15 * HZ;
        let lowered = level(&fan[part.clone()]) - level(&out[part]);
        let taken = voices.iter().filter(|is_voice| **is_voice).count();
        println!(
            "{dbov} dBov: {lowered:.1} dB lower, {taken} of {} pieces a voice",
            voices.len()
        );
        assert!(lowered >= 10.0, "{dbov} dBov: {lowered} dB");
        assert!(taken * 50 <= voices.len(), "{dbov} dBov: {taken} pieces");
    }
}

#[test]
fn a_quiet_voice_over_a_fan_is_one() {
    let said = speech("device", 20);
    let quieter = 10_f64.powf(-25.0 / 20.0);
    let mut heard = noise(7, said.len(), -65.0);
    for (heard, said) in heard.iter_mut().zip(&said) {
        *heard += (f64::from(*said) * quieter) as i16;
    }
    let (_, voices) = process(Options::default(), &vec![0; said.len()], &heard);
    let (mut spoken, mut found) = (0, 0);
    for (said, is_voice) in said.chunks(PIECE).zip(&voices).skip(200) {
        if measure::dbov(said) > -30 {
            spoken += 1;
            found += usize::from(*is_voice);
        }
    }
    println!("{found} of {spoken}");
    assert!(found * 10 >= spoken * 9, "{found} of {spoken}");
}
