//! A receiver of webhooks that does as it is told, also what no HTTP library would do.

use std::sync::Arc;

use parlour_server::time::Timestamp;
use parlour_server::webhooks::sign::{Headers, Secret, verify};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::within;

/// A request that came.
#[derive(Debug, Clone, Default)]
pub struct Got {
    pub path: String,
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub body: Vec<u8>,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    pub fn room(&self) -> String {
        self.json()["data"]["room"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub fn seq(&self) -> i64 {
        self.json()["data"]["seq"].as_i64().unwrap()
    }

    pub fn is_signed_by(&self, secret: &str) -> bool {
        let headers = Headers {
            id: &self.id,
            timestamp: &self.timestamp,
            signature: &self.signature,
        };
        let secret: Secret = secret.parse().unwrap();
        verify(&secret, &headers, &self.body, Timestamp::now()).is_ok()
    }
}

/// What a receiver answers.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    Text(u16, String),
    Redirect(String),
    /// Nothing, ever.
    Hang,
    /// Closes the connection without a word.
    Close,
    /// A status, and less of a body than it says.
    Lie(u16),
    /// What is no HTTP.
    Nonsense,
}

pub struct Receiver {
    pub url: String,
    requests: mpsc::UnboundedReceiver<Got>,
    serving: JoinHandle<()>,
}

impl Receiver {
    pub async fn start(reply: impl Fn(&Got) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (tell, requests) = mpsc::unbounded_channel();
        let reply = Arc::new(reply);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, tell.clone(), Arc::clone(&reply)));
            }
        });
        Self {
            url,
            requests,
            serving,
        }
    }

    /// The next request.
    pub async fn next(&mut self) -> Got {
        within(self.requests.recv()).await.unwrap()
    }

    /// Requests until those about an event.
    pub async fn until(&mut self, mut is_it: impl FnMut(&Got) -> bool) -> Got {
        loop {
            let got = self.next().await;
            if is_it(&got) {
                return got;
            }
        }
    }

    /// A request that has come already.
    pub fn already(&mut self) -> Option<Got> {
        self.requests.try_recv().ok()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    stream: TcpStream,
    tell: mpsc::UnboundedSender<Got>,
    reply: Arc<impl Fn(&Got) -> Reply>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(got) = read(&mut stream).await {
        let answer = reply(&got);
        let _ = tell.send(got);
        let (text, is_last) = match answer {
            Reply::Status(status) => (response(status, "", "ok"), false),
            Reply::Text(status, body) => (response(status, "", &body), false),
            Reply::Redirect(to) => (response(302, &format!("location: {to}\r\n"), ""), false),
            Reply::Hang => return std::future::pending().await,
            Reply::Close => return,
            Reply::Lie(status) => (
                format!("HTTP/1.1 {status} x\r\ncontent-length: 1000000\r\n\r\nshort"),
                true,
            ),
            Reply::Nonsense => ("220 smtp.example.org ESMTP\r\n".to_owned(), true),
        };
        if stream.write_all(text.as_bytes()).await.is_err() || is_last {
            return;
        }
    }
}

fn response(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Got> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut got = Got {
        path: line.split(' ').nth(1)?.to_owned(),
        ..Got::default()
    };
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_lowercase().as_str() {
            "webhook-id" => got.id = value.to_owned(),
            "webhook-timestamp" => got.timestamp = value.to_owned(),
            "webhook-signature" => got.signature = value.to_owned(),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    got.body = vec![0; length];
    stream.read_exact(&mut got.body).await.ok()?;
    Some(got)
}
