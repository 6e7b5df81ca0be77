//! What an operator may choose.

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
    /// Where the first worker listens, by UDP and TCP; worker `n` listens `n` ports further. Port 0: each worker takes
    /// any port that is free.
    pub address: SocketAddr,
    /// The name or address literal by which participants reach this machine: what tickets say. Without one it is
    /// `address`, or this machine's loopback address if that is unspecified.
    pub host: Option<String>,
    /// Threads that serve rooms, at least 1. A room lives on one of them: what is said in it is opened, forwarded and sealed
    /// there.
    pub workers: usize,
    /// Threads for each worker that take the sending off it, on Linux; 0: it sends itself. Sending is most of what a room
    /// costs, so a room that is too large for one core has room with one or two of them. Where many rooms keep the cores
    /// busy already, more workers are better.
    pub senders: usize,
    /// Where the private key is kept; made if there is none. Without a file, every start draws another key and makes
    /// all former tickets invalid.
    pub key_file: Option<PathBuf>,
    /// Whose tokens are accepted; at least one. The first one signs the tickets that this server mints.
    /// [`Server::set_api_keys`](crate::Server::set_api_keys) exchanges them.
    pub api_keys: Vec<ApiKey>,
    /// Decides who may come in of those whose token is valid; by default everybody, as the token says.
    pub doorkeeper: Arc<dyn Doorkeeper>,
    /// Whether display names in tokens may have characters that are not seen or turn the text around them, by which one
    /// looks like another. Without it their bearers are refused; emoji and words that need a joiner are taken in any case.
    pub hidden_characters: bool,
    /// Limits and times of each worker, and whether it mixes: for those who have one decoder, or none for Opus.
    pub limits: Limits,
    /// TCP connections that one worker accepts at a time, a quarter of them from one address (IPv6: network); 0: no TCP. When
    /// places are short, the oldest that belongs to no participant gives way. On Linux, this process's limit of open files is
    /// raised to what all workers need, as far as it may be.
    pub tcp_connections: usize,
    /// Where the workers' input logs go, one for each; those that have none are not recorded. **A log holds this server's
    /// private key and everybody's tokens and words**: see [`record`](crate::record).
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
