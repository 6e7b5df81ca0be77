//! The room server: one thread per worker, each with its own sockets, runtime and rooms.
//!
//! ```text
//!   Server ──commands──► worker 0: UDP + TCP at port p,     core::server::Server
//!          ──commands──► worker 1: UDP + TCP at port p + 1, core::server::Server
//!   ServerEvents ◄──broadcast── all workers
//! ```
//!
//! Nothing is shared between workers. A room belongs to one, by a stable hash of its id; whoever knocks at another one
//! is redirected, and tickets minted here name the right one at once. A worker may have threads that send for it, through
//! its own socket ([`ServerConfig::senders`]): that is most of the work, and takes no part of a room's state along.

mod admission;
mod bind;
mod config;
mod doorkeeper;
mod error;
#[cfg(target_os = "linux")]
mod files;
mod handle;
mod keyfile;
mod load;
mod shared;
mod streams;
mod timer;
mod udp;
#[cfg(target_os = "linux")]
mod watch;
mod worker;

pub use config::ServerConfig;
pub use doorkeeper::{Doorkeeper, JoinRequest, RefreshRequest};
pub use error::{BindError, TicketError};
pub use handle::{RoomInfo, Server, ServerEvents, SocketStatistics};
pub use keyfile::{KeyFileError, load_or_create};
pub use parlour_core::server::{Event as ServerEvent, Gather};
