//! The handle of a room that was joined.

use std::sync::Arc;

use parlour_core::client::{CloseCause, Commands as _, Desktop, Profile, Statistics};
use parlour_core::room::{Codec, Grants, ParticipantId, SessionId, StreamKey, StreamKind, Topic};
use parlour_core::signal::{
    Operation, Outcome, Publish, Recipients, Refusal, Secret, StreamRef, SubscribePolicy,
};
use tokio::sync::{mpsc, oneshot};

use super::driver::Rebind;
use super::encoder::talker;
use super::shared::{Published, Shared, Status};
use super::{
    AudioOptions, AudioSource, AudioWriter, Events, FrameReader, MediaReader, MediaWriter,
    Messages, MixedReader, ParticipantReader, PublishError, ReadError, RequestError, SampleRate,
    SlotReader,
};

mod attributes;
mod joining;
mod lobby;
mod moderation;
mod participants;

pub(super) use joining::Ways;
pub use joining::{JoinProgress, OnProgress};
pub use lobby::Lobby;
pub use moderation::Whom;
pub use participants::Participant;

/// The state of a room, as far as this participant knows it.
pub type RoomState = parlour_core::room::RoomState<<Desktop as Profile>::Roster>;

/// A room that this process takes part in.
///
/// A handle: clones are the same participation. When the last clone is dropped, the participant leaves in the
/// background, on a best-effort basis; [`leave`](Self::leave) does it properly. Writers and readers do not keep it in
/// the room.
///
/// Every `async fn` here is cancellation-safe: a future that is dropped may leave its request under way, whose effect
/// then shows in the room's state, but it breaks and loses nothing else. They wait where the core would say that
/// something is full.
#[derive(Debug, Clone)]
pub struct Room {
    shared: Arc<Shared>,
    rebinds: mpsc::Sender<Rebind>,
    /// The driver leaves when the last of these is dropped.
    _alive: Arc<oneshot::Sender<()>>,
}

impl Room {
    /// Waits for a status like that.
    async fn status(&self, wanted: impl Fn(Status) -> bool) -> Status {
        let mut status = self.shared.status.subscribe();
        let reached = status.wait_for(|status| wanted(*status)).await;
        match reached.map(|status| *status) {
            Ok(status) => status,
            // The sender lives as long as this handle.
            Err(_) => std::future::pending().await,
        }
    }

    /// The events from now on; on the first call, all since joining.
    pub fn events(&self) -> Events {
        Events::new(self.shared.subscribe_events())
    }

    /// The messages that others send to this participant by [`send_message`](Self::send_message), also those that have come
    /// since joining.
    ///
    /// ```no_run
    /// # use parlour_tokio::{Message, Room};
    /// # async fn chat(room: Room) {
    /// let mut messages = room.messages();
    /// while let Some(message) = messages.next().await {
    ///     match message {
    ///         Message::Received { from, body, .. } => println!("{from}: {}", String::from_utf8_lossy(&body)),
    ///         Message::Missed { count } => println!("{count} messages are lost: this is too slow"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub fn messages(&self) -> Messages {
        Messages::new(Arc::clone(&self.shared))
    }

    /// Looks at what is true in the room now: at a copy of it, so that `look` may take its time and call this room's other
    /// methods. For participants as values there is [`participants`](Self::participants).
    pub fn with_state<T>(&self, look: impl FnOnce(&RoomState) -> T) -> T {
        let state = Box::new(self.shared.lock().client.state().clone());
        look(&state)
    }

    /// This participant's id; `None` while it waits in the lobby.
    pub fn me(&self) -> Option<ParticipantId> {
        self.shared.lock().client.me().cloned()
    }

    /// This participant's grants.
    pub fn grants(&self) -> Grants {
        self.shared.lock().client.grants()
    }

    /// The current run of the room; `None` while this participant waits in the lobby.
    pub fn session(&self) -> Option<SessionId> {
        self.shared.lock().client.session()
    }

    /// The participant to show large: the pinned one, else the presenter, else the active speaker.
    pub fn main_participant(&self) -> Option<ParticipantId> {
        self.shared.lock().client.main_participant().cloned()
    }

    /// How well the connection does.
    pub fn statistics(&self) -> Statistics {
        self.shared.lock().client.statistics()
    }

    /// Publishes audio under `key` (1 to 16 printable ASCII characters, such as `mic`).
    ///
    /// Dropping the future unpublishes the stream again.
    ///
    /// # Errors
    /// [`PublishError`]
    pub async fn publish_audio(
        &self,
        key: &str,
        options: AudioOptions,
    ) -> Result<AudioWriter, PublishError> {
        let key = StreamKey::new(key).map_err(RequestError::from)?;
        let talker = talker(&options)?;
        let stream = self.publish(publication(&key, &options)).await?;
        Ok(AudioWriter::new(stream, &options, talker))
    }

    /// Publishes video or a screen as RTP payloads that are packetized already, and not sent again when they are lost; for
    /// encoded pictures there is [`publish_video`](Self::publish_video). Others receive it if they
    /// [subscribe](Self::subscribe) to it.
    ///
    /// Dropping the future unpublishes the stream again.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn publish_media(
        &self,
        key: &str,
        kind: StreamKind,
        codec: Codec,
    ) -> Result<MediaWriter, RequestError> {
        let stream = self.publish_pictures(key, kind, codec).await?;
        Ok(MediaWriter::new(stream))
    }

    pub(super) async fn publish_pictures(
        &self,
        key: &str,
        kind: StreamKind,
        codec: Codec,
    ) -> Result<Published, RequestError> {
        let publish = Publish {
            key: StreamKey::new(key)?,
            kind,
            codec,
            muted: false,
        };
        self.publish(publish).await
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    async fn publish(&self, publish: Publish) -> Result<Published, RequestError> {
        let key = publish.key.clone();
        {
            let mut state = self.shared.lock();
            match state.prepared.remove(&key) {
                Some(prepared) if prepared == publish.codec => {}
                Some(prepared) => {
                    state.prepared.insert(key, prepared);
                    return Err(Refusal::CodecMismatch.into());
                }
                None => drop(state.client.publish(publish)?),
            }
        }
        // From here on, dropping it unpublishes.
        let stream = Published::new(Arc::clone(&self.shared), key);
        self.shared.published(stream.key()).await?;
        Ok(stream)
    }

    /// The packets of all video and screens that this participant has subscribed to, from now on.
    pub fn media(&self) -> MediaReader {
        MediaReader::new(Arc::clone(&self.shared))
    }

    /// All that is heard, mixed, at `rate`.
    ///
    /// # Errors
    /// None at present.
    pub fn mixed_audio(&self, rate: impl Into<SampleRate>) -> Result<MixedReader, ReadError> {
        Ok(MixedReader::new(Arc::clone(&self.shared), rate.into()))
    }

    /// The audio of one slot, at `rate`.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn slot_audio(
        &self,
        slot: u8,
        rate: impl Into<SampleRate>,
    ) -> Result<SlotReader, ReadError> {
        SlotReader::new(Arc::clone(&self.shared), slot, rate.into())
    }

    /// The audio of one participant, or of one of its streams, at `rate`; beside the mix, and even before the
    /// participant is in the room.
    ///
    /// ```no_run
    /// # use parlour_tokio::{ParticipantId, Room, SampleRate};
    /// # async fn transcribe(room: Room, anna: ParticipantId, mut recognize: impl FnMut(&[i16])) {
    /// let mut voice = room.audio_of(&anna, SampleRate::Hz16000);
    /// let mut pcm = [0; 320];
    /// loop {
    ///     if voice.next_frame(&mut pcm).await.is_some() {
    ///         recognize(&pcm);
    ///     }
    /// }
    /// # }
    /// ```
    pub fn audio_of(
        &self,
        source: impl Into<AudioSource>,
        rate: impl Into<SampleRate>,
    ) -> ParticipantReader {
        ParticipantReader::new(Arc::clone(&self.shared), source.into(), rate.into())
    }

    /// The frames of all that is heard, still encoded, from now on.
    ///
    /// ```no_run
    /// # async fn record(room: parlour_tokio::Room, mut store: impl FnMut(&str, u64, &[u8])) {
    /// let mut frames = room.frames();
    /// while let Some(frame) = frames.next().await {
    ///     store(frame.stream.participant.as_str(), frame.timestamp, &frame.payload);
    /// }
    /// println!("{} frames are missing", frames.missed());
    /// # }
    /// ```
    pub fn frames(&self) -> FrameReader {
        FrameReader::new(Arc::clone(&self.shared))
    }

    /// Mirrors what one slot receives as plain RTP to `to`, until the tap is dropped; see [`Tap`](crate::Tap).
    ///
    /// # Errors
    /// [`TapError`](crate::TapError)
    #[cfg(feature = "tap")]
    pub async fn tap_slot(
        &self,
        slot: u8,
        to: std::net::SocketAddr,
    ) -> Result<crate::Tap, crate::TapError> {
        crate::Tap::open(&self.shared, slot, to).await
    }

    /// Receives a stream, whatever the policy says.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn subscribe(&self, stream: &StreamRef) -> Result<(), RequestError> {
        self.ask(Operation::Subscribe(stream.clone())).await
    }

    /// Receives a stream no more, whatever the policy says.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn unsubscribe(&self, stream: &StreamRef) -> Result<(), RequestError> {
        self.ask(Operation::Unsubscribe(stream.clone())).await
    }

    /// Says which audio streams to receive without asking for each.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn set_subscribe_policy(&self, policy: SubscribePolicy) -> Result<(), RequestError> {
        self.ask(Operation::SetSubscribePolicy(policy)).await
    }

    /// Keeps one audio slot for `stream`, whatever other streams do, or for none.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn pin(&self, stream: Option<&StreamRef>) -> Result<(), RequestError> {
        self.ask(Operation::Pin(stream.cloned())).await
    }

    /// Silences one's own stream, or lets it be heard again.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn set_muted(&self, key: &str, muted: bool) -> Result<(), RequestError> {
        let key = StreamKey::new(key)?;
        self.ask(Operation::SetMuted { key, muted }).await
    }

    /// Sends a message of at most 640 bytes, reliably and in order; says to how many it goes. Each of them reads it in
    /// [`messages`](Self::messages), or is told that it missed it.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn send_message(
        &self,
        to: &Recipients,
        topic: &str,
        body: &[u8],
    ) -> Result<u16, RequestError> {
        let topic = Topic::new(topic)?;
        let to = to.clone();
        let asked = self.shared.ask(Operation::Send { to, topic, body });
        match asked.await? {
            Some(Outcome::Sent { recipients }) => Ok(recipients),
            _ => Ok(0),
        }
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
        let topic = Topic::new(topic)?;
        let sent = (self.shared.lock().client).send_lossy_message(to, &topic, body);
        self.shared.wake.notify_one();
        Ok(sent?)
    }

    /// Ends the session for everybody.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn end_session(&self) -> Result<(), RequestError> {
        self.ask(Operation::EndSession).await
    }

    /// Asks for the floor.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn request_floor(&self) -> Result<(), RequestError> {
        self.ask(Operation::RequestFloor).await
    }

    /// Gives the floor back.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn release_floor(&self) -> Result<(), RequestError> {
        self.ask(Operation::ReleaseFloor).await
    }

    /// Replaces the token by a newer one for the same participant and room.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn refresh_token(&self, token: &str) -> Result<(), RequestError> {
        let token = Secret(token);
        self.ask(Operation::RefreshToken { token }).await
    }

    /// Asks for something, and waits until it is done.
    async fn ask(&self, operation: Operation<'_>) -> Result<(), RequestError> {
        self.shared.ask(operation).await.map(drop)
    }

    /// Takes a new socket, because the machine's network has changed. Nothing is lost: the server follows. (A network
    /// that is gone without a word is noticed by itself, a few seconds later.)
    ///
    /// # Errors
    /// The operating system's error; the former socket stays then. A TCP connection is made anew in the background.
    pub async fn rebind(&self) -> std::io::Result<()> {
        let closed = |_| std::io::Error::from(std::io::ErrorKind::NotConnected);
        let (reply, done) = oneshot::channel();
        self.rebinds
            .send(reply)
            .await
            .map_err(|_| std::io::ErrorKind::NotConnected)?;
        done.await.map_err(closed)?
    }

    /// Leaves, and returns when the server knows or a second has passed.
    pub async fn leave(&self) {
        let now = self.shared.clock.now();
        // An error means that it is closed, or leaving, already.
        let _ = self.shared.lock().client.leave(now);
        self.shared.wake.notify_one();
        self.closed().await;
    }

    /// Waits until the participation has ended, and says why.
    pub async fn closed(&self) -> CloseCause {
        match self
            .status(|status| matches!(status, Status::Closed(_)))
            .await
        {
            Status::Closed(cause) => cause,
            _ => std::future::pending().await,
        }
    }
}

fn publication(key: &StreamKey, options: &AudioOptions) -> Publish {
    Publish {
        key: key.clone(),
        kind: StreamKind::Audio,
        codec: options.codec.core(),
        muted: options.muted,
    }
}
