//! The caller of a request, and its rights.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::App;
use super::problem::{Kind, Problem};
use crate::auth::{Scope, Scopes};
use crate::time::Timestamp;

/// A scope as a type: what an endpoint asks for stands in its signature.
pub(crate) trait Required: Send + Sync + 'static {
    const SCOPE: Scope;
}

macro_rules! required {
    ($($name:ident)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Required for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}
required!(Read Rooms Tokens Moderate Webhooks Admin);

/// Somebody with a valid key that has the scope `S`.
#[derive(Debug)]
pub(crate) struct Caller<S> {
    /// The id of the key.
    pub(crate) key: String,
    /// Its `Authorization` header.
    credentials: HeaderValue,
    scope: PhantomData<S>,
}

impl<S: Required> Caller<S> {
    /// Whether it would still be let in: its key may have been revoked, or its secret exchanged.
    pub(crate) fn is_still_valid(&self, app: &App) -> bool {
        let verified = verify(&self.credentials, app);
        verified.is_ok_and(|(_, scopes)| scopes.allow(S::SCOPE))
    }
}

impl<S: Required> FromRequestParts<App> for Caller<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let credentials = credentials(parts)?;
        let (key, scopes) = verify(credentials, app)?;
        if !scopes.allow(S::SCOPE) {
            return Err(Problem::new(
                Kind::ScopeMissing,
                format!(
                    "the key {key:?} lacks the scope `{}`: use one that has it",
                    S::SCOPE
                ),
            ));
        }
        Ok(Self {
            key,
            credentials: credentials.clone(),
            scope: PhantomData,
        })
    }
}

/// The key of a request, and what it may do.
pub(crate) fn authenticate(parts: &Parts, app: &App) -> Result<(String, Scopes), Problem> {
    verify(credentials(parts)?, app)
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, detail)
}

fn credentials(parts: &Parts) -> Result<&HeaderValue, Problem> {
    parts.headers.get(AUTHORIZATION).ok_or_else(|| {
        unauthenticated(
            "send `Authorization: Bearer <id>.<secret>` with the id and secret of an API key",
        )
    })
}

/// The id and the secret of an `Authorization` header.
fn split(credentials: &HeaderValue) -> Option<(&str, &str)> {
    let (scheme, credentials) = credentials.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("Bearer");
    let parts = credentials.trim().split_once('.');
    parts.filter(|_| is_bearer)
}

/// The id of the key that a request claims to have, if there is such a key.
pub(crate) fn claimed(parts: &Parts, app: &App) -> Option<String> {
    let (id, _) = split(parts.headers.get(AUTHORIZATION)?)?;
    app.registry().has_key(id).then(|| id.to_owned())
}

fn verify(credentials: &HeaderValue, app: &App) -> Result<(String, Scopes), Problem> {
    let (id, secret) = split(credentials)
        .ok_or_else(|| unauthenticated("the Authorization header is not `Bearer <id>.<secret>`"))?;
    let scopes = app.registry().scopes(id, secret, Timestamp::now());
    let scopes = scopes.ok_or_else(|| {
        if app.registry().is_revoked(id, secret) {
            let detail = format!("the key {id:?} was revoked: use another one");
            return Problem::new(Kind::KeyRevoked, detail);
        }
        unauthenticated("there is no such key, or its secret is another one")
    })?;
    Ok((id.to_owned(), scopes))
}
