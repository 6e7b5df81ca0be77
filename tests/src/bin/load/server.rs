//! The server under test: the real one, in a process of its own.

use std::io::{BufRead as _, Read as _};
use std::time::Duration;

use parlour_core::server::MixConfig;
use parlour_tokio::token::{ApiKey, Claims, mint_token};
use parlour_tokio::{Gather, Server, ServerConfig};

use crate::Failure;
use crate::kernel::{pin, socket_drops};
use crate::options::{Options, Role, Scenario};
use crate::process::Process;

const KEY: &str = "load:a secret for a server that lives for a minute";

/// A server that can be joined and watched.
pub(crate) struct Target {
    /// Ends with the measurement, if it was started for that.
    _process: Option<Process>,
    ticket_base: String,
    key: ApiKey,
    pub(crate) pid: u32,
}

impl Target {
    /// Starts a server, or takes the one that the user named.
    pub(crate) fn new(options: &Options, scenario: &Scenario) -> Result<Self, Failure> {
        if let (Some(ticket_base), Some(key), Some(pid)) =
            (&options.server, &options.key, options.pid)
        {
            return Ok(Self {
                _process: None,
                ticket_base: ticket_base.clone(),
                key: api_key(key)?,
                pid,
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
            ticket_base: process.greeting.clone(),
            key: api_key(KEY)?,
            pid: process.id(),
            _process: Some(process),
        })
    }

    pub(crate) fn ticket(&self, room: usize, participant: usize) -> Result<String, Failure> {
        let (room, name) = (format!("room-{room}"), format!("p{participant}"));
        let token = mint_token(
            &Claims::new(&room, &name, Duration::from_secs(3600))?,
            &self.key,
        )?;
        Ok(format!("{}#{token}", self.ticket_base))
    }

    /// Datagrams that came while the server's socket was full.
    pub(crate) fn drops(&self) -> Result<u64, Failure> {
        let ticket = format!("{}#-", self.ticket_base);
        let ticket = parlour_core::ticket::Ticket::parse(&ticket)?;
        socket_drops(&[ticket.port].into())
    }
}

fn cores(options: &Options) -> String {
    let cores: Vec<_> = options.server_cores.iter().map(usize::to_string).collect();
    cores.join(",")
}

fn api_key(text: &str) -> Result<ApiKey, Failure> {
    let (id, secret) = text.split_once(':').ok_or("a key is ID:SECRET")?;
    Ok(ApiKey::new(id, secret)?)
}

/// The server's process: says where it is, and ends when nobody listens.
pub(crate) fn serve(options: &Options) -> Result<(), Failure> {
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
