//! How fast webhooks are told, to a receiver that answers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::process::{CORE, Failure, Process, median, now};

/// Events that are told, as many for each room, and how often.
const EVENTS: usize = 5_000;
const ROOMS: usize = 500;
const RUNS: usize = 3;
/// How long that may take: a tenth of the speed that is aimed at.
const LIMIT: Duration = Duration::from_secs(100);
/// Changes of rooms under way at a time.
const AT_ONCE: usize = 8;

#[tokio::main(worker_threads = 2)]
pub(crate) async fn measure() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let allow = |config: &mut parlour_server::config::Config| config.webhooks.allow_private = true;
    let server = Process::serve_with(folder.path(), allow, Some(CORE))?;
    let key = server.key()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let api = Api {
        http: Client::new(),
        url: format!("http://{}/v1", server.http),
        key,
    };
    fill(&api).await?;
    let told = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let hook = format!("http://{}/", listener.local_addr()?);
    let counter = Arc::clone(&told);
    let count = post(move |_: axum::body::Bytes| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { StatusCode::NO_CONTENT }
    });
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", count)).await });
    let webhook = json!({"url": hook, "events": ["room.created", "room.updated"]});
    let webhook = api
        .send(api.http.post(api.path("webhooks")), webhook)
        .await?;
    let id = webhook["id"].as_str().ok_or("the webhook has no id")?;
    let (mut speeds, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        told.store(0, Ordering::Relaxed);
        let (began, before) = (now(), server.cpu_time()?);
        let replay = api.http.post(api.path(&format!("webhooks/{id}/replay")));
        api.send(replay, json!({"from_seq": 1})).await?;
        let all_told = async {
            while told.load(Ordering::Relaxed) < EVENTS {
                sleep(Duration::from_millis(2)).await;
            }
        };
        if timeout(LIMIT, all_told).await.is_err() {
            let told = told.load(Ordering::Relaxed);
            return Err(format!("{told} of {EVENTS} events are told after {LIMIT:?}").into());
        }
        speeds.push(EVENTS as f64 / (now() - began).as_secs_f64());
        let cpu = server.cpu_time()? - before;
        cpus.push(cpu.as_secs_f64() * 1e6 / EVENTS as f64);
    }
    println!("\n| webhook: {EVENTS} events of {ROOMS} rooms | aim | measured |\n|---|--:|--:|");
    println!(
        "| events a second | 500 | {:.0} |",
        median(speeds.into_iter())
    );
    println!(
        "| µs of CPU per event | | {:.0} |",
        median(cpus.into_iter())
    );
    Ok(())
}

/// Makes rooms and changes them, so that the journal has as many events.
async fn fill(api: &Api) -> Result<(), Failure> {
    let mut filling = tokio::task::JoinSet::new();
    for part in 0..AT_ONCE {
        let api = api.clone();
        filling.spawn(async move {
            for room in (part..ROOMS).step_by(AT_ONCE) {
                let path = api.path(&format!("rooms/room-{room}"));
                for turn in 0..EVENTS / ROOMS {
                    let request = api.http.put(&path);
                    let title = json!({"title": format!("turn {turn}")});
                    api.send(request, title)
                        .await
                        .map_err(|error| error.to_string())?;
                }
            }
            Ok::<_, String>(())
        });
    }
    while let Some(done) = filling.join_next().await {
        done??;
    }
    Ok(())
}

#[derive(Clone)]
struct Api {
    http: Client,
    url: String,
    key: String,
}

impl Api {
    fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    async fn send(&self, request: reqwest::RequestBuilder, body: Value) -> Result<Value, Failure> {
        let request = request.bearer_auth(&self.key);
        let request = request.header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await?;
        let text = answer.error_for_status()?.text().await?;
        Ok(serde_json::from_str(&text)?)
    }
}
