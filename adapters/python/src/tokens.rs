//! Tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use parlour_tokio::token::{self, Claims};
use parlour_tokio::{DisplayName, Grants};
use pyo3::prelude::*;

use crate::errors;
use crate::names::seconds;

#[pyclass(frozen, module = "parlour._parlour")]
pub(crate) struct ApiKey(pub(crate) token::ApiKey);

#[pymethods]
impl ApiKey {
    #[new]
    fn new(id: &str, secret: &str) -> PyResult<Self> {
        token::ApiKey::new(id, secret)
            .map(Self)
            .map_err(errors::value)
    }

    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }
}

/// What a token is to say.
pub(crate) fn claims(
    room: &str,
    participant: &str,
    name: &str,
    grants: u16,
    lobby: bool,
    lifetime: f64,
) -> PyResult<Claims> {
    Ok(Claims {
        name: DisplayName::new(name).map_err(errors::value)?,
        grants: Grants::from_bits_truncate(grants),
        lobby,
        ..Claims::new(room, participant, seconds(lifetime)?).map_err(errors::value)?
    })
}

#[pyfunction]
pub(crate) fn mint_token(
    key: &ApiKey,
    room: &str,
    participant: &str,
    name: &str,
    grants: u16,
    lobby: bool,
    lifetime: f64,
) -> PyResult<String> {
    let claims = claims(room, participant, name, grants, lobby, lifetime)?;
    token::mint_token(&claims, &key.0).map_err(errors::token)
}

/// Room, participant, name, grants, lobby, not before, issued, expires.
type Verified = (
    String,
    String,
    String,
    u16,
    bool,
    Option<u64>,
    Option<u64>,
    u64,
);

#[pyfunction]
pub(crate) fn verify_token(text: &str, keys: Vec<PyRef<'_, ApiKey>>) -> PyResult<Verified> {
    let keys: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let claims = token::verify_token(text, &keys, now).map_err(errors::token)?;
    Ok((
        claims.room.to_string(),
        claims.participant.to_string(),
        claims.name.to_string(),
        claims.grants.bits(),
        claims.lobby,
        claims.not_before,
        claims.issued,
        claims.expires,
    ))
}
