//! The secure association between a participant and its server: handshake, keys, replay protection.
//!
//! [`InitiatorHandshake`] (the client) and `ResponderHandshake` (the server, feature `server`) run
//! `Noise_NK_25519_ChaChaPoly_BLAKE2s`; each ends with a [`Transport`], which seals and opens Data packets in place.
//! Three mechanisms protect against strangers: `CookieJar` (a busy server requests a proof of address), [`ResetToken`]
//! (a restarted server ends connections), [`ResumeTicket`] (a participant returns as itself).
//!
//! ```text
//! client                                             server
//! InitiatorHandshake::start ──── Hello ────────────▶ ResponderHandshake::read
//! InitiatorHandshake::finish ◀── Welcome ─────────── ResponderHandshake::answer
//! Transport::seal ────────────── Data ─────────────▶ Transport::open: now the client is proven
//! Transport::open ◀───────────── Data ────────────── Transport::seal
//! ```
//!
//! No clock, no randomness of its own, no allocation: random bytes come from a [`rand_core::CryptoRngCore`] that the
//! caller lends. It must be a good one: all secrecy depends on it. Every `Err` means that the input was dropped and
//! nothing changed; a forged packet therefore only costs time.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "server")]
//! # fn run(rng: &mut dyn parlour_core::rand_core::CryptoRngCore) -> Option<()> {
//! use parlour_core::secure::{InitiatorHandshake, KeyPair, ResponderHandshake};
//! use parlour_core::wire::{ConnectionId, Frame, FrameWriter, Frames, MAX_DATAGRAM};
//!
//! let (client_id, server_id) = (ConnectionId(1), ConnectionId(2));
//! let server = KeyPair::generate(rng); // its public half reaches the client in a ticket
//! let (mut noise, mut payload) = ([0; MAX_DATAGRAM], [0; MAX_DATAGRAM]);
//!
//! // The client greets, ...
//! let (client, len) =
//!     InitiatorHandshake::start(server.public(), client_id, rng, b"join", &mut noise).ok()?;
//! // ... the server reads that and answers, ...
//! let (responder, join) =
//!     ResponderHandshake::read(&server, client_id, &noise[..len], &mut payload).ok()?;
//! assert_eq!(join, b"join");
//! let (len, mut at_server) = responder.answer(rng, server_id, b"joined", &mut noise).ok()?;
//! // ... and the client knows its server.
//! let welcomed = client.finish(&noise[..len], &mut payload).ok()?;
//! assert_eq!((welcomed.server_id, welcomed.payload), (server_id, &b"joined"[..]));
//! let mut at_client = welcomed.transport;
//!
//! // Frames are written, sealed and opened where they stand.
//! let mut datagram = [0; MAX_DATAGRAM];
//! let mut frames = FrameWriter::in_datagram(&mut datagram);
//! frames.push(&Frame::Ping { nonce: 7 }).ok()?;
//! let len = frames.len();
//! let len = at_client.seal(server_id, len, &mut datagram).ok()?;
//! let opened = at_server.open(&mut datagram[..len]).ok()?;
//! assert_eq!(Frames::new(opened.plaintext).next(), Some(Ok(Frame::Ping { nonce: 7 })));
//! # Some(())
//! # }
//! # use parlour_core::rand_core::{CryptoRng, Error, RngCore};
//! # struct Rng(u8);
//! # impl CryptoRng for Rng {}
//! # impl RngCore for Rng {
//! #     fn next_u32(&mut self) -> u32 { unimplemented!() }
//! #     fn next_u64(&mut self) -> u64 { unimplemented!() }
//! #     fn fill_bytes(&mut self, dest: &mut [u8]) { self.0 += 1; dest.fill(self.0) }
//! #     fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Error> { unimplemented!() }
//! # }
//! # #[cfg(feature = "server")]
//! # run(&mut Rng(0)).unwrap();
//! ```

mod cipher;
#[cfg(feature = "server")]
mod cookie;
mod generator;
mod handshake;
mod keys;
#[cfg(feature = "server")]
mod mac;
mod replay;
mod reset;
mod resume;
#[cfg(test)]
mod test_rng;
#[cfg(all(test, feature = "server"))]
mod tests;
mod transport;
#[cfg(all(test, feature = "server"))]
mod vectors;

#[cfg(feature = "server")]
pub use cookie::{COOKIE_LIFETIME, CookieJar};
pub use generator::Generator;
#[cfg(feature = "server")]
pub use handshake::ResponderHandshake;
pub use handshake::{
    InitiatorHandshake, MAX_HELLO_PAYLOAD, MAX_WELCOME_PAYLOAD, ReadMessageError, Welcomed,
    WriteMessageError, ephemeral_key,
};
pub use keys::{KeyPair, PublicKey, SecretKey};
#[cfg(feature = "server")]
pub use reset::ResetKey;
pub use reset::ResetToken;
pub use resume::ResumeTicket;
pub use transport::{Arrivals, OpenError, Opened, REKEY_AFTER_PACKETS, SealError, Transport};

/// Wipes a secret. Many values are dropped in many places, so a microcontroller has the loop once.
#[inline(never)]
fn wipe(bytes: &mut [u8]) {
    zeroize::Zeroize::zeroize(bytes);
}
