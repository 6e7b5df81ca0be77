//! The server under test: the real one, in a process of its own.

use std::io::{BufRead as _, Read as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use parlour_tokio::core::server::MixConfig;
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::token::{ApiKey, Claims, mint_token};
use parlour_tokio::{Gather, Server, ServerConfig};

use super::Load;
use super::kernel::{pin, socket_drops};
use super::options::{Role, Scenario};
use super::process::Process;

const KEY: &str = "load:a secret for a server that lives for a minute";

/// Mints the tickets of participants.
#[derive(Debug, Clone)]
pub(super) struct Tickets {
    /// A ticket without its token.
    pub(super) base: String,
    pub(super) key: ApiKey,
    /// How the names of the rooms begin.
    pub(super) rooms: String,
}

impl Tickets {
    pub(super) fn ticket(&self, room: usize, participant: usize) -> anyhow::Result<String> {
        let (room, name) = (format!("{}-{room}", self.rooms), format!("p{participant}"));
        let claims = Claims::new(&room, &name, Duration::from_secs(3600))?;
        Ok(format!("{}#{}", self.base, mint_token(&claims, &self.key)?))
    }

    /// Where the server listens.
    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        let ticket = format!("{}#-", self.base);
        let ticket = Ticket::parse(&ticket)?;
        let mut found = (ticket.host, ticket.port)
            .to_socket_addrs()
            .with_context(|| format!("no address for {}", ticket.host))?;
        found
            .next()
            .with_context(|| format!("no address for {}", ticket.host))
    }
}

/// A server that can be joined and watched.
pub(super) struct Target {
    /// Ends with the measurement, if it was started for that.
    _process: Option<Process>,
    pub(super) tickets: Tickets,
    pub(super) pid: u32,
}

impl Target {
    /// Starts a server, unless one is running that the user has named.
    pub(super) fn new(
        options: &Load,
        scenario: &Scenario,
        running: Option<&(Tickets, u32)>,
    ) -> anyhow::Result<Self> {
        if let Some((tickets, pid)) = running {
            return Ok(Self {
                _process: None,
                tickets: tickets.clone(),
                pid: *pid,
            });
        }
        let mut arguments = vec!["--server-cores".to_owned(), cores(options)];
        if let Some(gather) = scenario.gather {
            arguments.extend(["--gather".to_owned(), gather.to_string()]);
        }
        arguments.extend(["--senders".to_owned(), options.senders.to_string()]);
        if options.mix.is_some() {
            arguments.extend(["--mix".to_owned(), "listeners".to_owned()]);
        }
        let process = Process::start(Role::Server, &arguments, KEY)?;
        Ok(Self {
            tickets: Tickets {
                base: process.greeting.clone(),
                key: api_key(KEY)?,
                rooms: "room".to_owned(),
            },
            pid: process.id(),
            _process: Some(process),
        })
    }

    /// Datagrams that came while the server's socket was full.
    pub(super) fn drops(&self) -> anyhow::Result<u64> {
        socket_drops(&[self.tickets.address()?.port()].into())
    }
}

fn cores(options: &Load) -> String {
    let cores: Vec<_> = options.server_cores.iter().map(usize::to_string).collect();
    cores.join(",")
}

fn api_key(text: &str) -> anyhow::Result<ApiKey> {
    let (id, secret) = text.split_once(':').context("a key is ID:SECRET")?;
    Ok(ApiKey::new(id, secret)?)
}

/// The server's process: says where it is, and ends when nobody listens.
pub(super) fn serve(options: &Load) -> anyhow::Result<()> {
    pin(&options.server_cores)?;
    let mut input = std::io::stdin().lock();
    let mut key = String::new();
    input.read_line(&mut key)?;
    let mut config = ServerConfig::new("127.0.0.1:0".parse()?, api_key(key.trim())?);
    // With senders, the cores are one worker's and theirs.
    config.workers = (options.server_cores.len() / (1 + options.senders)).max(1);
    config.senders = options.senders;
    config.limits.participants_per_room = config.limits.participants;
    if let Some(gather) = options.gather {
        config.limits.gather = Gather::Always(Duration::from_millis(gather.into()));
    }
    config.limits.mix = options.mix.map(|_| MixConfig::default());
    let server = Server::bind(config)?;
    println!("{}", server.ticket_base());
    input.read_to_end(&mut Vec::new())?;
    Ok(())
}
