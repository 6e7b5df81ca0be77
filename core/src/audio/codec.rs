//! The interface of every audio codec.
//!
//! PCM is 16-bit and mono everywhere in this crate: a voice is one channel, and a stereo Opus packet is mixed down
//! during decoding.
//!
//! The three methods of [`AudioDecoder`] correspond to the three states of a frame in a jitter buffer when it is due:
//!
//! | the frame due | call |
//! |---|---|
//! | has arrived | [`AudioDecoder::decode`] with its payload |
//! | is lost, but the packet after it has arrived | [`AudioDecoder::recover`] with the *next* payload, which is decoded in its own turn afterwards |
//! | is lost | [`AudioDecoder::conceal`] |

use thiserror::Error;

use crate::time::Instant;

/// Samples in a second that a codec reads or writes.
///
/// ```
/// use parlour_core::audio::codec::SampleRate;
/// assert_eq!(SampleRate::from_hz(16_000), Some(SampleRate::Hz16000));
/// assert_eq!(SampleRate::Hz48000.samples(20), 960);
/// assert_eq!(SampleRate::from_hz(44_100), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SampleRate {
    /// 8 kHz, the rate of G.711.
    Hz8000,
    /// 16 kHz, wideband speech: usual on small devices.
    Hz16000,
    /// 24 kHz.
    Hz24000,
    /// 48 kHz, the whole audible band: usual on desktops.
    Hz48000,
}

impl SampleRate {
    /// The rate of `hz` samples per second, if it is one of the four.
    pub const fn from_hz(hz: u32) -> Option<Self> {
        match hz {
            8_000 => Some(Self::Hz8000),
            16_000 => Some(Self::Hz16000),
            24_000 => Some(Self::Hz24000),
            48_000 => Some(Self::Hz48000),
            _ => None,
        }
    }

    /// Samples per second.
    pub const fn hz(self) -> u32 {
        self.per_ms() as u32 * 1000
    }

    /// Samples in `ms` milliseconds.
    pub const fn samples(self, ms: u16) -> usize {
        self.per_ms() * ms as usize
    }

    const fn per_ms(self) -> usize {
        match self {
            Self::Hz8000 => 8,
            Self::Hz16000 => 16,
            Self::Hz24000 => 24,
            Self::Hz48000 => 48,
        }
    }
}

/// The duration of one encoded frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameDuration {
    /// 10 ms: least delay, most packets.
    Ms10,
    /// 20 ms: the usual choice.
    #[default]
    Ms20,
    /// 40 ms.
    Ms40,
    /// 60 ms: fewest packets, for narrow links.
    Ms60,
}

impl FrameDuration {
    /// The longest frame, in ms, and the most that a decoder decodes at a time. Longer packets, of up to 120 ms, hold
    /// several frames: [`Decoder::decode_part`](super::decoder::Decoder::decode_part).
    pub const MAX_MS: u16 = 60;

    /// Length in ms.
    pub const fn ms(self) -> u16 {
        match self {
            Self::Ms10 => 10,
            Self::Ms20 => 20,
            Self::Ms40 => 40,
            Self::Ms60 => 60,
        }
    }
}

/// The result of [`AudioEncoder::encode`] for one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Encoded {
    /// This many bytes at the front of the output are one RTP payload to send.
    Payload(usize),
    /// Silence that need not be sent (discontinuous transmission, DTX): the RTP timestamp
    /// moves on by one frame, the sequence number does not, and the next payload begins a
    /// talkspurt ([RFC 3551 section 4.1](https://www.rfc-editor.org/rfc/rfc3551#section-4.1)).
    Silence,
}

impl Encoded {
    /// The payload within `out`, the buffer that was lent to `encode`; `None` for silence.
    ///
    /// ```
    /// use parlour_core::audio::codec::Encoded;
    /// assert_eq!(Encoded::Payload(2).payload(&[7, 8, 9]), Some(&[7, 8][..]));
    /// assert_eq!(Encoded::Silence.payload(&[7, 8, 9]), None);
    /// ```
    pub fn payload(self, out: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Payload(len) => out.get(..len),
            Self::Silence => None,
        }
    }
}

/// Turns frames of PCM into RTP payloads.
pub trait AudioEncoder {
    /// The rate of the PCM that [`encode`](Self::encode) takes.
    fn sample_rate(&self) -> SampleRate;

    /// Samples in the PCM that [`encode`](Self::encode) takes.
    fn frame_samples(&self) -> usize;

    /// Encodes one frame of mono PCM into `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::FrameLength`] unless `pcm` has exactly
    /// [`frame_samples`](Self::frame_samples) samples; [`EncodeError::OutputTooSmall`] if `out`
    /// cannot hold the largest payload of this codec. In both cases nothing has changed.
    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<Encoded, EncodeError>;
}

impl<E: AudioEncoder> AudioEncoder for &mut E {
    fn sample_rate(&self) -> SampleRate {
        (**self).sample_rate()
    }

    fn frame_samples(&self) -> usize {
        (**self).frame_samples()
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<Encoded, EncodeError> {
        (**self).encode(pcm, out)
    }
}

/// An encoder that adapts to packet loss.
pub trait AdaptiveEncoder: AudioEncoder {
    /// Adapts at `now` to `loss`, the share of packets lost on the way in 1/256; `None`: not known. `loss` is called
    /// only when it is time to adapt. Codecs that cannot adapt do nothing.
    fn adapt(&mut self, now: Instant, loss: impl FnOnce() -> Option<u8>) {
        let _ = (now, loss);
    }
}

/// Turns RTP payloads into PCM, and conceals lost ones.
pub trait AudioDecoder {
    /// The rate of the PCM that this decoder writes.
    fn sample_rate(&self) -> SampleRate;

    /// Decodes one payload to the front of `pcm`; returns the number of samples.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`]. The payload is then useless: treat the frame as lost.
    fn decode(&mut self, payload: &[u8], pcm: &mut [i16]) -> Result<usize, DecodeError>;

    /// Fills all of `pcm` with a continuation of the audio before it, fading as the gap grows.
    fn conceal(&mut self, pcm: &mut [i16]);

    /// Fills all of `pcm` with the lost frame that came just before `next_payload`: from the redundancy (forward error
    /// correction, FEC) in `next_payload` if it carries some, else by [`conceal`](Self::conceal). Returns whether there
    /// was redundancy.
    ///
    /// `next_payload` is not consumed; decode it in its own turn.
    fn recover(&mut self, next_payload: &[u8], pcm: &mut [i16]) -> bool;
}

/// Why a frame was not encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncodeError {
    /// The PCM is not one frame long.
    #[error("pass exactly {needed} samples, one frame of this encoder")]
    FrameLength {
        /// Samples in one frame.
        needed: usize,
    },
    /// The output cannot hold every payload that this encoder may write.
    #[error("lend an output buffer of at least {needed} bytes")]
    OutputTooSmall {
        /// Bytes that always suffice.
        needed: usize,
    },
    /// The codec could not encode this frame; go on with the next one.
    #[error("the codec could not encode this frame; go on with the next one")]
    Codec,
}

/// Why a payload was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// There is no payload.
    #[error("the payload is empty; call `conceal` for a lost frame")]
    Empty,
    /// The payload does not follow its codec's format.
    #[error("the payload is malformed; treat the frame as lost")]
    Malformed,
    /// The payload holds more than [`FrameDuration::MAX_MS`] of audio.
    #[error("more than 60 ms of audio in one payload; decode it in parts")]
    FrameTooLong,
    /// The payload has two channels and the decoder was made for one.
    #[error("a stereo payload at a mono decoder; make the decoder for stereo")]
    Stereo,
    /// The PCM buffer is too short for the audio in the payload. Nothing was decoded.
    #[error("lend room for at least {needed} samples")]
    OutputTooSmall {
        /// Samples in the payload.
        needed: usize,
    },
    /// This program has no decoder for that codec.
    #[error("this program has no decoder for this codec")]
    UnsupportedCodec,
}
