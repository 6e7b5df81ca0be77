//! The room model: names, grants, participants and their streams, and what is true in a room.
//!
//! All changes of a room pass through one reducer, [`RoomState`]; server and clients link the same.
//!
//! ```text
//!            server (feature `server`)                          client
//!
//!  change ─► Authority                          View            Replica = RoomState
//!            ├ RoomState: all that is true      (one for each   at most N participants,
//!            └ log: the latest changes           receiver)      no allocation
//!              … v40  v41  v42  v43 = head ─poll─►  Told  ─signalling─►  apply ─► Change ─► events
//!                      ▲
//!                      └ the view's cursor
//! ```
//!
//! - The `Authority` gives every change the next [`Version`], applies it, and remembers the
//!   latest ones.
//! - A `View` is what one receiver has been told. It queues nothing: when there is room to send,
//!   `View::poll` finds the next thing to tell. A new receiver, or one so slow that its next change
//!   is no longer remembered, gets a *snapshot*; after that, changes.
//! - A [`Replica`] applies what it is told. [`Change`] says what that changed, so that an event can
//!   be derived from it.
//!
//! **A snapshot is not a copy.** It describes one participant after another as each *then* is, in
//! the order of ids, each followed by its attributes. Changes that happen meanwhile are passed on if they are about participants
//! described already, and skipped otherwise, since the description is still to come. Speaker and
//! floor follow, then the end; whoever was not mentioned is gone. So everything described so far
//! is up to date at every moment, and a room of any size costs a view nothing but a cursor.
//!
//! **A receiver that is behind gets the current state, not every step.** The log keeps only the last change of each
//! fact, and omits participants that came and left in between. Updates come in batches: the changes up to the head of
//! the moment, then, if the room has changed meanwhile, a part of the other due updates. Neither a snapshot nor its end
//! therefore waits for the room to come to rest.
//!
//! **A room may be larger than a receiver.** Then the view picks those who matter most to it:
//! itself, whoever it asked for or hears, the presenter, the latest speakers, publishers, others.
//! Changes about all others are skipped. When the pick changes, first the view hides whoever drops
//! out of it, then it shows who comes in, so that the receiver's capacity is never exceeded; last,
//! it tells the true number of participants. Such a receiver resumes with a snapshot.
//!
//! When everything that was told has arrived, the replica equals the authority, or the picked part
//! of it, whatever was lost, resumed or skipped on the way.

#[cfg(test)]
pub(crate) mod arbitrary;
mod attribute;
#[cfg(feature = "server")]
mod authority;
mod codec;
mod grants;
mod hidden;
mod id;
mod lobby;
#[cfg(feature = "server")]
mod log;
mod participant;
#[cfg(feature = "server")]
mod relevance;
mod roster;
mod state;
mod update;
#[cfg(feature = "server")]
mod view;

pub use attribute::{Attribute, AttributeValue, MAX_ATTRIBUTES, ValueTooLong};
#[cfg(feature = "server")]
pub use authority::{Authority, ChangeError};
pub use codec::{Codec, StreamKind};
pub use grants::Grants;
pub use id::{
    AttributeKey, DisplayName, IdError, ParticipantId, RoomId, SessionId, StreamKey, Topic,
};
pub use lobby::{Lobby, MAX_WAITING, Waiting};
#[cfg(feature = "server")]
pub(crate) use lobby::{LobbyView, Place, Told as LobbyTold, WaitingList};
#[cfg(feature = "client")]
pub(crate) use lobby::{note, strike};
pub use participant::{ConnectionState, MAX_STREAMS, Participant, Stream};
#[cfg(feature = "server")]
pub use roster::Growing;
pub use roster::{Bounded, Roster, Seat};
#[cfg(feature = "client")]
pub(crate) use state::Gone;
pub use state::{ApplyError, Change, Replica, RoomState};
pub use update::{CloseReason, RoomUpdate, Version};
#[cfg(feature = "server")]
pub use view::{Told, View};
