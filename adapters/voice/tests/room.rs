//! A microphone in a simulated room: reflections, a loudspeaker that distorts, clocks that differ, sound that moves, a fan.

use std::path::Path;

use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::resample::Resampler;
use parlour_examples::measure;
use parlour_voice::{Options, Voice};

const HZ: usize = 16_000;
const PIECE: usize = HZ / 100;
const ECHO: Options = Options {
    echo: true,
    ..Options::OFF
};

/// Numbers that are the same each time.
struct Random(u64);

impl Random {
    /// From −1 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// From a loudspeaker to a microphone.
#[derive(Clone, Copy)]
struct Room {
    seed: u64,
    /// Until reflections are 60 dB down, in seconds.
    reverberation: f64,
    /// From the callback that plays to the microphone, in samples.
    delay: usize,
    /// From here on the delay is 20 ms longer, in samples.
    moves: usize,
    /// By how much the microphone's clock is faster.
    ppm: f64,
    distorts: bool,
}

impl Room {
    const LIVING: Self = Self {
        seed: 1,
        reverberation: 0.3,
        delay: 60 * HZ / 1_000,
        moves: usize::MAX,
        ppm: 0.0,
        distorts: false,
    };

    /// Delay and strength of each reflection: the direct sound, then one each 0.5 ms.
    fn reflections(&self) -> Vec<(usize, f64)> {
        let mut random = Random(self.seed);
        let decay = -6.9 / (self.reverberation * HZ as f64);
        let later = (1..(self.reverberation * 2_000.0) as usize).map(|index| {
            let place = index * 8 + (random.next().abs() * 7.0) as usize;
            (place, 0.1 * random.next() * (decay * place as f64).exp())
        });
        std::iter::once((0, 0.3)).chain(later).collect()
    }

    /// What of `far` the microphone hears, as long as `far` is.
    fn echo(&self, far: &[i16]) -> Vec<f64> {
        let played: Vec<f64> = far.iter().map(|sample| self.loudspeaker(*sample)).collect();
        let reflections = self.reflections();
        let mut heard = vec![0.0; far.len()];
        for (place, heard) in heard.iter_mut().enumerate() {
            let moved = if place >= self.moves {
                20 * HZ / 1_000
            } else {
                0
            };
            for (later, strength) in &reflections {
                let Some(from) = place.checked_sub(self.delay + moved + later) else {
                    break;
                };
                *heard += strength * played[from];
            }
        }
        let at = |place: usize| heard.get(place).copied().unwrap_or_default();
        (0..heard.len())
            .map(|place| {
                let exact = place as f64 / (1.0 + self.ppm * 1e-6);
                let (before, part) = (exact as usize, exact.fract());
                at(before) * (1.0 - part) + at(before + 1) * part
            })
            .collect()
    }

    fn loudspeaker(&self, sample: i16) -> f64 {
        let sample = f64::from(sample);
        if !self.distorts {
            return sample;
        }
        let full = 12_000.0;
        full * (sample / full).tanh()
    }
}

/// A voice of the examples, again and again for so many seconds, at [`HZ`].
fn speech(name: &str, seconds: usize) -> Vec<i16> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/assets/{name}.wav"));
    let mut file = hound::WavReader::open(file).unwrap();
    let mut pcm: Vec<i16> = file.samples().map(Result::unwrap).collect();
    if file.spec().sample_rate == 48_000 {
        let mut resampler = Resampler::new(SampleRate::Hz48000, SampleRate::Hz16000);
        let mut out = vec![0; pcm.len() / 3];
        resampler.process(&pcm[..out.len() * 3], &mut out).unwrap();
        pcm = out;
    }
    pcm.into_iter().cycle().take(seconds * HZ).collect()
}

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

fn mixed(echo: &[f64], near: &[i16]) -> Vec<i16> {
    let near = near.iter().copied().chain(std::iter::repeat(0));
    let sum = echo
        .iter()
        .zip(near)
        .map(|(echo, near)| (echo + f64::from(near)) as i16);
    sum.collect()
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

/// dB of the mean power.
fn level(pcm: &[i16]) -> f64 {
    let power: f64 = pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (power / pcm.len() as f64 + 0.1).log10()
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
