//! Data packets under a session's keys.
//!
//! ChaCha20-Poly1305 ([RFC 8439](https://www.rfc-editor.org/rfc/rfc8439.html)) with one key for each direction, from Noise's
//! `Split()`. Packets may be lost and reordered, so each carries its nonce
//! ([Noise §11.4](https://noiseprotocol.org/noise.html#out-of-order-transport-messages)):
//!
//! ```text
//! counter  u64, 0 for the first packet, +1 for each; its low 32 bits travel in the header
//! nonce    32 zero bits, then the counter as 64 bits little-endian
//! associated data   the 9 bytes of the packet's header
//! ```
//!
//! The receiver takes the counter nearest to the next expected one, as in [RFC 9000
//! §A.3](https://www.rfc-editor.org/rfc/rfc9000.html#section-a.3); the tag proves the choice.

use core::fmt;

use clatter::cipherstate::{CipherState, CipherStates};
use clatter::crypto::cipher::ChaChaPoly;

use super::cipher::{Cipher, NONCE};
use super::replay::ReplayWindow;
use crate::wire::{ConnectionId, DATA, DATA_HEADER, MAX_DATAGRAM, TAG};

/// After this many packets in either direction a client should rekey, by a resume.
pub const REKEY_AFTER_PACKETS: u64 = 1 << 31;

/// One end of an established association.
///
/// About 210 bytes: two keys, a counter, the replay window.
pub struct Transport {
    sending: Cipher,
    receiving: Cipher,
    /// The counter of the next packet; `u64::MAX`, which Noise reserves, when there are no more.
    next_counter: u64,
    replay: ReplayWindow,
    received: u64,
}

/// The number of packets that arrived, and the number that was sent according to their counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrivals {
    /// Sent, up to the highest counter that came.
    pub expected: u64,
    /// Of these, received.
    pub received: u64,
}

/// A Data packet, opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'d> {
    /// The packet's counter.
    pub counter: u64,
    /// The frames, in place of the ciphertext.
    pub plaintext: &'d mut [u8],
    /// Whether no packet with a higher counter came before: only such a packet may move the association to its address.
    pub is_newest: bool,
}

/// Why a packet was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SealError {
    /// The buffer has no room for header, plaintext and tag.
    #[error("the buffer is too small: lend the plaintext's length and 25 bytes more")]
    BufferTooSmall,
    /// The packet would be longer than [`MAX_DATAGRAM`].
    #[error("the packet would be longer than 1200 bytes: send fewer frames in it")]
    TooLong,
    /// All 2⁶⁴ − 1 counters are used up.
    #[error("the keys are used up: resume the session to get new ones")]
    Exhausted,
}

/// Why a packet was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OpenError {
    /// Not a Data packet, or of an impossible length.
    #[error("the datagram is not a Data packet")]
    NotData,
    /// The packet has been opened before, or lies 1024 packets or more behind the newest.
    #[error("the packet is a repetition, or too old to tell")]
    Replayed,
    /// The packet was not sealed with this session's keys, or has been altered since.
    #[error("the packet is forged or damaged")]
    Forged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Initiator,
    #[cfg(feature = "server")]
    Responder,
}

impl Transport {
    pub(super) fn new(keys: CipherStates<ChaChaPoly>, role: Role) -> Self {
        let (sending, receiving) = match role {
            Role::Initiator => (keys.initiator_to_responder, keys.responder_to_initiator),
            #[cfg(feature = "server")]
            Role::Responder => (keys.responder_to_initiator, keys.initiator_to_responder),
        };
        Self {
            sending: cipher(sending),
            receiving: cipher(receiving),
            next_counter: 0,
            replay: ReplayWindow::new(),
            received: 0,
        }
    }

    /// Makes a Data packet of the `plaintext_len` bytes that stand in `buffer` from [`DATA_HEADER`] on, and returns its length.
    /// Write them there with [`crate::wire::FrameWriter::in_datagram`].
    ///
    /// ```text
    ///           0         9                        9 + plaintext_len
    /// before   |  any    | plaintext               |  any   |
    /// after    |  header | ciphertext              |  tag   |
    /// ```
    ///
    /// # Errors
    /// See [`SealError`]; the buffer and the counter are untouched then.
    pub fn seal(
        &mut self,
        receiver_id: ConnectionId,
        plaintext_len: usize,
        buffer: &mut [u8],
    ) -> Result<usize, SealError> {
        let len = plaintext_len.saturating_add(DATA_HEADER + TAG);
        if len > MAX_DATAGRAM {
            return Err(SealError::TooLong);
        }
        let counter = self.next_counter;
        let next_counter = counter.checked_add(1).ok_or(SealError::Exhausted)?;
        let packet = buffer.get_mut(..len).ok_or(SealError::BufferTooSmall)?;
        let (header, body) = packet
            .split_first_chunk_mut::<DATA_HEADER>()
            .ok_or(SealError::BufferTooSmall)?;
        let (plaintext, tag) = body
            .split_last_chunk_mut::<TAG>()
            .ok_or(SealError::BufferTooSmall)?;

        *header = data_header(receiver_id, counter as u32);
        *tag = self
            .sending
            .seal(&nonce(counter), header, plaintext)
            .ok_or(SealError::TooLong)?;
        self.next_counter = next_counter;
        Ok(len)
    }

    /// Opens a Data packet in place. Find its association first by the connection id, see
    /// [`crate::wire::Packet::Data`].
    ///
    /// # Errors
    /// See [`OpenError`]; the association is unchanged then.
    pub fn open<'d>(&mut self, datagram: &'d mut [u8]) -> Result<Opened<'d>, OpenError> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(OpenError::NotData);
        }
        let (header, body) = datagram
            .split_first_chunk_mut::<DATA_HEADER>()
            .ok_or(OpenError::NotData)?;
        if body.len() < TAG {
            return Err(OpenError::NotData);
        }
        let [DATA, _, _, _, _, low @ ..] = *header else {
            return Err(OpenError::NotData);
        };
        let expected = self.replay.next();
        let counter = nearest(expected, u32::from_be_bytes(low));
        if !self.replay.is_new(counter) {
            return Err(OpenError::Replayed);
        }
        let opened = self.receiving.open(&nonce(counter), header, body);
        let plaintext = opened.ok_or(OpenError::Forged)?;
        self.replay.accept(counter);
        self.received += 1;
        Ok(Opened {
            counter,
            plaintext,
            is_newest: counter >= expected,
        })
    }

    /// The number of sealed packets.
    pub const fn sent(&self) -> u64 {
        self.next_counter
    }

    /// The number of opened packets, and the number of packets that the peer sent.
    pub const fn arrivals(&self) -> Arrivals {
        Arrivals {
            expected: self.replay.next(),
            received: self.received,
        }
    }

    /// Whether the keys have served [`REKEY_AFTER_PACKETS`] in either direction.
    pub const fn needs_rekey(&self) -> bool {
        self.next_counter >= REKEY_AFTER_PACKETS || self.replay.next() >= REKEY_AFTER_PACKETS
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("sent", &self.next_counter)
            .field("received", &self.replay.next())
            .finish_non_exhaustive()
    }
}

fn cipher(state: CipherState<ChaChaPoly>) -> Cipher {
    let (key, _) = state.take();
    Cipher::new(&key)
}

fn data_header(receiver_id: ConnectionId, counter: u32) -> [u8; DATA_HEADER] {
    let [i0, i1, i2, i3] = receiver_id.0.to_be_bytes();
    let [c0, c1, c2, c3] = counter.to_be_bytes();
    [DATA, i0, i1, i2, i3, c0, c1, c2, c3]
}

fn nonce(counter: u64) -> [u8; NONCE] {
    let [c0, c1, c2, c3, c4, c5, c6, c7] = counter.to_le_bytes();
    [0, 0, 0, 0, c0, c1, c2, c3, c4, c5, c6, c7]
}

/// The number with the low 32 bits `low` that is nearest to `expected`.
const fn nearest(expected: u64, low: u32) -> u64 {
    let ahead = low.wrapping_sub(expected as u32);
    let behind = ahead.wrapping_neg();
    // Below 2³¹ ahead counts as ahead; else behind, unless that is before the first packet.
    if ahead <= i32::MAX as u32 {
        match expected.checked_add(ahead as u64) {
            Some(counter) => counter,
            None => expected - behind as u64,
        }
    } else {
        match expected.checked_sub(behind as u64) {
            Some(counter) => counter,
            None => expected + ahead as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "server")]
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[cfg(feature = "server")]
    impl Transport {
        /// Seals a message without associated data, as the published vectors have it.
        pub(in crate::secure) fn seal_bare(&self, counter: u64, plaintext: &[u8]) -> Vec<u8> {
            let mut message = plaintext.to_vec();
            let tag = self
                .sending
                .seal(&nonce(counter), &[], &mut message)
                .unwrap();
            message.extend_from_slice(&tag);
            message
        }

        /// Opens a message without associated data, as the published vectors have it.
        pub(in crate::secure) fn open_bare(&self, counter: u64, message: &[u8]) -> Option<Vec<u8>> {
            let mut message = message.to_vec();
            let opened = self.receiving.open(&nonce(counter), &[], &mut message)?;
            Some(opened.to_vec())
        }

        /// As if all packets before `counter` had been sent.
        pub(in crate::secure) fn skip_to(&mut self, counter: u64) {
            self.next_counter = counter;
        }

        /// As if the packet before `counter`, and no other, had been received.
        pub(in crate::secure) fn expect(&mut self, counter: u64) {
            if let Some(before) = counter.checked_sub(1) {
                self.replay.accept(before);
            }
        }
    }

    #[test]
    fn the_nonce_is_the_counter_little_endian() {
        let expected = [0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
        assert_eq!(nonce(0x0102_0304_0506_0708), expected);
    }

    proptest! {
        #[test]
        fn the_nearest_counter_is_found(
            expected in prop_oneof![0u64..1 << 34, any::<u64>(), u64::MAX - (1 << 34)..=u64::MAX],
            low: u32,
        ) {
            let found = nearest(expected, low);
            prop_assert_eq!(found as u32, low);
            for other in [found.checked_add(1 << 32), found.checked_sub(1 << 32)] {
                let is_nearest =
                    other.is_none_or(|other| found.abs_diff(expected) <= other.abs_diff(expected));
                prop_assert!(is_nearest);
            }
        }
    }
}
