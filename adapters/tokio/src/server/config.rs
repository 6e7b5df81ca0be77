//! The settings of an operator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parlour_core::server::Config as Limits;

use super::Doorkeeper;
use super::doorkeeper::ByToken;
use crate::token::ApiKey;

/// How a [`Server`](crate::Server) runs.
///
/// ```
/// use parlour_tokio::ServerConfig;
/// use parlour_tokio::core::server::{Config, MixConfig};
/// use parlour_tokio::token::ApiKey;
/// let key = ApiKey::new("my-app", "c2VjcmV0IG9mIGF0IGxlYXN0IDMyIGJ5dGVz")?;
/// let config = ServerConfig {
///     host: Some("rooms.example.org".to_owned()),
///     key_file: Some("/var/lib/parlour/key".into()),
///     limits: Config { mix: Some(MixConfig::default()), ..Config::default() },
///     ..ServerConfig::new("[::]:7900".parse()?, key)
/// };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address of the first worker, for UDP and TCP; worker `n` listens `n` ports further. Port 0: each worker
    /// takes any port that is free.
    pub address: SocketAddr,
    /// The name or address literal by which participants reach this machine: what tickets say. Without one it is
    /// `address`, or this machine's loopback address if that is unspecified.
    pub host: Option<String>,
    /// Threads that serve rooms, at least 1. A room lives on one of them: what is said in it is opened, forwarded and sealed
    /// there.
    pub workers: usize,
    /// Sending threads of each worker, on Linux; 0: the worker sends itself. Sending is most of a room's cost, so a
    /// room that is too large for one core may fit with one or two such threads. If many rooms keep the cores busy
    /// already, more workers are better.
    pub senders: usize,
    /// The file of the private key; it is created if missing. Without a file, every start draws another key and makes
    /// all former tickets invalid.
    pub key_file: Option<PathBuf>,
    /// The API keys whose tokens are accepted; at least one. The first one signs the tickets that this server mints.
    /// [`Server::set_api_keys`](crate::Server::set_api_keys) exchanges them.
    pub api_keys: Vec<ApiKey>,
    /// Decides about joins with a valid token; by default all are admitted, as the token says.
    pub doorkeeper: Arc<dyn Doorkeeper>,
    /// Whether display names in tokens may have invisible characters or characters that change the text's direction,
    /// which make one name look like another. If not, tokens with such names are refused; emoji and words that need a
    /// joiner are always accepted.
    pub hidden_characters: bool,
    /// Limits and times of each worker, and whether it mixes: for participants with one decoder, or none for Opus.
    pub limits: Limits,
    /// TCP connections that one worker accepts at a time, a quarter of them from one address (IPv6: network); 0: no
    /// TCP. When all places are taken, the oldest connection without a participant gives way. On Linux, this
    /// process's limit of open files is raised to the need of all workers, as far as the system allows.
    pub tcp_connections: usize,
    /// The destinations of the workers' input logs, one for each; workers without one are not recorded. **A log holds
    /// this server's private key and all participants' tokens, messages and audio**: see [`record`](crate::record).
    #[cfg(feature = "record")]
    pub record: Vec<crate::record::Sink>,
}

impl ServerConfig {
    /// A server at `address` with a worker per processor and the defaults of everything else.
    pub fn new(address: SocketAddr, key: ApiKey) -> Self {
        Self {
            address,
            host: None,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            senders: 0,
            key_file: None,
            api_keys: vec![key],
            doorkeeper: Arc::new(ByToken),
            hidden_characters: false,
            limits: Limits::default(),
            tcp_connections: 1_024,
            #[cfg(feature = "record")]
            record: Vec::new(),
        }
    }
}
