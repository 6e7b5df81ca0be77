//! The format of a stream: its kind, its codec, and the codec's place in RTP.

use serde::{Deserialize, Serialize};

/// The kind of media in a stream. Variants are append-only: their order is their encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StreamKind {
    /// Sound: a microphone, an agent's voice, a file.
    Audio,
    /// A camera.
    Video,
    /// A shared screen; its publisher is a presenter.
    Screen,
}

/// How a stream's payload is coded. Variants are append-only: their order is their encoding.
///
/// ```
/// use parlour_core::room::{Codec, StreamKind};
/// assert_eq!(Codec::Opus.payload_type(), 111);
/// assert_eq!(Codec::from_payload_type(0), Some(Codec::Pcmu));
/// assert!(Codec::Vp8.carries(StreamKind::Screen));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Codec {
    /// Opus, [RFC 6716](https://www.rfc-editor.org/rfc/rfc6716), in RTP by
    /// [RFC 7587](https://www.rfc-editor.org/rfc/rfc7587).
    Opus,
    /// G.711 µ-law, [RFC 3551 section 4.5.14](https://www.rfc-editor.org/rfc/rfc3551#section-4.5.14).
    Pcmu,
    /// G.711 A-law, [RFC 3551 section 4.5.14](https://www.rfc-editor.org/rfc/rfc3551#section-4.5.14).
    Pcma,
    /// VP8, forwarded as RTP by [RFC 7741](https://www.rfc-editor.org/rfc/rfc7741).
    Vp8,
    /// H.264, forwarded as RTP by [RFC 6184](https://www.rfc-editor.org/rfc/rfc6184).
    H264,
    /// Single pictures of JPEG: a packet's payload is the next part of the file, without a header of its own.
    Jpeg,
}

impl Codec {
    const ALL: [Self; 6] = [
        Self::Opus,
        Self::Pcmu,
        Self::Pcma,
        Self::Vp8,
        Self::H264,
        Self::Jpeg,
    ];

    /// The RTP payload type that this codec always has in Parlour: the static numbers of
    /// [RFC 3551 section 6](https://www.rfc-editor.org/rfc/rfc3551#section-6) for G.711, and for
    /// the others the dynamic ones that WebRTC stacks habitually use.
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::Vp8 => 96,
            Self::H264 => 102,
            Self::Jpeg => 103,
            Self::Opus => 111,
        }
    }

    /// The codec with RTP payload type `payload_type`, if there is one.
    pub fn from_payload_type(payload_type: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.payload_type() == payload_type)
    }

    /// RTP timestamp units per second. 48,000 for Opus whatever rate it codes
    /// ([RFC 7587 section 4.1](https://www.rfc-editor.org/rfc/rfc7587#section-4.1)).
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Vp8 | Self::H264 | Self::Jpeg => 90_000,
        }
    }

    /// Whether a stream of `kind` may use this codec.
    pub const fn carries(self, kind: StreamKind) -> bool {
        match self {
            Self::Opus | Self::Pcmu | Self::Pcma => matches!(kind, StreamKind::Audio),
            Self::Vp8 | Self::H264 | Self::Jpeg => {
                matches!(kind, StreamKind::Video | StreamKind::Screen)
            }
        }
    }
}
