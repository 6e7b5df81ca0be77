//! The five packets.
//!
//! ```text
//! Hello, client to server, at least 55 bytes
//!  0       1         2           6               7
//! +-------+---------+-----------+---------------+- - - - - -+------------------+
//! | 8     | version | client id | cookie length | cookie    | Noise message 1  |
//! | u8    | u8      | u32       | u8: 0 or 16   | 0 or 16 B | the rest         |
//! +-------+---------+-----------+---------------+- - - - - -+------------------+
//!
//! Retry, server to client, 22 bytes, or 6 as the answer to a version that the server does not speak
//!  0       1         2           6
//! +-------+---------+-----------+- - - - -+
//! | 9     | version | client id | cookie  |   version: the one that the server speaks
//! | u8    | u8      | u32       | 16 B    |
//! +-------+---------+-----------+- - - - -+
//!
//! Welcome, server to client, at least 53 bytes
//!  0       1           5
//! +-------+-----------+------------------+
//! | 10    | client id | Noise message 2  |   the server's connection id is inside, encrypted
//! | u8    | u32       | the rest         |
//! +-------+-----------+------------------+
//!
//! Data, both ways, at least 25 bytes
//!  0       1                         5         9                       n - 16
//! +-------+-------------------------+---------+-----------------------+-------+
//! | 11    | receiver's connection id| counter | encrypted frames      | tag   |
//! | u8    | u32                     | u32     |                       | 16 B  |
//! +-------+-------------------------+---------+-----------------------+-------+
//!
//! Reset, server to client, 21 bytes
//!  0       1                       5
//! +-------+-----------------------+-------+
//! | 12    | server's connection id| token |   the id as the client sent it in the Data packet
//! | u8    | u32                   | 16 B  |   that the server cannot place
//! +-------+-----------------------+-------+
//! ```
//!
//! **What every future version keeps**: the first six bytes of Hello and of Retry. A server can therefore tell a client
//! of another version its own version.
//!
//! **No amplification before an address is proven**: Retry is shorter than the Hello that it answers, in both its
//! forms, and Reset is shorter than any Data packet.

use super::put;

/// The version of the protocol that this crate speaks.
pub const VERSION: u8 = 1;

/// The longest datagram that is sent or accepted, in bytes: fits the IPv6 minimum MTU of 1280 with tunnels to spare.
pub const MAX_DATAGRAM: usize = 1200;

/// Bytes before the ciphertext of a Data packet.
pub const DATA_HEADER: usize = 9;

/// Bytes of the authentication tag at the end of a Data packet.
pub const TAG: usize = 16;

/// The most bytes of frames that one Data packet can hold.
pub const MAX_PLAINTEXT: usize = MAX_DATAGRAM - DATA_HEADER - TAG;

/// The shortest Noise message: an ephemeral public key and a tag.
pub const MIN_NOISE: usize = 32 + TAG;

pub(crate) const HELLO: u8 = 8;
const RETRY: u8 = 9;
const WELCOME: u8 = 10;
pub(crate) const DATA: u8 = 11;
const RESET: u8 = 12;

const COOKIE: usize = 16;

/// The number by which the *receiver* of packets finds its connection.
///
/// Each end chooses its own at random. It is no secret and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnectionId(pub u32);

/// One datagram, as a view over its bytes.
///
/// ```
/// use parlour_core::wire::{ConnectionId, Packet};
/// let sent = Packet::Reset { server_id: ConnectionId(7), token: &[3; 16] };
/// let mut datagram = [0; 1200];
/// let len = sent.encode(&mut datagram)?;
/// assert_eq!(Packet::parse(&datagram[..len]), Ok(sent));
/// # Ok::<(), parlour_core::wire::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// A client wishes to join.
    Hello {
        /// The client's connection id, for the answer.
        client_id: ConnectionId,
        /// The cookie of the server's [`Packet::Retry`], if it sent one.
        cookie: Option<&'a [u8; COOKIE]>,
        /// Noise message 1, of [`MIN_NOISE`] bytes or more, see [`crate::secure::InitiatorHandshake`].
        noise: &'a [u8],
    },
    /// A Hello of a version other than [`VERSION`]: answer with [`Packet::VersionMismatch`].
    OtherHello {
        /// The client's version.
        version: u8,
        /// The client's connection id, for the answer.
        client_id: ConnectionId,
    },
    /// The server is busy: send the same Hello again, now with this cookie.
    Retry {
        /// As in the Hello.
        client_id: ConnectionId,
        /// Proves that the client receives at its address.
        cookie: &'a [u8; COOKIE],
    },
    /// The server does not speak the client's version. Anyone who saw the Hello can forge this answer: a client should
    /// continue to wait for a Welcome until its handshake times out, and only then report it.
    VersionMismatch {
        /// As in the Hello.
        client_id: ConnectionId,
        /// The version that the server speaks.
        supported: u8,
    },
    /// The server's answer to a Hello.
    Welcome {
        /// As in the Hello.
        client_id: ConnectionId,
        /// Noise message 2, of [`MIN_NOISE`] bytes or more, see [`crate::secure::InitiatorHandshake::finish`].
        noise: &'a [u8],
    },
    /// Frames under the session's keys, see [`crate::secure::Transport`].
    Data {
        /// The receiver's own connection id.
        connection_id: ConnectionId,
        /// The low 32 bits of the packet's counter.
        counter: u32,
        /// The encrypted frames and the 16-byte tag.
        ciphertext: &'a [u8],
    },
    /// The server does not know the connection. Accept it only if the token is the one that the server sent
    /// under encryption, see [`crate::secure::ResetToken`].
    Reset {
        /// The server's connection id, as it stood in the client's Data packet.
        server_id: ConnectionId,
        /// The stateless reset token of that id.
        token: &'a [u8; 16],
    },
}

/// Why a datagram is not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PacketError {
    /// The first byte is not 8 to 12: another protocol's datagram (STUN, DTLS, RTP …), or an empty one.
    #[error("the datagram belongs to another protocol: its first byte is not 8 to 12")]
    NotParlour,
    /// The datagram ends before its fields do.
    #[error("the datagram is shorter than its type of packet")]
    Truncated,
    /// The datagram is longer than [`MAX_DATAGRAM`], or than its type of packet.
    #[error("the datagram is longer than its type of packet may be")]
    TooLong,
    /// The cookie length of a Hello is neither 0 nor 16.
    #[error("the cookie length of a Hello must be 0 or 16")]
    CookieLength,
}

/// Why a packet was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small.
    #[error("the buffer is too small: lend one of {needed} bytes")]
    BufferTooSmall {
        /// The packet's length in bytes.
        needed: usize,
    },
    /// The packet would be longer than [`MAX_DATAGRAM`].
    #[error("the packet would be longer than 1200 bytes: shorten the payload")]
    TooLong,
}

impl<'a> Packet<'a> {
    /// Reads one datagram. Checks lengths only: the returned packet is not authenticated.
    ///
    /// # Errors
    /// If the bytes are not exactly one packet.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(PacketError::TooLong);
        }
        let (&kind, mut rest) = datagram.split_first().ok_or(PacketError::NotParlour)?;
        let packet = match kind {
            HELLO => {
                let [version] = *take(&mut rest)?;
                let client_id = take_id(&mut rest)?;
                if version != VERSION {
                    // The rest of a Hello of another version is unknown.
                    return Ok(Self::OtherHello { version, client_id });
                }
                let cookie = match *take(&mut rest)? {
                    [0] => None,
                    [16] => Some(take::<COOKIE>(&mut rest)?),
                    _ => return Err(PacketError::CookieLength),
                };
                let noise = take_all(&mut rest, MIN_NOISE)?;
                Self::Hello {
                    client_id,
                    cookie,
                    noise,
                }
            }
            RETRY => {
                let [supported] = *take(&mut rest)?;
                let client_id = take_id(&mut rest)?;
                if supported != VERSION {
                    return Ok(Self::VersionMismatch {
                        client_id,
                        supported,
                    });
                }
                Self::Retry {
                    client_id,
                    cookie: take(&mut rest)?,
                }
            }
            WELCOME => Self::Welcome {
                client_id: take_id(&mut rest)?,
                noise: take_all(&mut rest, MIN_NOISE)?,
            },
            DATA => Self::Data {
                connection_id: take_id(&mut rest)?,
                counter: u32::from_be_bytes(*take(&mut rest)?),
                ciphertext: take_all(&mut rest, TAG)?,
            },
            RESET => Self::Reset {
                server_id: take_id(&mut rest)?,
                token: take(&mut rest)?,
            },
            _ => return Err(PacketError::NotParlour),
        };
        if rest.is_empty() {
            Ok(packet)
        } else {
            Err(PacketError::TooLong)
        }
    }

    /// The packet's length in bytes.
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Hello {
                cookie: None,
                noise,
                ..
            } => 7 + noise.len(),
            Self::Hello {
                cookie: Some(_),
                noise,
                ..
            } => 7 + COOKIE + noise.len(),
            Self::OtherHello { .. } | Self::VersionMismatch { .. } => 6,
            Self::Retry { .. } => 6 + COOKIE,
            Self::Welcome { noise, .. } => 5 + noise.len(),
            Self::Data { ciphertext, .. } => DATA_HEADER + ciphertext.len(),
            Self::Reset { .. } => 21,
        }
    }

    /// Writes the packet to the front of `out` and returns its length.
    ///
    /// For Data packets prefer to build them in place, by [`crate::secure::Transport::seal`].
    ///
    /// # Errors
    /// If it does not fit; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let len = self.encoded_len();
        if len > MAX_DATAGRAM {
            return Err(EncodeError::TooLong);
        }
        let out = out
            .get_mut(..len)
            .ok_or(EncodeError::BufferTooSmall { needed: len })?;
        let written = match *self {
            Self::Hello {
                client_id,
                cookie,
                noise,
            } => {
                let cookie = cookie.map_or(&[][..], |cookie| &cookie[..]);
                let cookie_len = if cookie.is_empty() { 0 } else { 16 };
                put(out, &[HELLO, VERSION])
                    .and_then(|out| put(out, &client_id.0.to_be_bytes()))
                    .and_then(|out| put(out, &[cookie_len]))
                    .and_then(|out| put(out, cookie))
                    .and_then(|out| put(out, noise))
            }
            Self::OtherHello { version, client_id } => {
                put(out, &[HELLO, version]).and_then(|out| put(out, &client_id.0.to_be_bytes()))
            }
            Self::Retry { client_id, cookie } => put(out, &[RETRY, VERSION])
                .and_then(|out| put(out, &client_id.0.to_be_bytes()))
                .and_then(|out| put(out, cookie)),
            Self::VersionMismatch {
                client_id,
                supported,
            } => put(out, &[RETRY, supported]).and_then(|out| put(out, &client_id.0.to_be_bytes())),
            Self::Welcome { client_id, noise } => put(out, &[WELCOME])
                .and_then(|out| put(out, &client_id.0.to_be_bytes()))
                .and_then(|out| put(out, noise)),
            Self::Data {
                connection_id,
                counter,
                ciphertext,
            } => put(out, &[DATA])
                .and_then(|out| put(out, &connection_id.0.to_be_bytes()))
                .and_then(|out| put(out, &counter.to_be_bytes()))
                .and_then(|out| put(out, ciphertext)),
            Self::Reset { server_id, token } => put(out, &[RESET])
                .and_then(|out| put(out, &server_id.0.to_be_bytes()))
                .and_then(|out| put(out, token)),
        };
        debug_assert!(written.is_some_and(|rest| rest.is_empty()));
        Ok(len)
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], PacketError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(PacketError::Truncated)?;
    *bytes = rest;
    Ok(taken)
}

fn take_id(bytes: &mut &[u8]) -> Result<ConnectionId, PacketError> {
    take(bytes).map(|id| ConnectionId(u32::from_be_bytes(*id)))
}

fn take_all<'a>(bytes: &mut &'a [u8], at_least: usize) -> Result<&'a [u8], PacketError> {
    let taken = core::mem::take(bytes);
    if taken.len() < at_least {
        Err(PacketError::Truncated)
    } else {
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
