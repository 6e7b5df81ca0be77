//! The caller of a request, and its rights.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
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
required!(Read Rooms Tokens Moderate Admin);

/// Somebody with a valid key that has the scope `S`.
#[derive(Debug)]
pub(crate) struct Caller<S> {
    /// The id of the key.
    pub(crate) key: String,
    scope: PhantomData<S>,
}

impl<S: Required> FromRequestParts<App> for Caller<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let (key, scopes) = authenticate(parts, app)?;
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
            scope: PhantomData,
        })
    }
}

/// The key of a request, and what it may do.
pub(crate) fn authenticate(parts: &Parts, app: &App) -> Result<(String, Scopes), Problem> {
    let unauthenticated = |detail| Problem::new(Kind::Unauthenticated, detail);
    let header = parts.headers.get(AUTHORIZATION).ok_or_else(|| {
        unauthenticated(
            "send `Authorization: Bearer <id>.<secret>` with the id and secret of an API key",
        )
    })?;
    let malformed = || unauthenticated("the Authorization header is not `Bearer <id>.<secret>`");
    let header = header.to_str().map_err(|_| malformed())?;
    let (scheme, credentials) = header.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(malformed());
    }
    let (id, secret) = credentials.trim().split_once('.').ok_or_else(malformed)?;
    let scopes = app.registry().scopes(id, secret, Timestamp::now());
    let scopes = scopes.ok_or_else(|| {
        unauthenticated("there is no such key, or it was revoked, or its secret is another one")
    })?;
    Ok((id.to_owned(), scopes))
}
