//! What is said: frames of sound that tell who said them, when, and in which order.

use parlour_core::room::Codec;
use parlour_core::time::Duration;

/// How much sound a frame holds.
pub const FRAME: Duration = Duration::from_millis(20);

/// What a frame of a test's sound tells. As G.711 it is padded to 20 ms, as Opus it begins with
/// the byte that says 20 ms (RFC 6716 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utterance {
    /// Which party of the world speaks.
    pub talker: u16,
    /// Which of its streams it speaks into, as the world counts them.
    pub stream: u16,
    /// Counts the frames of this stream, from 0.
    pub number: u32,
    /// When it was said, in the world's time, µs.
    pub said_at: u64,
}

const OPUS_20_MS: u8 = 0x48;
const MARK: [u8; 4] = *b"said";

impl Utterance {
    /// The frame as `codec`'s payload.
    pub fn encode(&self, codec: Codec) -> Vec<u8> {
        let mut payload = Vec::new();
        if codec == Codec::Opus {
            payload.push(OPUS_20_MS);
        }
        payload.extend(MARK);
        payload.extend(self.talker.to_be_bytes());
        payload.extend(self.stream.to_be_bytes());
        payload.extend(self.number.to_be_bytes());
        payload.extend(self.said_at.to_be_bytes());
        let samples = codec.clock_rate() / 50;
        match codec {
            Codec::Pcmu | Codec::Pcma => payload.resize(samples as usize, 0xff),
            _ => payload.resize(60, 0),
        }
        payload
    }

    /// Reads it again; `None` if it is none, or was damaged.
    pub fn decode(codec: Codec, payload: &[u8]) -> Option<Self> {
        let rest = match codec {
            Codec::Opus => payload.strip_prefix(&[OPUS_20_MS])?,
            _ => payload,
        };
        let rest = rest.strip_prefix(&MARK)?;
        let (talker, rest) = rest.split_first_chunk()?;
        let (stream, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (said_at, _) = rest.split_first_chunk()?;
        Some(Self {
            talker: u16::from_be_bytes(*talker),
            stream: u16::from_be_bytes(*stream),
            number: u32::from_be_bytes(*number),
            said_at: u64::from_be_bytes(*said_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use parlour_core::rtp::frame_samples;

    use super::*;

    #[test]
    fn frames_tell_what_was_said_and_last_20_ms() {
        let said = Utterance {
            talker: 3,
            stream: 1,
            number: 70_000,
            said_at: 1 << 40,
        };
        for codec in [Codec::Opus, Codec::Pcmu, Codec::Pcma] {
            let payload = said.encode(codec);
            assert_eq!(Utterance::decode(codec, &payload), Some(said));
            assert_eq!(frame_samples(codec, &payload), Ok(codec.clock_rate() / 50));
        }
        assert_eq!(Utterance::decode(Codec::Opus, &[0x48, 1]), None);
    }
}
