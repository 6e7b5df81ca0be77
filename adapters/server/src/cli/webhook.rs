//! `parlour webhook`.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use clap::{Args, Subcommand};
use parlour_server::time::Timestamp;
use parlour_server::webhooks::sign::{
    Headers, ID, SIGNATURE, Secret, TIMESTAMP, VerifyError, verify,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::api::{Call, Run};
use super::context::Connection;
use super::failure::{Exit, Failure};
use super::output::{Output, View};
use super::tables::Webhooks;
use super::values::point_in_time;

/// Webhooks: events that are sent to a URL.
#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    Listen(Listen),
    Verify(Verify),
    #[command(flatten)]
    Api(Call<Webhooks>),
}

impl Run for Webhook {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Listen(listen) => listen.run(output).await,
            Self::Verify(verify) => verify.run(),
            Self::Api(call) => call.run(connection, output).await,
        }
    }
}

/// Receives webhooks, verifies them and prints them, until it is interrupted.
///
/// It answers 204 to what it believes, and 401 to the rest, about which it tells on stderr. In another terminal, make the webhook:
/// `parlour webhook create http://127.0.0.1:9000/`. That is the server's own machine, which only a server with `--dev`, or with
/// `webhooks.allow_private`, sends to.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  parlour webhook listen --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)]
pub(crate) struct Listen {
    /// The webhook's secret, as the server showed it when it made the webhook.
    #[arg(long, env = "PARLOUR_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Secret,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Ends after so many webhooks.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

const RECEIVED: View = View {
    id: "id",
    columns: &["timestamp", "type", "data"],
};

/// A request: what it tells, or why it is not to be believed.
type Received = Result<Value, VerifyError>;

#[derive(Clone)]
struct Receiver {
    secret: Secret,
    received: mpsc::Sender<Received>,
}

impl Listen {
    async fn run(&self, output: &Output) -> Result<(), Failure> {
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.with_context(|| format!("cannot listen at {}", self.listen))?;
        let address = listener.local_addr().context("cannot listen")?;
        output.note(&format!("listening at http://{address}/"));
        let (received, mut told) = mpsc::channel(16);
        let receiver = Receiver {
            secret: self.secret.clone(),
            received,
        };
        let router = Router::new().fallback(receive).with_state(receiver);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(listener, router);
        let serving = serving.with_graceful_shutdown(async { drop(stopped.await) });
        let serving = tokio::spawn(serving.into_future());
        let mut missing = self.count;
        while missing != Some(0) {
            let one = tokio::select! {
                one = told.recv() => one,
                _ = tokio::signal::ctrl_c() => None,
            };
            match one {
                Some(Ok(payload)) => {
                    output.line(&RECEIVED, &payload)?;
                    missing = missing.map(|missing| missing - 1);
                }
                Some(Err(error)) => output.note(&format!("refused: {error}")),
                None => break,
            }
        }
        // The last answer is still to be sent.
        drop((stop, told));
        let served = serving.await.context("the listener failed")?;
        Ok(served.context("the listener failed")?)
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let of = Headers {
        id: header(ID).unwrap_or_default(),
        timestamp: header(TIMESTAMP).unwrap_or_default(),
        signature: header(SIGNATURE).unwrap_or_default(),
    };
    let verified = verify(&receiver.secret, &of, &body, Timestamp::now());
    let is_believed = verified.is_ok();
    let received = verified.map(|()| {
        let mut payload = serde_json::from_slice::<Value>(&body)
            .unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
        if let Some(payload) = payload.as_object_mut() {
            payload.insert("id".to_owned(), of.id.into());
        }
        payload
    });
    match receiver.received.send(received).await {
        Ok(()) if is_believed => StatusCode::NO_CONTENT,
        Ok(()) => StatusCode::UNAUTHORIZED,
        // It is sent again to whoever listens next.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Checks the signature of a request that a receiver got.
///
/// It prints nothing if the signature is right, and fails if it is not. Keep the body as it came, byte by byte.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  parlour webhook verify --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw --id evt_1 --timestamp 1793869391 --signature v1,g0hM9Sss= body.json")]
pub(crate) struct Verify {
    /// The webhook's secret.
    #[arg(long, env = "PARLOUR_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Secret,
    /// The header `webhook-id`.
    #[arg(long)]
    id: String,
    /// The header `webhook-timestamp`.
    #[arg(long)]
    timestamp: String,
    /// The header `webhook-signature`.
    #[arg(long)]
    signature: String,
    /// When it came, if that is not now; such as 2026-11-05T09:00:00Z or -2h.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = point_in_time)]
    at: Option<Timestamp>,
    /// The file with the body; stdin, if it is left out.
    file: Option<PathBuf>,
}

impl Verify {
    fn run(&self) -> Result<(), Failure> {
        let body = match &self.file {
            Some(path) => {
                let body = std::fs::read(path);
                body.with_context(|| format!("cannot read {}", path.display()))?
            }
            None => {
                let mut body = Vec::new();
                let read = std::io::stdin().read_to_end(&mut body);
                read.context("cannot read the body from stdin")?;
                body
            }
        };
        let headers = Headers {
            id: &self.id,
            timestamp: &self.timestamp,
            signature: &self.signature,
        };
        let now = self.at.unwrap_or_else(Timestamp::now);
        let verified = verify(&self.secret, &headers, &body, now);
        verified.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
    }
}
