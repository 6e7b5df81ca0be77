//! `parlour serve` as a process.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use parlour_server::config::Config;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

use super::{Home, PATIENCE};

/// A server in a process of its own, which is killed when this is dropped.
pub struct Process {
    child: Child,
    pub url: String,
    /// The key, if this start has made it.
    pub made_key: Option<String>,
}

impl Process {
    /// Starts one, and waits until it serves. While PostgreSQL still believes in a former one, it is started again.
    pub async fn start(home: &Home, config: &Config) -> Self {
        Self::start_with(home, config, &[]).await
    }

    /// The same, with more in its environment.
    pub async fn start_with(home: &Home, config: &Config, environment: &[(&str, &str)]) -> Self {
        let file = home.path().join("parlour.toml");
        fs::write(&file, toml::to_string(config).unwrap()).unwrap();
        let patience = Instant::now() + PATIENCE;
        loop {
            match timeout_at(patience, Self::try_start(&file, environment)).await {
                Ok(Ok(started)) => return started,
                Ok(Err(log)) if Instant::now() >= patience => panic!("it does not start:\n{log}"),
                Ok(Err(_)) => {}
                Err(_) => panic!("it neither serves nor ends"),
            }
        }
    }

    /// What it has logged, if it ends before it serves.
    async fn try_start(config: &Path, environment: &[(&str, &str)]) -> Result<Self, String> {
        let output = config.with_extension("stdout");
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
        command.args(["serve", "--config"]).arg(config);
        command.env("NO_COLOR", "1").env_remove("PARLOUR_LOG");
        command.envs(environment.iter().copied());
        command
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        while let Some(line) = log.next_line().await.unwrap() {
            if let Some((_, rest)) = line.split_once("serving http=") {
                let address = rest.split(' ').next().unwrap();
                // It is printed before.
                let output = fs::read_to_string(&output).unwrap();
                let made_key = output.lines().find(|line| line.starts_with("first."));
                // What follows goes on being read, so that nobody waits at a full pipe.
                tokio::spawn(async move {
                    while let Ok(Some(line)) = log.next_line().await {
                        if line.contains(" ERROR ") {
                            eprintln!("{line}");
                        }
                    }
                });
                return Ok(Self {
                    child,
                    url: format!("http://{address}"),
                    made_key: made_key.map(str::to_owned),
                });
            }
            said += &format!("{line}\n");
        }
        Err(said)
    }

    /// By SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
