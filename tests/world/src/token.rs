//! Tokens in plain text, and the embedder that takes them: tests have no secrets to keep.
//!
//! ```text
//! green/alice?grants=63&lobby&expires=40      room, participant, and what the embedder does with it
//! green/alice?refuse=TokenExpired             the embedder refuses
//! ```

use parlour_core::room::{DisplayName, Grants, ParticipantId, RoomId};
use parlour_core::server::Admission;
use parlour_core::signal::{JoinRefusal, Redirect};
use parlour_core::time::Duration;
use std::fmt;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Where.
    pub room: String,
    /// Who.
    pub participant: String,
    /// What it may do.
    pub grants: Grants,
    /// Whether it has to wait in the lobby.
    pub lobby: bool,
    /// When it runs out, counted from when it is shown.
    pub expires_in: Option<Duration>,
    /// Why it is refused, if it is.
    pub refuse: Option<JoinRefusal>,
    /// Where to join instead, unless it is shown there.
    pub redirect: Option<Redirect>,
}

impl Token {
    /// A token for an ordinary party.
    pub fn new(room: &str, participant: &str) -> Self {
        Self {
            room: room.to_owned(),
            participant: participant.to_owned(),
            grants: Grants::PARTICIPANT,
            lobby: false,
            expires_in: None,
            refuse: None,
            redirect: None,
        }
    }

    /// Reads what [`Display`](fmt::Display) wrote; `None` if it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let (room, participant) = path.split_once('/')?;
        let mut token = Self::new(room, participant);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "grants" => token.grants = Grants::from_bits(value.parse().ok()?)?,
                "lobby" => token.lobby = true,
                "expires" => token.expires_in = Some(Duration::from_secs(value.parse().ok()?)),
                "redirect" => token.redirect = Some(parse_redirect(value)?),
                "refuse" => token.refuse = Some(parse_refusal(value)?),
                _ => return None,
            }
        }
        Some(token)
    }

    /// What the embedder answers to somebody who shows it.
    ///
    /// # Errors
    /// The refusal.
    pub fn admission(&self) -> Result<Admission, JoinRefusal> {
        if let Some(refusal) = self.refuse {
            return Err(refusal);
        }
        let valid = |_| JoinRefusal::InvalidToken;
        let shown: String = self.participant.chars().take(32).collect();
        Ok(Admission {
            expires_in: self.expires_in,
            lobby: self.lobby,
            ..Admission::new(
                RoomId::new(&self.room).map_err(valid)?,
                ParticipantId::new(&self.participant).map_err(valid)?,
                DisplayName::new(&shown).map_err(valid)?,
                self.grants,
            )
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (room, participant, grants) = (&self.room, &self.participant, self.grants.bits());
        write!(f, "{room}/{participant}?grants={grants}")?;
        if self.lobby {
            write!(f, "&lobby")?;
        }
        if let Some(time) = self.expires_in {
            write!(f, "&expires={}", time.as_secs())?;
        }
        if let Some(refusal) = self.refuse {
            write!(f, "&refuse={refusal:?}")?;
        }
        match self.redirect {
            Some(Redirect::Port(port)) => write!(f, "&redirect={port}")?,
            Some(Redirect::Address(address)) => write!(f, "&redirect={address}")?,
            Some(Redirect::Either(v4, v6)) => write!(f, "&redirect={v4},{v6}")?,
            None => {}
        }
        Ok(())
    }
}

/// What the embedder answers to whoever shows `text`.
///
/// # Errors
/// The refusal.
pub fn verify(text: &str) -> Result<Admission, JoinRefusal> {
    Token::parse(text)
        .ok_or(JoinRefusal::InvalidToken)?
        .admission()
}

fn parse_redirect(text: &str) -> Option<Redirect> {
    if let Some((v4, v6)) = text.split_once(',') {
        return Some(Redirect::Either(v4.parse().ok()?, v6.parse().ok()?));
    }
    let port = text.parse().map(Redirect::Port).ok();
    port.or_else(|| text.parse().map(Redirect::Address).ok())
}

fn parse_refusal(name: &str) -> Option<JoinRefusal> {
    [
        JoinRefusal::InvalidToken,
        JoinRefusal::TokenExpired,
        JoinRefusal::WrongRoom,
        JoinRefusal::RoomFull,
        JoinRefusal::Unavailable,
        JoinRefusal::UnknownRoom,
        JoinRefusal::RoomDisabled,
        JoinRefusal::Banned,
        JoinRefusal::TokenRevoked,
        JoinRefusal::DuplicateParticipant,
    ]
    .into_iter()
    .find(|refusal| format!("{refusal:?}") == name)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;

    use super::*;

    #[test]
    fn round_trips() {
        let token = Token {
            grants: Grants::PARTICIPANT | Grants::KICK,
            lobby: true,
            expires_in: Some(Duration::from_secs(40)),
            refuse: Some(JoinRefusal::WrongRoom),
            ..Token::new("green", "alice")
        };
        let v4 = SocketAddrV4::new([192, 0, 2, 1].into(), 7900);
        let either = Redirect::Either(v4, "[2001:db8::1]:7900".parse().unwrap());
        for redirect in [Redirect::Port(7901), Redirect::Address(v4.into()), either] {
            let redirect = Some(redirect);
            let token = Token {
                redirect,
                ..token.clone()
            };
            assert_eq!(Token::parse(&token.to_string()), Some(token));
        }
        assert_eq!(token.admission(), Err(JoinRefusal::WrongRoom));
        assert_eq!(verify("no token"), Err(JoinRefusal::InvalidToken));
        assert_eq!(verify("a/b?unknown=1"), Err(JoinRefusal::InvalidToken));
        assert_eq!(verify("a/b").unwrap().participant.as_str(), "b");
    }
}
