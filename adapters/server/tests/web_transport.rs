//! Participants by WebTransport, with wtransport's client.
#![cfg(feature = "webtransport")]

mod common;

use std::fs;

use base64ct::{Base64, Encoding as _};
use common::carried::{Carried, Way, converse, web_transport};
use common::*;
use parlour_server::config::Tls;
use parlour_server::time::Timestamp;
use parlour_tokio::core::client::CloseCause;
use parlour_tokio::core::signal::Redirect;
use parlour_tokio::core::ticket::Ticket;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_tungstenite::tungstenite::Message;
use wtransport::error::ConnectingError;

/// Longer packets go as streams.
const LONGEST: usize = 1_000;

/// What a browser reads before it connects.
struct Ways {
    wt: String,
    hashes: Vec<[u8; 32]>,
    workers: Vec<u16>,
}

impl Ways {
    async fn read(api: &Api) -> Self {
        let ways = api.get("/.well-known/parlour").await;
        let hashes = ways["wt_certificate_hashes"].as_array().cloned();
        let hashes = hashes.unwrap_or_default().into_iter().map(|hash| {
            assert_eq!(hash["algorithm"], "sha-256");
            let value = Base64::decode_vec(hash["value"].as_str().unwrap()).unwrap();
            value.try_into().unwrap()
        });
        Self {
            wt: ways["wt"].as_str().unwrap().to_owned(),
            hashes: hashes.collect(),
            workers: serde_json::from_value(ways["workers"].clone()).unwrap(),
        }
    }

    async fn connect(&self, port: u16, origin: Option<&str>) -> Result<Way, ConnectingError> {
        let url = format!("{}/{port}", self.wt);
        web_transport(&url, origin, &self.hashes, LONGEST).await
    }
}

async fn participant(api: &Api, who: &str) -> Carried {
    let ticket = api.ticket("kitchen", who, Value::Null).await;
    let port = Ticket::parse(&ticket).unwrap().port;
    let way = Ways::read(api).await.connect(port, None).await;
    Carried::new(&ticket, way.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_by_webtransport_and_one_by_udp_hear_each_other() {
    let api = Home::sqlite().serve().await;
    let anna = api.join("kitchen", "anna").await;
    let mut ben = participant(&api, "ben").await;
    converse(&mut ben, &anna).await;
    let leaves = ben.now();
    ben.client.leave(leaves).unwrap();
    ben.until(|ben| ben.client.closed().is_some()).await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leads_to_the_path_of_another_worker() {
    let api = Home::sqlite().serve().await;
    let ways = Ways::read(&api).await;
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let right = Ticket::parse(&ticket).unwrap().port;
    let wrong = ways.workers.iter().find(|port| **port != right).unwrap();
    let mut ben = Carried::new(&ticket, ways.connect(*wrong, None).await.unwrap());
    ben.until(|ben| ben.client.redirected_to().is_some()).await;
    assert_eq!(ben.client.redirected_to(), Some(Redirect::Port(right)));
    ben.go_by(ways.connect(right, None).await.unwrap());
    ben.until(Carried::is_in_session).await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_and_other_paths_are_refused() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.web.origins = vec!["https://app.example".parse().unwrap()];
    let api = Api::start(config).await;
    let ways = Ways::read(&api).await;
    let port = ways.workers[0];
    for origin in [None, Some("https://127.0.0.1"), Some("https://app.example")] {
        assert!(ways.connect(port, origin).await.is_ok(), "{origin:?}");
    }
    for origin in ["https://evil.example", "http://127.0.0.1", "null"] {
        let refused = ways.connect(port, Some(origin)).await.err();
        let is_refused = matches!(refused, Some(ConnectingError::SessionRejected));
        assert!(is_refused, "{origin} {refused:?}");
    }
    let refused = ways.connect(1, None).await.err();
    assert!(matches!(refused, Some(ConnectingError::SessionRejected)));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_go_as_streams_where_datagrams_are_too_short() {
    let api = Home::sqlite().serve().await;
    let ways = Ways::read(&api).await;
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let url = format!("{}/{}", ways.wt, Ticket::parse(&ticket).unwrap().port);
    // All that the client says.
    let way = web_transport(&url, None, &ways.hashes, 0).await.unwrap();
    let mut ben = Carried::new(&ticket, way);
    ben.until(Carried::is_in_session).await;
    // Longer than a packet can be.
    let way = ways.connect(ways.workers[0], None).await.unwrap();
    way.outgoing.send(Message::binary(vec![8; 1_200])).unwrap();
    way.outgoing.send(Message::binary(vec![8; 1_201])).unwrap();
    let (code, reason) = within(way.ended).await.unwrap().unwrap();
    assert_eq!(code, 1, "{reason}");
    assert!(reason.contains("1200"), "{reason}");
    assert!(ben.is_in_session());
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_not_told_is_not_accepted() {
    let api = Home::sqlite().serve().await;
    let mut ways = Ways::read(&api).await;
    assert_eq!(ways.hashes.len(), 2, "the current one and the next");
    let port = ways.workers[0];
    assert!(ways.connect(port, None).await.is_ok());
    ways.hashes.remove(0);
    assert!(ways.connect(port, None).await.is_err(), "only the next");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_api_serves_both_and_is_read_anew() {
    let home = Home::sqlite();
    let mut config = home.config();
    let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    let write = || {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let day = std::time::Duration::from_secs(86_400);
        let now = u64::try_from(Timestamp::now().as_millis()).unwrap();
        let now = std::time::Duration::from_millis(now);
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now - day;
        params.not_after = params.not_before + 10 * day;
        let signed = params.self_signed(&pair).unwrap();
        fs::write(&cert, signed.pem()).unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
        <[u8; 32]>::from(Sha256::digest(signed.der()))
    };
    let first = write();
    config.http.tls = Tls::Files {
        cert: cert.clone(),
        key: key.clone(),
    };
    let mut api = Api::start(config).await;
    let trusting = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    api.http = trusting.build().unwrap();
    let mut ways = Ways::read(&api).await;
    assert!(
        ways.hashes.is_empty(),
        "an authority's certificate has no need of them"
    );
    let port = ways.workers[0];
    // It is this one all the same.
    ways.hashes = vec![first];
    assert!(ways.connect(port, None).await.is_ok());
    let second = write();
    let reloader = api.reloader.clone().unwrap();
    within(reloader.reload(&api.config)).await;
    assert!(ways.connect(port, None).await.is_err());
    ways.hashes = vec![second];
    assert!(ways.connect(port, None).await.is_ok());
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_participant_ends() {
    let api = Home::sqlite().serve().await;
    let ways = Ways::read(&api).await;
    let way = ways.connect(ways.workers[0], None).await.unwrap();
    let ended = within(way.ended).await.unwrap();
    assert_eq!(ended.map(|(code, _)| code), Some(0));
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
    assert!(ben.way_ended().await.is_some());
    api.stop().await;
}
