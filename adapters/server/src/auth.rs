//! Authorization: API keys, their scopes and secrets.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A right of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Reads everything but keys and the audit log.
    Read,
    /// Makes, changes and deletes rooms.
    Rooms,
    /// Mints and revokes tokens by the API, and signs them without it.
    Tokens,
    /// Admits, denies, kicks, censors, bans, and ends sessions.
    Moderate,
    /// Starts, stops and deletes recordings and compositions.
    Recordings,
    /// Makes, changes and deletes webhooks.
    Webhooks,
    /// Everything, also keys and the audit log.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Rooms,
        Self::Tokens,
        Self::Moderate,
        Self::Recordings,
        Self::Webhooks,
        Self::Admin,
    ];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Rooms => "rooms",
            Self::Tokens => "tokens",
            Self::Moderate => "moderate",
            Self::Recordings => "recordings",
            Self::Webhooks => "webhooks",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text is not the name of a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no scope named {0:?}; there are read, rooms, tokens, moderate, recordings, webhooks and admin"
)]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Self, UnknownScope> {
        let known = Self::ALL.into_iter().find(|scope| scope.name() == name);
        known.ok_or_else(|| UnknownScope(name.to_owned()))
    }
}

/// A set of scopes. As text they are separated by spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether `scope` is allowed: it is one of these, or [`Scope::Admin`] is.
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8 | 1 << Scope::Admin as u8) != 0
    }

    /// Those that are allowed by both.
    #[must_use]
    pub fn narrowed_to(self, other: Self) -> Self {
        let both = |scope: &Scope| self.allow(*scope) && other.allow(*scope);
        Scope::ALL.into_iter().filter(both).collect()
    }

    /// The scopes of the set, without those that [`Scope::Admin`] implies.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        let is_member = move |scope: &Scope| self.0 & (1 << *scope as u8) != 0;
        Scope::ALL.into_iter().filter(is_member)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(
            scopes
                .into_iter()
                .fold(0, |set, scope| set | 1 << scope as u8),
        )
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Scope::name).collect();
        f.write_str(&names.join(" "))
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(names: &str) -> Result<Self, UnknownScope> {
        names.split_whitespace().map(Scope::from_str).collect()
    }
}

/// 256 random bits as text, behind a prefix that says what they are.
pub fn random_secret(prefix: &str) -> String {
    let mut secret = [0; 32];
    OsRng.fill_bytes(&mut secret);
    format!("{prefix}{}", Base64UrlUnpadded::encode_string(&secret))
}

/// Whether two secrets are equal, in a time that does not tell how much of them is.
pub fn is_same_secret(one: &str, other: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(one.as_bytes(), other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        let scopes: Scopes = [Scope::Tokens, Scope::Read].into_iter().collect();
        assert_eq!(scopes.to_string(), "read tokens");
        assert_eq!("tokens  read".parse(), Ok(scopes));
        assert_eq!("".parse(), Ok(Scopes::default()));
        let unknown: Result<Scopes, _> = "read everything".parse();
        assert_eq!(unknown, Err(UnknownScope("everything".to_owned())));
    }

    #[test]
    fn admin_may_do_all_and_others_what_they_say() {
        let admin: Scopes = [Scope::Admin].into_iter().collect();
        let rooms: Scopes = [Scope::Rooms].into_iter().collect();
        for scope in Scope::ALL {
            assert!(admin.allow(scope));
            assert_eq!(rooms.allow(scope), scope == Scope::Rooms);
            assert!(!Scopes::default().allow(scope));
        }
        assert_eq!(admin.narrowed_to(rooms), rooms);
        assert_eq!(rooms.narrowed_to(admin), rooms);
    }

    #[test]
    fn secrets_differ() {
        let (one, other) = (random_secret("prt_"), random_secret("prt_"));
        assert!(one.starts_with("prt_") && one.len() == 4 + 43);
        assert!(!is_same_secret(&one, &other) && is_same_secret(&one, &one.clone()));
    }
}
