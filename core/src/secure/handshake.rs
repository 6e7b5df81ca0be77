//! The handshake: `Noise_NK_25519_ChaChaPoly_BLAKE2s` ([Noise revision 34](https://noiseprotocol.org/noise.html)).
//!
//! ```text
//! NK:                 before the first message the client knows the server's static key s
//!   <- s
//!   ...
//!   -> e, es          Hello:   ephemeral key 32 B, encrypted payload
//!   <- e, ee          Welcome: ephemeral key 32 B, encrypted (server's connection id u32, payload)
//!
//! prologue            "parlour", 8 (Hello), version u8, client id u32: 13 bytes
//! ```
//!
//! The prologue binds every clear field of a Hello except the cookie: after a Retry the *same* Noise message is sent
//! again, with the cookie before it. The server's connection id is part of the encrypted payload and does not appear in
//! the clear, so that any Noise library can speak this.
//!
//! The proof of each message: only the server's key can read the payload of a Hello, but anyone can have written it,
//! and anyone can send it again; it lacks forward secrecy against theft of the server's key. Welcome proves the server.
//! Only the first Data packet proves the client: it holds the ephemeral key of its Hello.
//!
//! The state between the two messages is Noise's `SymmetricState` and one ephemeral key. This module writes the two
//! patterns of NK on clatter's `SymmetricState`: clatter's general handshake object is five times as large, keeps a
//! random number generator inside, and is destroyed by one forged Welcome.
//! generator inside, and is destroyed by one forged Welcome.

use core::fmt;

use clatter::crypto::cipher::ChaChaPoly;
use clatter::crypto::hash::Blake2s;
use clatter::symmetricstate::SymmetricState;
use rand_core::CryptoRngCore;

use super::keys::{KeyPair, PublicKey};
use super::transport::{Role, Transport};
use crate::wire::{ConnectionId, HELLO, MAX_DATAGRAM, MIN_NOISE, TAG, VERSION};

/// The most bytes of payload that fit into a Hello, with its cookie.
pub const MAX_HELLO_PAYLOAD: usize = MAX_DATAGRAM - 7 - 16 - MIN_NOISE;

/// The most bytes of payload that fit into a Welcome.
pub const MAX_WELCOME_PAYLOAD: usize = MAX_DATAGRAM - 5 - MIN_NOISE - SERVER_ID;

const NAME: &str = "Noise_NK_25519_ChaChaPoly_BLAKE2s";

/// Bytes of the server's connection id before the payload of a Welcome.
const SERVER_ID: usize = 4;

/// Bytes of an ephemeral public key.
const KEY: usize = 32;

type Symmetric = SymmetricState<ChaChaPoly, Blake2s>;

/// Why a handshake message was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WriteMessageError {
    /// The payload exceeds [`MAX_HELLO_PAYLOAD`] or [`MAX_WELCOME_PAYLOAD`].
    #[error("the payload does not fit into one packet: shorten it")]
    PayloadTooLong,
    /// The buffer is too small.
    #[error("the buffer is too small: lend one of {needed} bytes")]
    BufferTooSmall {
        /// The message's length in bytes.
        needed: usize,
    },
}

/// Why a handshake message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReadMessageError {
    /// The message is too short.
    #[error("the handshake message is too short")]
    Truncated,
    /// The buffer for the payload is too small.
    #[error("the buffer is too small: lend one of {needed} bytes")]
    BufferTooSmall {
        /// The decrypted payload's length in bytes.
        needed: usize,
    },
    /// The message was made for another key or another handshake, or has been altered.
    #[error("the handshake message is forged, damaged or meant for another key")]
    Rejected,
}

/// The client's handshake, between Hello and Welcome.
pub struct InitiatorHandshake {
    symmetric: Symmetric,
    ephemeral: KeyPair,
}

/// The contents of a Welcome.
#[derive(Debug)]
pub struct Welcomed<'p> {
    /// The established association.
    pub transport: Transport,
    /// The connection id for the client's packets.
    pub server_id: ConnectionId,
    /// The server's message, decrypted into the lent buffer.
    pub payload: &'p [u8],
}

impl InitiatorHandshake {
    /// Starts a handshake with the server that holds the private key of `server_key`: writes Noise message 1, with `payload`
    /// encrypted inside, to the front of `out` and returns its length, `payload` + [`MIN_NOISE`].
    ///
    /// Send it in a [`crate::wire::Packet::Hello`] with this `client_id`, as often as needed. Two X25519
    /// multiplications.
    ///
    /// # Errors
    /// See [`WriteMessageError`].
    pub fn start(
        server_key: &PublicKey,
        client_id: ConnectionId,
        rng: &mut dyn CryptoRngCore,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<(Self, usize), WriteMessageError> {
        if payload.len() > MAX_HELLO_PAYLOAD {
            return Err(WriteMessageError::PayloadTooLong);
        }
        Self::start_with_prologue(server_key, &prologue(client_id), rng, payload, out)
    }

    pub(super) fn start_with_prologue(
        server_key: &PublicKey,
        prologue: &[u8],
        rng: &mut dyn CryptoRngCore,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<(Self, usize), WriteMessageError> {
        let mut symmetric = begin(prologue, server_key);
        let ephemeral = KeyPair::generate(rng);
        let len = write_message(&mut symmetric, &ephemeral, server_key, payload, out)?;
        Ok((
            Self {
                symmetric,
                ephemeral,
            },
            len,
        ))
    }

    /// Ends the handshake with the Noise message of a [`crate::wire::Packet::Welcome`], decrypting its payload into `payload`,
    /// which must be [`MIN_NOISE`] bytes shorter than `noise` or longer. One X25519 multiplication.
    ///
    /// # Errors
    /// See [`ReadMessageError`]; the handshake then still waits for the true Welcome.
    pub fn finish<'p>(
        &self,
        noise: &[u8],
        payload: &'p mut [u8],
    ) -> Result<Welcomed<'p>, ReadMessageError> {
        let (transport, payload) = self.finish_raw(noise, payload)?;
        let (server_id, payload) = payload
            .split_first_chunk::<SERVER_ID>()
            .ok_or(ReadMessageError::Truncated)?;
        Ok(Welcomed {
            transport,
            server_id: ConnectionId(u32::from_be_bytes(*server_id)),
            payload,
        })
    }

    pub(super) fn finish_raw<'p>(
        &self,
        noise: &[u8],
        payload: &'p mut [u8],
    ) -> Result<(Transport, &'p [u8]), ReadMessageError> {
        let mut symmetric = self.symmetric.clone();
        let (_, payload) = read_message(&mut symmetric, &self.ephemeral, noise, payload)?;
        // Cannot fail: reading the message has just mixed in a key.
        let keys = symmetric.split().map_err(|_| ReadMessageError::Rejected)?;
        Ok((Transport::new(keys, Role::Initiator), payload))
    }
}

/// The server's handshake, between Hello and Welcome: about 150 bytes, to be kept while the application decides.
#[cfg(feature = "server")]
pub struct ResponderHandshake {
    symmetric: Symmetric,
    client_ephemeral: PublicKey,
}

#[cfg(feature = "server")]
impl ResponderHandshake {
    /// Reads the Noise message of a [`crate::wire::Packet::Hello`], decrypting its payload into `payload`, which must be
    /// [`MIN_NOISE`] bytes shorter than `noise` or longer. One X25519 multiplication: recognise a repeated Hello by
    /// [`ephemeral_key`] before.
    ///
    /// # Errors
    /// See [`ReadMessageError`].
    pub fn read<'p>(
        server: &KeyPair,
        client_id: ConnectionId,
        noise: &[u8],
        payload: &'p mut [u8],
    ) -> Result<(Self, &'p [u8]), ReadMessageError> {
        Self::read_with_prologue(server, &prologue(client_id), noise, payload)
    }

    pub(super) fn read_with_prologue<'p>(
        server: &KeyPair,
        prologue: &[u8],
        noise: &[u8],
        payload: &'p mut [u8],
    ) -> Result<(Self, &'p [u8]), ReadMessageError> {
        let mut symmetric = begin(prologue, server.public());
        let (client_ephemeral, payload) = read_message(&mut symmetric, server, noise, payload)?;
        Ok((
            Self {
                symmetric,
                client_ephemeral,
            },
            payload,
        ))
    }

    /// Writes Noise message 2, with the server's connection id and `payload` encrypted inside, to the front of `out`; returns its
    /// length and the association. A refusal is an answer too: drop the association then.
    ///
    /// Keep the message and send it again for a repeated Hello. Two X25519 multiplications.
    ///
    /// # Errors
    /// See [`WriteMessageError`].
    pub fn answer(
        &self,
        rng: &mut dyn CryptoRngCore,
        server_id: ConnectionId,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<(usize, Transport), WriteMessageError> {
        use zeroize::Zeroizing;

        let mut plaintext = Zeroizing::new([0; SERVER_ID + MAX_WELCOME_PAYLOAD]);
        let len = SERVER_ID.saturating_add(payload.len());
        let plaintext = plaintext
            .get_mut(..len)
            .ok_or(WriteMessageError::PayloadTooLong)?;
        let (id, rest) = plaintext.split_at_mut(SERVER_ID);
        id.copy_from_slice(&server_id.0.to_be_bytes());
        rest.copy_from_slice(payload);
        self.answer_raw(rng, plaintext, out)
    }

    pub(super) fn answer_raw(
        &self,
        rng: &mut dyn CryptoRngCore,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<(usize, Transport), WriteMessageError> {
        let mut symmetric = self.symmetric.clone();
        let ephemeral = KeyPair::generate(rng);
        let len = write_message(
            &mut symmetric,
            &ephemeral,
            &self.client_ephemeral,
            payload,
            out,
        )?;
        let keys = symmetric
            .split()
            .map_err(|_| WriteMessageError::PayloadTooLong)?;
        Ok((len, Transport::new(keys, Role::Responder)))
    }
}

/// The client's ephemeral key, in the clear at the front of Noise message 1: the same for a repeated Hello and for no
/// other. `None` if the message is too short.
///
/// It proves nothing: compare the rest of the message or the client's address too before sending an old answer again.
pub fn ephemeral_key(noise: &[u8]) -> Option<PublicKey> {
    noise.first_chunk().copied().map(PublicKey)
}

fn prologue(client_id: ConnectionId) -> [u8; 13] {
    let [a, b, c, d] = client_id.0.to_be_bytes();
    let [p, r, l, o, u, y, x] = *b"parlour";
    [p, r, l, o, u, y, x, HELLO, VERSION, a, b, c, d]
}

fn begin(prologue: &[u8], server_key: &PublicKey) -> Symmetric {
    let mut symmetric = Symmetric::new(NAME);
    symmetric.mix_hash(prologue);
    symmetric.mix_hash(&server_key.0);
    symmetric
}

/// Writes a message of NK: `e`, then a Diffie-Hellman of it with the peer's key, then the payload.
fn write_message(
    symmetric: &mut Symmetric,
    ephemeral: &KeyPair,
    peer: &PublicKey,
    payload: &[u8],
    out: &mut [u8],
) -> Result<usize, WriteMessageError> {
    let len = payload.len().saturating_add(MIN_NOISE);
    let too_small = WriteMessageError::BufferTooSmall { needed: len };
    let message = out.get_mut(..len).ok_or(too_small)?;
    let (key, ciphertext) = message.split_first_chunk_mut::<KEY>().ok_or(too_small)?;

    *key = ephemeral.public().0;
    symmetric.mix_hash(key);
    symmetric.mix_key(&*ephemeral.secret().diffie_hellman(peer));
    // Cannot fail: the key is fresh and the payload fits into a datagram.
    symmetric
        .encrypt_and_hash(payload, ciphertext)
        .map_err(|_| WriteMessageError::PayloadTooLong)?;
    Ok(len)
}

/// Reads a message of NK: the peer's `e`, a Diffie-Hellman of it with our key, the payload.
fn read_message<'p>(
    symmetric: &mut Symmetric,
    ours: &KeyPair,
    noise: &[u8],
    payload: &'p mut [u8],
) -> Result<(PublicKey, &'p [u8]), ReadMessageError> {
    let (key, ciphertext) = noise
        .split_first_chunk::<KEY>()
        .ok_or(ReadMessageError::Truncated)?;
    let len = ciphertext
        .len()
        .checked_sub(TAG)
        .ok_or(ReadMessageError::Truncated)?;
    let payload = payload
        .get_mut(..len)
        .ok_or(ReadMessageError::BufferTooSmall { needed: len })?;

    let theirs = PublicKey(*key);
    symmetric.mix_hash(key);
    symmetric.mix_key(&*ours.secret().diffie_hellman(&theirs));
    symmetric
        .decrypt_and_hash(ciphertext, payload)
        .map_err(|_| ReadMessageError::Rejected)?;
    Ok((theirs, payload))
}

impl fmt::Debug for InitiatorHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitiatorHandshake(..)")
    }
}

#[cfg(feature = "server")]
impl fmt::Debug for ResponderHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponderHandshake(..)")
    }
}
