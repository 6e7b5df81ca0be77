//! The caller of a request, and its rights.
//!
//! It shows an API key in the header `Authorization`, or, as the portal does, the cookie of a login. A browser sends the cookie
//! whichever page it was that asked, so a request that changes something has to have the login's CSRF token in a header, too.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};

use super::App;
use super::login;
use super::problem::{Kind, Problem};
use crate::auth::{Scope, Scopes};
use crate::logins::{self, Cookie};
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
required!(Read Rooms Tokens Moderate Recordings Webhooks Admin);

/// The header with the CSRF token of a login.
pub(super) const CSRF: &str = "x-csrf-token";

/// What a caller shows.
#[derive(Debug, Clone)]
enum Credentials {
    /// An `Authorization` header.
    Key(HeaderValue),
    Login(Cookie),
}

/// Somebody with a valid key that has the scope `S`, or an admin that is logged in.
#[derive(Debug)]
pub(crate) struct Caller<S> {
    /// The id of the key; of an admin `admin:` and its name.
    pub(crate) key: String,
    credentials: Credentials,
    scope: PhantomData<S>,
}

impl<S: Required> Caller<S> {
    /// The id of the key that signs the tokens that it mints; empty if there is none.
    pub(crate) fn signer(&self, app: &App) -> String {
        match &self.credentials {
            Credentials::Key(_) => self.key.clone(),
            Credentials::Login(_) => app.registry().first_signer().unwrap_or_default(),
        }
    }

    /// Whether it would still be let in: its key may have been revoked, its secret exchanged, or its login be over.
    pub(crate) fn is_still_valid(&self, app: &App) -> bool {
        let verified = verify(&self.credentials, app);
        verified.is_ok_and(|(_, scopes)| scopes.allow(S::SCOPE))
    }
}

impl<S: Required> FromRequestParts<App> for Caller<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let credentials = credentials(parts)?;
        let (key, scopes) = verify(&credentials, app)?;
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
            credentials,
            scope: PhantomData,
        })
    }
}

/// The key of a request, and what it may do.
pub(crate) fn authenticate(parts: &Parts, app: &App) -> Result<(String, Scopes), Problem> {
    verify(&credentials(parts)?, app)
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, detail)
}

/// Whether a request has some, valid or not.
pub(super) fn has_credentials(parts: &Parts) -> bool {
    parts.headers.contains_key(AUTHORIZATION) || login::cookie(parts).is_some()
}

fn credentials(parts: &Parts) -> Result<Credentials, Problem> {
    if let Some(header) = parts.headers.get(AUTHORIZATION) {
        return Ok(Credentials::Key(header.clone()));
    }
    let cookie = login::cookie(parts).ok_or_else(|| {
        unauthenticated(
            "send `Authorization: Bearer <id>.<secret>` with the id and secret of an API key",
        )
    })?;
    let is_read = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let token = parts.headers.get(CSRF).map(HeaderValue::as_bytes);
    let token = token.and_then(|token| str::from_utf8(token).ok());
    if !is_read && !cookie.has_csrf_token(token.unwrap_or_default()) {
        return Err(unauthenticated(
            "a request with a login's cookie has to have its `csrf_token` in the header `X-CSRF-Token`: read it at /v1/login",
        ));
    }
    Ok(Credentials::Login(cookie))
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

fn verify(credentials: &Credentials, app: &App) -> Result<(String, Scopes), Problem> {
    match credentials {
        Credentials::Key(header) => verify_key(header, app),
        Credentials::Login(cookie) => {
            let login = app.logins().find(cookie, Timestamp::now());
            let login = login.ok_or_else(|| unauthenticated("the login is over: log in again"))?;
            Ok((
                logins::actor(&login.admin),
                [Scope::Admin].into_iter().collect(),
            ))
        }
    }
}

fn verify_key(credentials: &HeaderValue, app: &App) -> Result<(String, Scopes), Problem> {
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
