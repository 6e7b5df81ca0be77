//! Against [Pebble](https://github.com/letsencrypt/pebble), Let's Encrypt's authority for tests. It is not there everywhere:
//! with `PARLOUR_REQUIRE_OPERATIONS` that is a failure, else the tests pass without it.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum_server::Handle;
use rcgen::CertificateParams;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// An authority that checks names at `tls_port`, and whose certificates are valid for so many seconds.
struct Pebble {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Pebble {
    async fn start(tls_port: u16, validity_s: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("ca.pem"), certificate.pem()).unwrap();
        fs::write(path("ca.key"), key.serialize_pem()).unwrap();
        let port = free_port();
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{}", free_port()),
            "certificate": path("ca.pem"),
            "privateKey": path("ca.key"),
            "httpPort": free_port(),
            "tlsPort": tls_port,
            "certificateValidityPeriod": validity_s,
        }});
        fs::write(path("config.json"), config.to_string()).unwrap();
        let process = Command::new("pebble")
            .args(["-config", &path("config.json")])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) if std::env::var_os("PARLOUR_REQUIRE_OPERATIONS").is_none() => {
                eprintln!("SKIPPED: pebble: {error}");
                return None;
            }
            Err(error) => panic!("pebble: {error}"),
        };
        let this = Self {
            process,
            folder,
            port,
        };
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        Some(this)
    }

    fn config(&self) -> Acme {
        Acme {
            domains: vec!["localhost".to_owned()],
            email: "admin@example.org".to_owned(),
            directory: Some(format!("https://localhost:{}/dir", self.port)),
            directory_ca: Some(self.folder.path().join("ca.pem")),
            cache: self.folder.path().join("cache"),
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A listener as that of the API, with the certificates that `config` says.
fn listen(config: &Acme) -> (Certificates, SocketAddr) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificates = Certificates::default();
    load(config, &certificates).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = super::super::serve(
        listener,
        Router::new(),
        Some(certificates.clone()),
        Duration::from_secs(10),
        Handle::new(),
    );
    tokio::spawn(serving);
    (certificates, address)
}

/// The certificate that a listener shows, whoever has signed it.
async fn shown(address: SocketAddr) -> Option<CertificateDer<'static>> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let seen = std::sync::Arc::new(Seen::default());
    config
        .dangerous()
        .set_certificate_verifier(std::sync::Arc::clone(&seen) as _);
    let connector = TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let _ = connector
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await;
    seen.0.lock().unwrap().take()
}

/// Remembers a certificate and goes no further.
#[derive(Debug, Default)]
struct Seen(std::sync::Mutex<Option<CertificateDer<'static>>>);

impl rustls::client::danger::ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = Some(certificate.clone().into_owned());
        Err(rustls::Error::General("seen".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("not reached".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("not reached".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = rustls::crypto::ring::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Waits until the listener shows another certificate.
async fn next(
    address: SocketAddr,
    before: Option<&CertificateDer<'static>>,
) -> CertificateDer<'static> {
    let changed = async {
        loop {
            match shown(address).await {
                Some(certificate) if Some(&certificate) != before => return certificate,
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(Duration::from_secs(60), changed)
        .await
        .expect("a certificate in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_got_shown_kept_and_renewed() {
    let _ = tracing_subscriber::fmt().with_test_writer().try_init();
    // The listener is there before the authority, which has to know its port.
    let placeholder = tempfile::tempdir().unwrap();
    let early = Acme {
        domains: vec!["localhost".to_owned()],
        email: String::new(),
        directory: None,
        directory_ca: None,
        cache: placeholder.path().to_owned(),
    };
    let (certificates, address) = listen(&early);
    // It is renewed after four of six seconds.
    let Some(pebble) = Pebble::start(address.port(), 6).await else {
        return;
    };
    let config = pebble.config();
    fs::create_dir_all(&config.cache).unwrap();
    assert_eq!(shown(address).await, None, "nothing to show yet");
    let renewing = {
        let (config, certificates) = (config.clone(), certificates.clone());
        tokio::spawn(async move { renew(&config, &certificates).await })
    };
    let first = next(address, None).await;
    assert_eq!(certificates.current().unwrap().domains, ["localhost"]);
    let second = next(address, Some(&first)).await;
    assert_ne!(first, second);
    renewing.abort();
    let _ = renewing.await;
    // A restart shows what was kept, with the same account.
    let account = fs::read_to_string(config.cache.join(ACCOUNT)).unwrap();
    let kept = certificates.current().unwrap();
    let (certificates, address) = listen(&config);
    assert_eq!(certificates.expires_at(), Some(kept.expires_at));
    assert!(shown(address).await.is_some());
    let other = Acme {
        domains: vec!["other.example".to_owned()],
        ..config.clone()
    };
    assert!(
        listen(&other).0.expires_at().is_none(),
        "it is for other domains"
    );
    self::super::account(&config).await.unwrap();
    assert_eq!(
        fs::read_to_string(config.cache.join(ACCOUNT)).unwrap(),
        account
    );
    #[cfg(unix)]
    for file in [CERTIFICATE, ACCOUNT] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(config.cache.join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_domain_and_the_port() {
    // Nobody listens where the authority looks.
    let Some(pebble) = Pebble::start(free_port(), 3_600).await else {
        return;
    };
    let config = pebble.config();
    let (certificates, _) = listen(&config);
    let error = order(&config, &certificates).await.unwrap_err().to_string();
    for part in ["localhost", "port 443", "connect"] {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn another_certificate_is_due_after_two_thirds_of_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.pem");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 3, 2);
    let certificate = params.self_signed(&key).unwrap();
    fs::write(&path, key.serialize_pem() + &certificate.pem()).unwrap();
    let certificate = read(&path, &path).unwrap();
    assert_eq!(due(&certificate).to_string(), "2026-02-10T00:00:00.000Z");
}
