//! Participants of the tokio adapter whose network lets only HTTPS out.

mod common;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::datagrams::relay;
use common::process::Process;
use common::*;
use parlour_server::config::Tls;
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::{
    AudioOptions, Event, Events, JoinError, JoinOptions, Room, RoomEvent, SampleRate, Transport,
    TransportChoice,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::process::Command;

const RATE: SampleRate = SampleRate::Hz48000;

fn options(web: &str, transport: TransportChoice) -> JoinOptions {
    JoinOptions {
        transport,
        web: Some(web.to_owned()),
        timeout: Duration::from_secs(30),
        ..JoinOptions::default()
    }
}

/// The same ticket for another address.
fn moved(ticket: &str, host: &str, port: u16) -> String {
    let ticket = Ticket::parse(ticket).unwrap();
    Ticket {
        host,
        port,
        ..ticket
    }
    .to_string()
}

/// Waits until the one hears a tone of the other.
async fn hears(listener: &Room, speaker: &Room) {
    let mic = speaker.publish_audio("mic", AudioOptions::opus(RATE)).await;
    let (mut mic, mut mixed) = (mic.unwrap(), listener.mixed_audio(RATE).unwrap());
    let tone: Vec<i16> = (0..960)
        .map(|n| if n / 40 % 2 == 0 { 8_000 } else { -8_000 })
        .collect();
    let (mut pcm, mut loud) = ([0; 960], 0);
    within(async {
        while loud < 25 {
            mixed.next_frame(&mut pcm).await;
            let power: i64 = pcm.iter().map(|s| i64::from(*s).pow(2)).sum();
            loud += usize::from(power / 960 > 1_000_000);
            mic.write(&tone).unwrap();
        }
    })
    .await;
}

async fn joined(events: &mut Events) {
    within(async {
        loop {
            let event = events.next().await.expect("the room is closed");
            if matches!(event, Event::Room(RoomEvent::Joined { .. })) {
                return;
            }
        }
    })
    .await;
}

async fn carried_by(events: &mut Events) -> Transport {
    within(async {
        loop {
            match events.next().await.expect("the room is closed") {
                Event::TransportChanged(transport) => return transport,
                _ => continue,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_by_websocket_and_one_by_udp_hear_each_other() {
    let api = Home::sqlite().serve().await;
    let anna = api.join("kitchen", "anna").await;
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let ben = Room::join_with(&ticket, options(&api.url, TransportChoice::WebSocket));
    let ben = within(ben).await.unwrap();
    hears(&ben, &anna).await;
    hears(&anna, &ben).await;
    within(ben.leave()).await;
    within(async {
        while anna.with_state(|state| state.participants().count()) > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_by_websocket() {
    let api = Home::sqlite().serve().await;
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let right = Ticket::parse(&ticket).unwrap().port;
    let ways = api.get("/.well-known/parlour").await;
    let workers: Vec<u16> = serde_json::from_value(ways["workers"].clone()).unwrap();
    let wrong = workers.into_iter().find(|port| *port != right).unwrap();
    let ticket = moved(&ticket, "127.0.0.1", wrong);
    let ben = Room::join_with(&ticket, options(&api.url, TransportChoice::WebSocket));
    let ben = within(ben).await.unwrap();
    assert!(ben.with_state(|state| state.participants().count()) <= 1);
    api.join("kitchen", "anna").await;
    api.stop().await;
}

/// Swallows what comes by UDP and TCP for a server, until UDP is let through for one participant.
async fn wall(server: SocketAddr) -> (SocketAddr, tokio::sync::watch::Sender<bool>) {
    let address = SocketAddr::from(([127, 0, 0, 2], server.port()));
    let (udp, tcp) = (UdpSocket::bind(address), TcpListener::bind(address));
    let (inside, listener) = (udp.await.unwrap(), tcp.await.unwrap());
    let (open, is_open) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    tokio::spawn(relay(inside, server, move |_| *is_open.borrow()));
    (address, open)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_else_gets_out_the_web_does_until_udp_is_back() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.media.workers = 1;
    let api = Api::start(config).await;
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let port = Ticket::parse(&ticket).unwrap().port;
    let (address, open) = wall(([127, 0, 0, 1], port).into()).await;
    let ticket = moved(&ticket, &address.ip().to_string(), port);
    let ben = Room::join_with(&ticket, options(&api.url, TransportChoice::Auto));
    let ben = within(ben).await.unwrap();
    let mut events = ben.events();
    assert_eq!(carried_by(&mut events).await, Transport::WebSocket);
    let anna = api.join("kitchen", "anna").await;
    hears(&anna, &ben).await;
    open.send(true).unwrap();
    assert_eq!(carried_by(&mut events).await, Transport::Udp);
    hears(&ben, &anna).await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_anew_gets_its_participants_back() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.media.workers = 1;
    // Whatever is free now is free again after the server was killed.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    config.http.listen = free.local_addr().unwrap();
    config.media.listen = loop {
        let media = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(address) = TcpListener::bind(media.local_addr().unwrap()).await {
            break address.local_addr().unwrap();
        }
    };
    config.web.webtransport = None;
    drop(free);
    let server = Process::start(&home, &config).await;
    let api = Api::at(&config, server.made_key.clone().unwrap());
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let ben = Room::join_with(&ticket, options(&api.url, TransportChoice::WebSocket));
    let ben = within(ben).await.unwrap();
    let mut events = ben.events();
    joined(&mut events).await;
    server.kill().await;
    let _server = Process::start(&home, &config).await;
    joined(&mut events).await;
    let anna = api.join("kitchen", "anna").await;
    hears(&anna, &ben).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_learns_why() {
    let api = Home::sqlite().serve().await;
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let join = async |web: Option<&str>, ticket: &str| {
        let options = JoinOptions {
            // Longer than the test may take: it says so at once.
            timeout: Duration::from_secs(600),
            web: web.map(str::to_owned),
            transport: TransportChoice::WebSocket,
            ..JoinOptions::default()
        };
        let joined = within(Room::join_with(ticket, options)).await;
        joined.unwrap_err()
    };
    // A port that no worker has.
    let JoinError::NobodyListens { tried, .. } =
        join(Some(&api.url), &moved(&ticket, "h", 1)).await
    else {
        panic!();
    };
    assert!(
        tried.starts_with(&format!("WebSocket to {}", api.url)),
        "{tried}"
    );
    assert!(tried.contains("that worker"), "{tried}");
    // Nobody is there.
    let error = join(Some("http://127.0.0.1:1"), &ticket).await;
    let JoinError::NobodyListens { tried, .. } = error else {
        panic!("{error}");
    };
    assert!(tried.contains("refused"), "{tried}");
    // An address has no certificate.
    let error = join(None, &ticket).await;
    assert!(matches!(error, JoinError::Options(_)), "{error}");
    let error = join(Some("rooms.example"), &ticket).await;
    assert!(
        error.to_string().contains("https://rooms.example.org"),
        "{error}"
    );
    api.stop().await;
}

/// A proxy for CONNECT that asks for a name and a password, and knows one host: what it was asked.
async fn proxy(host: &'static str, leads_to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((inside, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut inside = BufReader::new(inside);
                let (mut head, mut is_known) = (String::new(), false);
                loop {
                    let mut line = String::new();
                    inside.read_line(&mut line).await.unwrap();
                    // ann:secret
                    is_known |= line.trim() == "Proxy-Authorization: Basic YW5uOnNlY3JldA==";
                    if line.trim().is_empty() {
                        break;
                    }
                    head += &line;
                }
                let first = head.lines().next().unwrap_or_default().to_owned();
                let is_host = first == format!("CONNECT {host}:443 HTTP/1.1");
                seen.lock().unwrap().push(first);
                let answer = match (is_known, is_host) {
                    (false, _) => "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                    (_, false) => "HTTP/1.1 502 Bad Gateway\r\n\r\n",
                    _ => "HTTP/1.1 200 Connection established\r\n\r\n",
                };
                inside.write_all(answer.as_bytes()).await.unwrap();
                if is_known && is_host {
                    let mut outside = TcpStream::connect(leads_to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                }
            });
        }
    });
    (address, asked)
}

/// `parlour join`, which says what it has to say; whether it could, and what it wrote.
async fn say_by(home: &Home, ticket: &str, variables: &[(&str, String)]) -> (bool, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["join", ticket, "--text", "hello", "--for", "1"])
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut says = String::new();
    let mut stderr = process.stderr.take().unwrap();
    within(stderr.read_to_string(&mut says)).await.unwrap();
    (within(process.wait()).await.unwrap().success(), says)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_a_proxy_and_tls_is_verified() {
    const HOST: &str = "rooms.invalid";
    let home = Home::sqlite();
    let path = |name: &str| home.path().join(name);
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([HOST.to_owned()]).unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(path("root.pem"), root.pem()).unwrap();
    std::fs::write(path("cert.pem"), cert.pem()).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    let mut config = home.config();
    config.http.tls = Tls::Files {
        cert: path("cert.pem"),
        key: path("key.pem"),
    };
    let mut api = Api::start(config).await;
    let trusting = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    api.http = trusting.build().unwrap();
    let leads_to = api.url.strip_prefix("https://").unwrap().parse().unwrap();
    let (proxy, asked) = proxy(HOST, leads_to).await;
    let anna = api.join("kitchen", "anna").await;
    let mut messages = anna.messages();
    // The name has no address here, and the web is at port 443 of it.
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let ticket = moved(&ticket, HOST, Ticket::parse(&ticket).unwrap().port);
    let with = |proxy: String, more: &[(&'static str, String)]| {
        let mut variables = vec![
            ("HTTPS_PROXY", proxy),
            ("SSL_CERT_FILE", path("root.pem").display().to_string()),
        ];
        variables.extend_from_slice(more);
        variables
    };
    let (is_in, says) = say_by(
        &home,
        &ticket,
        &with(format!("http://ann:secret@{proxy}"), &[]),
    )
    .await;
    assert!(is_in, "{says}");
    within(messages.next()).await.unwrap();
    assert_eq!(
        asked.lock().unwrap()[0],
        format!("CONNECT {HOST}:443 HTTP/1.1")
    );
    // Without the password; not through the proxy; by a certificate that nobody knows.
    let no_password = with(format!("http://{proxy}"), &[]);
    let (unused, never) = self::proxy(HOST, leads_to).await;
    let excepted = [("NO_PROXY", HOST.to_owned())];
    let no_proxy = with(format!("http://ann:secret@{unused}"), &excepted);
    let mut untrusted = with(format!("http://ann:secret@{proxy}"), &[]);
    untrusted[1].1 = path("cert.pem").display().to_string();
    let (no_password, no_proxy, untrusted) = tokio::join!(
        say_by(&home, &ticket, &no_password),
        say_by(&home, &ticket, &no_proxy),
        say_by(&home, &ticket, &untrusted),
    );
    for ((is_in, says), why) in [
        (no_password, "proxy authorization"),
        (no_proxy, "no address for rooms.invalid"),
        (untrusted, "certificate"),
    ] {
        assert!(!is_in && says.contains(why), "{says} lacks {why}");
    }
    assert!(never.lock().unwrap().is_empty());
    api.stop().await;
}
