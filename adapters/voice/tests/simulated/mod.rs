//! A simulated room: a loudspeaker, reflections, and a microphone that hears both.

use std::path::Path;

use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::resample::Resampler;

/// Numbers that are the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// From −1 to 1.
    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// From a loudspeaker to a microphone.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Samples per second.
    pub(crate) hz: usize,
    pub(crate) seed: u64,
    /// Until reflections are 60 dB down, in seconds.
    pub(crate) reverberation: f64,
    /// From the callback that plays to the microphone, in samples.
    pub(crate) delay: usize,
    /// From here on the delay is 20 ms longer, in samples.
    pub(crate) moves: usize,
    /// How strong the first reflections are; the direct sound has 0.3.
    pub(crate) reflected: f64,
    /// By how much the microphone's clock is faster.
    pub(crate) ppm: f64,
    pub(crate) distorts: bool,
}

impl Room {
    /// A room of a flat, and a loudspeaker some metres away.
    pub(crate) const LIVING: Self = Self {
        hz: 16_000,
        seed: 1,
        reverberation: 0.3,
        delay: 60 * 16,
        reflected: 0.1,
        moves: usize::MAX,
        ppm: 0.0,
        distorts: false,
    };

    /// Delay and strength of each reflection: the direct sound, then one each 0.5 ms.
    fn reflections(&self) -> Vec<(usize, f64)> {
        let mut random = Random(self.seed);
        let decay = -6.9 / (self.reverberation * self.hz as f64);
        let step = self.hz / 2_000;
        let later = (1..(self.reverberation * 2_000.0) as usize).map(|index| {
            let place = index * step + (random.next().abs() * (step - 1) as f64) as usize;
            (
                place,
                self.reflected * random.next() * (decay * place as f64).exp(),
            )
        });
        std::iter::once((0, 0.3)).chain(later).collect()
    }

    /// What of `far` the microphone hears, as long as `far` is.
    pub(crate) fn echo(&self, far: &[i16]) -> Vec<f64> {
        let played: Vec<f64> = far.iter().map(|sample| self.loudspeaker(*sample)).collect();
        let reflections = self.reflections();
        let mut heard = vec![0.0; far.len()];
        for (place, heard) in heard.iter_mut().enumerate() {
            let moved = if place >= self.moves {
                20 * self.hz / 1_000
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

/// A voice of the examples, again and again for so many seconds.
pub(crate) fn speech(name: &str, seconds: usize, rate: SampleRate) -> Vec<i16> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/assets/{name}.wav"));
    let mut file = hound::WavReader::open(file).unwrap();
    let pcm: Vec<i16> = file.samples().map(Result::unwrap).collect();
    let from = SampleRate::from_hz(file.spec().sample_rate).unwrap();
    let mut resampler = Resampler::new(from, rate);
    let (pieces, len) = (pcm.chunks_exact(from.samples(20)), rate.samples(20));
    let mut out = Vec::new();
    for piece in pieces {
        let whole = out.len();
        out.resize(whole + len, 0);
        resampler.process(piece, &mut out[whole..]).unwrap();
    }
    out.into_iter()
        .cycle()
        .take(seconds * rate.hz() as usize)
        .collect()
}

/// An echo and a voice.
pub(crate) fn mixed(echo: &[f64], near: &[i16]) -> Vec<i16> {
    let near = near.iter().copied().chain(std::iter::repeat(0));
    let sum = echo
        .iter()
        .zip(near)
        .map(|(echo, near)| (echo + f64::from(near)) as i16);
    sum.collect()
}

/// dB of the mean power.
pub(crate) fn level(pcm: &[i16]) -> f64 {
    let power: f64 = pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (power / pcm.len() as f64 + 0.1).log10()
}
