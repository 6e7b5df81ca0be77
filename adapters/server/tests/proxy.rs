//! The server behind nginx, with the configuration of `deploy`.

mod common;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::*;
use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

const SITE: &str = include_str!("../deploy/nginx.conf");

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

struct Nginx {
    process: Child,
    https: u16,
    http: u16,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // By TERM, so that its own processes end, too.
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
    }
}

impl Nginx {
    /// The site of `deploy`, at other ports and with a certificate of this test. `None` if nginx is not there, and need not.
    fn start(home: &Home, upstream: &str) -> Option<(Self, String)> {
        let (https, http) = (free_port(), free_port());
        let path = |name: &str| home.path().join(name).display().to_string();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        std::fs::write(path("nginx.pem"), &certificate).unwrap();
        std::fs::write(path("nginx.key"), key.serialize_pem()).unwrap();
        let mut site = SITE.to_owned();
        for (from, to) in [
            ("server 127.0.0.1:7800;", format!("server {upstream};")),
            ("listen 80;", format!("listen 127.0.0.1:{http};")),
            ("listen [::]:80;", String::new()),
            (
                "listen 443 ssl http2;",
                format!("listen 127.0.0.1:{https} ssl http2;"),
            ),
            ("listen [::]:443 ssl http2;", String::new()),
            (
                "/etc/letsencrypt/live/rooms.example.org/fullchain.pem",
                path("nginx.pem"),
            ),
            (
                "/etc/letsencrypt/live/rooms.example.org/privkey.pem",
                path("nginx.key"),
            ),
        ] {
            assert!(site.contains(from), "the site has no {from:?}");
            site = site.replace(from, &to);
        }
        std::fs::write(path("site.conf"), site).unwrap();
        let mut main = format!(
            "daemon off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n",
            path("nginx.pid")
        );
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(main, "{kind}_temp_path {};", path(kind)).unwrap();
        }
        writeln!(main, "include {};\n}}", path("site.conf")).unwrap();
        std::fs::write(path("nginx.conf"), main).unwrap();
        let started = Command::new("nginx")
            .args(["-p", &path(""), "-c", &path("nginx.conf")])
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(process) => Some((
                Self {
                    process,
                    https,
                    http,
                },
                certificate,
            )),
            Err(error) if std::env::var_os("PARLOUR_REQUIRE_OPERATIONS").is_some() => {
                panic!("nginx: {error}")
            }
            Err(error) => {
                eprintln!("SKIPPED: nginx: {error}");
                None
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_the_api_streams_at_once_and_knows_its_clients() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    config.http.limits.refreshes_per_min = 5.try_into().unwrap();
    let mut api = Api::start(config).await;
    let Some((nginx, certificate)) = Nginx::start(&home, api.url.trim_start_matches("http://"))
    else {
        return;
    };
    let root = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .redirect(reqwest::redirect::Policy::none());
    api.http = client.build().unwrap();
    api.url = format!("https://127.0.0.1:{}", nginx.https);
    within(async {
        while api
            .http
            .get(format!("{}/healthz", api.url))
            .send()
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let response = api.send(Method::GET, "/v1/server", None).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains_key("strict-transport-security"));

    // Each event comes while the stream stays open: nothing is kept back until a buffer is full.
    let stream = api
        .send(Method::GET, "/v1/events/stream?type=room.created", None)
        .await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut stream = stream.bytes_stream();
    for name in ["one", "two"] {
        api.call(Method::PUT, &format!("/v1/rooms/{name}"), json!({}))
            .await;
        let mut seen = String::new();
        while !seen.contains(&format!("\"room\":\"{name}\"")) {
            let chunk = within(stream.next()).await.unwrap().unwrap();
            seen += &String::from_utf8_lossy(&chunk);
        }
    }
    let room = Value::String("x".repeat(1 << 20));
    assert_eq!(
        api.send(Method::POST, "/v1/rooms", Some(&json!({"title": room})))
            .await
            .status(),
        413
    );

    // nginx appends the client's address, which here is that of a trusted proxy: the one before it counts then. Without the
    // header it is the client's own.
    let refresh = async |forwarded: &str| {
        let request = api.http.post(format!("{}/v1/tokens/refresh", api.url));
        let request = request
            .header("content-type", "application/json")
            .header("x-forwarded-for", forwarded)
            .body("{\"refresh_token\": \"prt_x\"}");
        within(request.send()).await.unwrap().status().as_u16()
    };
    for _ in 0..5 {
        assert_eq!(refresh("198.51.100.1").await, 401);
    }
    assert_eq!(refresh("198.51.100.1").await, 429);
    assert_eq!(refresh("198.51.100.2").await, 401);

    let plain = within(
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap()
            .get(format!("http://127.0.0.1:{}/v1/server", nginx.http))
            .send(),
    )
    .await
    .unwrap();
    assert_eq!(plain.status(), 301);
    drop(nginx);
    api.stop().await;
}
