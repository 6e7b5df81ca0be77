//! Servers as processes, and the kernel's account of them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parlour_server::config::Config;

/// Any error ends the program, with its reason.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// The core of a server that has one: the simulated participants of `parlour load` have another.
pub(crate) const CORE: usize = 0;

/// A `parlour serve`, which ends with this.
pub(crate) struct Process {
    child: Child,
    folder: PathBuf,
    pub(crate) http: SocketAddr,
    /// From the start of the program until it answered.
    pub(crate) start: Duration,
}

impl Process {
    /// Starts one that keeps its files in `folder`, with so many workers: 0 for as many as there are cores.
    pub(crate) fn serve(folder: &Path, workers: usize) -> Result<Self, Failure> {
        Self::serve_with(folder, |config| config.media.workers = workers, None)
    }

    /// Starts one with such a configuration, all of whose threads have one core, if one is given.
    pub(crate) fn serve_with(
        folder: &Path,
        configure: impl FnOnce(&mut Config),
        core: Option<usize>,
    ) -> Result<Self, Failure> {
        let http = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut config = Config::dev(folder);
        config.http.listen = http;
        config.media.listen = ([127, 0, 0, 1], 0).into();
        config.http.limits.requests_per_s = u32::MAX.try_into()?;
        configure(&mut config);
        let file = folder.join("parlour.toml");
        std::fs::write(&file, toml::to_string(&config)?)?;
        let began = now();
        let program = env!("CARGO_BIN_EXE_parlour");
        let mut command = match core {
            Some(core) => {
                let mut pinned = Command::new("taskset");
                pinned.args(["--cpu-list", &core.to_string(), program]);
                pinned
            }
            None => Command::new(program),
        };
        let child = command
            .args(["serve", "--config"])
            .arg(&file)
            .env("PARLOUR_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("stdout"))?)
            .spawn()?;
        let mut server = Self {
            child,
            folder: folder.to_owned(),
            http,
            start: Duration::ZERO,
        };
        while !is_ready(http) {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server does not start: {status}").into());
            }
            if now() - began > Duration::from_secs(30) {
                return Err("the server runs, and does not say that it is ready".into());
            }
            wait(Duration::from_micros(500));
        }
        server.start = now() - began;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The key that a server makes at its first start, and prints once it listens.
    pub(crate) fn key(&self) -> Result<String, Failure> {
        for _ in 0..1_000 {
            let said = std::fs::read_to_string(self.folder.join("stdout"))?;
            if let Some(key) = said.lines().find(|line| line.starts_with("first.")) {
                return Ok(key.to_owned());
            }
            wait(Duration::from_millis(1));
        }
        Err("the server has made no key".into())
    }

    /// CPU time of all its threads.
    pub(crate) fn cpu_time(&self) -> Result<Duration, Failure> {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let account = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += account.split(' ').next().unwrap_or("0").parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Bytes of memory that it has.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().split(' ').next());
        Ok(kibibytes.unwrap_or("0").parse::<u64>()? * 1_024)
    }
}

/// Whether the server answers that it is ready.
fn is_ready(http: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut connection = TcpStream::connect(http)?;
        connection
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: parlour\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 204 "))
    };
    ask().unwrap_or(false)
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark waits in real time")]
pub(crate) fn wait(time: Duration) {
    std::thread::sleep(time);
}
