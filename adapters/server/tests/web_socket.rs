//! Participants by WebSocket, with a library that is not the server's.

mod common;

use std::net::SocketAddr;

use common::carried::{Carried, Way, converse, web_socket};
use common::*;
use parlour_tokio::core::client::CloseCause;
use parlour_tokio::core::signal::Redirect;
use parlour_tokio::core::ticket::Ticket;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Where a worker with that port takes WebSockets.
fn address(api: &Api, port: u16) -> String {
    let base = api.url.replacen("http", "ws", 1);
    format!("{base}/parlour/{port}")
}

async fn connect(api: &Api, port: u16) -> Way {
    web_socket(&address(api, port), &[]).await.unwrap()
}

/// A participant that has yet to join, at the worker that its ticket names.
async fn participant(api: &Api, who: &str) -> Carried {
    let ticket = api.ticket("kitchen", who, Value::Null).await;
    let port = Ticket::parse(&ticket).unwrap().port;
    Carried::new(&ticket, connect(api, port).await)
}

/// The ports that the document names.
async fn workers(api: &Api) -> Vec<u16> {
    let ways = api.get("/.well-known/parlour").await;
    serde_json::from_value(ways["workers"].clone()).unwrap()
}

async fn figure(api: &Api, name: &str) -> f64 {
    let url = format!("http://{}/metrics", api.metrics.unwrap());
    let figures = within(api.http.get(url).send()).await.unwrap();
    let figures = within(figures.text()).await.unwrap();
    let lines = figures.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_whole = rest.starts_with([' ', '{']);
        is_whole.then(|| rest.rsplit_once(' '))?
    });
    lines.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
}

async fn until_figure(api: &Api, name: &str, wanted: f64) {
    within(async {
        while figure(api, name).await != wanted {
            // The workers say ten times a second how they fare.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_by_websocket_and_one_by_udp_hear_each_other() {
    let api = Home::sqlite().serve().await;
    let ways = api.get("/.well-known/parlour").await;
    assert_eq!(ways["ws"], "../parlour");
    assert_eq!(workers(&api).await.len(), 2);
    let anna = api.join("kitchen", "anna").await;
    let mut ben = participant(&api, "ben").await;
    converse(&mut ben, &anna).await;
    let open = "parlour_carried_sessions{carriage=\"websocket\"}";
    assert_eq!(figure(&api, open).await, 1.0);
    let leaves = ben.now();
    ben.client.leave(leaves).unwrap();
    ben.until(|ben| ben.client.closed().is_some()).await;
    drop(ben);
    until_figure(&api, open, 0.0).await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leads_to_the_path_of_another_worker() {
    let api = Home::sqlite().serve().await;
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let right = Ticket::parse(&ticket).unwrap().port;
    let wrong = workers(&api).await.into_iter().find(|port| *port != right);
    let way = connect(&api, wrong.unwrap()).await;
    let mut ben = Carried::new(&ticket, way);
    ben.until(|ben| ben.client.redirected_to().is_some()).await;
    assert_eq!(ben.client.redirected_to(), Some(Redirect::Port(right)));
    ben.go_by(connect(&api, right).await);
    ben.until(Carried::is_in_session).await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_connect_is_told_why() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.web.origins = vec!["https://app.example".parse().unwrap()];
    let api = Api::start(config).await;
    let port = workers(&api).await[0];
    let own = api.url.clone();
    for origin in [&*own, "https://app.example"] {
        let way = web_socket(&address(&api, port), &[("origin", origin)]).await;
        assert!(way.is_ok(), "{origin}");
    }
    for origin in [
        "https://evil.example",
        "http://app.example",
        "http://localhost",
        "null",
        "",
    ] {
        let refused = web_socket(&address(&api, port), &[("origin", origin)]).await;
        let (status, body) = refused.err().unwrap();
        assert_eq!(status, 403, "{origin} {body}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["type"], "urn:parlour:problem:origin-refused");
        assert!(problem["detail"].as_str().unwrap().contains("web.origins"));
    }
    for path in ["1", "0", "70000", "kitchen"] {
        let url = format!("{}/parlour/{path}", api.url.replacen("http", "ws", 1));
        assert_eq!(web_socket(&url, &[]).await.err().unwrap().0, 404, "{path}");
    }
    let (status, problem) = api
        .call(
            reqwest::Method::GET,
            &format!("/parlour/{port}"),
            Value::Null,
        )
        .await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("WebSocket"));
    let refused =
        "parlour_carried_sessions_refused_total{carriage=\"websocket\",reason=\"origin\"}";
    assert_eq!(figure(&api, refused).await, 5.0);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_packet_ends_the_session() {
    let api = Home::sqlite().serve().await;
    let port = workers(&api).await[0];
    for (message, code) in [
        (Message::binary(vec![8; 1_201]), 1_009),
        (Message::binary(vec![8; 100_000]), 1_009),
        (Message::binary(Vec::new()), 1_009),
        (Message::text("hello"), 1_003),
    ] {
        let way = connect(&api, port).await;
        way.outgoing.send(message.clone()).unwrap();
        let ended = within(way.ended).await.unwrap();
        assert_eq!(ended.map(|(code, _)| code), Some(code), "{}", message.len());
    }
    // A client that says good-bye is answered.
    let way = connect(&api, port).await;
    let bye = CloseFrame {
        code: CloseCode::Away,
        reason: "bye".into(),
    };
    way.outgoing.send(Message::Close(Some(bye))).unwrap();
    let ended = within(way.ended).await.unwrap();
    assert_eq!(ended.map(|(code, _)| code), Some(1_001));
    // The longest packet is none of a participant, but one.
    let way = connect(&api, port).await;
    way.outgoing.send(Message::binary(vec![8; 1_200])).unwrap();
    way.outgoing.send(Message::Ping("x".into())).unwrap();
    let mut ben = participant(&api, "ben").await;
    ben.until(Carried::is_in_session).await;
    assert!(!way.ended.is_finished());
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_counted_with_those_of_tcp_and_by_the_clients_address() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.media.workers = 1;
    config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let api = Api::start(config).await;
    let port = workers(&api).await[0];
    let mut ben = participant(&api, "ben").await;
    ben.until(Carried::is_in_session).await;
    let from = async |address: &str| {
        let headers = [("x-forwarded-for", address)];
        let way = web_socket(&self::address(&api, port), &headers).await;
        way.unwrap()
    };
    let other = from("198.51.100.1").await;
    let first = from("198.51.100.2").await;
    until_figure(&api, "parlour_connections", 3.0).await;
    // By TCP, from elsewhere.
    let worker = SocketAddr::from(([127, 0, 0, 1], port));
    let tcp = tokio::net::TcpStream::connect(worker).await.unwrap();
    until_figure(&api, "parlour_connections", 4.0).await;
    // A quarter of 1024 places is for one address.
    let mut more = Vec::new();
    for _ in 0..255 {
        more.push(from("198.51.100.2").await);
    }
    assert!(!first.ended.is_finished());
    more.push(from("198.51.100.2").await);
    let ended = within(first.ended).await.unwrap();
    assert_eq!(ended.map(|(code, _)| code), Some(1_000), "it gives way");
    assert!(!other.ended.is_finished(), "it has another address");
    assert!(ben.is_in_session());
    drop((tcp, more));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_participant_ends() {
    let api = Home::sqlite().serve().await;
    let way = connect(&api, workers(&api).await[0]).await;
    let ended = within(way.ended).await.unwrap();
    assert_eq!(ended.map(|(code, _)| code), Some(1_000));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shuts_down_says_so() {
    let mut api = Home::sqlite().serve().await;
    let mut ben = participant(&api, "ben").await;
    ben.until(Carried::is_in_session).await;
    api.ask_to_end();
    ben.until(|ben| ben.client.closed().is_some()).await;
    let closed = ben.client.closed();
    assert!(matches!(closed, Some(CloseCause::Closed(_))), "{closed:?}");
    assert_eq!(ben.way_ended().await.map(|(code, _)| code), Some(1_000));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_elsewhere_may_read_the_ways() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.web.webtransport = None;
    let api = Api::start(config).await;
    let response = within(
        api.http
            .get(format!("{}/.well-known/parlour", api.url))
            .send(),
    );
    let response = response.await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let ways: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let key = api.get("/v1/server").await["public_key"].take();
    let expected = json!({"ws": "../parlour", "key": key, "workers": workers(&api).await});
    assert_eq!(ways, expected);
    api.stop().await;
}
