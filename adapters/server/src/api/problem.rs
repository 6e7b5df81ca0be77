//! Errors as the API gives them: `application/problem+json`, [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::rooms::Invalid;
use crate::store::StoreError;

/// The kind of a problem: the end of `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it, and `title` in a sentence")]
pub enum Kind {
    Malformed,
    UnknownParameter,
    Validation,
    IdempotencyMismatch,
    Unauthenticated,
    ScopeMissing,
    NotFound,
    MethodNotAllowed,
    Exists,
    SessionEnded,
    RoomDisabled,
    InProgress,
    NotPossible,
    EtagMismatch,
    TooLarge,
    RateLimited,
    StorageUnavailable,
    Draining,
    Internal,
}

impl Kind {
    /// Its name: the end of `type`.
    pub const fn name(self) -> &'static str {
        self.parts().1
    }

    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Malformed => (S::BAD_REQUEST, "malformed", "The request cannot be read"),
            Self::UnknownParameter => (
                S::BAD_REQUEST,
                "unknown-parameter",
                "A query parameter is unknown or not valid",
            ),
            Self::Validation => (
                S::UNPROCESSABLE_ENTITY,
                "validation",
                "The request has members that are not valid",
            ),
            Self::IdempotencyMismatch => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency-mismatch",
                "The Idempotency-Key was used for another request",
            ),
            Self::Unauthenticated => (
                S::UNAUTHORIZED,
                "unauthenticated",
                "The request has no valid credentials",
            ),
            Self::ScopeMissing => (S::FORBIDDEN, "scope-missing", "The key lacks a scope"),
            Self::NotFound => (S::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The path does not have this method",
            ),
            Self::Exists => (S::CONFLICT, "exists", "There is one of that name already"),
            Self::SessionEnded => (S::CONFLICT, "session-ended", "The session is over"),
            Self::RoomDisabled => (S::CONFLICT, "room-disabled", "The room is disabled"),
            Self::InProgress => (
                S::CONFLICT,
                "in-progress",
                "The same request is being answered",
            ),
            Self::NotPossible => (S::CONFLICT, "not-possible", "That is not possible now"),
            Self::EtagMismatch => (
                S::PRECONDITION_FAILED,
                "etag-mismatch",
                "The resource has changed",
            ),
            Self::TooLarge => (
                S::PAYLOAD_TOO_LARGE,
                "too-large",
                "The request is too large",
            ),
            Self::RateLimited => (S::TOO_MANY_REQUESTS, "rate-limited", "Too many requests"),
            Self::StorageUnavailable => (
                S::SERVICE_UNAVAILABLE,
                "storage-unavailable",
                "The database does not work",
            ),
            Self::Draining => (
                S::SERVICE_UNAVAILABLE,
                "draining",
                "The server is being drained",
            ),
            Self::Internal => (
                S::INTERNAL_SERVER_ERROR,
                "internal",
                "The server has failed",
            ),
        }
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

/// How a problem stands in an answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// `urn:parlour:problem:` and a name.
    pub r#type: String,
    /// The problem in general.
    pub title: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// The problem in this case, and the remedy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The members that are not valid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
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
        };
        let mut response = (status, Json(body)).into_response();
        // For the audit log.
        response.extensions_mut().insert(self.kind);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
