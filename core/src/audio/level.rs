//! The level of a block of audio, as RTP carries it.
//!
//! The unit is −dBov: decibels below the loudest signal that 16 bits can hold, by root mean square, as [RFC 6464
//! section 3](https://www.rfc-editor.org/rfc/rfc6464#section-3) sends it and the appendix of [RFC
//! 6465](https://www.rfc-editor.org/rfc/rfc6465#appendix-A) computes it. 0 is the loudest (a full-scale square wave; a
//! full-scale sine is 3), 127 is silence. The level does not determine the *voice* bit: the caller sets it.

/// Overload: the root mean square of the loudest signal.
const OVERLOAD: u64 = i16::MAX as u64;
/// 10·log₁₀(2), the dB of a doubled power, in 1/65536.
const DB_PER_OCTAVE_Q16: u64 = 197_283;
/// Digital silence.
const SILENCE: u8 = 127;

/// The level of `pcm` in −dBov, 0 to 127; 127 also for an empty block.
///
/// Integer arithmetic only, within 0.01 dB of the exact value before it is rounded to a whole dB.
///
/// ```
/// use parlour_core::audio::level::level;
/// assert_eq!(level(&[0; 160]), 127);
/// assert_eq!(level(&[i16::MAX; 160]), 0);
/// assert_eq!(level(&[3277; 160]), 20); // a tenth of full scale
/// ```
pub fn level(pcm: &[i16]) -> u8 {
    let energy = pcm.iter().fold(0_u64, |sum, &sample| {
        let sample = i32::from(sample);
        // At most 2^30 each: no block is long enough to overflow.
        sum.wrapping_add(u64::from((sample * sample).unsigned_abs()))
    });
    if energy == 0 {
        return SILENCE;
    }
    let full_scale = 2 * log2_q16(OVERLOAD) + log2_q16(pcm.len() as u64);
    let octaves = u64::from(full_scale.saturating_sub(log2_q16(energy)));
    let decibels = (octaves * DB_PER_OCTAVE_Q16 + (1 << 31)) >> 32;
    u8::try_from(decibels).map_or(SILENCE, |level| level.min(SILENCE))
}

/// log₂ of `x` in 1/65536, rounded down; 0 for 0.
///
/// Squaring a number in [1, 2) doubles its logarithm, so whether the square reaches 2 is the
/// next binary digit of the fraction.
fn log2_q16(x: u64) -> u32 {
    let Some(whole) = x.checked_ilog2() else {
        return 0;
    };
    // The mantissa in [1, 2), as a fraction of 2^31.
    let mut mantissa = if whole > 31 {
        x >> (whole - 31)
    } else {
        x << (31 - whole)
    };
    let mut log = whole;
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 31;
        log <<= 1;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            log |= 1;
        }
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn exact(pcm: &[i16]) -> f64 {
        let energy: f64 = pcm.iter().map(|&s| f64::from(s).powi(2)).sum();
        let rms = (energy / pcm.len() as f64).sqrt();
        -20.0 * (rms / 32767.0).log10()
    }

    #[test]
    fn known_signals_have_their_known_levels() {
        assert_eq!(level(&[]), 127);
        assert_eq!(level(&[i16::MIN; 960]), 0);
        let sine: Vec<i16> = (0..480)
            .map(|i| {
                let phase = f64::from(i) / 48.0 * core::f64::consts::TAU;
                (phase.sin() * 32767.0) as i16
            })
            .collect();
        assert_eq!(level(&sine), 3);
        // The quietest square wave is 90 dB down; a lone bit in a long block is beyond 127.
        assert_eq!(level(&[1, -1, 1, -1]), 90);
        let mut nearly_silent = std::vec![0; 8000];
        nearly_silent[17] = 1;
        assert_eq!(level(&nearly_silent), 127);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn is_the_nearest_whole_decibel(
            pcm in (0_u32..15).prop_flat_map(|shift| {
                proptest::collection::vec(any::<i16>().prop_map(move |s| s >> shift), 1..960)
            })
        ) {
            prop_assume!(pcm.iter().any(|&s| s != 0));
            let exact = exact(&pcm).clamp(0.0, 127.0);
            let got = f64::from(level(&pcm));
            prop_assert!((got - exact).abs() <= 0.51, "{got} for {exact}");
        }

        #[test]
        fn the_logarithm_is_exact_to_its_last_digits(x in 1_u64..) {
            let got = f64::from(log2_q16(x)) / 65536.0;
            prop_assert!((got - (x as f64).log2()).abs() < 0.0001);
        }
    }
}
