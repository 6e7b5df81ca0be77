//! All that an application can ask for, as methods.

use super::errors::CommandError;
use crate::room::{AttributeKey, AttributeValue, ParticipantId, StreamKey, Topic};
use crate::signal::{
    Moderation, Operation, Publish, Recipients, RequestId, Secret, StreamRef, SubscribePolicy,
    Targets,
};

#[cfg(doc)]
use super::{Client, Event};

/// The commands of a [`Client`], and of types that stand in for one. [`Operation`] lists the verbs; every method here
/// passes one of them to [`ask`](Self::ask).
///
/// Commands only take note; what they cause is sent by [`Client::poll_transmit`]. If one fails, nothing has changed.
///
/// The *lasting* wishes of a client (to publish, mute, subscribe, pin) may be given at any time, and are requested
/// again whenever a new connection needs that. Such a command returns the number of the request if there is a session,
/// and the answer comes as [`Event::Replied`]; otherwise it returns `None`, and only [`Event::Published`] or
/// [`Event::PublishRefused`] follow. All other commands need a session.
///
/// # Errors
/// Each method names the errors that are its own. All may give [`CommandError::Closed`], and in a session
/// [`CommandError::TooManyRequests`] and [`CommandError::Full`].
pub trait Commands {
    /// Asks for what `operation` says. [`Operation::Leave`] has no number, and counts its second from the last time
    /// that the client was told: [`Client::leave`] is told one.
    ///
    /// # Errors
    /// [`CommandError`], as the method that is named like the operation.
    fn ask(&mut self, operation: Operation<'_>) -> Result<Option<RequestId>, CommandError>;

    // Lasting wishes

    /// Publishes a stream. Before the first [`Client::poll_transmit`] this costs nothing extra.
    /// [`Event::Published`] or [`Event::PublishRefused`] follows.
    ///
    /// # Errors
    /// [`CommandError::AlreadyPublished`], [`CommandError::TooManyStreams`], [`CommandError::CodecMismatch`].
    fn publish(&mut self, publish: Publish) -> Result<Option<RequestId>, CommandError> {
        self.ask(Operation::Publish(publish))
    }

    /// Stops publishing a stream.
    ///
    /// # Errors
    /// [`CommandError::UnknownStream`].
    fn unpublish(&mut self, key: &StreamKey) -> Result<Option<RequestId>, CommandError> {
        self.ask(Operation::Unpublish { key: key.clone() })
    }

    /// Silences one's own stream, or lets it be heard again.
    ///
    /// # Errors
    /// [`CommandError::UnknownStream`].
    fn set_muted(
        &mut self,
        key: &StreamKey,
        muted: bool,
    ) -> Result<Option<RequestId>, CommandError> {
        let key = key.clone();
        self.ask(Operation::SetMuted { key, muted })
    }

    /// Receives a stream, whatever the policy. An audio stream competes for the slots.
    ///
    /// This lasts until the client leaves: whoever leaves and comes back under the same id, and publishes under the same key, is
    /// received again. The profile says how many such wishes are kept, and the server keeps a number, too (ours: 32). If there
    /// are as many, the oldest makes room whose participant is gone.
    ///
    /// # Errors
    /// [`CommandError::TooManySubscriptions`].
    fn subscribe(&mut self, stream: &StreamRef) -> Result<Option<RequestId>, CommandError> {
        self.ask(Operation::Subscribe(stream.clone()))
    }

    /// No longer receives a stream, whatever the policy: mutes it for this client alone. It lasts as
    /// [`subscribe`](Self::subscribe) does.
    ///
    /// # Errors
    /// [`CommandError::TooManySubscriptions`].
    fn unsubscribe(&mut self, stream: &StreamRef) -> Result<Option<RequestId>, CommandError> {
        self.ask(Operation::Unsubscribe(stream.clone()))
    }

    /// Says which audio streams to hear without asking for each.
    ///
    /// # Errors
    /// None of its own.
    fn set_subscribe_policy(
        &mut self,
        policy: SubscribePolicy,
    ) -> Result<Option<RequestId>, CommandError> {
        self.ask(Operation::SetSubscribePolicy(policy))
    }

    /// Keeps a slot for this stream whoever else talks, and makes its publisher the
    /// [main participant](Client::main_participant); `None` undoes both.
    ///
    /// # Errors
    /// None of its own.
    fn pin(&mut self, stream: Option<&StreamRef>) -> Result<Option<RequestId>, CommandError> {
        self.ask(Operation::Pin(stream.cloned()))
    }

    /// Replaces the token by a newer one for the same participant and room: at the server, and for
    /// connections to come. `None` if there is no session to ask in: the next connection shows it.
    ///
    /// # Errors
    /// [`CommandError::TokenLength`].
    fn refresh_token(&mut self, token: &str) -> Result<Option<RequestId>, CommandError> {
        let token = Secret(token);
        self.ask(Operation::RefreshToken { token })
    }

    // Acts

    /// Sends an application message, reliably and in order.
    ///
    /// # Errors
    /// [`CommandError::MessageTooLong`], [`CommandError::NotJoined`].
    fn send_message(
        &mut self,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<RequestId, CommandError> {
        act(self.ask(Operation::Send {
            to: to.clone(),
            topic: topic.clone(),
            body,
        }))
    }

    /// Acts on participants as a moderator: kick, censor, uncensor, admit, deny.
    ///
    /// # Errors
    /// [`CommandError::NotJoined`].
    fn moderate(
        &mut self,
        action: Moderation,
        targets: &Targets,
    ) -> Result<RequestId, CommandError> {
        let targets = targets.clone();
        act(self.ask(Operation::Moderate { action, targets }))
    }

    /// Ends the session for everybody.
    ///
    /// # Errors
    /// [`CommandError::NotJoined`].
    fn end_session(&mut self) -> Result<RequestId, CommandError> {
        act(self.ask(Operation::EndSession))
    }

    /// Gives one of one's own attributes a value, or removes it if the value is empty. It lasts as long as the stay in
    /// the session: on [`Event::Joined`] without `resumed`, set it again.
    ///
    /// # Errors
    /// [`CommandError::NotJoined`].
    fn set_attribute(
        &mut self,
        key: &AttributeKey,
        value: &AttributeValue,
    ) -> Result<RequestId, CommandError> {
        act(self.ask(Operation::SetAttribute {
            participant: None,
            key: key.clone(),
            value: value.clone(),
        }))
    }

    /// The same of somebody else: to lower a hand, or to give a role. It takes
    /// [`Grants::SET_ATTRIBUTES`](crate::room::Grants::SET_ATTRIBUTES).
    ///
    /// # Errors
    /// [`CommandError::NotJoined`].
    fn set_attribute_of(
        &mut self,
        participant: &ParticipantId,
        key: &AttributeKey,
        value: &AttributeValue,
    ) -> Result<RequestId, CommandError> {
        act(self.ask(Operation::SetAttribute {
            participant: Some(participant.clone()),
            key: key.clone(),
            value: value.clone(),
        }))
    }

    /// Asks for the floor: the right to be the one who speaks.
    ///
    /// # Errors
    /// [`CommandError::NotJoined`].
    fn request_floor(&mut self) -> Result<RequestId, CommandError> {
        act(self.ask(Operation::RequestFloor))
    }

    /// Gives the floor back.
    ///
    /// # Errors
    /// [`CommandError::NotJoined`].
    fn release_floor(&mut self) -> Result<RequestId, CommandError> {
        act(self.ask(Operation::ReleaseFloor))
    }
}

/// An act is asked for at once or not at all, so it has a number.
fn act(asked: Result<Option<RequestId>, CommandError>) -> Result<RequestId, CommandError> {
    asked?.ok_or(CommandError::NotJoined)
}
