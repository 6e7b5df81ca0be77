//! The level of a packet's audio, readable without decoding ([RFC 6464](https://www.rfc-editor.org/rfc/rfc6464)).
//!
//! ```text
//!  0                   1
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  ID   | len=0 |V|    level    |   V: voice; level: -dBov
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

/// The [RFC 8285](https://www.rfc-editor.org/rfc/rfc8285) element id under which Parlour carries
/// the [`AudioLevel`]. Fixed, because nothing negotiates ids; 1 is also what browsers mostly use.
pub const AUDIO_LEVEL_ID: u8 = 1;

/// The level of one packet's audio, as its publisher measured it.
///
/// ```
/// use parlour_core::rtp::AudioLevel;
/// let level = AudioLevel { voice: true, level: 23 };
/// assert_eq!(AudioLevel::from_byte(level.to_byte()), level);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AudioLevel {
    /// Whether the publisher classified the audio as speech.
    pub voice: bool,
    /// -dBov: 0 is the loudest possible, 127 is silence. Values over 127 are sent as 127.
    pub level: u8,
}

impl AudioLevel {
    /// No voice, and the lowest level: also the level of digital silence.
    pub const SILENCE: Self = Self {
        voice: false,
        level: 127,
    };

    /// Decodes the byte of an audio level element.
    pub const fn from_byte(byte: u8) -> Self {
        Self {
            voice: byte & 0x80 != 0,
            level: byte & 0x7F,
        }
    }

    /// Encodes the byte of an audio level element.
    pub const fn to_byte(self) -> u8 {
        let level = if self.level > 127 { 127 } else { self.level };
        if self.voice { 0x80 | level } else { level }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_level_and_comes_back() {
        for byte in 0..=u8::MAX {
            assert_eq!(AudioLevel::from_byte(byte).to_byte(), byte);
        }
    }

    #[test]
    fn a_level_beyond_the_scale_is_silence_and_no_voice_bit() {
        let beyond = AudioLevel {
            voice: false,
            level: 200,
        };
        assert_eq!(beyond.to_byte(), AudioLevel::SILENCE.to_byte());
    }
}
