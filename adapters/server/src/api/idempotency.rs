//! `Idempotency-Key`: a request that is sent twice is answered twice and done once.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::caller::{authenticate, has_credentials};
use super::limits::unreadable;
use super::problem::{Kind, Problem};
use super::{App, MAX_BODY};
use crate::store::{Answered, unaudited};
use crate::time::Timestamp;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Answers a `POST` with an `Idempotency-Key`: the first time as the handler does, then with the same.
pub(super) async fn answer_once(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(key) = request.headers().get("idempotency-key").cloned() else {
        return next.run(request).await;
    };
    // Without a key of the API the handler says what is missing, or needs none.
    let (parts, body) = request.into_parts();
    let is_caller = parts.method == Method::POST && has_credentials(&parts);
    let request = Request::from_parts(parts, body);
    if !is_caller {
        return next.run(request).await;
    }
    let answered = answer(&app, &key, request, next).await;
    answered.unwrap_or_else(Problem::into_response)
}

async fn answer(
    app: &App,
    key: &HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()) && !key.contains('\t'));
    let key = key.ok_or_else(|| {
        Problem::new(
            Kind::Malformed,
            "an Idempotency-Key has 1 to 255 printable ASCII characters",
        )
    })?;
    let (parts, body) = request.into_parts();
    let (caller, _) = authenticate(&parts, app)?;
    let path = parts
        .uri
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    let body = to_bytes(body, MAX_BODY).await;
    let body = body.map_err(|error| unreadable(&error))?;
    let body_hash = Base64UrlUnpadded::encode_string(&Sha256::digest(&body));
    let _turn = Turn::take(app, &caller, key)?;
    let since = Timestamp::now().before(KEPT);
    if let Some(former) = app.store().answered(&caller, key, since).await? {
        if former.path != path || former.body_hash != body_hash {
            let detail = "this Idempotency-Key was used with another path or body: use a new one";
            return Err(Problem::new(Kind::IdempotencyMismatch, detail));
        }
        return replay(app, &former);
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(app, response, caller, key.to_owned(), path, body_hash).await
}

/// The answer that was given before. It may hold what is shown once, so it lies sealed.
fn replay(app: &App, former: &Answered) -> Result<Response, Problem> {
    let body = former.open(app.sealer()).map_err(|error| {
        tracing::error!(%error, "an answer cannot be given again");
        Problem::new(
            Kind::Internal,
            "the former answer cannot be read; use a new Idempotency-Key",
        )
    })?;
    let status = StatusCode::from_u16(former.status).unwrap_or(StatusCode::OK);
    let kind = if status.is_success() {
        "application/json"
    } else {
        "application/problem+json"
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let mut response = (status, headers, body).into_response();
    response
        .headers_mut()
        .insert("idempotency-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

/// Keeps an answer, unless the server has failed: then trying again is right.
async fn keep(
    app: &App,
    response: Response,
    caller: String,
    key: String,
    path: String,
    body_hash: String,
) -> Result<Response, Problem> {
    let status = response.status();
    if status.is_server_error() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .unwrap_or_else(|_| Bytes::new());
    let text = String::from_utf8_lossy(&body);
    let answered = Answered {
        answer: Answered::seal(app.sealer(), &caller, &key, &text),
        caller,
        key,
        path,
        body_hash,
        status: status.as_u16(),
    };
    let kept = app
        .store()
        .write(move |tx| Box::pin(async move { tx.put_answered(&answered).await }));
    // The request has been carried out. A repetition may carry it out again.
    if let Err(error) = unaudited(kept).await {
        tracing::error!(%error, "an answer could not be kept for its Idempotency-Key");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Only one request with the same key is answered at a time.
struct Turn<'a> {
    app: &'a App,
    of: (String, String),
}

impl<'a> Turn<'a> {
    fn take(app: &'a App, caller: &str, key: &str) -> Result<Self, Problem> {
        let of = (caller.to_owned(), key.to_owned());
        if !app.in_progress().insert(of.clone()) {
            let detail =
                "the first request with this Idempotency-Key is not answered yet: try again later";
            return Err(Problem::new(Kind::InProgress, detail).retry_after(1));
        }
        Ok(Self { app, of })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.app.in_progress().remove(&self.of);
    }
}
