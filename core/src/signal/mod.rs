//! Signalling: the messages, their encoding, and their reliable delivery.
//!
//! | message | from | travels in | at most |
//! |---|---|---|---|
//! | [`Join`] | client | the Hello packet, encrypted | [`MAX_TOKEN`] bytes of token, [`MAX_STREAMS`](crate::room::MAX_STREAMS) streams |
//! | [`Answer`] | server | the Welcome packet, encrypted | one result for each of those streams |
//! | [`Request`] | client | Signal frames | see below |
//! | [`ServerMessage`] | server | Signal frames | see below |
//! | [`LossyRequest`] | client | Message frames | [`MAX_BODY`] bytes of body, [`MAX_TARGETS`] recipients |
//! | [`LossyDelivery`] | server | Message frames | [`MAX_BODY`] bytes of body |
//!
//! A message is made into bytes by [`encode`] and back by [`decode`], which refuses all that breaks
//! a limit. No message has more than [`MAX_MESSAGE`] bytes; ids, names and topics have the limits
//! of their types in [`room`](crate::room). Signal frames are delivered once and in
//! order by a [`channel`].
//!
//! | [`Operation`] of a [`Request`] | asks to | limits |
//! |---|---|---|
//! | [`Publish`](Operation::Publish) | publish a stream | [`MAX_STREAMS`](crate::room::MAX_STREAMS) at a time |
//! | [`Unpublish`](Operation::Unpublish) | end a stream | |
//! | [`SetMuted`](Operation::SetMuted) | silence a stream of one's own, or no longer | |
//! | [`Subscribe`](Operation::Subscribe), [`Unsubscribe`](Operation::Unsubscribe) | receive a stream, or no longer | |
//! | [`SetSubscribePolicy`](Operation::SetSubscribePolicy) | hear all, none or a mix | |
//! | [`Pin`](Operation::Pin) | keep an audio slot for one stream | |
//! | [`Send`](Operation::Send) | send a message reliably | [`MAX_BODY`] bytes, [`MAX_TARGETS`] recipients or all |
//! | [`Moderate`](Operation::Moderate) | kick, censor, uncensor, admit, deny | [`MAX_TARGETS`] named, or all but so many |
//! | [`EndSession`](Operation::EndSession) | end the session for all | |
//! | [`RefreshToken`](Operation::RefreshToken) | go on with a newer token | [`MAX_TOKEN`] bytes |
//! | [`RequestFloor`](Operation::RequestFloor), [`ReleaseFloor`](Operation::ReleaseFloor) | be the one who speaks, or no longer | |
//! | [`Leave`](Operation::Leave) | leave the session | |
//! | [`SetAttribute`](Operation::SetAttribute) | set or remove an attribute | [`MAX_ATTRIBUTES`](crate::room::MAX_ATTRIBUTES) of one participant |
//!
//! | [`ServerMessage`] | says | limits |
//! |---|---|---|
//! | [`SnapshotBegin`](ServerMessage::SnapshotBegin), [`SnapshotEnd`](ServerMessage::SnapshotEnd) | the updates between describe the whole room | |
//! | [`Update`](ServerMessage::Update) | one change of the room | [`MAX_STREAMS`](crate::room::MAX_STREAMS) streams of a participant |
//! | [`Reply`](ServerMessage::Reply) | what came of a request | one for each request |
//! | [`Deliver`](ServerMessage::Deliver) | a message from a participant | [`MAX_BODY`] bytes |
//! | [`Missed`](ServerMessage::Missed) | messages were lost | counts to 65,535 |
//! | [`Admitted`](ServerMessage::Admitted) | out of the lobby | |
//! | [`Knock`](ServerMessage::Knock), [`KnockEnded`](ServerMessage::KnockEnded) | a change of the lobby | [`MAX_WAITING`](crate::room::MAX_WAITING) at a time |
//! | [`Lobby`](ServerMessage::Lobby) | that is the lobby now, and so many wait | |
//! | [`TokenExpiring`](ServerMessage::TokenExpiring) | refresh the token | |
//! | [`Closed`](ServerMessage::Closed) | the connection is over | the last message |
//! | [`GrantsChanged`](ServerMessage::GrantsChanged) | a new token, or the application, allows more or less | |

pub mod channel;
mod codec;
mod join;
mod message;
mod participants;
mod reply;
mod request;
mod rtt;
mod secret;

pub use codec::{DecodeError, EncodeError, Message, decode, encode};
pub use join::{Answer, Join, JoinRefusal, Joined, Redirect, Resume};
pub use message::{LossyDelivery, LossyRequest};
pub use participants::{MAX_TARGETS, ParticipantList, TooManyParticipants};
pub use reply::{Outcome, Refusal, ServerMessage};
#[cfg(feature = "client")]
pub(crate) use request::RequestRef;
pub use request::{
    MAX_BODY, MAX_TOKEN, Moderation, Operation, Publish, Recipients, Request, RequestId, StreamRef,
    SubscribePolicy, Targets,
};
pub use rtt::RttEstimator;
pub use secret::Secret;

/// Most bytes in one encoded message.
pub const MAX_MESSAGE: usize = 1024;
/// Most audio slots that a participant may have.
pub const MAX_SLOTS: usize = 32;
