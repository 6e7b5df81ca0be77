//! What is done with every request, whichever it is: its id, its place in the log, and the headers of its answer.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower_http::request_id::{MakeRequestId, RequestId};

use super::App;
use super::limits::Client;
use super::problem::{self, Kind, Problem};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Numbers requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ulids;

impl MakeRequestId for Ulids {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let id = ulid::Ulid::generate().to_string();
        HeaderValue::from_str(&id).ok().map(RequestId::new)
    }
}

/// What the log says of all that a request causes.
pub(super) fn span<B>(request: &axum::http::Request<B>) -> tracing::Span {
    let id = request.headers().get(&REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    let client = request.extensions().get::<Client>();
    let client = client.map(|Client(address)| tracing::field::display(address));
    // The path, but not the query: it may hold what is nobody's business.
    tracing::info_span!("request", id, client, method = %request.method(), path = request.uri().path())
}

/// Answers in a task of its own: a client that goes away does not leave tables, registry and rooms at odds.
pub(super) async fn detached(request: Request, next: Next) -> Response {
    let answered = tokio::spawn(next.run(request)).await;
    answered.unwrap_or_else(|_| Problem::new(Kind::Internal, "the log says why").into_response())
}

/// The longest id of a request that a client may choose.
const MAX_REQUEST_ID: usize = 128;

/// Leaves a request's id to the server, unless it is one that can be logged and given back.
pub(super) async fn without_odd_id(mut request: Request) -> Request {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .map(HeaderValue::as_bytes);
    let is_odd = |id: &[u8]| {
        !(1..=MAX_REQUEST_ID).contains(&id.len()) || !id.iter().all(u8::is_ascii_graphic)
    };
    if id.is_some_and(is_odd) {
        request.headers_mut().remove(&REQUEST_ID);
    }
    request
}

/// Has a problem name its request.
pub(super) async fn identified(request: Request, next: Next) -> Response {
    let id = request.headers().get(&REQUEST_ID).cloned();
    let response = next.run(request).await;
    match id {
        Some(id) => problem::with_instance(&id, response).await,
        None => response,
    }
}

/// Headers of every answer. Those of the API are for programs: nothing may embed, guess or keep them.
pub(super) async fn secure_headers(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let is_head_or_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if app.gate().is_tls() {
        let only = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, only);
    }
    if is_head_or_get {
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    response
}
