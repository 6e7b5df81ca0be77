//! Samples on the I2S wires: in slots of 32 bits, little-endian in memory.

/// Bytes of a slot.
pub const SLOT: usize = 4;

/// The gain of the microphone: 2^3, 18 dB. An INMP441 gives -26 dBFS at 94 dB SPL, which leaves a voice at an arm's
/// length 40 dB below full scale.
const GAIN_BITS: u32 = 3;

/// A microphone's sample. It has 24 bits, at the slot's upper end; no device drives the 8 bits below them. Samples
/// above full scale are clipped, not wrapped.
pub fn heard(slot: [u8; SLOT]) -> i16 {
    let amplified = i32::from_le_bytes(slot) >> (16 - GAIN_BITS);
    amplified.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// A sample for the loudspeaker: at the slot's upper end, zeros below.
pub fn said(sample: i16) -> [u8; SLOT] {
    (i32::from(sample) << 16).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot of an INMP441, with arbitrary lower 8 bits.
    fn slot(sample: i32, floating: u8) -> [u8; SLOT] {
        ((sample << 8) | i32::from(floating)).to_le_bytes()
    }

    #[test]
    fn a_quiet_voice_is_amplified_by_18_db() {
        // 24 bits have 256 steps to one of 16 bits.
        assert_eq!(heard(slot(256 * 100, 0)), 800);
        assert_eq!(heard(slot(256 * -100, 0)), -800);
    }

    #[test]
    fn the_bits_that_nobody_drives_are_not_heard() {
        for sample in [0, 1, -1, 25_600, -25_600] {
            assert_eq!(heard(slot(sample, 0x00)), heard(slot(sample, 0xFF)));
        }
    }

    #[test]
    fn a_shout_is_clipped() {
        assert_eq!(heard(slot(0x7F_FFFF, 0xFF)), i16::MAX);
        assert_eq!(heard(slot(-0x80_0000, 0)), i16::MIN);
        assert_eq!(heard(slot(256 * 5_000, 0)), i16::MAX);
    }

    #[test]
    fn the_loudspeaker_gets_the_upper_half() {
        assert_eq!(said(0x1234), [0, 0, 0x34, 0x12]);
        assert_eq!(said(-1), [0, 0, 0xFF, 0xFF]);
    }
}
