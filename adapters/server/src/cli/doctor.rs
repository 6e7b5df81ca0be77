//! `parlour doctor`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use parlour_server::config::{Config, Http, Tls};
use parlour_server::disk::{Space, space};
use parlour_server::ffmpeg;
use parlour_server::recordings::try_store;
use parlour_server::store::Place;
use parlour_server::time::Timestamp;
use parlour_tokio::load_or_create_key;
use parlour_tokio::token::LEEWAY;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::time::timeout;

use super::block_on;
use super::client::Client;
use super::config::{DEV_FOLDER, Which};
use super::context::Connection;
use super::failure::{Exit, Failure};
use super::output::{Output, View};

/// What a socket of a worker asks the operating system for, in bytes.
const BUFFER: u64 = 4 << 20;

/// How long another program may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Less free space than this, or than this part of the disk, is soon none.
const FREE: u64 = 1 << 30;
const FREE_PERCENT: u64 = 5;

/// Looks for what keeps a server from working well on this machine.
///
/// Each line says `ok`, `warning` or `failed`, and what to do. The command fails if a line says `failed`. It changes nothing, and
/// may be run beside the server. The clock is compared with that of the server that other commands would speak to, if there is one.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  parlour doctor --config parlour.toml")]
pub(crate) struct Doctor {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    connection: Connection,
}

/// What a look has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

#[derive(Debug, PartialEq, Eq)]
struct Finding {
    of: &'static str,
    verdict: Verdict,
    detail: String,
}

impl Finding {
    fn new(of: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self {
            of,
            verdict,
            detail: detail.into(),
        }
    }

    fn as_json(&self) -> Value {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        };
        json!({"check": self.of, "result": verdict, "detail": self.detail})
    }
}

impl Doctor {
    /// Prints a line for each thing it looks at.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let findings = block_on(async { Ok(self.look().await) })?;
        let view = View {
            id: "check",
            columns: &["check", "result", "detail"],
        };
        let lines: Vec<_> = findings.iter().map(Finding::as_json).collect();
        output.entries(&view, &lines)?;
        let failed = findings.iter().filter(|one| one.verdict == Verdict::Failed);
        match failed.count() {
            0 => Ok(()),
            1 => Err(Failure::new(Exit::Failed, "a check failed")),
            failed => Err(Failure::new(
                Exit::Failed,
                format!("{failed} checks failed"),
            )),
        }
    }

    async fn look(&self) -> Vec<Finding> {
        let config = match self.which.load() {
            Ok(config) => config,
            Err(failure) => {
                let detail = failure.problem().detail.clone();
                return vec![Finding::new("configuration", Verdict::Failed, detail)];
            }
        };
        let from = match (&self.which.config, self.which.dev) {
            (Some(path), _) => path.display().to_string(),
            (None, true) => format!("that of `serve --dev`, in {DEV_FOLDER}"),
            (None, false) => "the defaults, for no file is given".to_owned(),
        };
        let is_running = is_parlour(&config.http).await;
        let mut findings = vec![
            Finding::new("configuration", Verdict::Ok, from),
            http_port(config.http.listen, is_running),
            media_ports(&config, is_running),
            browsers(&config, is_running),
        ];
        findings.extend(socket_buffers());
        findings.extend(self.clock().await);
        findings.push(key_file(&config));
        findings.push(store(&config.place()).await);
        if let Place::Sqlite(path) = config.place() {
            let folder = folder_of(&path);
            findings.extend(space(folder).map(|space| room_on_disk(folder, space)));
        }
        findings.push(recordings(&config).await);
        findings.push(composer(&config.compositions.ffmpeg).await);
        findings
    }

    async fn clock(&self) -> Option<Finding> {
        let client = self.connection.client().ok()?;
        let here = Timestamp::now();
        let there = client.clock().await?;
        Some(clocks(here, there))
    }
}

/// The time here, and there as a header has it: without fractions of a second.
fn clocks(here: Timestamp, there: Timestamp) -> Finding {
    let apart = here.since(there).max(there.since(here)).as_secs();
    let says = format!("this machine and the server are {apart} s apart");
    let verdict = match apart {
        0..=2 => return Finding::new("clock", Verdict::Ok, "as the server's"),
        _ if apart < LEEWAY => Verdict::Warning,
        _ => Verdict::Failed,
    };
    Finding::new(
        "clock",
        verdict,
        format!("{says}: tokens signed here may not be valid there; let NTP set both clocks"),
    )
}

/// Whether a server of ours listens for HTTP there.
async fn is_parlour(http: &Http) -> bool {
    let mut address = http.listen;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let scheme = match http.tls {
        Tls::Off => "http",
        Tls::Files { .. } | Tls::Acme(_) => "https",
    };
    match Client::unverified(&format!("{scheme}://{address}"), PATIENCE) {
        Ok(client) => client.lives().await,
        Err(_) => false,
    }
}

fn http_port(address: SocketAddr, is_running: bool) -> Finding {
    let of = "HTTP port";
    match TcpListener::bind(address) {
        Ok(_) => Finding::new(of, Verdict::Ok, format!("{address} is free")),
        Err(_) if is_running => Finding::new(
            of,
            Verdict::Ok,
            format!("a Parlour server runs at {address}"),
        ),
        Err(error) => Finding::new(of, Verdict::Failed, cannot_listen(address, &error)),
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "end the program that uses it, or choose another port",
        io::ErrorKind::PermissionDenied => {
            "choose a port from 1024 on, or give the process CAP_NET_BIND_SERVICE"
        }
        _ => "choose an address of this machine",
    };
    format!("{address}: {error}; {remedy}")
}

fn media_ports(config: &Config, is_running: bool) -> Finding {
    let of = "media ports";
    let first = config.media.listen;
    let workers = match config.media.workers {
        0 => std::thread::available_parallelism().map_or(1, Into::into),
        workers => workers,
    };
    // Port 0 has the operating system choose.
    let last = usize::from(first.port()) + workers - 1;
    let Ok(last) = u16::try_from(if first.port() == 0 { 0 } else { last }) else {
        let detail = format!(
            "{workers} workers need as many ports from {} on: choose a lower one",
            first.port()
        );
        return Finding::new(of, Verdict::Failed, detail);
    };
    for port in first.port()..=last {
        let address = SocketAddr::new(first.ip(), port);
        let bound = UdpSocket::bind(address).and_then(|_| TcpListener::bind(address));
        match bound {
            Ok(_) => {}
            Err(_) if is_running => {
                return Finding::new(of, Verdict::Ok, "the server that runs has them");
            }
            Err(error) => return Finding::new(of, Verdict::Failed, cannot_listen(address, &error)),
        }
    }
    let detail = format!(
        "{} to {last} are free at {}, UDP and TCP",
        first.port(),
        first.ip()
    );
    Finding::new(of, Verdict::Ok, detail)
}

/// How participants in browsers can come.
fn browsers(config: &Config, is_running: bool) -> Finding {
    let of = "browsers";
    let http = &config.http;
    let is_plain = http.tls == Tls::Off && http.trusted_proxies.is_empty();
    if is_plain && !http.listen.ip().is_loopback() {
        let detail = "no page gets a microphone from plain HTTP, but on this machine: set `http.tls`, or put a proxy with TLS before \
                      the API and name it in `http.trusted_proxies`";
        return Finding::new(of, Verdict::Warning, detail);
    }
    let Some(webtransport) = &config.web.webtransport else {
        let detail = "by WebSocket; with `web.webtransport` also by UDP, which sounds better where packets are lost";
        return Finding::new(of, Verdict::Ok, detail);
    };
    if !cfg!(feature = "webtransport") {
        let detail = "`web.webtransport` is set, but this program was built without the feature `webtransport`";
        return Finding::new(of, Verdict::Failed, detail);
    }
    let address = webtransport.listen.unwrap_or(http.listen);
    match UdpSocket::bind(address) {
        Err(error) if !is_running => {
            Finding::new(of, Verdict::Failed, cannot_listen(address, &error))
        }
        _ if address.ip().is_loopback() && !http.trusted_proxies.is_empty() => {
            let detail = format!(
                "WebTransport is at {address}, which other machines cannot reach, and proxies pass no UDP on: \
                 set `web.webtransport.listen` to an address of this machine's network, and `web.webtransport.url`"
            );
            Finding::new(of, Verdict::Warning, detail)
        }
        _ => {
            let detail = format!(
                "by WebSocket, and by WebTransport at {address}, UDP: firewalls have to let it through"
            );
            Finding::new(of, Verdict::Ok, detail)
        }
    }
}

/// What the operating system grants sockets; `None` where it does not say.
fn socket_buffers() -> Option<Finding> {
    let granted = |name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/sys/net/core/{name}"));
        text.ok()?.trim().parse().ok()
    };
    Some(buffers(granted("rmem_max")?, granted("wmem_max")?))
}

fn buffers(receive: u64, send: u64) -> Finding {
    let of = "socket buffers";
    if receive.min(send) >= BUFFER {
        let detail = format!("net.core.rmem_max is {receive}, net.core.wmem_max {send}");
        return Finding::new(of, Verdict::Ok, detail);
    }
    let detail = format!(
        "net.core.rmem_max is {receive}, net.core.wmem_max {send}: packets are lost when many speak at once; \
         run `sysctl -w net.core.rmem_max={BUFFER} net.core.wmem_max={BUFFER}`, and put both into /etc/sysctl.d"
    );
    Finding::new(of, Verdict::Warning, detail)
}

fn key_file(config: &Config) -> Finding {
    let of = "key file";
    let path = &config.media.key_file;
    if path.exists() {
        return match load_or_create_key(path) {
            Ok(_) => Finding::new(
                of,
                Verdict::Ok,
                format!(
                    "{} holds a key that only its owner can read",
                    path.display()
                ),
            ),
            Err(error) => Finding::new(of, Verdict::Failed, error.to_string()),
        };
    }
    match config.place() {
        Place::Sqlite(database) if database.exists() => {
            let detail = format!(
                "{} is missing, but there is a database: restore it from a backup",
                path.display()
            );
            Finding::new(of, Verdict::Failed, detail)
        }
        _ => match writable(folder_of(path)) {
            Ok(()) => Finding::new(
                of,
                Verdict::Ok,
                format!("{} is made at the first start", path.display()),
            ),
            Err(detail) => Finding::new(of, Verdict::Failed, detail),
        },
    }
}

/// The folder of a file, which may be yet to be made for `serve --dev`.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent == Path::new("") => Path::new("."),
        Some(parent) if parent == Path::new(DEV_FOLDER) && !parent.exists() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("."),
    }
}

/// Whether files can be made in a folder.
fn writable(folder: &Path) -> Result<(), String> {
    tempfile::tempfile_in(folder).map(drop).map_err(|error| {
        format!(
            "cannot write into {}: {error}; make the folder, and give it to the user that runs the server",
            folder.display()
        )
    })
}

async fn store(place: &Place) -> Finding {
    let of = "store";
    match place {
        Place::Sqlite(path) => {
            if let Err(detail) = writable(folder_of(path)) {
                return Finding::new(of, Verdict::Failed, detail);
            }
            if !path.exists() {
                let detail = format!("{} is made at the first start", path.display());
                return Finding::new(of, Verdict::Ok, detail);
            }
            let opened = std::fs::File::options().read(true).write(true).open(path);
            match opened.and_then(|mut file| is_sqlite(&mut file)) {
                Ok(true) => Finding::new(
                    of,
                    Verdict::Ok,
                    format!("{} is a database that can be written", path.display()),
                ),
                Ok(false) => Finding::new(
                    of,
                    Verdict::Failed,
                    format!(
                        "{} is no database of SQLite: restore it from a backup",
                        path.display()
                    ),
                ),
                Err(error) => Finding::new(
                    of,
                    Verdict::Failed,
                    format!(
                        "{}: {error}; give it to the user that runs the server",
                        path.display()
                    ),
                ),
            }
        }
        Place::Postgres(url) => {
            sqlx::any::install_default_drivers();
            let detail = match timeout(PATIENCE, sqlx::AnyConnection::connect(url)).await {
                Ok(Ok(_)) => return Finding::new(of, Verdict::Ok, "PostgreSQL answers"),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            let remedy = "check its address, user and password";
            Finding::new(
                of,
                Verdict::Failed,
                format!("PostgreSQL: {detail}; {remedy}"),
            )
        }
    }
}

fn is_sqlite(file: &mut std::fs::File) -> io::Result<bool> {
    use io::Read as _;
    let mut head = Vec::new();
    file.take(16).read_to_end(&mut head)?;
    Ok(head.is_empty() || head == b"SQLite format 3\0")
}

fn room_on_disk(folder: &Path, Space { free, size }: Space) -> Finding {
    let of = "disk";
    let percent = free.saturating_mul(100).checked_div(size).unwrap_or(0);
    let says = format!(
        "{} MiB ({percent} %) are free at {}",
        free >> 20,
        folder.display()
    );
    if free < FREE || percent < FREE_PERCENT {
        let detail = format!("{says}: make room, or shorten `retention`");
        return Finding::new(of, Verdict::Warning, detail);
    }
    Finding::new(of, Verdict::Ok, says)
}

async fn recordings(config: &Config) -> Finding {
    let (of, place) = ("recordings", config.recordings_store());
    match timeout(PATIENCE, try_store(config)).await {
        Ok(Ok(())) => Finding::new(of, Verdict::Ok, place.to_string()),
        Ok(Err(error)) => {
            let detail =
                format!("{place}: {error}; see `recordings.store` and `recordings.endpoint`");
            Finding::new(of, Verdict::Failed, detail)
        }
        Err(_) => {
            let detail = format!("{place} does not answer; see `recordings.endpoint`");
            Finding::new(of, Verdict::Failed, detail)
        }
    }
}

async fn composer(program: &Path) -> Finding {
    let of = "ffmpeg";
    match ffmpeg::version(program).await {
        Ok(Some(version)) => Finding::new(of, Verdict::Ok, format!("version {version}")),
        Ok(None) => Finding::new(of, Verdict::Ok, "it does not say which version it is"),
        Err(error) => {
            let detail =
                format!("{error}; it is needed for compositions in M4A, MP4 and WebM only");
            Finding::new(of, Verdict::Warning, detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_judged() {
        assert_eq!(buffers(BUFFER, BUFFER).verdict, Verdict::Ok);
        assert_eq!(buffers(212_992, BUFFER).verdict, Verdict::Warning);
        let of = |free, size| room_on_disk(Path::new("."), Space { free, size });
        assert_eq!(of(10 << 30, 100 << 30).verdict, Verdict::Ok);
        assert_eq!(of(4 << 30, 100 << 30).verdict, Verdict::Warning);
        assert_eq!(of(1 << 20, 10 << 20).verdict, Verdict::Warning);
        let now = Timestamp::from_millis(1_000_000_000);
        for (seconds, verdict) in [
            (0, Verdict::Ok),
            (2, Verdict::Ok),
            (10, Verdict::Warning),
            (30, Verdict::Failed),
        ] {
            let other = now.after(Duration::from_secs(seconds));
            assert_eq!(clocks(now, other).verdict, verdict, "{seconds}");
            assert_eq!(clocks(other, now).verdict, verdict, "{seconds}");
        }
    }

    #[test]
    fn browsers_need_tls_and_a_free_port() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let taken = socket.local_addr().unwrap();
        let mut config = Config::dev(Path::new("."));
        config.http.listen = taken;
        config.web.webtransport = None;
        assert_eq!(browsers(&config, false).verdict, Verdict::Ok);
        config.web.webtransport = Some(Default::default());
        let finding = browsers(&config, false);
        assert_eq!(finding.verdict, Verdict::Failed, "{finding:?}");
        if cfg!(feature = "webtransport") {
            assert!(finding.detail.contains(&taken.to_string()), "{finding:?}");
            assert_eq!(browsers(&config, true).verdict, Verdict::Ok);
            config.http.listen = "127.0.0.1:0".parse().unwrap();
            assert_eq!(browsers(&config, false).verdict, Verdict::Ok);
            // The proxy reaches it, and browsers do not.
            config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            let finding = browsers(&config, false);
            assert_eq!(finding.verdict, Verdict::Warning, "{finding:?}");
            config.http.trusted_proxies.clear();
        }
        config.http.listen = "0.0.0.0:7800".parse().unwrap();
        let finding = browsers(&config, true);
        assert_eq!(finding.verdict, Verdict::Warning, "{finding:?}");
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        assert_ne!(browsers(&config, true).verdict, Verdict::Warning);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_a_warning() {
        let finding = composer(Path::new("/nowhere/ffmpeg")).await;
        assert_eq!(finding.verdict, Verdict::Warning);
    }
}
