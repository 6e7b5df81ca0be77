//! Tickets: everything needed to join a room, as one string.
//!
//! ```text
//! parlour://rooms.example.org:7900/5VQ…43 characters…0aA#eyJhbGciOiJIUzI1NiJ9.…
//!           ─────────┬───────────── ──────────┬────────── ──────────┬──────────
//!            server address, with     server's public key,     token, whatever
//!            a port: name or literal   base64url unpadded     the server issues
//! ```
//!
//! The token is a secret: anybody with the ticket can join as its participant.

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use thiserror::Error;

use crate::secure::PublicKey;
use crate::signal::MAX_TOKEN;

const SCHEME: &str = "parlour://";
const KEY_LEN: usize = 32;
/// Characters that 32 bytes take in unpadded base64.
const KEY_TEXT_LEN: usize = 43;

/// Why a text is not a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TicketError {
    /// It does not start with `parlour://`.
    #[error("this is not a ticket: it must start with parlour://")]
    Scheme,
    /// There is no `host:port` before the key.
    #[error("the ticket has no server address: expected parlour://host:port/key#token")]
    Address,
    /// There is no public key, or it is not 43 characters of base64url.
    #[error("the ticket's server key is damaged: copy the whole ticket again")]
    Key,
    /// There is no token, or it has characters that are not printable ASCII.
    #[error("the ticket's token is missing or damaged: copy the whole ticket again")]
    Token,
    /// The token is longer than [`MAX_TOKEN`].
    #[error("the ticket's token is too long: at most 800 bytes; mint one with fewer claims")]
    TokenTooLong,
}

/// A parsed ticket, as a view over its text.
///
/// ```
/// use parlour_core::ticket::Ticket;
/// let text = "parlour://127.0.0.1:7900/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8#a.b.c";
/// let ticket = Ticket::parse(text)?;
/// assert_eq!((ticket.host, ticket.port, ticket.token), ("127.0.0.1", 7900, "a.b.c"));
/// assert_eq!(ticket.to_string(), text);
/// # Ok::<(), parlour_core::ticket::TicketError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ticket<'a> {
    /// The server's name, or its address as a literal without brackets.
    pub host: &'a str,
    /// The server's port, for UDP and TCP alike.
    pub port: u16,
    /// The server's public key; the handshake proves that the server has the private key.
    pub server_key: PublicKey,
    /// Identifies the participant and the room.
    pub token: &'a str,
}

impl<'a> Ticket<'a> {
    /// Reads a ticket; ASCII white space around it is ignored.
    ///
    /// # Errors
    /// [`TicketError`] names the damaged part.
    pub fn parse(text: &'a str) -> Result<Self, TicketError> {
        let rest = text
            .trim_ascii()
            .strip_prefix(SCHEME)
            .ok_or(TicketError::Scheme)?;
        let (rest, token) = split(rest, b'#').ok_or(TicketError::Token)?;
        let (address, key) = split(rest, b'/').ok_or(TicketError::Key)?;
        let (host, port) = match address.strip_prefix("[") {
            Some(bracketed) => {
                let (host, port) = split(bracketed, b']').ok_or(TicketError::Address)?;
                (host, port.strip_prefix(":").ok_or(TicketError::Address)?)
            }
            // A second colon is no part of a port.
            None => split(address, b':').ok_or(TicketError::Address)?,
        };
        let port = port.parse().map_err(|_| TicketError::Address)?;
        if host.is_empty() || port == 0 || !is_printable(host) {
            return Err(TicketError::Address);
        }
        if token.is_empty() || !is_printable(token) {
            return Err(TicketError::Token);
        }
        if token.len() > MAX_TOKEN {
            return Err(TicketError::TokenTooLong);
        }
        Ok(Self {
            host,
            port,
            server_key: parse_key(key).ok_or(TicketError::Key)?,
            token,
        })
    }
}

/// What stands before and after the first `separator`. Searching for a byte takes less of a device's flash than searching for
/// any character.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn split(text: &str, separator: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == separator)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn parse_key(text: &str) -> Option<PublicKey> {
    if text.len() != KEY_TEXT_LEN {
        return None;
    }
    let mut key = [0; KEY_LEN];
    let decoded = Base64UrlUnpadded::decode(text, &mut key).ok()?;
    (decoded.len() == KEY_LEN).then_some(PublicKey(key))
}

impl fmt::Display for Ticket<'_> {
    /// The ticket as text, including its token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = [0; KEY_TEXT_LEN];
        let key =
            Base64UrlUnpadded::encode(&self.server_key.0, &mut key).map_err(|_| fmt::Error)?;
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        let (host, port, token) = (self.host, self.port, self.token);
        write!(f, "{SCHEME}{open}{host}{close}:{port}/{key}#{token}")
    }
}

impl fmt::Debug for Ticket<'_> {
    /// Omits the token: it is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("server_key", &self.server_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString as _;

    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn each_damage_has_its_name() {
        let cases = [
            ("http://h:1/k#t", TicketError::Scheme),
            (&format!("parlour://h/{KEY}#t"), TicketError::Address),
            (&format!("parlour://h:0/{KEY}#t"), TicketError::Address),
            (&format!("parlour://h:70000/{KEY}#t"), TicketError::Address),
            (&format!("parlour://:1/{KEY}#t"), TicketError::Address),
            (&format!("parlour://::1:1/{KEY}#t"), TicketError::Address),
            (&format!("parlour://[::1:1/{KEY}#t"), TicketError::Address),
            ("parlour://h:1/short#t", TicketError::Key),
            (&format!("parlour://h:1/{}*#t", &KEY[1..]), TicketError::Key),
            (&format!("parlour://h:1/{KEY}"), TicketError::Token),
            (&format!("parlour://h:1/{KEY}#"), TicketError::Token),
            (&format!("parlour://h:1/{KEY}#a b"), TicketError::Token),
            (
                &format!("parlour://h:1/{KEY}#{}", "x".repeat(MAX_TOKEN + 1)),
                TicketError::TokenTooLong,
            ),
        ];
        for (text, error) in cases {
            assert_eq!(Ticket::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn an_ipv6_literal_loses_and_regains_its_brackets() {
        let text = format!("parlour://[::1]:7900/{KEY}#t");
        let ticket = Ticket::parse(&text).unwrap();
        assert_eq!(ticket.host, "::1");
        assert_eq!(ticket.to_string(), text);
    }

    #[test]
    fn debug_keeps_the_token_secret() {
        let text = format!("parlour://h:1/{KEY}#sesame");
        let ticket = Ticket::parse(&text).unwrap();
        assert!(!format!("{ticket:?}").contains("sesame"));
    }

    proptest! {
        #[test]
        fn round_trips(
            host in "[a-z0-9.-]{1,40}", port in 1u16.., key: [u8; 32], token in "[!-~]{1,800}",
        ) {
            let ticket = Ticket { host: &host, port, server_key: PublicKey(key), token: &token };
            let text = ticket.to_string();
            prop_assert_eq!(Ticket::parse(&text), Ok(ticket));
        }

        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = Ticket::parse(&text);
            let _ = Ticket::parse(&format!("parlour://{text}"));
        }
    }
}
