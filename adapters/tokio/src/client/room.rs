//! The handle of a room that was joined.
#![allow(unused_variables)]

use parlour_core::audio::codec::SampleRate;
use parlour_core::room::{CloseReason, Grants, ParticipantId, Replica, SessionId};
use parlour_core::signal::{Recipients, StreamRef, SubscribePolicy, Targets};

use super::{
    AudioOptions, AudioWriter, Events, JoinError, JoinOptions, MixedReader, PublishError,
    ReadError, RequestError, SlotReader,
};

/// A room that this process takes part in.
///
/// A handle: clones are the same participation. When the last clone is dropped, the participant leaves, as well as
/// that can be done in the background; [`leave`](Self::leave) does it properly.
///
/// Every `async fn` here is cancellation-safe: a future that is dropped may leave its request under way, whose effect
/// then shows in the room's state, but breaks and loses nothing else.
#[derive(Debug, Clone)]
pub struct Room {}

impl Room {
    /// Joins the room that `ticket` is for, with [`JoinOptions::default`].
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn join(ticket: &str) -> Result<Self, JoinError> {
        Self::join_with(ticket, JoinOptions::default()).await
    }

    /// Joins the room that `ticket` is for.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn join_with(ticket: &str, options: JoinOptions) -> Result<Self, JoinError> {
        todo!()
    }

    /// What happens from now on; on its first call, what has happened since joining.
    pub fn events(&self) -> Events {
        todo!()
    }

    /// Looks at what is true in the room now. `look` must be quick: packets wait meanwhile.
    pub fn with_state<T>(&self, look: impl FnOnce(&Replica<64>) -> T) -> T {
        todo!()
    }

    /// Who this participant is; `None` while it waits in the lobby.
    pub fn me(&self) -> Option<ParticipantId> {
        todo!()
    }

    /// What this participant may do.
    pub fn grants(&self) -> Grants {
        todo!()
    }

    /// Which run of the room this is; `None` while this participant waits in the lobby.
    pub fn session(&self) -> Option<SessionId> {
        todo!()
    }

    /// Whom to show large: the pinned one, else the presenter, else the speaker.
    pub fn main_participant(&self) -> Option<ParticipantId> {
        todo!()
    }

    /// Publishes audio under `key` (1 to 16 printable ASCII characters, such as `mic`).
    ///
    /// # Errors
    /// [`PublishError`]
    pub async fn publish_audio(
        &self,
        key: &str,
        options: AudioOptions,
    ) -> Result<AudioWriter, PublishError> {
        todo!()
    }

    /// All that is heard, mixed, at `rate`.
    ///
    /// # Errors
    /// [`ReadError::SampleRate`] at 8 kHz.
    pub fn mixed_audio(&self, rate: SampleRate) -> Result<MixedReader, ReadError> {
        todo!()
    }

    /// What is heard in one slot, at `rate`.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn slot_audio(&self, slot: u8, rate: SampleRate) -> Result<SlotReader, ReadError> {
        todo!()
    }

    /// Receives a stream, whatever the policy says.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn subscribe(&self, stream: &StreamRef) -> Result<(), RequestError> {
        todo!()
    }

    /// Receives a stream no more, whatever the policy says.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn unsubscribe(&self, stream: &StreamRef) -> Result<(), RequestError> {
        todo!()
    }

    /// Says which audio streams to receive without asking for each.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn set_subscribe_policy(&self, policy: SubscribePolicy) -> Result<(), RequestError> {
        todo!()
    }

    /// Keeps one audio slot for `stream` whoever else talks, or for none.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn pin(&self, stream: Option<&StreamRef>) -> Result<(), RequestError> {
        todo!()
    }

    /// Silences one's own stream, or lets it be heard again.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn set_muted(&self, key: &str, muted: bool) -> Result<(), RequestError> {
        todo!()
    }

    /// Sends a message of at most 640 bytes, reliably and in order; says to how many it goes.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn send_message(
        &self,
        to: &Recipients,
        topic: &str,
        body: &[u8],
    ) -> Result<u16, RequestError> {
        todo!()
    }

    /// Sends a message of at most 640 bytes that may get lost: for what is worthless when late.
    ///
    /// # Errors
    /// [`RequestError`]
    pub fn send_lossy_message(
        &self,
        to: &Recipients,
        topic: &str,
        body: &[u8],
    ) -> Result<(), RequestError> {
        todo!()
    }

    /// Removes participants from the session; says how many.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn kick(&self, targets: &Targets) -> Result<u16, RequestError> {
        todo!()
    }

    /// Silences participants; says how many.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn censor(&self, targets: &Targets) -> Result<u16, RequestError> {
        todo!()
    }

    /// Lifts participants' silence; says of how many.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn uncensor(&self, targets: &Targets) -> Result<u16, RequestError> {
        todo!()
    }

    /// Lets participants in from the lobby; says how many.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn admit(&self, targets: &Targets) -> Result<u16, RequestError> {
        todo!()
    }

    /// Turns participants in the lobby away; says how many.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn deny(&self, targets: &Targets) -> Result<u16, RequestError> {
        todo!()
    }

    /// Ends the session for everybody.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn end_session(&self) -> Result<(), RequestError> {
        todo!()
    }

    /// Asks to be the one who speaks.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn request_floor(&self) -> Result<(), RequestError> {
        todo!()
    }

    /// Gives the floor back.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn release_floor(&self) -> Result<(), RequestError> {
        todo!()
    }

    /// Replaces the token by a newer one for the same participant and room.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn refresh_token(&self, token: &str) -> Result<(), RequestError> {
        todo!()
    }

    /// Takes a new socket, because the machine's network has changed. Nothing is lost: the server follows.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn rebind(&self) -> std::io::Result<()> {
        todo!()
    }

    /// Leaves, and returns when the server knows or a second has passed.
    pub async fn leave(&self) {
        todo!()
    }

    /// Waits until the participation has ended, and says why.
    pub async fn closed(&self) -> CloseReason {
        todo!()
    }
}
