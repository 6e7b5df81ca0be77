//! A server of one's own, and how tests speak to it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses a part of it"
)]

pub mod carried;
#[path = "../../../tokio/tests/common/relay.rs"]
pub mod datagrams;
pub mod process;
pub mod random;
pub mod receiver;
pub mod recorded;
pub mod relay;
pub mod tables;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use parlour_server::config::{Config, Tls};
use parlour_server::serve::{Reloader, Running, ServeError};
use parlour_server::store::Place;
use parlour_tokio::Room;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nothing here takes as long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

/// A client. It needs ciphers, although no test speaks TLS by it.
pub fn http() -> Client {
    // It fails if another test of this process was here before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

/// A server that runs in this process.
pub struct Api {
    pub http: Client,
    pub url: String,
    pub key: String,
    pub first_key: String,
    pub config: Config,
    pub metrics: Option<SocketAddr>,
    /// Of a server in this process.
    pub reloader: Option<Reloader>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), ServeError>>,
}

/// The files of a server between its runs.
pub struct Home {
    folder: TempDir,
    postgres: Option<String>,
}

impl Home {
    pub fn sqlite() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            postgres: None,
        }
    }

    /// One for each database that is there: `PARLOUR_TEST_POSTGRES` names a server of PostgreSQL.
    pub async fn all() -> Vec<Self> {
        let mut all = vec![Self::sqlite()];
        if let Ok(server) = std::env::var("PARLOUR_TEST_POSTGRES") {
            sqlx::any::install_default_drivers();
            let name = format!("test_{}", ulid::Ulid::generate()).to_lowercase();
            let admin = AnyConnection::connect(&format!("{server}/postgres")).await;
            let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
            sqlx::query(create)
                .execute(&mut admin.unwrap())
                .await
                .unwrap();
            all.push(Self {
                postgres: Some(format!("{server}/{name}")),
                ..Self::sqlite()
            });
        }
        all
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> Config {
        let mut config = Config::dev(self.folder.path());
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.media.listen = ([127, 0, 0, 1], 0).into();
        config.media.workers = 2;
        config.metrics.listen = Some(([127, 0, 0, 1], 0).into());
        if let Some(webtransport) = &mut config.web.webtransport {
            webtransport.listen = Some(([127, 0, 0, 1], 0).into());
        }
        config.store.url.clone_from(&self.postgres);
        config.drain.timeout_s = 0;
        // Tests ask more often than people.
        config.http.limits.requests_per_s = NonZeroU32::MAX;
        config.http.limits.refreshes_per_min = NonZeroU32::MAX;
        config.http.limits.guests_per_min = NonZeroU32::MAX;
        config.http.limits.logins_per_min = NonZeroU32::MAX;
        config
    }

    pub async fn serve(&self) -> Api {
        Api::start(self.config()).await
    }

    /// Changes the database behind the server's back.
    pub async fn execute(&self, statement: &'static str) {
        let url = match self.config().place() {
            Place::Sqlite(path) => format!("sqlite://{}", path.display()),
            Place::Postgres(url) => url,
        };
        let mut database = AnyConnection::connect(&url).await.unwrap();
        let executed = sqlx::query(statement).execute(&mut database).await;
        executed.unwrap();
        database.close().await.unwrap();
    }
}

impl Api {
    pub async fn start(config: Config) -> Self {
        let running = within(Running::start(&config)).await.unwrap();
        let scheme = match config.http.tls {
            Tls::Off => "http",
            _ => "https",
        };
        let url = format!("{scheme}://{}", running.address());
        let key = running.app().first_key().unwrap();
        let (metrics, reloader) = (running.metrics_address(), Some(running.reloader()));
        let (stop, stopped) = oneshot::channel::<()>();
        let end = async { drop(stopped.await) };
        let running = tokio::spawn(running.until(end, std::future::pending()));
        Self {
            http: http(),
            url,
            first_key: key.clone(),
            key,
            config,
            metrics,
            reloader,
            stop: Some(stop),
            running,
        }
    }

    /// That of another process.
    pub fn at(config: &Config, key: String) -> Self {
        Self {
            http: http(),
            url: format!("http://{}", config.http.listen),
            first_key: key.clone(),
            key,
            config: config.clone(),
            metrics: None,
            reloader: None,
            stop: None,
            running: tokio::spawn(std::future::ready(Ok(()))),
        }
    }

    /// As SIGTERM does.
    pub fn ask_to_end(&mut self) {
        self.stop = None;
    }

    pub async fn stop(mut self) {
        self.ask_to_end();
        within(self.running).await.unwrap().unwrap();
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let url = format!("{}{path}", self.url);
        let request = self.http.request(method, url).bearer_auth(&self.key);
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(body.to_string()),
            None => request,
        };
        within(request.send()).await.unwrap()
    }

    /// Sends a request; gives status and body, which is `null` where there is none.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let response = self
            .send(method, path, (!body.is_null()).then_some(&body))
            .await;
        let status = response.status().as_u16();
        let text = within(response.text()).await.unwrap();
        let value = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap()
        };
        (status, value)
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Sends a request that is refused; gives the problem.
    pub async fn post_refused(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, body).await;
        assert!((400..600).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Waits until a list holds what is wanted; gives the list then.
    pub async fn until(&self, path: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        within(async {
            loop {
                let body = self.get(path).await;
                let data = body["data"].as_array().unwrap().clone();
                if wanted(&data) {
                    return data;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    pub async fn ticket(&self, room: &str, participant: &str, more: Value) -> String {
        let mut body = json!({"participant": participant});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let minted = self.post(&format!("/v1/rooms/{room}/tokens"), body).await;
        minted["ticket"].as_str().unwrap().to_owned()
    }

    pub async fn join(&self, room: &str, participant: &str) -> Room {
        let ticket = self.ticket(room, participant, Value::Null).await;
        within(Room::join(&ticket)).await.unwrap()
    }
}

/// The values of one member of each entry.
pub fn all<'a>(list: &'a [Value], member: &str) -> Vec<&'a str> {
    list.iter()
        .map(|entry| entry[member].as_str().unwrap_or("-"))
        .collect()
}
