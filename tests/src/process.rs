//! A real server in a process of its own, for programs that measure what becomes of its participants.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parlour_core::ticket::Ticket;
use parlour_tokio::token::{ApiKey, Claims, mint_token};
use parlour_tokio::{Server, ServerConfig};

/// The reason that a program ends early.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Whether the program is the server: [`Process::start`] starts it so once more.
#[derive(Debug, Args)]
pub struct Role {
    /// Be the server: at this address, with this key file. Ends with its input.
    #[arg(long, num_args = 2, value_names = ["ADDRESS", "KEY_FILE"], hide = true)]
    serve: Option<Vec<String>>,
}

impl Role {
    /// Serves until the input ends, if that is the role; if not, `false`.
    ///
    /// # Errors
    /// If the server cannot be bound.
    pub fn serve(&self) -> Result<bool, Failure> {
        let Some([address, key_file]) = self.serve.as_deref() else {
            return Ok(false);
        };
        let server = Server::bind(ServerConfig {
            workers: 1,
            key_file: Some(key_file.into()),
            ..ServerConfig::new(address.parse()?, api_key()?)
        })?;
        println!("{}", server.ticket_base());
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(true)
    }
}

/// A server's process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The part of a ticket before the token.
    pub ticket_base: String,
}

impl Process {
    /// Starts this program as a server.
    ///
    /// # Errors
    /// If that cannot be, or the server is not ready.
    pub fn start(address: SocketAddr, key_file: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", &address.to_string()])
            .arg(key_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ticket_base = String::new();
        if let Some(output) = &mut child.stdout {
            BufReader::new(output).read_line(&mut ticket_base)?;
        }
        if ticket_base.is_empty() {
            return Err(format!("the server at {address} did not start").into());
        }
        Ok(Self {
            child,
            ticket_base: ticket_base.trim().to_owned(),
        })
    }

    /// Its port, for UDP and TCP.
    ///
    /// # Errors
    /// If what it printed is not the beginning of a ticket.
    pub fn port(&self) -> Result<u16, Failure> {
        let text = format!("{}#-", self.ticket_base);
        Ok(Ticket::parse(&text)?.port)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it is not there any more.
    pub fn send(&self, signal: Signal) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id())?;
        Ok(kill(Pid::from_raw(pid), signal)?)
    }

    /// CPU time that it has used, by the kernel's count.
    ///
    /// # Errors
    /// If it is not there any more.
    pub fn cpu_time(&self) -> Result<Duration, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program may have spaces; the fields after it are counted from 3.
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
        // Linux counts hundredths of a second here, on every machine.
        Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A ticket for `participant`, good for an hour.
///
/// # Errors
/// If the names are not possible.
pub fn ticket(ticket_base: &str, room: &str, participant: &str) -> Result<String, Failure> {
    let claims = Claims::new(room, participant, Duration::from_secs(3_600))?;
    Ok(format!(
        "{ticket_base}#{}",
        mint_token(&claims, &api_key()?)?
    ))
}

/// The machine's load averages, as the kernel writes them.
pub fn load_average() -> String {
    let averages = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.trim().to_owned()
}

fn api_key() -> Result<ApiKey, Failure> {
    Ok(ApiKey::new(
        "measured",
        "a secret for servers that live for a minute",
    )?)
}
