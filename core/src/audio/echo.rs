//! Echo cancellation for devices, in integers: a filter learns how the loudspeaker sounds at the microphone, and takes
//! that away.
//!
//! ```text
//! reference ──► pre-emphasis ──► history ──► taps ──► de-emphasis ──► echo
//!                                   │          ▲                       │ −
//!                                   └── NLMS ──┤                       ▼
//!                       microphone ────────────┴─── error ◄────────────┴──► what was said
//! ```
//!
//! The taps follow the normalised least mean squares, on pre-emphasised sound, as speech has most of its power at low
//! frequencies and the filter would learn nothing else. How far a step goes depends on how much of the error is echo.
//! That is what the *best* moments of the last seconds had in relation to the loudspeaker's power: while somebody
//! speaks near, the error is many times that, and the taps hardly move. When the room changes, no moment is good any
//! more, and a few seconds later the filter learns anew.

/// Samples after which the history moves on.
const PIECE: usize = 16;
/// Samples that are computed at once, so that each tap is loaded once for them.
const GROUP: usize = 4;
/// Bits of fraction of a tap, and of what of it is used to compute an echo.
const FINE: u32 = 29;
const COARSE: u32 = 13;
/// What pre-emphasis takes of the sample before, in 1/256.
const EMPHASIS: i32 = 200;
/// The mean square of pre-emphasised sound below which nothing is learned from it.
const QUIET: u64 = 64;
/// A step of the NLMS is at most 2^-this.
const STEP: u32 = 1;
/// Groups in which the relation of error and loudspeaker is averaged.
const BLOCK: u32 = 32;
/// Blocks after which the best relation of the time before is forgotten: 2 s at 8 kHz, 1 s at 16 kHz.
const LASTS: u32 = 128;
/// By how much an average block is worse than the best one.
const MARGIN: u64 = 9;

/// Takes the loudspeaker's sound out of the microphone's.
///
/// `TAPS` is how long the room may ring, in samples: the echo is computed from so many. `HISTORY` is `TAPS` and the
/// delay: by how many samples the microphone hears the loudspeaker later than it was given the reference. Both devices
/// must have one clock, and the delay must not change. Rather take a delay that is a little too short than one that is
/// too long: an echo that comes before the delay is over is not cancelled, one that comes later needs taps.
///
/// It works at any sample rate. Each of `TAPS` takes 4 bytes, each of `HISTORY` 2 bytes. The instructions are about
/// proportional to `TAPS` times the sample rate. Most of them are spared while the loudspeaker is silent.
///
/// A tap may amplify by less than 4, so the microphone should not hear the loudspeaker more than 12 dB louder than it
/// was given. What a loudspeaker distorts is no linear echo, and stays.
///
/// ```
/// use parlour_core::audio::EchoFilter;
///
/// // 32 ms of a room at 8 kHz, which is heard 40 ms later.
/// let mut filter = EchoFilter::<256, { 256 + 320 }>::new();
/// assert_eq!(filter.delay(), 320);
/// let mut microphone = [100; 160];
/// filter.process(&mut microphone, &[0; 160]);
/// assert_eq!(microphone, [100; 160]); // a silent loudspeaker has no echo
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EchoFilter<const TAPS: usize, const HISTORY: usize> {
    /// What was played, pre-emphasised, the oldest first.
    history: [i16; HISTORY],
    /// For the oldest sample first. They have [`FINE`] bits of fraction.
    taps: [i32; TAPS],
    /// The sum of squares of the part of the history that is heard now.
    power: u64,
    /// The last sample of the reference.
    played: i16,
    /// The last sample of the echo, with [`COARSE`] bits of fraction, and of the error.
    echo: i32,
    error: i32,
    /// The power of the error: of 32 samples, smoothed.
    left: u64,
    relation: Relation,
}

impl<const TAPS: usize, const HISTORY: usize> Default for EchoFilter<TAPS, HISTORY> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const TAPS: usize, const HISTORY: usize> EchoFilter<TAPS, HISTORY> {
    /// A filter that has learned nothing. That the delay is at least 16 samples is checked when it is compiled.
    pub const fn new() -> Self {
        const { assert!(TAPS > 0 && HISTORY >= TAPS + PIECE) };
        Self {
            history: [0; HISTORY],
            taps: [0; TAPS],
            power: 0,
            played: 0,
            echo: 0,
            error: 0,
            left: 0,
            relation: Relation::new(),
        }
    }

    /// The delay that it expects, in samples.
    pub const fn delay(&self) -> usize {
        HISTORY - TAPS
    }

    /// Cleans `microphone`. `reference` is what the loudspeaker is given in the same time: as many samples.
    /// Missing ones are silence, and more are ignored.
    pub fn process(&mut self, microphone: &mut [i16], reference: &[i16]) {
        let mut reference = reference.chunks(PIECE);
        for microphone in microphone.chunks_mut(PIECE) {
            for (group, microphone) in microphone.chunks_mut(GROUP).enumerate() {
                self.clean(group * GROUP, microphone);
            }
            self.play(microphone.len(), reference.next().unwrap_or_default());
        }
    }

    /// Cleans a group, which is heard `from` samples after the last move of the history.
    fn clean(&mut self, from: usize, microphone: &mut [i16]) {
        // The first sample of it is just no longer heard.
        let Some(window) = self.history.get(from..from + TAPS + GROUP) else {
            return;
        };
        let heard = if self.power == 0 {
            [0; GROUP]
        } else {
            convolve(&self.taps, window)
        };
        let ends = window.iter().zip(window.iter().skip(TAPS));
        let (mut errors, mut sum, mut power) = ([0; GROUP], 0, self.power);
        let samples = microphone.iter_mut().zip(heard).zip(&mut errors).zip(ends);
        for (((sample, heard), learned), (old, new)) in samples {
            let before = i64::from(self.echo) * i64::from(EMPHASIS);
            self.echo = heard.wrapping_add((before >> 8) as i32);
            let error = i32::from(*sample) - (self.echo >> COARSE);
            let emphasised = saturate(error - ((self.error * EMPHASIS) >> 8));
            self.error = error;
            *sample = saturate(error);
            *learned = i32::from(emphasised);
            sum += square(emphasised);
            self.power = self.power + square(*new) - square(*old);
            power = power.max(self.power);
        }
        self.left = self.left - self.left / 8 + sum;
        if power < QUIET * TAPS as u64 {
            return;
        }
        let echo = self.relation.hear(sum, power);
        let share = share(echo, self.left.max(4 * sum));
        for error in &mut errors {
            *error *= share;
        }
        learn(&mut self.taps, window, errors, power);
    }

    /// Moves the history on by `len` samples.
    fn play(&mut self, len: usize, reference: &[i16]) {
        self.history.copy_within(len.., 0);
        let silence = core::iter::repeat(&0);
        let newest = self.history.iter_mut().skip(HISTORY - len);
        for (slot, sample) in newest.zip(reference.iter().chain(silence)) {
            let before = (i32::from(self.played) * EMPHASIS) >> 8;
            *slot = saturate(i32::from(*sample) - before);
            self.played = *sample;
        }
    }
}

/// How large an error is in relation to the loudspeaker while nobody speaks near.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Relation {
    /// Of the block so far.
    error: u64,
    power: u64,
    groups: u32,
    /// The least, with 24 bits of fraction, of the last blocks and of those before.
    least: [Option<u32>; 2],
    blocks: u32,
}

impl Relation {
    const fn new() -> Self {
        Self {
            error: 0,
            power: 0,
            groups: 0,
            least: [None; 2],
            blocks: 0,
        }
    }

    /// Hears a group with an error of this power. Gives the power that 32 samples of echo have in it; at first any.
    fn hear(&mut self, error: u64, power: u64) -> u64 {
        self.error += error;
        self.power += power;
        self.groups += 1;
        if self.groups == BLOCK {
            let relation = (self.error << 14).checked_div(self.power >> 10);
            let relation = relation.and_then(|relation| u32::try_from(relation).ok());
            let [recent, before] = &mut self.least;
            let lower = |least: u32| relation.map_or(least, |relation| relation.min(least));
            *recent = recent.map(lower).or(relation);
            self.blocks += 1;
            if self.blocks == LASTS {
                self.blocks = 0;
                *before = recent.take();
            }
            (self.error, self.power, self.groups) = (0, 0, 0);
        }
        match self.least.iter().flatten().min() {
            Some(least) => {
                let group = u64::from(*least).saturating_mul(power >> 10) >> 14;
                group.saturating_mul(8 * MARGIN)
            }
            None => u64::MAX,
        }
    }
}

/// Which part of a power `whole` is `part`, in 1/256; at most all of it.
fn share(part: u64, whole: u64) -> i32 {
    if part >= whole {
        return 256;
    }
    // 24 bits of both, so that the division is one of 32 bits.
    let excess = (u64::BITS - whole.leading_zeros()).saturating_sub(24);
    let (part, whole) = ((part >> excess) as u32, (whole >> excess) as u32);
    (part << 8).checked_div(whole).unwrap_or(0) as i32
}

/// What the taps make of the window at four times: of all but its first sample, of the next, …; with [`COARSE`] bits of
/// fraction.
fn convolve(taps: &[i32], window: &[i16]) -> [i32; GROUP] {
    let [mut a, mut b, mut c, mut d] = [0_i32; GROUP];
    let ([mut w, mut x, mut y], newer) = unroll(window);
    for (tap, z) in taps.iter().zip(newer) {
        let (tap, z) = (tap >> (FINE - COARSE), i32::from(*z));
        a = a.wrapping_add(tap * w);
        b = b.wrapping_add(tap * x);
        c = c.wrapping_add(tap * y);
        d = d.wrapping_add(tap * z);
        (w, x, y) = (x, y, z);
    }
    [a, b, c, d]
}

/// Moves the taps by `errors`, which have 24 bits, as is right for a window of this `power`.
fn learn(taps: &mut [i32], window: &[i16], errors: [i32; GROUP], power: u64) {
    let largest = errors
        .iter()
        .fold(0, |largest: u32, error| largest.max(error.unsigned_abs()));
    // All numbers are scaled to 15 bits, a step to 13, so that a sum of four products has 30.
    let bits = |number: u64| (u64::BITS - number.leading_zeros()) as i32 - 15;
    let (up, down) = (-bits(u64::from(largest)), bits(power));
    let power = scale(power, -down) as i32;
    let step = |error: i32| {
        let error = if up < 0 { error >> -up } else { error << up };
        (error << 12).checked_div(power).unwrap_or(0)
    };
    let [a, b, c, d] = errors.map(step);
    // 12 bits of a step, 8 of the share, and what was scaled; the rest are the taps' fraction.
    let shift = 12 + 8 + up + down + STEP as i32 - FINE as i32;
    let shift = shift.clamp(0, 31);
    let ([mut w, mut x, mut y], newer) = unroll(window);
    for (tap, z) in taps.iter_mut().zip(newer) {
        let z = i32::from(*z);
        *tap = tap.saturating_add((a * w + b * x + c * y + d * z) >> shift);
        (w, x, y) = (x, y, z);
    }
}

/// The second to the fourth sample, and those that come after.
fn unroll(window: &[i16]) -> ([i32; GROUP - 1], &[i16]) {
    match window {
        [_, a, b, c, newer @ ..] => ([a, b, c].map(|sample| i32::from(*sample)), newer),
        _ => ([0; GROUP - 1], &[]),
    }
}

fn scale(number: u64, up: i32) -> u64 {
    if up < 0 { number >> -up } else { number << up }
}

fn square(sample: i16) -> u64 {
    let sample = i32::from(sample);
    u64::from((sample * sample).unsigned_abs())
}

fn saturate(sample: i32) -> i16 {
    sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    type Filter = EchoFilter<64, 104>;
    const DELAY: usize = 40;

    /// Noise that is the same each time.
    fn noise(seed: u32, len: usize, peak: i32) -> Vec<i16> {
        let mut random = seed.wrapping_mul(747_796_405) | 1;
        let mut sample = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((((random >> 16) as i32) - (1 << 15)) * peak / (1 << 15)) as i16
        };
        (0..len).map(|_| sample()).collect()
    }

    /// A direct sound of a half, and two reflections.
    fn echo(played: &[i16]) -> Vec<i16> {
        let at = |place: Option<usize>| place.map_or(0, |place| i32::from(played[place]));
        (0..played.len())
            .map(|place| {
                let [direct, early, late] =
                    [5, 13, 50].map(|later| at(place.checked_sub(DELAY + later)));
                (direct / 2 - early / 8 + late / 16) as i16
            })
            .collect()
    }

    fn decibels(pcm: &[i16]) -> f64 {
        let power: f64 = pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        10.0 * (power / pcm.len() as f64 + 0.01).log10()
    }

    fn difference(a: &[i16], b: &[i16]) -> Vec<i16> {
        a.iter().zip(b).map(|(a, b)| a.saturating_sub(*b)).collect()
    }

    fn clean(filter: &mut Filter, microphone: &[i16], played: &[i16]) -> Vec<i16> {
        let mut heard = microphone.to_vec();
        for (heard, played) in heard.chunks_mut(160).zip(played.chunks(160)) {
            filter.process(heard, played);
        }
        heard
    }

    #[test]
    fn an_echo_is_learned_and_a_voice_stays() {
        let played = noise(1, 32_000, 8_000);
        let echo = echo(&played);
        let mut filter = Filter::new();
        let left = clean(&mut filter, &echo, &played);
        let removed = decibels(&echo[24_000..]) - decibels(&left[24_000..]);
        assert!(removed > 35.0, "{removed} dB");

        // It does not forget it while somebody speaks near, twice as loud as the echo, in words of a quarter second.
        let mut voice = noise(2, played.len(), 8_000);
        for pause in voice.chunks_mut(2_000).skip(1).step_by(2) {
            pause.fill(0);
        }
        let both: Vec<i16> = echo.iter().zip(&voice).map(|(a, b)| a + b).collect();
        let heard = clean(&mut filter, &both, &played);
        let left = difference(&heard, &voice);
        let removed = decibels(&echo) - decibels(&left);
        assert!(removed > 25.0, "{removed} dB");
    }

    #[test]
    fn a_path_that_changes_is_learned_anew() {
        let played = noise(1, 64_000, 8_000);
        let mut filter = Filter::new();
        clean(&mut filter, &echo(&played), &played);
        let other: Vec<i16> = echo(&played).iter().map(|sample| -sample).collect();
        let left = clean(&mut filter, &other, &played);
        let removed = decibels(&other[56_000..]) - decibels(&left[56_000..]);
        assert!(removed > 33.0, "{removed} dB");
    }

    #[test]
    fn without_an_echo_nothing_changes() {
        let voice = noise(3, 16_000, 12_000);
        let heard = clean(&mut Filter::new(), &voice, &[0; 16_000]);
        assert_eq!(heard, voice);
        let played = noise(4, 16_000, 8_000);
        let heard = clean(&mut Filter::new(), &[0; 16_000], &played);
        assert!(heard.iter().all(|sample| sample.abs() <= 1));
    }

    #[test]
    fn a_share_is_at_most_all() {
        for (part, whole) in [(0, 0), (u64::MAX, u64::MAX), (1, 1), (u64::MAX, 1)] {
            assert_eq!(share(part, whole), 256);
        }
        assert_eq!(share(1 << 40, 1 << 42), 64);
        assert_eq!(share(3, 12), 64);
        assert_eq!(share(0, u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn nothing_overflows_and_pieces_make_no_difference(
            pieces in proptest::collection::vec((1_usize..200, 0_usize..200, 0_i32..=32_768), 1..60),
            clipped in any::<bool>(),
        ) {
            let (mut filter, mut whole) = (Filter::new(), Filter::new());
            for (index, (len, played, peak)) in pieces.into_iter().enumerate() {
                let (mut microphone, mut reference) =
                    (noise(index as u32, len, peak), noise(!index as u32, played, 32_768));
                if clipped {
                    for sample in microphone.iter_mut().chain(&mut reference) {
                        *sample = if *sample < 0 { i16::MIN } else { i16::MAX };
                    }
                }
                let mut same = microphone.clone();
                filter.process(&mut microphone, &reference);
                let mut reference = reference.chunks(PIECE);
                for same in same.chunks_mut(PIECE) {
                    whole.process(same, reference.next().unwrap_or_default());
                }
                prop_assert_eq!(&microphone, &same);
                prop_assert_eq!(&filter, &whole);
                let window = &filter.history[filter.history.len() - 64 - DELAY..][..64];
                prop_assert_eq!(filter.power, window.iter().copied().map(square).sum::<u64>());
            }
        }
    }
}
