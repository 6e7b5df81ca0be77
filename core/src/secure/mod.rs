//! The secure association between a participant and its server: handshake, keys, replay protection.
//!
//! [`InitiatorHandshake`] (the client) and `ResponderHandshake` (the server, feature `server`) run
//! `Noise_NK_25519_ChaChaPoly_BLAKE2s`; each ends with a [`Transport`], which seals and opens Data packets in place.
//! Around them stand what keeps strangers out: `CookieJar` (a busy server asks for proof of address), [`ResetToken`]
//! (a restarted server says so), [`ResumeTicket`] (a participant returns as itself).
//!
//! No clock, no randomness of its own, no allocation: random bytes come from a [`rand_core::CryptoRngCore`] that the
//! caller lends. It must be a good one: all secrecy rests on it.

#[cfg(feature = "server")]
mod cookie;
mod handshake;
mod keys;
#[cfg(feature = "server")]
mod mac;
mod replay;
mod reset;
mod resume;
mod transport;

#[cfg(feature = "server")]
pub use cookie::{COOKIE_LIFETIME, CookieJar};
#[cfg(feature = "server")]
pub use handshake::ResponderHandshake;
pub use handshake::{
    InitiatorHandshake, MAX_HELLO_PAYLOAD, MAX_WELCOME_PAYLOAD, ReadMessageError, Welcomed,
    WriteMessageError, ephemeral_key,
};
pub use keys::{KeyPair, PublicKey, SecretKey};
pub use replay::{REPLAY_WINDOW, ReplayWindow};
#[cfg(feature = "server")]
pub use reset::ResetKey;
pub use reset::ResetToken;
pub use resume::ResumeTicket;
pub use transport::{OpenError, Opened, REKEY_AFTER_PACKETS, SealError, Transport};
