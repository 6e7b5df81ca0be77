//! G.711, the telephone's codec: one byte for each sample at 8 kHz
//! ([ITU-T G.711](https://www.itu.int/rec/T-REC-G.711),
//! [RFC 3551 section 4.5.14](https://www.rfc-editor.org/rfc/rfc3551#section-4.5.14)).
//!
//! Both laws code a sample as a sign, one of eight segments of doubling size, and one of sixteen
//! steps within it:
//!
//! ```text
//!   7   6   5   4   3   2   1   0
//! +---+-----------+---------------+
//! | S |  segment  |     step      |   µ-law: all bits inverted on the wire
//! +---+-----------+---------------+   A-law: even bits inverted (XOR 0x55)
//! ```
//!
//! µ-law codes 14 and A-law 13 significant bits; the samples here have 16 bits with those at the top, as is usual.
//!
//! # Concealment
//!
//! G.711 itself does not define concealment. [`G711Decoder`] repeats the last period of the voice and fades it to
//! silence over 60 ms. The period is the lag of 5 to 15 ms at which the last 10 ms best match the samples before. The
//! first 5 ms after the gap are cross-faded.

use super::codec::{
    AdaptiveEncoder, AudioDecoder, AudioEncoder, DecodeError, EncodeError, Encoded, FrameDuration,
    SampleRate,
};

/// The companding law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Law {
    /// µ-law, `PCMU`: North America and Japan.
    Mu,
    /// A-law, `PCMA`: elsewhere.
    A,
}

/// Samples in the longest payload: 60 ms.
pub const MAX_PAYLOAD: usize = RATE.samples(FrameDuration::MAX_MS);

const RATE: SampleRate = SampleRate::Hz8000;
const STEP_BITS: i32 = 4;
const STEP_MASK: i32 = 0x0f;
/// Added before µ-law coding so that every segment begins at a power of two.
const MU_BIAS: i32 = 0x84;
/// The loudest sample that the top µ-law segment still holds.
const MU_CLIP: i32 = 32_635;
const A_INVERTED: u8 = 0x55;

impl Law {
    /// The code for a 16-bit sample.
    ///
    /// ```
    /// use parlour_core::audio::g711::Law;
    /// assert_eq!(Law::Mu.encode(0), 0xff);
    /// assert_eq!(Law::A.encode(0), 0xd5);
    /// ```
    pub const fn encode(self, sample: i16) -> u8 {
        let sample = sample as i32;
        match self {
            Self::Mu => {
                let magnitude = if sample < 0 { -sample } else { sample };
                let clipped = if magnitude > MU_CLIP {
                    MU_CLIP
                } else {
                    magnitude
                };
                let biased = clipped + MU_BIAS;
                let segment = segment(biased >> 7);
                let step = (biased >> (segment + 3)) & STEP_MASK;
                !(sign(sample < 0) | (segment << STEP_BITS | step) as u8)
            }
            Self::A => {
                // The negative half is the ones' complement of the positive one.
                let magnitude = (if sample < 0 { !sample } else { sample }) >> 4;
                let code = if magnitude < 32 {
                    magnitude
                } else {
                    let segment = segment(magnitude >> 4) + 1;
                    segment << STEP_BITS | (magnitude >> (segment - 1)) & STEP_MASK
                };
                (sign(sample >= 0) | code as u8) ^ A_INVERTED
            }
        }
    }

    /// The 16-bit sample that a code stands for.
    ///
    /// ```
    /// use parlour_core::audio::g711::Law;
    /// assert_eq!(Law::Mu.decode(0x80), 32_124);
    /// assert_eq!(Law::A.decode(0xaa), 32_256);
    /// ```
    pub const fn decode(self, code: u8) -> i16 {
        let (code, negative) = match self {
            Self::Mu => (!code, code & 0x80 == 0),
            Self::A => (code ^ A_INVERTED, code & 0x80 == 0),
        };
        let segment = (code as i32 >> STEP_BITS) & 0x07;
        let step = code as i32 & STEP_MASK;
        let magnitude = match (self, segment) {
            (Self::Mu, _) => (((step << 3) + MU_BIAS) << segment) - MU_BIAS,
            (Self::A, 0) => (step << 4) + 8,
            (Self::A, _) => ((step << 4) + 0x108) << (segment - 1),
        };
        (if negative { -magnitude } else { magnitude }) as i16
    }
}

/// The highest bit set in `size`, 1 to 255. Small chips often lack the instruction that `ilog2` would need.
const fn segment(size: i32) -> i32 {
    let four = (size > 0x0f) as i32 * 4;
    let two = (size >> four > 3) as i32 * 2;
    four + two + (size >> (four + two) > 1) as i32
}

const fn sign(set: bool) -> u8 {
    if set { 0x80 } else { 0 }
}

/// Encodes frames of 8 kHz PCM.
///
/// ```
/// use parlour_core::audio::codec::{AudioEncoder, Encoded, FrameDuration};
/// use parlour_core::audio::g711::{G711Encoder, Law};
///
/// let mut encoder = G711Encoder::new(Law::Mu, FrameDuration::Ms20);
/// let mut payload = [0; 160];
/// assert_eq!(encoder.encode(&[0; 160], &mut payload), Ok(Encoded::Payload(160)));
/// ```
#[derive(Debug, Clone)]
pub struct G711Encoder {
    law: Law,
    frame: FrameDuration,
}

impl G711Encoder {
    /// An encoder of frames as long as `frame`.
    pub const fn new(law: Law, frame: FrameDuration) -> Self {
        Self { law, frame }
    }
}

impl AdaptiveEncoder for G711Encoder {}

impl AudioEncoder for G711Encoder {
    fn sample_rate(&self) -> SampleRate {
        RATE
    }

    fn frame_samples(&self) -> usize {
        RATE.samples(self.frame.ms())
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<Encoded, EncodeError> {
        let needed = self.frame_samples();
        if pcm.len() != needed {
            return Err(EncodeError::FrameLength { needed });
        }
        let out = out
            .get_mut(..needed)
            .ok_or(EncodeError::OutputTooSmall { needed })?;
        for (code, &sample) in out.iter_mut().zip(pcm) {
            *code = self.law.encode(sample);
        }
        Ok(Encoded::Payload(needed))
    }
}

/// Decodes payloads of either law to 8 kHz PCM, and conceals lost ones.
///
/// ```
/// use parlour_core::audio::codec::AudioDecoder;
/// use parlour_core::audio::g711::{G711Decoder, Law};
///
/// let mut decoder = G711Decoder::new(Law::A);
/// let mut pcm = [0; 160];
/// assert_eq!(decoder.decode(&[0xd5; 160], &mut pcm), Ok(160));
/// decoder.conceal(&mut pcm); // the next packet never came
/// ```
#[derive(Debug, Clone)]
pub struct G711Decoder {
    law: Law,
    /// The last decoded audio, continued periodically through a gap.
    history: [i16; HISTORY],
    gap: Option<Gap>,
}

/// A loss being concealed.
#[derive(Debug, Clone, Copy)]
struct Gap {
    period: usize,
    /// Samples concealed so far, up to [`FADE`].
    concealed: usize,
}

const MIN_PERIOD: usize = 40;
const MAX_PERIOD: usize = 120;
const MATCH: usize = 80;
const HISTORY: usize = MAX_PERIOD + MATCH;
const FADE: usize = 480;
const CROSS_FADE: usize = 40;

impl G711Decoder {
    /// A decoder that expects `law`.
    pub const fn new(law: Law) -> Self {
        Self {
            law,
            history: [0; HISTORY],
            gap: None,
        }
    }

    /// Expects `law` from now on; the history for concealment stays.
    pub fn set_law(&mut self, law: Law) {
        self.law = law;
    }

    fn remember(&mut self, pcm: &[i16]) {
        let kept = pcm.len().min(HISTORY);
        self.history.copy_within(kept.., 0);
        for (old, &new) in self.history.iter_mut().rev().zip(pcm.iter().rev()) {
            *old = new;
        }
    }
}

impl AudioDecoder for G711Decoder {
    fn sample_rate(&self) -> SampleRate {
        RATE
    }

    fn decode(&mut self, payload: &[u8], pcm: &mut [i16]) -> Result<usize, DecodeError> {
        let needed = payload.len();
        if needed == 0 {
            return Err(DecodeError::Empty);
        }
        if needed > MAX_PAYLOAD {
            return Err(DecodeError::FrameTooLong);
        }
        let pcm = pcm
            .get_mut(..needed)
            .ok_or(DecodeError::OutputTooSmall { needed })?;
        let after_gap = self.gap.is_some();
        let mut bridge = [0; CROSS_FADE];
        if after_gap {
            self.conceal(&mut bridge);
            self.gap = None;
        }
        for (sample, &code) in pcm.iter_mut().zip(payload) {
            *sample = self.law.decode(code);
        }
        if after_gap {
            for (i, (new, &old)) in (0..).zip(pcm.iter_mut().zip(&bridge)) {
                let blended = i32::from(*new) * i + i32::from(old) * (CROSS_FADE as i32 - i);
                *new = (blended / CROSS_FADE as i32) as i16;
            }
        }
        self.remember(pcm);
        Ok(needed)
    }

    fn conceal(&mut self, pcm: &mut [i16]) {
        let mut gap = self.gap.unwrap_or_else(|| Gap {
            period: period(&self.history),
            concealed: 0,
        });
        for block in pcm.chunks_mut(gap.period) {
            let period_start = HISTORY - gap.period;
            for (sample, &past) in block.iter_mut().zip(self.history.iter().skip(period_start)) {
                *sample = past;
            }
            // The history is not faded, or the fade would compound with each period.
            self.remember(block);
            for sample in block {
                let remaining = (FADE - gap.concealed) as i32;
                *sample = (i32::from(*sample) * remaining / FADE as i32) as i16;
                gap.concealed = (gap.concealed + 1).min(FADE);
            }
        }
        self.gap = Some(gap);
    }

    /// G.711 carries no redundancy: always conceals and returns `false`.
    fn recover(&mut self, _next_payload: &[u8], pcm: &mut [i16]) -> bool {
        self.conceal(pcm);
        false
    }
}

/// The lag at which the end of `history` correlates best with the samples before it, by correlation² / energy so that
/// no square root is needed.
fn period(history: &[i16; HISTORY]) -> usize {
    let recent = history.iter().skip(HISTORY - MATCH);
    let mut best = (MAX_PERIOD, 0_u64, 1_u64);
    for lag in MIN_PERIOD..=MAX_PERIOD {
        let past = history.iter().skip(HISTORY - MATCH - lag);
        let (correlation, energy) =
            recent
                .clone()
                .zip(past)
                .fold((0_i64, 0_i64), |(correlation, energy), (&a, &b)| {
                    let (a, b) = (i64::from(a), i64::from(b));
                    (correlation + a * b, energy + b * b)
                });
        // Eighty products of 16-bit samples: below 2^37, so that the squares below 2^74 must
        // shrink first to be compared crosswise within 64 bits.
        let Ok(correlation) = u64::try_from(correlation >> 6) else {
            continue;
        };
        let (score, energy) = (
            (correlation * correlation) >> 32,
            ((energy >> 6) as u64).max(1),
        );
        let (_, best_score, best_energy) = best;
        if score * best_energy > best_score * energy {
            best = (lag, score, energy);
        }
    }
    best.0
}

#[cfg(test)]
mod tests;
