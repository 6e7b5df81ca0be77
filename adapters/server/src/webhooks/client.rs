//! One try: sends a signed request to a receiver, and reads the beginning of its answer.
//!
//! The resolver of the HTTP client lets only addresses through that [`Rules`] allow, and the client connects to exactly those:
//! a name that resolves to another address the next time leads nowhere. It follows no redirects and knows no proxy.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Response, StatusCode, redirect};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::sign::{self, Secret};
use super::target::{Rules, TargetError};
use crate::store::Answer;
use crate::time::Timestamp;

/// Bytes of an answer that are kept, and that are read so that its connection can be used again.
const KEPT: usize = 1 << 10;
const READ: usize = 1 << 16;
/// How long a connection waits for the next request.
const IDLE: Duration = Duration::from_secs(30);

const USER_AGENT: &str = concat!("parlour/", env!("CARGO_PKG_VERSION"));

/// Who is sent events, and how they are signed.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    pub(super) url: String,
    pub(super) failover_url: Option<String>,
    pub(super) timeout: Duration,
    pub(super) secret: Secret,
    /// The secret before the last rotation, and until when it signs, too.
    pub(super) former: Option<(Secret, Timestamp)>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: Vec<u8>,
}

/// What a receiver has done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    Refused,
    /// It wants no messages any more.
    Gone,
}

#[derive(Debug, Error)]
enum SendError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(
        "this machine has no certificates to verify others by: {0}; install ca-certificates, or set SSL_CERT_FILE"
    )]
    NoClient(String),
    #[error("no answer within {0} s")]
    Late(u64),
    #[error("{0}")]
    Http(String),
    #[error("it answered {0}, and redirects are not followed: set the webhook to where it leads")]
    Redirect(u16),
    #[error("it answered {0}")]
    Status(u16),
}

impl From<reqwest::Error> for SendError {
    /// The innermost error says what happened; those around it repeat the URL, which may hold a secret.
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            text = inner.to_string();
            source = inner.source();
        }
        Self::Http(text)
    }
}

/// Sends messages. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: Result<reqwest::Client, String>,
    rules: Rules,
}

impl Client {
    pub(super) fn new(rules: Rules) -> Self {
        Self::with(rules, Arc::new(System), Vec::new())
    }

    /// One that asks `resolver`, and believes `roots`, too.
    pub(super) fn with(
        rules: Rules,
        resolver: Arc<dyn Resolve>,
        roots: Vec<reqwest::Certificate>,
    ) -> Self {
        // Another part of the process may have chosen one before; that does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Guard { rules, resolver }))
            .pool_idle_timeout(IDLE)
            .tls_certs_merge(roots)
            .build();
        let http = http.map_err(|error| {
            tracing::error!(%error, "webhooks cannot be sent");
            SendError::from(error).to_string()
        });
        Self { http, rules }
    }

    pub(super) fn rules(&self) -> Rules {
        self.rules
    }

    /// Tries once, at the receiver's `url` and, if that fails, at its `failover_url`. Gives the last answer.
    pub(super) async fn send(&self, to: &Receiver, message: &Message) -> (Verdict, Answer) {
        let (verdict, answer) = self.send_to(&to.url, to, message).await;
        let Some(failover) = to
            .failover_url
            .as_ref()
            .filter(|_| verdict == Verdict::Refused)
        else {
            return (verdict, answer);
        };
        let (verdict, answer) = self.send_to(failover, to, message).await;
        // That there is no other place says nothing about the first.
        let verdict = if verdict == Verdict::Gone {
            Verdict::Refused
        } else {
            verdict
        };
        (
            verdict,
            Answer {
                is_failover: true,
                ..answer
            },
        )
    }

    async fn send_to(&self, url: &str, to: &Receiver, message: &Message) -> (Verdict, Answer) {
        let began = Instant::now();
        let mut answer = Answer::default();
        let sent = self
            .exchange(url, to, message, began + to.timeout, &mut answer)
            .await;
        let verdict = match &sent {
            Ok(()) => Verdict::Taken,
            Err(SendError::Status(410)) => Verdict::Gone,
            Err(_) => Verdict::Refused,
        };
        answer.error = sent.err().map(|error| error.to_string());
        answer.duration_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        (verdict, answer)
    }

    async fn exchange(
        &self,
        url: &str,
        to: &Receiver,
        message: &Message,
        deadline: Instant,
        answer: &mut Answer,
    ) -> Result<(), SendError> {
        // An address in the URL is not resolved, and the rules may be others than when it was set.
        let url = self.rules.check(url)?;
        let late = |_| SendError::Late(to.timeout.as_secs());
        let response = timeout_at(deadline, self.request(url, to, message)?.send());
        let response = response.await.map_err(late)??;
        let status = response.status();
        answer.status = Some(status.as_u16());
        // The status is the answer: whatever becomes of the rest, it was given.
        answer.body = beginning(response, deadline).await;
        check(status)
    }

    fn request(
        &self,
        url: Url,
        to: &Receiver,
        message: &Message,
    ) -> Result<reqwest::RequestBuilder, SendError> {
        let http = self
            .http
            .as_ref()
            .map_err(|error| SendError::NoClient(error.clone()))?;
        let now = Timestamp::now();
        let former = to.former.iter().filter(|(_, until)| now < *until);
        let secrets = std::iter::once(&to.secret).chain(former.map(|(secret, _)| secret));
        let signatures = secrets.map(|secret| sign::sign(secret, &message.id, now, &message.body));
        let signatures: Vec<_> = signatures.collect();
        Ok(http
            .post(url)
            .header("content-type", "application/json")
            .header(sign::ID, &message.id)
            .header(sign::TIMESTAMP, now.as_secs())
            .header(sign::SIGNATURE, signatures.join(" "))
            .body(message.body.clone()))
    }
}

fn check(status: StatusCode) -> Result<(), SendError> {
    if status.is_success() {
        Ok(())
    } else if status.is_redirection() {
        Err(SendError::Redirect(status.as_u16()))
    } else {
        Err(SendError::Status(status.as_u16()))
    }
}

/// The beginning of an answer's body, as text that any database takes.
async fn beginning(mut response: Response, deadline: Instant) -> String {
    let (mut kept, mut read) = (Vec::new(), 0);
    while read < READ
        && let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await
    {
        read += chunk.len();
        kept.extend(chunk.iter().take(KEPT - kept.len()));
    }
    String::from_utf8_lossy(&kept).replace('\0', "\u{fffd}")
}

/// Resolves names as this machine does.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is that of the URL.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// Lets only those addresses through that the rules allow.
struct Guard {
    rules: Rules,
    resolver: Arc<dyn Resolve>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, host) = (self.rules, name.as_str().to_owned());
        let found = self.resolver.resolve(name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.collect();
            let mut allowed = found.clone();
            allowed.retain(|address| rules.allows(address.ip()));
            match found.first() {
                Some(address) if allowed.is_empty() => {
                    let private = format!("{}, where {host} leads,", address.ip());
                    Err(TargetError::Private(private).into())
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Mutex;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const STRICT: Rules = Rules {
        allow_private: false,
    };
    const LAX: Rules = Rules {
        allow_private: true,
    };

    /// Answers each time with the next of these, whatever the name, and then with the last.
    struct Rebinding(Mutex<Vec<Vec<IpAddr>>>);

    impl Rebinding {
        fn new(answers: &[&[&str]]) -> Arc<Self> {
            let parse = |all: &&[&str]| all.iter().map(|one| one.parse().unwrap()).collect();
            Arc::new(Self(Mutex::new(answers.iter().rev().map(parse).collect())))
        }
    }

    impl Resolve for Rebinding {
        fn resolve(&self, _: Name) -> Resolving {
            let mut answers = self.0.lock().unwrap();
            let last = answers.last().cloned().unwrap();
            if answers.len() > 1 {
                answers.pop();
            }
            let found = last.into_iter().map(|ip| SocketAddr::from((ip, 0)));
            Box::pin(async move { Ok(Box::new(found) as Addrs) })
        }
    }

    fn to(url: String) -> Receiver {
        Receiver {
            url,
            failover_url: None,
            timeout: Duration::from_secs(10),
            secret: Secret::generate(),
            former: None,
        }
    }

    fn message() -> Message {
        Message {
            id: "evt_1".to_owned(),
            body: b"{}".to_vec(),
        }
    }

    #[tokio::test]
    async fn a_name_that_turns_to_a_private_address_leads_nowhere() {
        let resolver =
            Rebinding::new(&[&["93.184.215.14", "10.0.0.1"], &["127.0.0.1", "::1"], &[]]);
        let guard = Guard {
            rules: STRICT,
            resolver,
        };
        let resolve = || guard.resolve("rebind.example".parse().unwrap());
        let public: Vec<_> = resolve().await.unwrap().collect();
        assert_eq!(public, ["93.184.215.14:0".parse().unwrap()]);
        let refused = resolve().await.map(drop).unwrap_err().to_string();
        assert!(
            refused.starts_with("127.0.0.1, where rebind.example leads, is not a public"),
            "{refused}"
        );
        assert_eq!(resolve().await.unwrap().count(), 0);
    }

    #[tokio::test]
    async fn nobody_at_home_hears_of_a_webhook_to_the_internet() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = Client::with(STRICT, Rebinding::new(&[&["127.0.0.1"]]), Vec::new());
        for (host, says) in [
            (
                "rebind.example",
                "127.0.0.1, where rebind.example leads, is not a public address",
            ),
            // As it may stand in the tables from a time when that was allowed.
            ("127.0.0.1", "127.0.0.1 is not a public address"),
            ("2130706433", "write the address as 127.0.0.1"),
        ] {
            let (verdict, answer) = client
                .send(&to(format!("https://{host}:{port}/")), &message())
                .await;
            assert_eq!(verdict, Verdict::Refused);
            assert!(
                answer.error.as_ref().unwrap().starts_with(says),
                "{answer:?}"
            );
        }
        let heard = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        assert!(heard.is_err(), "somebody connected");
    }

    /// A server with a certificate for `hooks.example`, and the root of that.
    async fn over_tls() -> (u16, reqwest::Certificate) {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["hooks.example".to_owned()]).unwrap();
        let own = own.signed_by(&key, &root).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 4_096]).await;
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n")
                        .await;
                }
            }
        });
        (port, reqwest::Certificate::from_der(root.der()).unwrap())
    }

    #[tokio::test]
    async fn a_receiver_shows_a_certificate_for_its_name() {
        let (port, root) = over_tls().await;
        let resolver = Rebinding::new(&[&["127.0.0.1"]]);
        let trusting = Client::with(LAX, Arc::clone(&resolver) as _, vec![root]);
        let (verdict, answer) = trusting
            .send(&to(format!("https://hooks.example:{port}/")), &message())
            .await;
        assert_eq!(
            (verdict, answer.status, answer.error),
            (Verdict::Taken, Some(200), None)
        );
        let (verdict, answer) = trusting
            .send(&to(format!("https://other.example:{port}/")), &message())
            .await;
        assert_eq!((verdict, answer.status), (Verdict::Refused, None));
        assert!(
            answer.error.as_ref().unwrap().contains("certificate"),
            "{answer:?}"
        );
        let stranger = Client::with(LAX, resolver, Vec::new());
        let (verdict, answer) = stranger
            .send(&to(format!("https://hooks.example:{port}/")), &message())
            .await;
        assert_eq!(verdict, Verdict::Refused);
        assert!(
            answer.error.as_ref().unwrap().contains("certificate"),
            "{answer:?}"
        );
    }
}
