use std::f64::consts::TAU;

use super::*;

const ALL: [SampleRate; 6] = [
    SampleRate::Hz8000,
    SampleRate::Hz16000,
    SampleRate::Hz24000,
    SampleRate::Hz32000,
    SampleRate::Hz44100,
    SampleRate::Hz48000,
];

/// A tone of 1 kHz, from one call to the next without a break.
struct Tone {
    hz: u32,
    samples: u64,
}

impl Tone {
    fn fill(&mut self, pcm: &mut [i16]) {
        for sample in pcm {
            let phase = (self.samples * 1_000 % u64::from(self.hz)) as f64 / f64::from(self.hz);
            *sample = ((phase * TAU).sin() * 16_000.0).round() as i16;
            self.samples += 1;
        }
    }
}

/// How far the strongest tone near 1 kHz is above all else in `pcm`, in dB, and its frequency.
fn tone_in(pcm: &[i16], rate: u32) -> (f64, f64) {
    let part = |hz: f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in pcm.iter().enumerate() {
            let phase = (n as f64 * hz / f64::from(rate)).fract() * TAU;
            re += f64::from(*sample) * phase.cos();
            im += f64::from(*sample) * phase.sin();
        }
        (re * 2.0 / pcm.len() as f64, im * 2.0 / pcm.len() as f64)
    };
    let power = |hz: f64| {
        let (re, im) = part(hz);
        re * re + im * im
    };
    let steps = (-20..=20).map(|step| 1_000.0 + f64::from(step) / 10.0);
    let hz = steps
        .max_by(|a, b| power(*a).total_cmp(&power(*b)))
        .unwrap();
    let (re, im) = part(1_000.0);
    let rest: f64 = (pcm.iter().enumerate())
        .map(|(n, sample)| {
            let phase = (n as f64 * 1_000.0 / f64::from(rate)).fract() * TAU;
            (f64::from(*sample) - re * phase.cos() - im * phase.sin()).powi(2)
        })
        .sum();
    let signal = (re * re + im * im) / 2.0 * pcm.len() as f64;
    (10.0 * (signal / rest.max(1e-9)).log10(), hz)
}

/// The output for one second, read or written in pieces of `piece`, without the first 100 ms.
fn read(rate: SampleRate, piece: usize) -> Vec<i16> {
    let mut tone = Tone {
        hz: rate.decoded().hz(),
        samples: 0,
    };
    let mut output = Output::new(rate);
    let mut pcm = vec![0; rate.samples(1_100)];
    for piece in pcm.chunks_mut(piece) {
        output.fill(piece, |_, pcm| tone.fill(pcm));
    }
    pcm.split_off(rate.samples(100))
}

fn written(rate: SampleRate, piece: usize) -> Vec<i16> {
    let mut tone = Tone {
        hz: rate.hz(),
        samples: 0,
    };
    let mut pcm = vec![0; rate.samples(1_100)];
    tone.fill(&mut pcm);
    let (mut input, mut taken) = (Input::new(rate), Vec::new());
    for piece in pcm.chunks(piece) {
        let fed = input.feed(piece, |pcm| {
            taken.extend_from_slice(pcm);
            Ok::<_, ()>(())
        });
        fed.unwrap();
    }
    assert_eq!(taken.len(), rate.encoded().samples(1_100));
    taken.split_off(rate.encoded().samples(100))
}

#[test]
fn a_tone_of_1_khz_stays_one_at_every_rate() {
    for rate in ALL {
        for (pcm, hz) in [
            (read(rate, 960), rate.hz()),
            (written(rate, 960), rate.encoded().hz()),
        ] {
            let (snr, tone) = tone_in(&pcm, hz);
            println!("{rate:?} at {hz} Hz: {snr:.1} dB at {tone} Hz");
            assert!(snr >= 60.0, "{rate:?} at {hz} Hz: {snr} dB");
            assert!((tone - 1_000.0).abs() <= 1.0, "{rate:?}: {tone} Hz");
        }
    }
}

#[test]
fn pieces_of_any_length_are_the_same_sound() {
    for rate in ALL {
        let (whole, sent) = (read(rate, 960), written(rate, 960));
        for piece in [1, 7, 441, 1_000, 48_000] {
            assert!(read(rate, piece) == whole, "{rate:?}, {piece} read");
            assert!(written(rate, piece) == sent, "{rate:?}, {piece} written");
        }
    }
}

#[test]
fn ten_minutes_have_as_many_samples_at_either_rate() {
    let rate = SampleRate::Hz44100;
    let (mut input, mut output) = (Input::new(rate), Output::new(rate));
    let (mut written, mut pulled) = (0, 0);
    let mut pcm = vec![0; rate.samples(20)];
    for _ in 0..10 * 60 * 50 {
        let fed = input.feed(&pcm, |pcm| {
            written += pcm.len();
            Ok::<_, ()>(())
        });
        fed.unwrap();
        output.fill(&mut pcm, |_, pcm| pulled += pcm.len());
    }
    assert_eq!((written, pulled), (48_000 * 600, 48_000 * 600));
}

#[test]
fn nothing_is_allocated_while_sound_is_converted() {
    let rate = SampleRate::Hz44100;
    let (mut input, mut output) = (Input::new(rate), Output::new(rate));
    let mut pcm = vec![0; rate.samples(20)];
    let mut talk = || {
        output.fill(&mut pcm, |_, pcm| pcm.fill(5));
        let _ = input.feed(&pcm, |_| Ok::<_, ()>(()));
    };
    talk();
    let allocated = allocation_counter::measure(|| (0..100).for_each(|_| talk()));
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn each_block_is_told_when_it_is_played() {
    let rate = SampleRate::Hz44100;
    let mut output = Output::new(rate);
    let mut pcm = vec![0; rate.samples(100)];
    let mut pulls = Vec::new();
    output.fill(&mut pcm, |later, pcm| pulls.push((later, pcm.len())));
    assert!(pulls.len() > 2, "{pulls:?}");
    let mut before = 0;
    for (later, samples) in pulls {
        let due = before as u128 * 1_000 / 48;
        assert!(later.as_micros().abs_diff(due) <= 1, "{later:?}: {due} µs");
        before += samples;
    }
}
