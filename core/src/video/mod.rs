//! Pictures of cameras and screens: encoded ones to RTP packets and back.
//!
//! A *picture* is one encoded image, a *layer* one of the encodings of the same camera, a *temporal layer* a part of one
//! encoding that can be left out from above. [`PicturePacketizer`] cuts a picture into packets, each with a
//! [`PictureTag`](crate::rtp::PictureTag); [`Assembler`] puts them together again and never gives out a picture whose
//! references are missing. Neither encodes nor decodes, owns a clock, or allocates.
//!
//! [`PictureSender`] and [`PictureReceiver`] are these two with a clock: the sender keeps packets for a while and lets them
//! leave paced, the receiver asks for those that are lost. They work with a [`Client`](crate::client::Client), which moves
//! packets and questions:
//!
//! ```text
//!           send                 send_pictures                     Incoming::Media             poll_picture
//! picture ───────▶ PictureSender ────────────▶ Client ─▶ Server ─▶ Client ───────▶ PictureReceiver ───────▶ picture
//!                        ▲ handle_feedback         │                 ▲  send_feedback     │
//!                        └─── Incoming::Feedback ──┘◀────── … ◀──────┘◀───────────────────┘
//! ```
//!
//! | codec | a picture is | its packets |
//! |---|---|---|
//! | VP8 | one frame ([RFC 6386](https://www.rfc-editor.org/rfc/rfc6386)) | [RFC 7741](https://www.rfc-editor.org/rfc/rfc7741) |
//! | H.264 | one access unit with start codes (H.264 Annex B) | [RFC 6184](https://www.rfc-editor.org/rfc/rfc6184), mode 1: single units, STAP-A, FU-A |
//! | JPEG | one file | slices of the file |
//!
//! # References
//!
//! A picture may refer to pictures as `L1T1`, `L1T2` and `L1T3` of
//! [WebRTC's scalability modes](https://www.w3.org/TR/webrtc-svc/#scalabilitymodes*) do: one of temporal layer 0 to the last of
//! temporal layer 0 that is not discardable; any other to that one, too, and to those since then that are not discardable
//! and not of a higher temporal layer. A key picture refers to none.

mod assembler;
mod bandwidth;
mod feedback;
mod h264;
mod missing;
mod packetizer;
mod picture;
#[cfg(feature = "client")]
mod receiver;
#[cfg(feature = "client")]
mod sender;
#[cfg(test)]
mod synthetic;
mod vp8;

pub use assembler::{AssembleError, Assembler, MAX_PICTURES, PollPictureError, Slot};
#[cfg(feature = "server")]
pub(crate) use bandwidth::Bandwidth;
pub use feedback::Feedback;
#[cfg(feature = "server")]
pub(crate) use feedback::Question;
#[cfg(feature = "server")]
pub(crate) use feedback::{KEPT_FOR, KEY_INTERVAL, UNKNOWN_ROUND_TRIP};
#[cfg(feature = "server")]
pub(crate) use missing::Missing;
#[cfg(feature = "server")]
pub(crate) use packetizer::LAYERS;
pub use packetizer::{PacketizePictureError, PicturePacketizer, PicturePackets};
#[cfg(feature = "client")]
pub(crate) use picture::MAX_PICTURE_PACKET;
pub use picture::{
    AssembledPicture, MAX_PICTURE, MAX_PICTURE_PACKETS, MAX_PICTURE_PAYLOAD, Picture,
};
#[cfg(feature = "client")]
pub use receiver::PictureReceiver;
#[cfg(feature = "client")]
pub use sender::{PictureSender, SendPictureError, SendSlot};
