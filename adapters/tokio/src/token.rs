//! Tokens: who may join which room, and what it may do there.
//!
//! A token is a JWT ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)) signed with HS256 under one of the server's
//! API keys. Whoever has the key's secret, commonly an application's own web server, mints tokens without asking the
//! room server, with any JWT library. No other algorithm is accepted, above all not `none`.
//!
//! | claim | |
//! |---|---|
//! | `iss` | the id of the API key; required |
//! | `sub` | the participant's id; required |
//! | `room` | the room's id; required |
//! | `exp` | when the token ends, in seconds since 1970, with or without a fraction; required |
//! | `nbf` | before when it is not valid yet |
//! | `iat` | when it was minted; a [`Doorkeeper`](crate::Doorkeeper) may refuse older ones |
//! | `name` | the participant's name for people to read; default: empty |
//! | `grants` | a list of names, or an object of names and booleans; default: `["participant"]` |
//! | `lobby` | `true`: waits until a moderator admits it; default: `false` |
//!
//! The names of grants are those of the constants of [`Grants`], in lower case: `publish_audio`, `publish_video`,
//! `publish_screen`, `subscribe`, `send_messages`, `request_floor`, `kick`, `censor`, `end_session`, `admit`,
//! `set_attributes`, and for several at once `participant` and `moderator`. A name that is not among them makes the token invalid: better a
//! misspelling that is noticed at once.
//!
//! A `name` has no characters that mislead others: none that cannot be seen, and none that turns the text around it
//! ([`DisplayName::visible`]). [`ServerConfig::hidden_characters`](crate::ServerConfig::hidden_characters) allows them.
//!
//! The clocks of who mints and of the room server may differ by 30 s: a token is taken that much before its `nbf` and
//! after its `exp`, and its bearer's stay ends that much later. An optional claim may be `null`. Other claims (`aud`,
//! `jti`) are not looked at.
//!
//! ```
//! use parlour_tokio::token::{ApiKey, Claims, mint_token, verify_token};
//! use parlour_tokio::core::room::Grants;
//! use std::time::Duration;
//!
//! let key = ApiKey::new("my-app", "c2VjcmV0IG9mIGF0IGxlYXN0IDMyIGJ5dGVz")?;
//! let claims = Claims {
//!     grants: Grants::PARTICIPANT | Grants::MODERATOR,
//!     ..Claims::new("green-room", "anna", Duration::from_secs(3600))?
//! };
//! let token = mint_token(&claims, &key)?;
//! assert_eq!(verify_token(&token, &[key], claims.expires - 1)?, claims);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same in Python, with PyJWT:
//!
//! ```python
//! import jwt, time
//! token = jwt.encode({
//!     "iss": "my-app",
//!     "sub": "anna",
//!     "room": "green-room",
//!     "exp": int(time.time()) + 3600,
//!     "name": "Anna",
//!     "grants": ["participant", "moderator"],
//! }, "c2VjcmV0IG9mIGF0IGxlYXN0IDMyIGJ5dGVz", algorithm="HS256")
//! ticket = f"parlour://rooms.example.org:7900/{server_public_key}#{token}"  # Server::ticket_base, then # and the token
//! ```

mod claims;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parlour_core::room::{DisplayName, Grants, IdError, ParticipantId, RoomId};
use parlour_core::signal::{JoinRefusal, MAX_TOKEN};
use serde::Serialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::clock::unix_seconds;

/// Difference between the clocks of who mints and who verifies, in seconds, that is forgiven.
pub const LEEWAY: u64 = 30;

/// The shortest secret, in bytes: as long as the hash, as
/// [RFC 7518 section 3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2) demands.
pub const MIN_SECRET: usize = 32;

/// What tokens are signed with: an id, which is public, and a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    id: String,
    secret: String,
}

impl ApiKey {
    /// An API key. `openssl rand -hex 32` makes a good secret.
    ///
    /// # Errors
    /// [`ApiKeyError`]
    pub fn new(id: &str, secret: &str) -> Result<Self, ApiKeyError> {
        if id.is_empty() {
            return Err(ApiKeyError::EmptyId);
        }
        if secret.len() < MIN_SECRET {
            return Err(ApiKeyError::ShortSecret);
        }
        Ok(Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// What stands in a token's `iss`.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for ApiKey {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why a pair of texts is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// The id is empty.
    #[error("the API key's id is empty: choose a name, such as the application's")]
    EmptyId,
    /// The secret has less than [`MIN_SECRET`] bytes.
    #[error(
        "the API key's secret is too short: at least 32 bytes, such as from `openssl rand -hex 32`"
    )]
    ShortSecret,
    /// A server would have no key.
    #[error("a server needs an API key: without one, no token is valid")]
    NoKey,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Where its bearer may join.
    pub room: RoomId,
    /// Who its bearer is.
    pub participant: ParticipantId,
    /// What others see as its name.
    pub name: DisplayName,
    /// What it may do.
    pub grants: Grants,
    /// Whether it has to wait until a moderator admits it.
    pub lobby: bool,
    /// Before when it is not valid, in seconds since 1970, UTC.
    pub not_before: Option<u64>,
    /// When it was minted, in seconds since 1970, UTC; `None` if it does not say.
    pub issued: Option<u64>,
    /// When it ends, in seconds since 1970, UTC.
    pub expires: u64,
}

impl Claims {
    /// An ordinary participant without a display name, from now on and for `lifetime`.
    ///
    /// # Errors
    /// [`IdError`] if `room` or `participant` is not a name for one.
    pub fn new(room: &str, participant: &str, lifetime: Duration) -> Result<Self, IdError> {
        let now = unix_seconds();
        Ok(Self {
            room: RoomId::new(room)?,
            participant: ParticipantId::new(participant)?,
            name: DisplayName::new("")?,
            grants: Grants::PARTICIPANT,
            lobby: false,
            not_before: None,
            issued: Some(now),
            expires: now.saturating_add(lifetime.as_secs()),
        })
    }
}

/// Why a token was not minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MintError {
    /// It would be longer than [`MAX_TOKEN`].
    #[error("the token would be longer than 800 bytes: shorten the API key's id or the names")]
    TooLong,
    /// The library could not sign it.
    #[error("the token could not be signed")]
    Signing,
}

/// Why a token is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is not a JWT.
    #[error(
        "this is not a JWT: three parts with dots between them, the first two JSON in base64url"
    )]
    Malformed,
    /// A claim that has to be there is not.
    #[error("the token has no {claim}: the claims iss, sub, room and exp are required")]
    MissingClaim {
        /// Which.
        claim: &'static str,
    },
    /// A claim is something else than it should be.
    #[error("the token's {claim} is of the wrong type: it should be {expected}")]
    WrongType {
        /// Which.
        claim: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It is signed otherwise than with HS256, or demands an extension.
    #[error("the token is not signed with HS256: mint it with that algorithm")]
    Algorithm,
    /// Its `iss` is not the id of an API key of this server.
    #[error("the token's issuer is unknown: set iss to the id of one of the server's API keys")]
    UnknownIssuer,
    /// It was signed with another secret, or changed since.
    #[error("the token's signature is wrong: sign it with the secret of its API key")]
    Signature,
    /// Its time is over.
    #[error("the token has expired: get a new one")]
    Expired,
    /// Its time has not begun.
    #[error("the token is not valid yet: wait, or set the clocks right")]
    NotYetValid,
    /// Room, participant or name is not one.
    #[error("the token's {claim} is not allowed: {reason}")]
    Name {
        /// The claim that says it.
        claim: &'static str,
        /// What is wrong with it.
        reason: IdError,
    },
    /// There is no grant with that name.
    #[error("the token has a grant that does not exist: check the spelling")]
    UnknownGrant,
}

impl From<TokenError> for JoinRefusal {
    /// What the bearer is told: nothing that would help to forge one.
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::TokenExpired,
            _ => Self::InvalidToken,
        }
    }
}

/// The claims as they stand in a token that is minted here.
#[derive(Serialize)]
struct Minted<'a> {
    iss: &'a str,
    sub: &'a str,
    room: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_false")]
    lobby: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Makes a token. Needs no server: only the API key.
///
/// # Errors
/// [`MintError`]
pub fn mint_token(claims: &Claims, key: &ApiKey) -> Result<String, MintError> {
    let names = |grants: Grants| grants.iter_names().map(|(name, _)| name.to_lowercase());
    let minted = Minted {
        iss: &key.id,
        sub: claims.participant.as_str(),
        room: claims.room.as_str(),
        exp: claims.expires,
        nbf: claims.not_before,
        iat: claims.issued,
        name: claims.name.as_str(),
        grants: (claims.grants != Grants::PARTICIPANT).then(|| names(claims.grants).collect()),
        lobby: claims.lobby,
    };
    let secret = EncodingKey::from_secret(key.secret.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &minted, &secret)
        .map_err(|_| MintError::Signing)?;
    if token.len() > MAX_TOKEN {
        return Err(MintError::TooLong);
    }
    Ok(token)
}

/// Verifies a token at `now`, in seconds since 1970, UTC, and says what it says.
///
/// # Errors
/// [`TokenError`]
pub fn verify_token(token: &str, keys: &[ApiKey], now: u64) -> Result<Claims, TokenError> {
    let verified = verify(token, keys, now, DisplayName::visible);
    verified.map(|(claims, _)| claims)
}

/// The same, and lets `name` say which display names are allowed; gives the key that signed it, too.
pub(crate) fn verify<'k>(
    token: &str,
    keys: &'k [ApiKey],
    now: u64,
    name: fn(&str) -> Result<DisplayName, IdError>,
) -> Result<(Claims, &'k ApiKey), TokenError> {
    let (header, claims) = claims::decode(token)?;
    if header.get("alg").and_then(|alg| alg.as_str()) != Some("HS256")
        || header.contains_key("crit")
    {
        return Err(TokenError::Algorithm);
    }
    let issuer = claims::text(&claims, "iss")?;
    let key = signer(token, keys, issuer)?;

    let room = claims::text(&claims, "room")?;
    let participant = claims::text(&claims, "sub")?;
    let shown = claims::optional_text(&claims, "name")?.unwrap_or_default();
    let grants = claims::grants(&claims, "grants")?;
    let lobby = claims::flag(&claims, "lobby")?;
    let not_before = claims::time(&claims, "nbf", f64::ceil)?;
    let issued = claims::time(&claims, "iat", f64::floor)?;
    let expires = claims::time(&claims, "exp", f64::floor)?;
    let expires = expires.ok_or(TokenError::MissingClaim { claim: "exp" })?;
    if now >= expires.saturating_add(LEEWAY) {
        return Err(TokenError::Expired);
    }
    if not_before.is_some_and(|nbf| now.saturating_add(LEEWAY) < nbf) {
        return Err(TokenError::NotYetValid);
    }
    let not_allowed = |claim| move |reason| TokenError::Name { claim, reason };
    let claims = Claims {
        room: RoomId::new(room).map_err(not_allowed("room"))?,
        participant: ParticipantId::new(participant).map_err(not_allowed("sub"))?,
        name: name(shown).map_err(not_allowed("name"))?,
        grants: grants.unwrap_or(Grants::PARTICIPANT),
        lobby,
        not_before,
        issued,
        expires,
    };
    Ok((claims, key))
}

/// The key of `issuer` that signed a token. An issuer may have several, as long as it changes its secret.
fn signer<'k>(token: &str, keys: &'k [ApiKey], issuer: &str) -> Result<&'k ApiKey, TokenError> {
    let mut found = Err(TokenError::UnknownIssuer);
    for key in keys.iter().filter(|key| key.id == issuer) {
        found = verify_signature(token, key).map(|()| key);
        if found.is_ok() {
            break;
        }
    }
    found
}

fn verify_signature(token: &str, key: &ApiKey) -> Result<(), TokenError> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The claims are looked at elsewhere, and times by the clock that was passed in.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let secret = DecodingKey::from_secret(key.secret.as_bytes());
    let verified = jsonwebtoken::decode::<IgnoredAny>(token, &secret, &validation);
    verified.map(drop).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
        _ => TokenError::Malformed,
    })
}
