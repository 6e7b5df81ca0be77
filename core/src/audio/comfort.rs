//! Noise as there is behind a talker, for the time in which nothing is known of the talker: pauses, and the end of what
//! concealment can do. Digital silence sounds like a broken line.

use super::codec::SampleRate;

/// Fractions of the level.
const LEVEL_BITS: u32 = 4;
/// The loudest noise: a mean magnitude of −46 dBov. What is louder is no background.
const LOUDEST: u32 = 160 << LEVEL_BITS;
/// How long noise goes on without a packet, and how long it then takes to fade out, in ms.
const LASTS: u16 = 2_000;
const FADES: u16 = 1_000;
/// How long a loss lasts until its concealment fades, and until nothing is left of it but the noise, in ms.
const HOLDS: u16 = 60;
const ENDS: u16 = 200;

/// The noise of one talker.
#[derive(Debug)]
pub(super) struct Comfort {
    /// The mean magnitude of the faintest recent frames, if any was faint enough.
    level: Option<u32>,
    random: u32,
    /// Of the noise that was made last, for its colour.
    last: i32,
    /// Samples since a frame was heard.
    since: usize,
}

impl Comfort {
    pub(super) const fn new() -> Self {
        Self {
            level: None,
            random: 1,
            last: 0,
            since: 0,
        }
    }

    /// Learns from a decoded frame.
    pub(super) fn hear(&mut self, pcm: &[i16]) {
        self.since = 0;
        let Some(len) = u32::try_from(pcm.len()).ok().filter(|len| *len > 0) else {
            return;
        };
        let sum: u32 = pcm
            .iter()
            .map(|sample| u32::from(sample.unsigned_abs()))
            .sum();
        let mean =
            (sum / len).saturating_mul(1 << LEVEL_BITS) | (sum % len * (1 << LEVEL_BITS) / len);
        self.level = match self.level {
            level if mean > LOUDEST => level,
            // Between words it is found again within a second.
            Some(level) if mean > level => Some(level + level / 64 + 1),
            _ => Some(mean),
        };
    }

    /// Fills `pcm` in a pause.
    pub(super) fn fill(&mut self, pcm: &mut [i16], rate: SampleRate) {
        pcm.fill(0);
        let (lasts, fades) = (rate.samples(LASTS), rate.samples(FADES));
        let left = (lasts + fades).saturating_sub(self.since).min(fades);
        self.add(pcm, left, fades);
    }

    /// Fades what conceals a loss into the noise, the longer the loss lasts.
    pub(super) fn fade(&mut self, pcm: &mut [i16], rate: SampleRate) {
        let (holds, ends) = (rate.samples(HOLDS), rate.samples(ENDS));
        let fades = ends - holds;
        // The gain has 24 bits, so that its steps add up to one; a sample needs 15 of them.
        let step = (1_i32 << 24).checked_div(fades as i32).unwrap_or(0);
        let left = ends.saturating_sub(self.since) as i32;
        for (sample, passed) in pcm.iter_mut().zip(0..) {
            let gain = left.saturating_sub(passed).clamp(0, fades as i32) * step;
            *sample = ((i32::from(*sample) * (gain >> 9)) / (1 << 15)) as i16;
        }
        self.add(pcm, self.since.saturating_sub(holds).min(fades), fades);
    }

    /// Adds `share` of `whole` of the noise.
    fn add(&mut self, pcm: &mut [i16], share: usize, whole: usize) {
        self.since = self.since.saturating_add(pcm.len());
        let level = self.level.unwrap_or_default() * share as u32;
        let level = level.checked_div(whole as u32).unwrap_or_default() as i32;
        if level == 0 {
            return;
        }
        for sample in pcm {
            self.random = self
                .random
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223);
            // Uniform, of 16 bits; as large as makes the mean right behind the low pass.
            let noise = ((self.random >> 16) as i32 - (1 << 15)) * level;
            self.last += (noise - self.last) / 2;
            let noise = (self.last * 4) >> (15 + LEVEL_BITS);
            *sample = sample.saturating_add(noise as i16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    const RATE: SampleRate = SampleRate::Hz16000;

    /// 20 ms of noise of this mean magnitude.
    fn noise(amplitude: i32, seed: u32) -> Vec<i16> {
        let mut random = seed.wrapping_mul(747_796_405) | 1;
        let mut sample = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (((random >> 16) as i32 - (1 << 15)) * amplitude * 2 / (1 << 15)) as i16
        };
        (0..320).map(|_| sample()).collect()
    }

    fn mean(pcm: &[i16]) -> f64 {
        let sum: f64 = pcm.iter().map(|&sample| f64::from(sample).abs()).sum();
        sum / pcm.len() as f64
    }

    fn heard(comfort: &mut Comfort, ms: u16) -> f64 {
        let mut pcm = vec![0; RATE.samples(ms)];
        comfort.fill(&mut pcm, RATE);
        mean(&pcm)
    }

    #[test]
    fn a_pause_has_the_noise_of_the_talkers_room() {
        for amplitude in [3, 20, 100] {
            let mut comfort = Comfort::new();
            for n in 0..100 {
                // Every tenth frame is between two words.
                let is_word = n % 10 != 0;
                comfort.hear(&noise(if is_word { 4_000 } else { amplitude }, n));
            }
            let heard = heard(&mut comfort, 500);
            let wanted = f64::from(amplitude);
            assert!(
                (wanted * 0.6..wanted * 1.5).contains(&heard),
                "{heard} of {wanted}"
            );
        }
    }

    #[test]
    fn a_silent_room_is_silent_and_a_voice_no_noise() {
        let mut comfort = Comfort::new();
        assert_eq!(heard(&mut comfort, 100), 0.0);
        // However long it lasts, as that of an instrument does.
        for n in 0..500 {
            comfort.hear(&noise(8_000, n));
        }
        assert_eq!(heard(&mut comfort, 100), 0.0);
        comfort.hear(&noise(20, 1));
        for n in 0..500 {
            comfort.hear(&noise(8_000, n));
        }
        assert!((12.0..30.0).contains(&heard(&mut comfort, 500)));
        comfort.hear(&[0; 320]);
        assert_eq!(heard(&mut comfort, 100), 0.0);
    }

    #[test]
    fn noise_ends_some_seconds_after_the_last_packet() {
        let mut comfort = Comfort::new();
        comfort.hear(&noise(50, 1));
        for _ in 0..40 {
            assert!(heard(&mut comfort, 50) > 20.0);
        }
        for _ in 0..50 {
            heard(&mut comfort, 20);
        }
        assert_eq!(heard(&mut comfort, 1_000), 0.0);
    }

    #[test]
    fn what_conceals_a_loss_fades_into_the_noise() {
        let mut comfort = Comfort::new();
        comfort.hear(&noise(40, 1));
        let levels: Vec<f64> = (0..25)
            .map(|n| {
                let mut pcm = noise(4_000, n);
                pcm.truncate(160);
                comfort.fade(&mut pcm, RATE);
                mean(&pcm)
            })
            .collect();
        assert!(
            levels[..6].iter().all(|&level| level > 3_500.0),
            "{levels:?}"
        );
        assert!((1_500.0..2_600.0).contains(&levels[12]), "{levels:?}");
        assert!(
            levels[20..]
                .iter()
                .all(|level| (20.0..60.0).contains(level)),
            "{levels:?}"
        );
    }

    #[test]
    fn extremes_do_no_harm() {
        let mut comfort = Comfort::new();
        comfort.hear(&[]);
        comfort.hear(&[i16::MIN; 2_880]);
        let mut pcm = [i16::MAX; 480];
        comfort.since = usize::MAX;
        comfort.fade(&mut pcm, RATE);
        comfort.fill(&mut pcm, RATE);
    }
}
