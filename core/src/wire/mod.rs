//! Packets and frames as bytes.
//!
//! Everything here is a view over bytes that the caller lends, or a writer into them: no secrets, no state,
//! no clock, no copies of payloads. Numbers are big-endian.
//!
//! A UDP datagram is one [`Packet`]. The plaintext of a [`Packet::Data`] is a sequence of [`Frame`]s, read with
//! [`Frames`] and written with [`FrameWriter`]. [`crate::secure`] encrypts between the two.
//!
//! The first byte of a packet is 8 to 12, which [RFC 9443 §3](https://www.rfc-editor.org/rfc/rfc9443.html#section-3)
//! leaves free beside STUN, ZRTP, DTLS, TURN, QUIC and RTP, so that one port can serve browsers too.

mod arrived;
mod frame;
mod lost;
mod packet;
#[cfg(test)]
mod vectors;

pub use arrived::Arrived;
pub use frame::{FRAME_HEADER, Frame, FrameError, FrameWriter, Frames, FullError};
#[cfg(feature = "client")]
pub(crate) use lost::MAX_LOST;
pub use lost::{Lost, LostList};
pub use packet::{
    ConnectionId, DATA_HEADER, EncodeError, MAX_DATAGRAM, MAX_PLAINTEXT, MIN_NOISE, Packet,
    PacketError, TAG, VERSION,
};
pub(crate) use packet::{DATA, HELLO};

/// Copies `bytes` to the front of `out` and returns what follows them; `None` if they do not fit.
fn put<'b>(out: &'b mut [u8], bytes: &[u8]) -> Option<&'b mut [u8]> {
    let (front, rest) = out.split_at_mut_checked(bytes.len())?;
    front.copy_from_slice(bytes);
    Some(rest)
}
