//! What an operator relies on: figures, limits, certificates, signals.

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::relay::Relay;
use common::*;
use parlour_server::config::{Config, Tls};
use parlour_tokio::Room;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// A program of an operator, if it is there. Where `PARLOUR_REQUIRE_OPERATIONS` is set it has to be.
fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(_) => true,
        Err(error) if std::env::var_os("PARLOUR_REQUIRE_OPERATIONS").is_some() => {
            panic!("{program}: {error}")
        }
        Err(error) => {
            eprintln!("SKIPPED: {program}: {error}");
            false
        }
    }
}

async fn figures(api: &Api, accept: &str) -> (String, String) {
    let url = format!("http://{}/metrics", api.metrics.unwrap());
    let response = within(api.http.get(url).header("accept", accept).send())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (kind, within(response.text()).await.unwrap())
}

/// The value of a figure, named with its labels.
fn value(figures: &str, name: &str) -> f64 {
    let line = figures
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{figures}"));
    line.parse().unwrap()
}

/// The sum of a figure over its labels.
fn sum(figures: &str, name: &str) -> f64 {
    let lines = figures
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    lines
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_say_what_happens() {
    for home in Home::all().await {
        let api = home.serve().await;
        let anna = api.join("kitchen", "anna").await;
        let _bob = api.join("kitchen", "bob").await;
        api.call(Method::PUT, "/v1/rooms/kitchen/bans/carol", json!({}))
            .await;
        api.call(Method::GET, "/v1/rooms/nowhere-at-all", Value::Null)
            .await;
        api.call(Method::GET, "/nowhere-at-all", Value::Null).await;
        within(anna.leave()).await;
        api.until("/v1/events?type=participant.left", |left| left.len() == 1)
            .await;
        let figures = within(async {
            loop {
                let (kind, figures) = figures(&api, "*/*").await;
                assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
                // The workers say ten times a second how they fare.
                if sum(&figures, "parlour_joins_total") == 2.0
                    && value(&figures, "parlour_participants_left_total{reason=\"left\"}") == 1.0
                {
                    return figures;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let of = |name: &str| value(&figures, name);
        assert_eq!(of("parlour_sessions"), 1.0);
        assert_eq!(of("parlour_participants_joined_total"), 2.0);
        assert_eq!(of("parlour_draining"), 0.0);
        assert!(of("parlour_journal_seq") >= 4.0);
        assert!(of("parlour_store_write_duration_seconds_count") >= 4.0);
        assert!(of("parlour_store_transaction_duration_seconds_count") >= 1.0);
        assert_eq!(of("parlour_store_transactions_failed_total"), 0.0);
        assert_eq!(of("parlour_history_events_missed_total"), 0.0);
        assert!(sum(&figures, "parlour_received_bytes_total") > 100.0);
        assert!(sum(&figures, "parlour_socket_receive_buffer_bytes") > 0.0);
        let missing = "{method=\"GET\",route=\"/v1/rooms/{room}\",status=\"404\"}";
        assert_eq!(of(&format!("parlour_http_requests_total{missing}")), 1.0);
        let unknown = "{method=\"GET\",route=\"other\",status=\"404\"}";
        assert_eq!(of(&format!("parlour_http_requests_total{unknown}")), 1.0);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            of(&format!("parlour_build_info{{version=\"{version}\"}}")),
            1.0
        );
        for name in ["kitchen", "anna", "bob", "carol", "nowhere", "first"] {
            assert!(!figures.contains(name), "{name} is no label");
        }
        let (kind, open) =
            self::figures(&api, "application/openmetrics-text;version=1.0.0,*/*;q=0.1").await;
        assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
        assert!(open.ends_with("# EOF\n"));
        check_figures(&figures);
        api.stop().await;
    }
}

/// Names and types as Prometheus wants them.
fn check_figures(figures: &str) {
    if !has("promtool") {
        return;
    }
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(figures.as_bytes())
        .unwrap();
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_join_is_counted_with_its_reason() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let ticket = api.ticket("kitchen", "carol", Value::Null).await;
    api.call(Method::PUT, "/v1/rooms/kitchen/bans/carol", json!({}))
        .await;
    assert!(within(parlour_tokio::Room::join(&ticket)).await.is_err());
    api.until("/v1/events?type=participant.refused", |refused| {
        !refused.is_empty()
    })
    .await;
    let (_, figures) = figures(&api, "*/*").await;
    assert!(
        value(
            &figures,
            "parlour_join_refusal_reasons_total{reason=\"banned\"}"
        ) >= 1.0
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_over_its_rate_is_told_when_to_come_back() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.http.limits.requests_per_s = 2.try_into().unwrap();
    let api = Api::start(config).await;
    let mut refused = None;
    for _ in 0..50 {
        let response = api.send(Method::GET, "/v1/server", None).await;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("a refusal");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(refused.headers().contains_key("x-request-id"));
    let body: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(body["type"], "urn:parlour:problem:rate-limited");
    // Whoever has no key is refused for that, and not counted.
    let anonymous = within(api.http.get(format!("{}/v1/server", api.url)).send())
        .await
        .unwrap();
    assert_eq!(anonymous.status(), 401);
    assert_eq!(
        within(api.http.get(format!("{}/readyz", api.url)).send())
            .await
            .unwrap()
            .status(),
        204
    );
    let (_, figures) = figures(&api, "*/*").await;
    assert!(value(&figures, "parlour_http_limited_total{limit=\"rate\"}") >= 1.0);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_counts_as_a_request() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.http.limits.concurrent = 1.try_into().unwrap();
    let api = Api::start(config).await;
    let stream = api.send(Method::GET, "/v1/events/stream", None).await;
    assert_eq!(stream.status(), 200);
    let (status, body) = api.call(Method::GET, "/v1/server", Value::Null).await;
    assert_eq!(
        (status, &body["type"]),
        (429, &json!("urn:parlour:problem:rate-limited"))
    );
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(api.send(Method::GET, probe, None).await.status(), 204);
    }
    drop(stream);
    within(async {
        while api.call(Method::GET, "/v1/server", Value::Null).await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_are_limited_by_the_address_that_a_trusted_proxy_names() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.http.limits.refreshes_per_min = 5.try_into().unwrap();
    config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let api = Api::start(config).await;
    let refresh = async |forwarded: String| {
        let request = api.http.post(format!("{}/v1/tokens/refresh", api.url));
        let request = request
            .header("content-type", "application/json")
            .header("x-forwarded-for", forwarded)
            .body("{\"refresh_token\": \"prt_x\"}");
        within(request.send()).await.unwrap().status().as_u16()
    };
    for n in 0..5 {
        // What the client says itself changes every time, and nothing.
        assert_eq!(refresh(format!("192.0.2.{n}, 198.51.100.1")).await, 401);
    }
    assert_eq!(refresh("198.51.100.1".to_owned()).await, 429);
    assert_eq!(refresh("198.51.100.2".to_owned()).await, 401);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_are_limited_by_their_address() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.http.limits.guests_per_min = 3.try_into().unwrap();
    let api = Api::start(config).await;
    let guess = json!({"guest_link": "pgl_guess"});
    for n in 0..4 {
        let answer = api.send(Method::POST, "/v1/guests", Some(&guess)).await;
        assert_eq!(answer.status(), if n < 3 { 401 } else { 429 }, "{n}");
    }
    api.stop().await;
}

/// Sends bytes as they are, and reads until the server closes. Gives what it said, and how long that took.
async fn raw(address: SocketAddr, bytes: &str) -> (String, Duration) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let _ = within(stream.read_to_end(&mut said)).await;
    (String::from_utf8_lossy(&said).into_owned(), began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dawdles_is_sent_away() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.http.limits.receive_s = 1.try_into().unwrap();
    let api = Api::start(config).await;
    let address: SocketAddr = api.url.trim_start_matches("http://").parse().unwrap();
    for begun in [
        "",
        "GET /healthz HT",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nA: b",
    ] {
        let (said, took) = raw(address, begun).await;
        assert!(!said.contains("204"), "{said}");
        assert!(took >= Duration::from_millis(900), "{begun:?} {took:?}");
    }
    let key = &api.key;
    let (said, _) = raw(
        address,
        &format!(
            "POST /v1/rooms HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        ),
    )
    .await;
    assert!(
        said.starts_with("HTTP/1.1 408") && said.contains("problem:too-slow"),
        "{said}"
    );
    let (_, figures) = figures(&api, "*/*").await;
    assert_eq!(
        value(
            &figures,
            "parlour_http_limited_total{limit=\"receive_time\"}"
        ),
        1.0
    );
    // A body that is too large is still told apart.
    let large = Value::String("x".repeat(1 << 20));
    assert_eq!(
        api.call(Method::POST, "/v1/rooms", json!({"title": large}))
            .await
            .0,
        413
    );
    api.stop().await;
}

/// A client is not left without an answer when the database is busy.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_too_long_is_given_up() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.http.limits.answer_s = 1.try_into().unwrap();
    let api = Api::start(config.clone()).await;
    let url = format!("sqlite://{}", config.store.path.display());
    let mut other = sqlx::AnyConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let response = api
        .send(Method::PUT, "/v1/rooms/kitchen", Some(&json!({})))
        .await;
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["retry-after"]
        ),
        (503, &"5".parse().unwrap())
    );
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(body["type"], "urn:parlour:problem:timed-out");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    // It was done all the same, as the answer says it may.
    api.until("/v1/rooms", |rooms| rooms.len() == 1).await;
    let (_, figures) = figures(&api, "*/*").await;
    assert_eq!(
        value(
            &figures,
            "parlour_http_limited_total{limit=\"answer_time\"}"
        ),
        1.0
    );
    api.stop().await;
}

/// A certificate for `localhost` in these files, signed by itself; gives it as PEM.
fn certify(cert: &std::path::Path, key: &std::path::Path) -> String {
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap().pem();
    std::fs::write(cert, &certificate).unwrap();
    std::fs::write(key, pair.serialize_pem()).unwrap();
    certificate
}

/// A client that trusts this certificate only, and keeps no connection.
fn trusting(certificate: &str) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .pool_max_idle_per_host(0);
    client.build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_speaks_tls_and_takes_another_certificate() {
    let home = Home::sqlite();
    let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    let first = certify(&cert, &key);
    let mut config = home.config();
    config.http.tls = Tls::Files {
        cert: cert.clone(),
        key: key.clone(),
    };
    let mut api = Api::start(config.clone()).await;
    let plain = api.http.clone();
    api.http = trusting(&first);
    let response = api.send(Method::GET, "/v1/server", None).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["strict-transport-security"],
        "max-age=31536000"
    );
    assert!(
        plain
            .get(api.url.replace("https", "http"))
            .send()
            .await
            .is_err()
    );
    api.http = plain;
    let (_, figures) = figures(&api, "*/*").await;
    assert!(value(&figures, "parlour_tls_certificate_expiry_time_seconds") > 1e9);

    // What cannot be read leaves the former certificate.
    std::fs::write(&key, "nothing").unwrap();
    api.reloader.as_ref().unwrap().reload(&config).await;
    api.http = trusting(&first);
    assert_eq!(
        api.send(Method::GET, "/v1/server", None).await.status(),
        200
    );
    let second = certify(&cert, &key);
    api.reloader.as_ref().unwrap().reload(&config).await;
    // A client that takes up its former session is not shown the certificate.
    api.http = trusting(&first);
    assert!(
        api.http
            .get(format!("{}/healthz", api.url))
            .send()
            .await
            .is_err()
    );
    api.http = trusting(&second);
    assert_eq!(
        api.send(Method::GET, "/v1/server", None).await.status(),
        200
    );
    api.stop().await;

    std::fs::remove_file(&cert).unwrap();
    let error = parlour_server::serve::Running::start(&config)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cert.pem") && error.contains("http.tls"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_promises_no_tls() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let response = api.send(Method::GET, "/v1/server", None).await;
    assert!(!response.headers().contains_key("strict-transport-security"));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_server_takes_no_sessions_until_the_drain_is_ended() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let _anna = api.join("kitchen", "anna").await;
    let late = api.ticket("hall", "bob", Value::Null).await;
    let drain = api.post("/v1/server/drain", json!({})).await;
    assert_eq!(drain, json!({"deadline_at": null}));
    assert_eq!(api.get("/v1/server").await["draining"], true);
    let ready = within(api.http.get(format!("{}/readyz", api.url)).send())
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    // What goes on may be joined; nothing begins, neither by the API nor with a ticket from before.
    let _carol = api.join("kitchen", "carol").await;
    let (status, body) = api
        .call(
            Method::POST,
            "/v1/rooms/hall/tokens",
            json!({"participant": "bob"}),
        )
        .await;
    assert_eq!(
        (status, &body["type"]),
        (503, &json!("urn:parlour:problem:draining"))
    );
    assert!(
        body["detail"].as_str().unwrap().contains("another server"),
        "{body}"
    );
    let refused = timeout(Duration::from_secs(2), parlour_tokio::Room::join(&late)).await;
    assert!(!matches!(refused, Ok(Ok(_))), "nobody begins a session");
    let (_, figures) = figures(&api, "*/*").await;
    assert_eq!(value(&figures, "parlour_draining"), 1.0);

    for _ in 0..2 {
        assert_eq!(
            api.call(Method::DELETE, "/v1/server/drain", Value::Null)
                .await
                .0,
            204
        );
    }
    assert_eq!(api.get("/v1/server").await["draining"], false);
    let _bob = within(parlour_tokio::Room::join(&late)).await.unwrap();
    let told = api
        .until(
            "/v1/events?type=server.draining&type=server.drain_ended&order=asc",
            |told| told.len() == 2,
        )
        .await;
    assert_eq!(
        all(&told, "type"),
        ["server.draining", "server.drain_ended"]
    );
    assert_eq!(told[0]["data"]["by"], "first");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_the_sessions_at_its_deadline() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let _anna = api.join("kitchen", "anna").await;
    let (status, body) = api
        .call(
            Method::POST,
            "/v1/server/drain",
            json!({"deadline_s": 86_401}),
        )
        .await;
    assert_eq!(
        (status, &body["errors"][0]["pointer"]),
        (422, &json!("/deadline_s"))
    );
    // Another drain takes the place of the former, and so does its deadline.
    let far = api
        .post("/v1/server/drain", json!({"deadline_s": 86_400}))
        .await;
    assert_eq!(
        api.get("/v1/server").await["drain_deadline_at"],
        far["deadline_at"]
    );
    api.post("/v1/server/drain", json!({"deadline_s": 0})).await;
    let ended = api
        .until("/v1/sessions?state=ended", |ended| !ended.is_empty())
        .await;
    assert_eq!(ended[0]["end_reason"], "server_shutdown");
    assert_eq!(
        api.get("/v1/server").await["draining"],
        true,
        "it stays drained"
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_was_admitted_begins_no_session_after_the_deadline_of_a_drain() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.media.workers = 1;
    let api = Api::start(config).await;
    let _anna = api.join("kitchen", "anna").await;
    let ticket = api.ticket("attic", "ben", Value::Null).await;
    let relay = Relay::that_holds_up_the_answer(&ticket).await;
    let ticket = relay.ticket.clone();
    let ben = tokio::spawn(async move { Room::join(&ticket).await });
    within(async {
        while !relay.is_cut() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // Ben is admitted, and does not know.
    api.post("/v1/server/drain", json!({"deadline_s": 0})).await;
    // A worker's rooms are closed in the order of their names: the attic before the kitchen.
    let kitchen = "/v1/sessions?state=ended&room=kitchen";
    api.until(kitchen, |ended| !ended.is_empty()).await;
    relay.cut(false);
    let refused = "/v1/events?type=participant.refused&room=attic";
    let refused = api.until(refused, |refused| !refused.is_empty()).await;
    assert_eq!(refused[0]["data"]["reason"], "unavailable");
    assert_eq!(api.get("/v1/sessions?room=attic").await["data"], json!([]));
    ben.abort();
    api.stop().await;
}

/// A server that is being stopped ends its sessions: none may begin there again.
#[tokio::test(flavor = "multi_thread")]
async fn the_drain_of_a_server_that_stops_cannot_be_ended() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.drain.timeout_s = 30;
    let mut api = Api::start(config).await;
    let anna = api.join("kitchen", "anna").await;
    api.ask_to_end();
    within(async {
        while api.get("/v1/server").await["draining"] == false {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let (status, body) = api
        .call(Method::DELETE, "/v1/server/drain", Value::Null)
        .await;
    assert_eq!(
        (status, &body["type"]),
        (409, &json!("urn:parlour:problem:not-possible"))
    );
    assert_eq!(api.get("/v1/server").await["draining"], true);
    let told = api
        .until("/v1/events?type=server.draining", |told| !told.is_empty())
        .await;
    let data = &told[0]["data"];
    assert!(
        data["deadline_at"].is_string() && data["by"].is_null(),
        "{data}"
    );
    within(anna.leave()).await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_says_how_the_server_fares_and_what_it_is() {
    for home in Home::all().await {
        let api = home.serve().await;
        let _anna = api.join("kitchen", "anna").await;
        api.until("/v1/sessions?state=active", |active| !active.is_empty())
            .await;
        let stats = within(async {
            loop {
                let stats = api.get("/v1/server/stats").await;
                if stats["participants"] == 1 && stats["sessions"] == 1 {
                    return stats;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(stats["workers"].as_array().unwrap().len(), 2);
        assert_eq!(
            stats["joins"],
            json!({"joined": 1, "resumed": 0, "refused": 0})
        );
        assert_eq!(
            (&stats["rooms"], &stats["draining"]),
            (&json!(1), &json!(false))
        );
        let sent = stats["workers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|worker| worker["bytes_sent"].as_u64().unwrap());
        assert!(sent.sum::<u64>() > 100, "{stats}");
        assert!(
            stats["workers"][0]["socket"]["receive_buffer_bytes"]
                .as_u64()
                .unwrap()
                > 0
        );
        assert!(stats["store"]["journal_seq"].as_u64().unwrap() >= 3);
        assert!(stats["store"]["writes"].as_u64().unwrap() >= 2);
        assert_eq!(stats["store"]["failed_transactions"], 0);
        let server = api.get("/v1/server").await;
        let base = server["ticket_base"].as_str().unwrap();
        assert!(
            base.contains(server["public_key"].as_str().unwrap()),
            "{server}"
        );
        assert_eq!(server["limits"]["refreshes_per_min"], u32::MAX);
        assert_eq!(server["limits"]["guests_per_min"], u32::MAX);
        assert_eq!(server["limits"]["request_bytes"], 1 << 20);
        api.stop().await;
    }
}

/// What the files for Prometheus and Grafana and the manual ask for is what the server has.
#[test]
fn figures_that_others_name_are_there() {
    let sources = [
        include_str!("../src/counted.rs"),
        include_str!("../src/metrics/live.rs"),
        include_str!("../src/store/figures.rs"),
    ]
    .concat();
    let mut named = 0;
    for text in [
        include_str!("../deploy/alerts.yml"),
        include_str!("../deploy/grafana.json"),
        include_str!("../../../docs/OPERATIONS.md"),
    ] {
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        for (at, _) in text.match_indices("parlour_") {
            let name: String = text[at + "parlour_".len()..]
                .chars()
                .take_while(|c| is_name(*c))
                .collect();
            if ["tokio", "server", "core"].contains(&&*name) {
                continue;
            }
            let ends = ["_total", "_bucket", "_count", "_sum", "_info"];
            let base = ends
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(&name);
            assert!(
                sources.contains(&format!("\"{base}\"")),
                "no figure named {name}"
            );
            named += 1;
        }
    }
    assert!(named > 60, "{named}");
}

/// The program itself: SIGHUP has it read the log's filter anew, and SIGTERM ends it.
#[cfg(unix)]
#[test]
fn signals_are_obeyed() {
    let home = Home::sqlite();
    let file = home.path().join("parlour.toml");
    let write = |filter: &str| {
        let mut config: Config = home.config();
        config.log.filter = filter.to_owned();
        std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    };
    write("info");
    let mut server = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["serve", "--config"])
        .arg(&file)
        .env_remove("PARLOUR_LOG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let process = server.id().to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &process]).status();
        assert!(sent.unwrap().success());
    };
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let mut until = |says: &str| {
        let found = log.find(|line| line.as_ref().is_ok_and(|line| line.contains(says)));
        found
            .unwrap_or_else(|| panic!("the log ended without {says:?}"))
            .unwrap()
    };
    until("serving");
    std::fs::write(&file, "[log]\nfilter = 3\n").unwrap();
    signal("-HUP");
    assert!(until("the former configuration stays").contains("line 2"));
    write("info,parlour_tokio=debug");
    signal("-HUP");
    until("read the API keys");
    write("off,parlour_server::serve=info");
    signal("-HUP");
    until("read the API keys");
    signal("-TERM");
    let ended = server.wait().unwrap();
    assert!(ended.success(), "{ended}");
    let rest: Vec<_> = log.map_while(Result::ok).collect();
    let is_of_serve = |line: &String| line.contains(" parlour_server::serve: ");
    assert!(rest.iter().all(is_of_serve), "{rest:?}");
}
