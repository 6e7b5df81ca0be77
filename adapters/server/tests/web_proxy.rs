//! WebSockets behind nginx, with the location that `deploy/nginx.conf` has for them.

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::carried::{Carried, converse, web_socket};
use common::*;
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::{JoinOptions, Room, TransportChoice};
use serde_json::Value;
use tokio::net::TcpStream;

/// nginx, which ends with this.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The block of the site that is for participants.
fn location() -> String {
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx.conf");
    let site = std::fs::read_to_string(site).unwrap();
    let (_, rest) = site.split_once("location /parlour/ {").unwrap();
    let (block, _) = rest.split_once("\n    }").unwrap();
    format!("location /parlour/ {{{block}\n}}")
}

/// Starts nginx before the API; `None` if it is not installed. Where `PARLOUR_REQUIRE_OPERATIONS` is set it has to be.
async fn nginx(folder: &Path, api: &Api) -> Option<(Nginx, String)> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let upstream = api.url.strip_prefix("http://").unwrap();
    let at = folder.display();
    let location = location();
    let config = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/error.log;\n\
         events {{}}\n\
         http {{\n\
           access_log off;\n\
           client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
           uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
           upstream parlour {{ server {upstream}; }}\n\
           server {{ listen {address}; proxy_http_version 1.1; {location} location / {{ proxy_pass http://parlour; }} }}\n\
         }}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let started = Command::new("nginx")
        .arg("-e")
        .arg(folder.join("error.log"))
        .arg("-c")
        .arg(&file)
        .stderr(Stdio::inherit())
        .spawn();
    let nginx = match started {
        Ok(child) => Nginx(child),
        Err(error) if std::env::var_os("PARLOUR_REQUIRE_OPERATIONS").is_some() => {
            panic!("nginx: {error}")
        }
        Err(error) => {
            eprintln!("SKIPPED: nginx: {error}");
            return None;
        }
    };
    within(async {
        while TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    Some((nginx, format!("127.0.0.1:{}", address.port())))
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_pass_nginx() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    config.web.origins = Vec::new();
    let api = Api::start(config).await;
    let Some((_nginx, proxy)) = nginx(home.path(), &api).await else {
        return;
    };
    let anna = api.join("kitchen", "anna").await;
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let port = Ticket::parse(&ticket).unwrap().port;
    let url = format!("ws://{proxy}/parlour/{port}");
    // The page is from where the proxy is, and from nowhere else.
    let origin = format!("http://{proxy}");
    let way = web_socket(&url, &[("origin", &origin)]).await.unwrap();
    let refused = web_socket(&url, &[("origin", &api.url)]).await;
    assert_eq!(refused.err().unwrap().0, 403);
    let mut ben = Carried::new(&ticket, way);
    converse(&mut ben, &anna).await;
    // Another one, by the library.
    let ticket = api.ticket("kitchen", "carol", Value::Null).await;
    let options = JoinOptions {
        web: Some(origin),
        transport: TransportChoice::WebSocket,
        ..JoinOptions::default()
    };
    let _carol = within(Room::join_with(&ticket, options)).await.unwrap();
    ben.until(|ben| ben.client.state().participants().count() == 3)
        .await;
    api.stop().await;
}
