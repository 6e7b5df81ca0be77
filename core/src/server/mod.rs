//! The room server's end: joins, rooms, forwarding. Sans-IO; it allocates, within bounds.
//!
//! [`Server`] is driven like every state machine here: datagrams and time go in, datagrams, events
//! and the next wake-up come out. It owns no socket, reads no clock, verifies no token: who joins
//! is the embedder's decision, asked for by [`Event::JoinRequested`] and given by
//! [`Server::admit`].
//!
//! ```text
//!             handle_datagram(now, from, bytes)         handle_timeout(now)
//!                              │                                │
//!       Hello ┌────────────────┴──────────┐ Data                │
//!             ▼                           ▼                     ▼
//!     join under way ──first Data──► participant ──── room ── timers
//!             │                           │             │
//!     JoinRequested ► admit         link, signalling  state of the room, its speaker
//!                                   media queue       slots per receiver
//!             │                           │             │
//!             └────────► poll_event ◄─────┴─────────────┘
//!                        poll_transmit: one datagram for one receiver, with all that waits for it
//! ```
//!
//! A join takes effect with the first Data packet of the participant, which proves that it holds
//! the keys: a replayed Hello changes nothing that anybody can see. Whoever has not proven to
//! receive at an address is sent at most three times what came from there.
//!
//! What is bounded, and what happens at the bound, is said by [`Config`]; [`Server::accounting`]
//! tells how much is in use.

mod admission;
mod api;
mod config;
mod context;
mod directory;
mod ended;
mod error;
mod event;
mod events;
mod front;
mod gather;
mod joining;
mod keys;
mod limits;
mod member;
mod moderation;
mod overload;
mod path;
mod pool;
mod promise;
mod room;
mod ssrcs;
mod statistics;
mod tap;
mod timers;
mod transmit;

pub use admission::{Admission, OnDuplicate, Refused, RoomLimits};
pub use api::Server;
pub use config::{Config, Rate};
pub use error::{AdmitError, Dropped, ModerateError, RefreshError, UnknownJoin};
pub use event::{Event, JoinId, RefreshId};
pub use gather::Gather;
pub use moderation::{Act, Moderated, Selection};
pub use path::{Path, Source};
pub use room::RoomView;
#[cfg(feature = "opus-fullband")]
pub use room::{MixConfig, MixOpus};
pub use statistics::{Accounting, ParticipantStatistics, Statistics};
pub use tap::{Tapped, TappedStream};
pub use transmit::Transmit;

pub use crate::link::BufferTooSmall;

#[cfg(test)]
mod tests;
