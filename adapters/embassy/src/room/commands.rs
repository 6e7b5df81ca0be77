//! What is asked of the server. Each answer comes as [`Event::Replied`](parlour_core::client::Event::Replied) with the number
//! that the command gave.

use parlour_core::client::{CommandError, Commands as _, Profile};
use parlour_core::room::StreamKey;
use parlour_core::signal::{Moderation, RequestId, StreamRef, SubscribePolicy, Targets};

use super::Room;

impl<P: Profile> Room<'_, P> {
    /// Asks to be the one who speaks: push-to-talk in a room where one speaks at a time.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn request_floor(&self) -> Result<RequestId, CommandError> {
        self.shared.tell(|client| client.request_floor())
    }

    /// Gives the floor back.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn release_floor(&self) -> Result<RequestId, CommandError> {
        self.shared.tell(|client| client.release_floor())
    }

    /// Removes participants from the session. The answer says how many, as in those that follow.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn kick(&self, whom: impl Into<Targets>) -> Result<RequestId, CommandError> {
        self.moderate(Moderation::Kick, whom.into())
    }

    /// Silences participants.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn censor(&self, whom: impl Into<Targets>) -> Result<RequestId, CommandError> {
        self.moderate(Moderation::Censor, whom.into())
    }

    /// Lifts participants' silence.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn uncensor(&self, whom: impl Into<Targets>) -> Result<RequestId, CommandError> {
        self.moderate(Moderation::Uncensor, whom.into())
    }

    /// Lets participants in from the lobby.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn admit(&self, whom: impl Into<Targets>) -> Result<RequestId, CommandError> {
        self.moderate(Moderation::Admit, whom.into())
    }

    /// Turns participants in the lobby away.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn deny(&self, whom: impl Into<Targets>) -> Result<RequestId, CommandError> {
        self.moderate(Moderation::Deny, whom.into())
    }

    fn moderate(&self, action: Moderation, whom: Targets) -> Result<RequestId, CommandError> {
        self.shared.tell(|client| client.moderate(action, &whom))
    }

    /// Silences one's own stream, or lets it be heard again. `None` if there is no session now: then the next one is told.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn set_muted(
        &self,
        key: &StreamKey,
        muted: bool,
    ) -> Result<Option<RequestId>, CommandError> {
        self.shared.tell(|client| client.set_muted(key, muted))
    }

    /// Receives a stream, whatever the policy says. `None` as in [`set_muted`](Self::set_muted).
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn subscribe(&self, stream: &StreamRef) -> Result<Option<RequestId>, CommandError> {
        self.shared.tell(|client| client.subscribe(stream))
    }

    /// Receives a stream no more, whatever the policy says. `None` as in [`set_muted`](Self::set_muted).
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn unsubscribe(&self, stream: &StreamRef) -> Result<Option<RequestId>, CommandError> {
        self.shared.tell(|client| client.unsubscribe(stream))
    }

    /// Says which audio streams to receive without asking for each. `None` as in [`set_muted`](Self::set_muted).
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn set_subscribe_policy(
        &self,
        policy: SubscribePolicy,
    ) -> Result<Option<RequestId>, CommandError> {
        self.shared
            .tell(|client| client.set_subscribe_policy(policy))
    }
}
