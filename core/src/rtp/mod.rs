//! RTP and RTCP: packets as bytes, frames to packets and back, sequence arithmetic, statistics.
//!
//! No state machine here owns a socket, a clock or a queue. A publisher turns encoded frames into packets with
//! [`Packetizer`]; a subscriber turns packets into [`AudioFrame`]s with [`Depacketizer`]. A receiver counts with
//! [`ReceptionStats`] and reports to the sender by RTCP ([`write_report`], [`RtcpCompound`]). A forwarder needs only
//! [`RtpPacket`] and [`RtpHeader`]: parse, write another header, copy the payload.
//!
//! ```text
//! frame ─ Packetizer ─ RtpHeader::write ─▶ bytes ─▶ RtpPacket::parse ─ Depacketizer ─ AudioFrame
//!                                                            └─ ReceptionStats ─ ReportBlock
//! ```
//!
//! References: [RFC 3550](https://www.rfc-editor.org/rfc/rfc3550) (RTP, RTCP),
//! [RFC 3551](https://www.rfc-editor.org/rfc/rfc3551) (G.711, talkspurts),
//! [RFC 6464](https://www.rfc-editor.org/rfc/rfc6464) (audio level),
//! [RFC 7587](https://www.rfc-editor.org/rfc/rfc7587) (Opus in RTP),
//! [RFC 8285](https://www.rfc-editor.org/rfc/rfc8285) (header extensions).

mod clock;
mod depacketizer;
mod extension;
mod frame;
mod level;
mod ntp;
mod opus;
mod packet;
mod packetizer;
mod picture;
mod quality;
mod rtcp;
mod sequence;
mod stats;

pub use clock::SendClock;
#[cfg(feature = "client")]
pub(crate) use clock::units;
pub use depacketizer::{AudioFrame, DepacketizeError, Depacketizer};
pub use extension::ExtensionElements;
pub use frame::{FrameError, MAX_FRAME_MILLIS, frame_samples};
pub use level::{AUDIO_LEVEL_ID, AudioLevel};
pub use ntp::{compact_ntp, ntp_timestamp};
#[cfg(feature = "opus")]
pub(crate) use opus::frame_at;
#[cfg(feature = "server")]
pub(crate) use packet::Stamp;
pub use packet::{Contributors, MAX_CSRCS, RtpHeader, RtpPacket, RtpParseError, RtpWriteError};
pub use packetizer::{PacketizeError, Packetizer};
pub use picture::{PICTURE_TAG_ID, PictureTag};
pub use quality::quality;
pub use rtcp::{
    Report, ReportBlock, RtcpCompound, RtcpParseError, RtcpWriteError, SenderInfo, report_len,
    write_report,
};
pub use sequence::{
    SequenceUnwrapper, TimestampUnwrapper, sequence_difference, timestamp_difference,
};
pub use stats::ReceptionStats;
