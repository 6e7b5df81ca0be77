//! The handle that the application has.

use core::fmt;

use embassy_futures::select::{Either, select};
use parlour_core::audio::codec::SampleRate;
use parlour_core::client::{Client, CloseCause, CommandError, Commands as _, Profile};

use parlour_core::room::{
    AttributeKey, AttributeValue, Codec, Lobby, RoomState, StreamKey, StreamKind, Topic,
};
use parlour_core::signal::{Publish, Recipients, RequestId};
use parlour_core::ticket::Ticket;

use crate::error::{JoinError, PublishError};
use crate::shared::{Network, Shared};
use crate::time::{now, wait_until};
use crate::writer::{Published, talker};
use crate::{AudioCodec, AudioWriter, Device, EncodedWriter, Events, MixedReader, SoundStatistics};

mod commands;
mod participants;

pub use participants::Participant;

/// A participant's place in a room, before, during and after being in it. A cheap handle: copy it to where it is
/// needed, on the executor of its [`Runner`](crate::Runner).
///
/// Every async function may be dropped half way: nothing is lost, and operations already begun go on.
pub struct Room<'d, P: Profile = Device> {
    shared: &'d Shared<'d, P>,
}

impl<'d, P: Profile> Room<'d, P> {
    pub(crate) fn new(shared: &'d Shared<'d, P>) -> Self {
        Self { shared }
    }

    /// Enters the room: waits for the network, for the server's address and for the server's word; in the lobby, for
    /// a moderator's. From then on a lost connection is restored by itself, for as long as it takes.
    ///
    /// In a room that is joined it returns at once, so that it may be called again after being dropped. After
    /// leaving, or after a failure, it joins anew.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn join(&self) -> Result<(), JoinError> {
        let shared = self.shared;
        shared.start()?;
        let patience = wait_until(Some(now() + shared.config.join_timeout));
        let answer = shared.until(|inner| {
            let client = &inner.client;
            let closed = client.closed().map(Err);
            closed.or_else(|| (client.is_joined() || client.is_waiting()).then_some(Ok(())))
        });
        let Either::First(answered) = select(answer, patience).await else {
            let error = match shared.network.get() {
                Network::Down => JoinError::NoNetwork,
                #[cfg(feature = "dns")]
                Network::Resolving => JoinError::UnknownHost,
                Network::Unreachable => JoinError::Unreachable,
                Network::Up => JoinError::NoAnswer,
            };
            shared.stop();
            return Err(error);
        };
        answered?;
        let entered = shared.until(|inner| match inner.client.closed() {
            Some(cause) => Some(Err(cause)),
            None => inner.client.is_joined().then_some(Ok(())),
        });
        Ok(entered.await?)
    }

    /// Looks for what stands between this device and its server, when [`join`](Self::join) was not answered: asks the
    /// name server for a name that nobody has, and for a page at port 80 of the server's address. Takes ten seconds at
    /// most. `None`: it found nothing, so the server may not run, or UDP to it is not let through.
    ///
    /// ```no_run
    /// # use parlour_embassy::{JoinError, Room};
    /// # async fn stay(room: Room<'static>) {
    /// if room.join().await == Err(JoinError::NoAnswer) {
    ///     if let Some(obstacle) = room.find_obstacle().await {
    ///         println!("{obstacle}"); // … log in there with a browser in the same network, or use another network
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// The stack must have one more socket free, for TCP. What it finds is for a person: a network can lie about that,
    /// too.
    #[cfg(feature = "obstacles")]
    pub async fn find_obstacle(&self) -> Option<crate::Obstacle> {
        let ticket = self.shared.inner.borrow().ticket;
        crate::obstacle::find(self.shared.stack, ticket).await
    }

    /// Says goodbye, and waits until the server has, or for a second. Streams that are published are published again
    /// by the next [`join`](Self::join).
    pub async fn leave(&self) {
        if self.shared.is_driven() {
            // An error means that it is over, or about to be.
            let _ = self.shared.tell(|client| client.leave(now()));
            self.shared
                .until(|inner| (!inner.driven).then_some(()))
                .await;
        }
    }

    /// Replaces the ticket: the next [`join`](Self::join) that joins anew uses it. In a room that is joined it
    /// changes nothing; there, a token that is to go on is refreshed by
    /// [`Commands::refresh_token`](parlour_core::client::Commands::refresh_token).
    pub fn set_ticket(&self, ticket: Ticket<'d>) {
        self.shared.set_ticket(ticket);
    }

    /// The room's events and messages, for one task: `None` while another task has them, which would miss what is read
    /// here.
    ///
    /// ```no_run
    /// # use parlour_embassy::{Room, core::client::Event};
    /// # async fn tell(room: Room<'static>) {
    /// let mut events = room.events().expect("the only task that reads them");
    /// loop {
    ///     if let Event::SpeakingStarted { participant } = events.next().await {
    ///         room.participant(&participant, |speaker| println!("{} speaks", speaker.info.name));
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self) -> Option<Events<'d, P>> {
        Events::new(self.shared)
    }

    /// Whether the room is joined and connected now.
    pub fn is_joined(&self) -> bool {
        self.shared.look(|client| client.is_joined())
    }

    /// The reason that it is over; `None` while it is not.
    pub fn closed(&self) -> Option<CloseCause> {
        self.shared.look(|client| client.closed())
    }

    /// Looks at what is true in the room. The closure may look at more, but must not command the room or use its audio.
    pub fn with_state<T>(&self, look: impl FnOnce(&RoomState<P::Roster>) -> T) -> T {
        self.shared.look(|client| look(client.state()))
    }

    /// Looks at the lobby, if this device may admit participants. [`Lobby::waiting`] names them if the
    /// [profile](Profile) keeps names; [`Event::Knocked`](parlour_core::client::Event::Knocked) names them in any
    /// case. The closure may do what that of [`with_state`](Self::with_state) may.
    pub fn with_lobby<T>(&self, look: impl FnOnce(Lobby<'_>) -> T) -> T {
        self.shared.look(|client| look(client.lobby()))
    }

    /// Gives the client itself, for all commands and facts that have no method here, such as statistics. The closure must not use the room's handles.
    pub fn with_client<T>(&self, command: impl FnOnce(&mut Client<P>) -> T) -> T {
        self.shared.tell(command)
    }

    /// Publishes a stream of PCM at `rate`; see [`AudioWriter`]. Done before [`join`](Self::join) it saves a round
    /// trip. A device publishes one stream.
    ///
    /// # Errors
    /// [`PublishError`]
    pub fn publish_audio(
        &self,
        key: StreamKey,
        codec: AudioCodec<'d>,
        rate: SampleRate,
    ) -> Result<AudioWriter<'d, P>, PublishError> {
        let core = codec.core();
        let talker = talker(codec, rate)?;
        Ok(AudioWriter::new(self.publish(key, core)?, talker))
    }

    /// Publishes a stream of encoded frames; see [`EncodedWriter`].
    ///
    /// # Errors
    /// [`PublishError`]
    pub fn publish_encoded(
        &self,
        key: StreamKey,
        codec: Codec,
    ) -> Result<EncodedWriter<'d, P>, PublishError> {
        Ok(EncodedWriter::new(self.publish(key, codec)?, codec))
    }

    fn publish(&self, key: StreamKey, codec: Codec) -> Result<Published<'d, P>, PublishError> {
        let publish = Publish {
            key: key.clone(),
            kind: StreamKind::Audio,
            codec,
            muted: false,
        };
        let inner = &mut *self.shared.inner.borrow_mut();
        if inner.publication.is_some() {
            return Err(CommandError::TooManyStreams.into());
        }
        match inner.client.publish(publish.clone()) {
            // A client that is over is followed by one that publishes.
            Ok(_) | Err(CommandError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        inner.publication = Some(publish);
        self.shared.command.signal(());
        Ok(Published::new(self.shared, key))
    }

    /// All that is heard; see [`MixedReader`]. One reader is enough: two would take the sound from each other.
    pub fn mixed_audio(&self) -> MixedReader<'d> {
        MixedReader {
            playback: self.shared.playback,
            rate: self.shared.config.output_rate,
        }
    }

    /// How the audio task does: see [`Duplex::run`](crate::Duplex::run).
    pub fn sound_statistics(&self) -> SoundStatistics {
        self.shared.sound.get()
    }

    /// Sends an application message, reliably and in order; the answer comes as [`Event::Replied`](parlour_core::client::Event::Replied).
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn send_message(
        &self,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<RequestId, CommandError> {
        (self.shared).tell(|client| client.send_message(to, topic, body))
    }

    /// Sends an application message that may get lost.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn send_lossy_message(
        &self,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<(), CommandError> {
        (self.shared).tell(|client| client.send_lossy_message(to, topic, body))
    }

    /// Sets one of this participant's attributes, or removes it if the value is empty; the answer comes as
    /// [`Event::Replied`](parlour_core::client::Event::Replied). It lasts as long as the stay in the session. The
    /// [profile](Profile) says whether other participants' attributes are kept, for [`RoomState::attribute`].
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn set_attribute(
        &self,
        key: &AttributeKey,
        value: &AttributeValue,
    ) -> Result<RequestId, CommandError> {
        (self.shared).tell(|client| client.set_attribute(key, value))
    }
}

impl<P: Profile> Clone for Room<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Profile> Copy for Room<'_, P> {}

impl<P: Profile> fmt::Debug for Room<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}
