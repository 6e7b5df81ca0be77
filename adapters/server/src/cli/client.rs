//! Requests to a server, and what comes of them.

use std::time::Duration;

use anyhow::Context as _;
use parlour_server::time::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::failure::{Exit, Failure, Problem};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The pauses before a request is sent again.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// The longest time that a server may have us wait before we try again.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The header with a request's id.
const REQUEST_ID: &str = "x-request-id";

/// A request of the API.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: Method,
    /// The parts of the path; any texts.
    path: Vec<String>,
    /// The query.
    pub(crate) query: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Option<Value>,
}

impl Request {
    /// A request without query and body.
    pub(crate) fn new(method: Method, path: Vec<String>) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            body: None,
        }
    }

    /// Goes on with the path by one part.
    pub(crate) fn push(&mut self, part: &str) {
        self.path.push(part.to_owned());
    }

    /// `GET` of a path whose parts are separated by `/`.
    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path.split('/').map(str::to_owned).collect())
    }
}

/// A server, and the key that opens it.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    key: String,
    patience: Duration,
}

impl Client {
    /// A client for the server at `url`, which gives up a request after `patience`.
    ///
    /// # Errors
    /// If `url` is none.
    pub(crate) fn new(url: &str, key: &str, patience: Duration) -> Result<Self, Failure> {
        Self::build(url, key, patience, reqwest::Client::builder())
    }

    /// A client that takes any certificate, for questions that hold no secret: a server of this machine has one for its name, and
    /// not for its address.
    ///
    /// # Errors
    /// If `url` is none.
    pub(crate) fn unverified(url: &str, patience: Duration) -> Result<Self, Failure> {
        let http = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
        Self::build(url, "", patience, http)
    }

    fn build(
        url: &str,
        key: &str,
        patience: Duration,
        mut http: reqwest::ClientBuilder,
    ) -> Result<Self, Failure> {
        let parsed = Url::parse(url).ok();
        let parsed = parsed.filter(|url| ["http", "https"].contains(&url.scheme()));
        let url = parsed
            .filter(|url| !url.cannot_be_a_base())
            .ok_or_else(|| {
                let detail =
                    format!("{url:?} is no URL of a server, such as https://rooms.example.org");
                Failure::new(Exit::Usage, detail)
            })?;
        // It fails if there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if url.scheme() == "http" {
            // Nothing is said of authorities: the system need not know any.
            http = http.tls_certs_only([]);
        }
        let http = http
            .user_agent(concat!("parlour/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            // The key is for this server.
            .redirect(reqwest::redirect::Policy::none())
            .build();
        Ok(Self {
            http: http.context(
                "cannot prepare requests; for https, install ca-certificates, or name a file in SSL_CERT_FILE",
            )?,
            url,
            key: key.to_owned(),
            patience,
        })
    }

    /// Sends a request, again if need be: it has the same `Idempotency-Key` each time. Gives the body of the answer, `null` if
    /// it has none.
    ///
    /// # Errors
    /// If there is no answer, or if it is a problem.
    pub(crate) async fn send(&self, request: &Request) -> Result<Value, Failure> {
        let answered = timeout(self.patience, self.persist(request));
        answered.await.unwrap_or_else(|_| {
            let seconds = self.patience.as_secs_f32();
            let detail = format!("{} did not answer within {seconds} s", self.url);
            Err(Failure::new(Exit::TimedOut, detail))
        })
    }

    async fn persist(&self, request: &Request) -> Result<Value, Failure> {
        let key = ulid::Ulid::generate().to_string();
        let mut pauses = PAUSES.into_iter();
        loop {
            let sent = self.prepare(request, &key).send().await;
            let pause = match &sent {
                Ok(response) => asks_for_a_pause(response),
                Err(_) => Some(Duration::ZERO),
            };
            let (Some(at_least), Some(pause)) = (pause, pauses.next()) else {
                return self.answer(sent).await;
            };
            sleep(pause.max(at_least)).await;
        }
    }

    fn prepare(&self, request: &Request, idempotency_key: &str) -> reqwest::RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(&request.path);
        }
        let mut prepared = self.http.request(request.method.clone(), url);
        prepared = prepared.bearer_auth(&self.key).query(&request.query);
        if request.method != Method::GET {
            prepared = prepared.header("idempotency-key", idempotency_key);
        }
        match &request.body {
            Some(body) => prepared.json(body),
            None => prepared,
        }
    }

    async fn answer(&self, sent: reqwest::Result<Response>) -> Result<Value, Failure> {
        let response = checked(sent.map_err(|error| self.lost(&error))?).await?;
        let body = response.bytes().await.map_err(|error| self.lost(&error))?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| not_parlour("its answer is not JSON"))
    }

    /// Opens the stream of events behind `after`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn stream(&self, request: &Request, after: i64) -> Result<Response, Failure> {
        let prepared = self.prepare(request, "").header("last-event-id", after);
        self.begin(prepared).await
    }

    /// Sends a request whose answer is read in pieces.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn open(&self, request: &Request) -> Result<Response, Failure> {
        self.begin(self.prepare(request, "")).await
    }

    async fn begin(&self, prepared: reqwest::RequestBuilder) -> Result<Response, Failure> {
        let sent = timeout(self.patience, prepared.send()).await.map_err(|_| {
            let detail = format!("{} did not answer in time", self.url);
            Failure::new(Exit::TimedOut, detail)
        })?;
        checked(sent.map_err(|error| self.lost(&error))?).await
    }

    /// The time at the server, as its answers say it.
    pub(crate) async fn clock(&self) -> Option<Timestamp> {
        let response = self.ping().await?;
        let date = response.headers().get(DATE)?.to_str().ok()?;
        let time = jiff::fmt::rfc2822::parse(date).ok()?;
        Some(Timestamp::from_millis(time.timestamp().as_millisecond()))
    }

    /// Whether a Parlour server answers there.
    pub(crate) async fn lives(&self) -> bool {
        let response = self.ping().await;
        response.is_some_and(|response| response.headers().contains_key(REQUEST_ID))
    }

    async fn ping(&self) -> Option<Response> {
        let request = Request::get("healthz");
        let sent = timeout(self.patience, self.prepare(&request, "").send());
        sent.await.ok()?.ok()
    }

    /// The session that goes on in a room.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) async fn session_of(&self, room: &str) -> Result<String, Failure> {
        let mut request = Request::get("v1/rooms");
        request.push(room);
        let answer = self.send(&request).await?;
        answer["active_session"].as_str().map(str::to_owned).ok_or_else(|| {
            let detail = format!(
                "no session goes on in the room {room:?}; `parlour session list --room {room}` lists those that ended"
            );
            Failure::new(Exit::NotFound, detail)
        })
    }

    /// There is no answer.
    fn lost(&self, error: &reqwest::Error) -> Failure {
        let mut says = error.to_string();
        let mut source = std::error::Error::source(error);
        // The last one says why, the others where.
        while let Some(cause) = source {
            says = cause.to_string();
            source = cause.source();
        }
        let detail = format!("{} cannot be reached: {says}", self.url);
        Failure::new(Exit::Unreachable, detail)
    }
}

/// How long the server has us wait before we send the same again, if that helps.
fn asks_for_a_pause(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let pause = Duration::from_secs(seconds.parse().ok()?);
    (!response.status().is_success() && pause <= MAX_PAUSE).then_some(pause)
}

/// The answer, unless it tells of a problem.
async fn checked(response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let request_id = header(REQUEST_ID);
    let kind = header(CONTENT_TYPE.as_str()).unwrap_or_default();
    if !kind.starts_with("application/problem+json") {
        let says = format!("it answers {status}");
        return Err(not_parlour(&says));
    }
    let problem: Problem = match response.json().await {
        Ok(problem) => problem,
        Err(_) => return Err(not_parlour("its problem cannot be read")),
    };
    let problem = Problem {
        instance: problem.instance.or(request_id),
        ..problem
    };
    Err(Failure::of_server(exit_for(status), problem))
}

fn not_parlour(says: &str) -> Failure {
    let detail = format!("this is not the API of a Parlour server: {says}; check the URL");
    Failure::new(Exit::Failed, detail)
}

/// The exit code for a status.
fn exit_for(status: StatusCode) -> Exit {
    match status.as_u16() {
        400 | 413 | 422 => Exit::Usage,
        401 | 403 => Exit::NotAllowed,
        404 => Exit::NotFound,
        409 | 412 => Exit::Conflict,
        408 | 504 => Exit::TimedOut,
        _ => Exit::Failed,
    }
}
