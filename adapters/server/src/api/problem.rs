//! Errors as the API gives them: `application/problem+json`, [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).

use std::collections::BTreeMap;
use std::marker::PhantomData;

use axum::Json;
use axum::body::to_bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{self, Content, Ref, RefOr, ResponseBuilder};

use crate::rooms::Invalid;
use crate::store::StoreError;

macro_rules! kinds {
    ($($kind:ident = $status:ident, $name:literal, $title:literal;)*) => {
        /// The kind of a problem: the end of `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the names say it, and `title` in a sentence")]
        pub enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            const fn parts(self) -> (StatusCode, &'static str, &'static str) {
                match self {
                    $(Self::$kind => (StatusCode::$status, $name, $title),)*
                }
            }
        }

        /// Kinds as types: the problems of an endpoint stand in its description, as [`Problems`](super::Problems).
        pub(crate) mod kind {
            $(
                #[derive(Debug)]
                #[allow(dead_code, reason = "every endpoint may have some, and these are theirs")]
                pub(crate) struct $kind;
                impl super::Named for $kind {
                    const KIND: super::Kind = super::Kind::$kind;
                }
            )*
        }
    };
}
kinds! {
    Malformed = BAD_REQUEST, "malformed", "The request cannot be read";
    UnknownParameter = BAD_REQUEST, "unknown-parameter", "A query parameter is unknown or not valid";
    Validation = UNPROCESSABLE_ENTITY, "validation", "The request has members that are not valid";
    IdempotencyMismatch = UNPROCESSABLE_ENTITY, "idempotency-mismatch", "The Idempotency-Key was used for another request";
    Unauthenticated = UNAUTHORIZED, "unauthenticated", "The request has no valid credentials";
    KeyRevoked = UNAUTHORIZED, "key-revoked", "The key was revoked";
    OriginRefused = FORBIDDEN, "origin-refused", "Pages of that origin may not join";
    ScopeMissing = FORBIDDEN, "scope-missing", "The key lacks a scope";
    NotFound = NOT_FOUND, "not-found", "There is no such thing";
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method-not-allowed", "The path does not have this method";
    Exists = CONFLICT, "exists", "There is one of that name already";
    SessionEnded = CONFLICT, "session-ended", "The session is over";
    RoomDisabled = CONFLICT, "room-disabled", "The room is disabled";
    RecordingActive = CONFLICT, "recording-active", "It is still being recorded";
    CountChanged = CONFLICT, "count-changed", "Another number matches than was expected";
    InProgress = CONFLICT, "in-progress", "The same request is being answered";
    NotPossible = CONFLICT, "not-possible", "That is not possible now";
    ComposerUnavailable = CONFLICT, "composer-unavailable", "The server has no ffmpeg that can be used";
    EtagMismatch = PRECONDITION_FAILED, "etag-mismatch", "The resource has changed";
    RangeNotSatisfiable = RANGE_NOT_SATISFIABLE, "range-not-satisfiable", "The file has no such range";
    TooLarge = PAYLOAD_TOO_LARGE, "too-large", "The request is too large";
    TooSlow = REQUEST_TIMEOUT, "too-slow", "The request did not come in time";
    RateLimited = TOO_MANY_REQUESTS, "rate-limited", "Too many requests";
    StorageUnavailable = SERVICE_UNAVAILABLE, "storage-unavailable", "The database does not work";
    StoreUnavailable = SERVICE_UNAVAILABLE, "store-unavailable", "The store of recordings does not work";
    Draining = SERVICE_UNAVAILABLE, "draining", "The server is being drained";
    NoPlace = SERVICE_UNAVAILABLE, "no-place", "All places for connections are taken";
    TimedOut = SERVICE_UNAVAILABLE, "timed-out", "The server did not answer in time";
    Internal = INTERNAL_SERVER_ERROR, "internal", "The server has failed";
}

impl Kind {
    /// Its status.
    pub const fn status(self) -> StatusCode {
        self.parts().0
    }

    /// The end of its `type`.
    pub const fn name(self) -> &'static str {
        self.parts().1
    }

    /// What it means in general.
    pub const fn title(self) -> &'static str {
        self.parts().2
    }
}

/// An answer that says what went wrong, and what to do.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_s: Option<u64>,
}

/// A member of a request that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where it stands, as a JSON pointer.
    pub pointer: String,
    /// Why it is not valid.
    pub detail: String,
}

/// What went wrong, as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) writes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:parlour:problem:` and a name, such as `urn:parlour:problem:not-found`. Each operation lists its names.
    pub r#type: String,
    /// The problem in general.
    pub title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// The problem in this case, and the remedy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The members that are not valid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The request's id, which `X-Request-Id` and the server's log have, too.
    pub instance: String,
}

impl Problem {
    /// A problem, and what to do about it.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: None,
        }
    }

    /// Something that is not there.
    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} named {name:?}"))
    }

    /// Members that are not valid, at least one.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::new(Kind::Validation, "")
        }
    }

    /// One member that is not valid.
    pub fn invalid_member(pointer: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.to_owned(),
            detail: detail.into(),
        }])
    }

    /// When to try again, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The problem in this case, and the remedy.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The members that are not valid.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The kind of problem.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl From<Vec<Invalid>> for Problem {
    fn from(invalid: Vec<Invalid>) -> Self {
        let errors = invalid.into_iter().map(|invalid| FieldError {
            pointer: invalid.pointer.to_owned(),
            detail: invalid.detail,
        });
        Self::invalid(errors.collect())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        match error {
            StoreError::Damaged { .. } => Self::new(
                Kind::Internal,
                "the database holds what this version cannot read; the log says what",
            ),
            StoreError::Panicked => Self::new(Kind::Internal, error.to_string()),
            _ => Self::new(
                Kind::StorageUnavailable,
                "nothing was changed; try again later, or look at the server's log",
            )
            .retry_after(5),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title) = self.kind.parts();
        let body = ProblemBody {
            r#type: format!("urn:parlour:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
            // `with_instance` knows it.
            instance: String::new(),
        };
        let mut response = (status, Json(body)).into_response();
        // For the audit log.
        response.extensions_mut().insert(self.kind);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Sets `instance` of a problem to the id of its request. It also does so for an answer that is given again.
pub(super) async fn with_instance(id: &HeaderValue, response: Response) -> Response {
    if response.headers().get(header::CONTENT_TYPE) != Some(&PROBLEM_JSON) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is an answer of this program: in memory, and small.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // The answer to HEAD has none.
    let Ok(mut problem) = serde_json::from_slice::<serde_json::Map<_, _>>(&body) else {
        return Response::from_parts(parts, body.into());
    };
    let id = String::from_utf8_lossy(id.as_bytes()).into();
    problem.insert("instance".to_owned(), id);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body.into())
}

/// A kind as a type.
pub(crate) trait Named {
    const KIND: Kind;
}

/// Some kinds as a type.
pub(crate) trait Kinds {
    fn kinds() -> Vec<Kind>;
}

macro_rules! tuples {
    ($($kinds:ident)*) => {
        impl<$($kinds: Named),*> Kinds for ($($kinds,)*) {
            fn kinds() -> Vec<Kind> {
                vec![$($kinds::KIND),*]
            }
        }
    };
}
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);

/// The problems of an operation, beside those that follow from its shape: a tuple of types of [`kind`].
#[derive(Debug)]
pub(crate) struct Problems<T>(PhantomData<T>);

impl<T: Kinds> utoipa::IntoResponses for Problems<T> {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let mut responses = BTreeMap::new();
        add_problems(&mut responses, T::kinds());
        responses
    }
}

/// Describes problems, beside those of the same status that are described already.
pub(super) fn add_problems(
    responses: &mut BTreeMap<String, RefOr<openapi::Response>>,
    kinds: impl IntoIterator<Item = Kind>,
) {
    for kind in kinds {
        let (status, name, title) = kind.parts();
        let described = responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| {
                let problem = Ref::from_schema_name("Problem");
                let content = Content::builder().schema(Some(problem)).build();
                let response = ResponseBuilder::new().content("application/problem+json", content);
                response.build().into()
            });
        let line = format!("`{name}`: {title}.");
        if let RefOr::T(response) = described
            && !response.description.contains(&line)
        {
            if !response.description.is_empty() {
                response.description.push('\n');
            }
            response.description.push_str(&line);
        }
    }
}
