//! The room server: one thread per worker, each with its own sockets, runtime and rooms.
//!
//! ```text
//!   Server ──commands──► worker 0: UDP + TCP at port p,     core::server::Server
//!          ──commands──► worker 1: UDP + TCP at port p + 1, core::server::Server
//!   ServerEvents ◄──broadcast── all workers
//! ```
//!
//! Workers share nothing but the API keys and whether the server drains. A room belongs to one, by a stable hash of
//! its id; a join at another worker is redirected, and tickets minted here name the right one at once. A worker may
//! have threads that send for it, through its own socket ([`ServerConfig::senders`]): sending is most of the work,
//! and needs none of a room's state.

mod admission;
mod alarm;
mod bind;
mod carriage;
mod config;
mod doorkeeper;
mod error;
#[cfg(target_os = "linux")]
mod files;
mod gauge;
mod handle;
mod keyfile;
mod load;
mod shared;
mod streams;
mod taps;
mod timer;
mod udp;
#[cfg(target_os = "linux")]
mod watch;
mod worker;

pub use carriage::{CarriageError, CarriageReceiver, CarriageSender, CarryError};
pub use config::ServerConfig;
pub use doorkeeper::{Doorkeeper, JoinRequest, RefreshRequest};
pub use error::{BindError, TicketError};
pub use gauge::WorkerLoad;
pub use handle::{
    Lagged, ParticipantInfo, RoomInfo, Server, ServerEvent, ServerEvents, SessionStatistics,
    Snapshot, SocketStatistics,
};
pub use keyfile::{KeyFileError, load_or_create};
pub use parlour_core::server::{Gather, Moderated, RoomLimits, Selection, TappedStream};
pub use taps::{MediaTap, Tapped, TappedPacket};
