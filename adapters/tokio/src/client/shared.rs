//! The state shared by the driver and the handles: the core's client, and the waiting tasks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parlour_core::audio::FrameTime;
use parlour_core::client::{
    CloseCause, CommandError, Commands as _, Desktop, Event as CoreEvent, Incoming, RequestFailure,
    SendError,
};
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::{AudioFrame, AudioLevel};
use parlour_core::signal::{MAX_BODY, Operation, Outcome, Refusal, RequestId, StreamRef};
use parlour_core::time::Instant;
use tokio::sync::{Notify, broadcast, oneshot, watch};

use super::messages::Queue;
use super::pace::Paced;
use super::tried::Tried;
use super::video::Video;
use super::{Event, MediaPacket, RequestError, WriteError};
use crate::clock::Clock;
use crate::machine::Client;

/// Events that wait for the slowest reader.
const EVENTS: usize = 256;
/// Frames that wait for the slowest reader: more than half a second of 32 voices.
const FRAMES: usize = 1_024;

/// How far the participation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Joining,
    Waiting,
    Joined,
    Closed(CloseCause),
}

/// One encoded frame of sound for a slot, with the time of its arrival.
#[derive(Debug, Clone)]
pub(crate) struct SlotFrame {
    pub(crate) arrived: Instant,
    pub(crate) slot: u8,
    pub(crate) codec: Codec,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u64,
    pub(crate) duration: u32,
    pub(crate) level: Option<AudioLevel>,
    pub(crate) marker: bool,
    pub(crate) speaker: Option<u32>,
    /// Whether several streams are heard at once.
    pub(crate) mixed: bool,
    pub(crate) payload: Bytes,
}

impl SlotFrame {
    fn new(arrived: Instant, slot: u8, frame: &AudioFrame<'_>) -> Self {
        Self {
            arrived,
            slot,
            codec: frame.codec,
            sequence: frame.sequence,
            timestamp: frame.timestamp,
            duration: frame.duration,
            level: frame.level,
            marker: frame.marker,
            speaker: frame.speaker,
            mixed: frame.contributors.iter().len() > 1,
            payload: Bytes::copy_from_slice(frame.payload),
        }
    }
}

type Reply = Result<Outcome, RequestFailure>;

pub(super) struct State {
    pub(super) client: Client<Desktop>,
    /// Sound that is not due yet.
    paced: Paced,
    /// The tasks that wait for answers, by request.
    replies: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    /// Streams published with the join whose writers have not been asked for.
    pub(super) prepared: BTreeMap<StreamKey, Codec>,
    /// The tasks that wait for streams to be published.
    publishing: BTreeMap<StreamKey, oneshot::Sender<Refusal>>,
    /// Those of `prepared` that the server refused.
    pub(super) refused: BTreeMap<StreamKey, Refusal>,
    /// Streams whose writers are gone, and which are published until the client has room for a request.
    orphans: Vec<StreamKey>,
    /// Which writer each stream belongs to: a stream can be published anew while its former writer is still there.
    pub(super) writers: BTreeMap<StreamKey, u64>,
    last_writer: u64,
    /// Gone when all is over, so that the readers' streams end.
    events: Option<broadcast::Sender<Event>>,
    pub(super) messages: Queue,
    frames: Option<broadcast::Sender<SlotFrame>>,
    media: Option<broadcast::Sender<MediaPacket>>,
    pub(super) video: Video,
    /// Holds the events since joining, for the first reader.
    first_events: Option<broadcast::Receiver<Event>>,
    /// The addresses tried, for the error of a failed join.
    pub(super) tried: Tried,
}

pub(crate) struct Shared {
    pub(super) clock: Clock,
    /// The number of audio slots asked for.
    slots: u8,
    state: Mutex<State>,
    /// Tells the driver that there may be something to send.
    pub(super) wake: Notify,
    /// Tells tasks that wait for room, or for a change, that something has changed.
    pub(super) progress: Notify,
    pub(super) status: watch::Sender<Status>,
}

impl fmt::Debug for Shared {
    /// Leaves the client out: it knows secrets, and may be locked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shared = f.debug_struct("Shared");
        shared.field("status", &*self.status.borrow());
        shared.finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        clock: Clock,
        slots: u8,
        client: Client<Desktop>,
        prepared: BTreeMap<StreamKey, Codec>,
    ) -> Arc<Self> {
        let (events, first_events) = broadcast::channel(EVENTS);
        let (frames, _) = broadcast::channel(FRAMES);
        let (media, _) = broadcast::channel(FRAMES);
        Arc::new(Self {
            clock,
            slots,
            state: Mutex::new(State {
                client,
                paced: Paced::default(),
                replies: BTreeMap::new(),
                prepared,
                publishing: BTreeMap::new(),
                refused: BTreeMap::new(),
                orphans: Vec::new(),
                writers: BTreeMap::new(),
                last_writer: 0,
                events: Some(events),
                messages: Queue::default(),
                frames: Some(frames),
                media: Some(media),
                video: Video::default(),
                first_events: Some(first_events),
                tried: Tried::default(),
            }),
            wake: Notify::new(),
            progress: Notify::new(),
            status: watch::Sender::new(Status::Joining),
        })
    }

    pub(crate) fn slots(&self) -> u8 {
        self.slots
    }

    /// The state, even if a holder of the lock panicked: every call of the core leaves it consistent.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks something of the server, and waits for the answer.
    ///
    /// `Ok(None)` if there is no session now and the command was only noted, for the next one.
    pub(super) async fn ask(
        &self,
        operation: Operation<'_>,
    ) -> Result<Option<Outcome>, RequestError> {
        let reply = loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            // From here on no notification is missed.
            progress.as_mut().enable();
            {
                let mut state = self.lock();
                match state.client.ask(operation.clone()) {
                    Ok(None) => return Ok(None),
                    Ok(Some(request)) => {
                        let (sender, receiver) = oneshot::channel();
                        state.replies.insert(request, sender);
                        break receiver;
                    }
                    // There will be room again as soon as the server answers or acknowledges.
                    Err(CommandError::TooManyRequests | CommandError::Full) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            self.wake.notify_one();
            progress.await;
        };
        self.wake.notify_one();
        match reply.await {
            Ok(Ok(outcome)) => Ok(Some(outcome)),
            Ok(Err(RequestFailure::Refused(refusal))) => Err(refusal.into()),
            Ok(Err(_)) => Err(RequestError::ConnectionLost),
            // The driver has dropped the sender: it is over.
            Err(_) => Err(RequestError::Closed),
        }
    }

    /// Waits until the stream `key`, which the client has been told to publish, is published.
    pub(super) async fn published(&self, key: &StreamKey) -> Result<(), RequestError> {
        let refused = {
            let mut state = self.lock();
            if state.client.closed().is_some() {
                return Err(RequestError::Closed);
            }
            if let Some(refusal) = state.refused.remove(key) {
                return Err(refusal.into());
            }
            if state.client.published_ssrc(key).is_some() {
                return Ok(());
            }
            let (sender, receiver) = oneshot::channel();
            state.publishing.insert(key.clone(), sender);
            receiver
        };
        self.wake.notify_one();
        match refused.await {
            Ok(refusal) => Err(refusal.into()),
            // Dropped unsent: it is published, or it is over.
            Err(_) if self.lock().client.closed().is_some() => Err(RequestError::Closed),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn subscribe_events(&self) -> broadcast::Receiver<Event> {
        let mut state = self.lock();
        if let Some(first) = state.first_events.take() {
            return first;
        }
        match &state.events {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    pub(crate) fn subscribe_frames(&self) -> broadcast::Receiver<SlotFrame> {
        match &self.lock().frames {
            Some(frames) => frames.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    pub(super) fn subscribe_media(&self) -> broadcast::Receiver<MediaPacket> {
        match &self.lock().media {
            Some(media) => media.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    /// The stream with that SSRC, if it is in the room's state.
    pub(super) fn stream_with(&self, ssrc: u32) -> Option<StreamRef> {
        let state = self.lock();
        let (participant, stream) = state.client.state().find_stream(ssrc)?;
        Some(StreamRef {
            participant: participant.id.clone(),
            key: stream.key.clone(),
        })
    }

    /// Takes in a datagram from the server; false if it was dropped.
    pub(super) fn handle_datagram(&self, datagram: &mut [u8]) -> bool {
        let now = self.clock.now();
        let mut state = self.lock();
        let State {
            client,
            events,
            frames,
            media,
            video,
            ..
        } = &mut *state;
        let handled = client.handle_datagram(now, datagram, &mut |incoming| match incoming {
            Incoming::Audio { slot, frame } => {
                // Without a listener, spare the copy.
                if let Some(frames) = frames.as_ref().filter(|f| f.receiver_count() > 0) {
                    let _ = frames.send(SlotFrame::new(now, slot, &frame));
                }
            }
            Incoming::Message(message) => {
                if let Some(events) = events {
                    let _ = events.send(Event::LossyMessage {
                        from: message.from,
                        topic: message.topic,
                        body: Bytes::copy_from_slice(message.body),
                    });
                }
            }
            Incoming::Media(packet) => {
                video.handle_packet(now, &packet);
                if let Some(media) = media.as_ref().filter(|m| m.receiver_count() > 0) {
                    let _ = media.send(MediaPacket::new(&packet));
                }
            }
            Incoming::Feedback { key, feedback } => video.handle_feedback(now, key, feedback),
        });
        video.watch(now, client);
        if let Err(dropped) = handled {
            tracing::trace!(%dropped, "datagram dropped");
        }
        handled.is_ok()
    }

    /// Gives the client the sound that is due now.
    pub(super) fn release(&self) {
        let now = self.clock.now();
        let State { client, paced, .. } = &mut *self.lock();
        paced.release(now, |key, frame| {
            // A frame that cannot be sent now is dropped, as one written now would be.
            let _ = client.send_audio(now, key, frame.timestamp(), frame.level, &frame.payload);
        });
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&self, now: Instant) {
        let State { client, video, .. } = &mut *self.lock();
        client.handle_timeout(now);
        video.watch(now, client);
    }

    /// Writes a datagram to send, if there is one.
    pub(super) fn poll_transmit(&self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let State { client, video, .. } = &mut *self.lock();
        video.transmit(now, client);
        client.poll_transmit(now, out).ok().flatten()
    }

    /// The time of the next work if nothing else happens.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let state = self.lock();
        let times = [
            state.client.poll_timeout(),
            state.paced.due(),
            state.video.due(&state.client),
        ];
        times.into_iter().flatten().min()
    }

    /// Hands out what the client has to say. `redirected` gets what the driver itself has to act on.
    pub(super) fn dispatch(&self, mut act: impl FnMut(&CoreEvent)) {
        {
            let mut state = self.lock();
            while let Some(event) = state.client.poll_event() {
                act(&event);
                self.settle(&mut state, event);
            }
            state.take_messages();
            state.unpublish_orphans();
            let State { client, video, .. } = &mut *state;
            video.resolve(client.state());
            if state.client.closed().is_some() {
                state.end();
            }
        }
        self.progress.notify_waiters();
    }

    /// Hands out an event of the adapter's own.
    pub(super) fn tell(&self, event: Event) {
        if let Some(events) = &self.lock().events {
            let _ = events.send(event);
        }
    }

    fn settle(&self, state: &mut State, event: CoreEvent) {
        match &event {
            CoreEvent::Replied { request, result } => {
                if let Some(waiting) = state.replies.remove(request) {
                    let _ = waiting.send(*result);
                }
                return;
            }
            CoreEvent::Published { key, .. } => drop(state.publishing.remove(key)),
            CoreEvent::PublishRefused { key, refusal } => {
                if let Some(waiting) = state.publishing.remove(key) {
                    let _ = waiting.send(*refusal);
                } else if state.prepared.contains_key(key) {
                    state.refused.insert(key.clone(), *refusal);
                }
            }
            CoreEvent::Joined { .. } => drop(self.status.send_replace(Status::Joined)),
            CoreEvent::Waiting => drop(self.status.send_replace(Status::Waiting)),
            CoreEvent::Closed(cause) => drop(self.status.send_replace(Status::Closed(*cause))),
            CoreEvent::MessagesMissed(count) => {
                // It came behind those that were received before.
                state.take_messages();
                state.messages.miss((*count).into());
                return;
            }
            CoreEvent::MessageReceived | CoreEvent::Redirected(_) => return,
            _ => {}
        }
        if let Some(events) = &state.events {
            let _ = events.send(Event::Room(event));
        }
    }
}

impl State {
    /// Stops publishing a stream, now or when there is room for the request.
    pub(super) fn unpublish(&mut self, key: &StreamKey) {
        self.paced.forget(key);
        self.video.forget(key);
        if let Err(CommandError::TooManyRequests | CommandError::Full) = self.client.unpublish(key)
        {
            self.orphans.push(key.clone());
        }
    }

    /// Gives a stream, which was just published, to a new writer.
    fn take_over(&mut self, key: &StreamKey) -> u64 {
        self.orphans.retain(|orphan| orphan != key);
        self.last_writer += 1;
        self.writers.insert(key.clone(), self.last_writer);
        self.last_writer
    }

    fn unpublish_orphans(&mut self) {
        for key in std::mem::take(&mut self.orphans) {
            self.unpublish(&key);
        }
    }

    /// Moves messages into their queue. A held-back message stays unacknowledged, and so does all signalling behind
    /// it. This is not done while a task waits for an answer, because that task may be the one that does not read.
    pub(super) fn take_messages(&mut self) {
        let is_awaited = !self.replies.is_empty() || !self.publishing.is_empty();
        let mut body = [0; MAX_BODY];
        while is_awaited || !self.messages.holds_back() {
            match self.client.poll_message(&mut body) {
                Ok(Some(message)) => self.messages.push(&message),
                _ => return,
            }
        }
    }

    /// Lets all waiting tasks know that it is over.
    fn end(&mut self) {
        self.replies.clear();
        self.publishing.clear();
        self.paced = Paced::default();
        self.messages.wake();
        self.events = None;
        self.frames = None;
        self.media = None;
        self.video = Video::default();
    }
}

/// One of this participant's streams, which is unpublished when this is dropped.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) shared: Arc<Shared>,
    key: StreamKey,
    writer: u64,
}

impl Published {
    /// The stream `key`, which the client was told to publish.
    pub(super) fn new(shared: Arc<Shared>, key: StreamKey) -> Self {
        let writer = shared.lock().take_over(&key);
        Self {
            shared,
            key,
            writer,
        }
    }

    pub(super) fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Whether no other writer has published the stream anew.
    pub(super) fn is_current(&self, writers: &BTreeMap<StreamKey, u64>) -> bool {
        writers.get(&self.key) == Some(&self.writer)
    }

    /// Sends an audio frame when it is due. A frame that cannot be sent now, but later can, is dropped.
    pub(super) fn send_audio(
        &self,
        time: FrameTime,
        level: AudioLevel,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        let now = self.shared.clock.now();
        {
            let mut state = self.shared.lock();
            let is_open = state.client.closed().is_none();
            if is_open && state.writers.get(&self.key) != Some(&self.writer) {
                return Err(WriteError::NotPublished);
            }
            if is_open && state.paced.has_to_wait(now, &self.key, time) {
                state.paced.push(&self.key, time, level, payload);
                drop(state);
                self.shared.wake.notify_one();
                return Ok(());
            }
        }
        self.send(|client, now, key| client.send_audio(now, key, time.timestamp, level, payload))
    }

    /// Sends what is due, and forgets the frames that are not; gives the timestamp of the first of those.
    pub(super) fn clear(&self) -> Option<u32> {
        self.shared.release();
        let mut state = self.shared.lock();
        if state.writers.get(&self.key) != Some(&self.writer) {
            return None;
        }
        state.paced.forget(&self.key)
    }

    /// Sends a packet. A packet that cannot be sent now, but later can, is dropped.
    pub(super) fn send(
        &self,
        send: impl FnOnce(&mut Client<Desktop>, Instant, &StreamKey) -> Result<(), SendError>,
    ) -> Result<(), WriteError> {
        let now = self.shared.clock.now();
        let (sent, closed) = {
            let mut state = self.shared.lock();
            let sent = send(&mut state.client, now, &self.key);
            (sent, state.client.closed().is_some())
        };
        self.shared.wake.notify_one();
        match sent {
            _ if closed => Err(WriteError::Closed),
            Ok(()) | Err(SendError::NotJoined | SendError::NotPublished | SendError::Muted) => {
                Ok(())
            }
            Err(SendError::Frame(error)) => Err(error.into()),
            Err(SendError::TooLong { max }) => Err(WriteError::TooLong { max }),
            Err(_) => Err(WriteError::NotPublished),
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.writers.get(&self.key) == Some(&self.writer) {
            state.writers.remove(&self.key);
            state.unpublish(&self.key);
        }
        drop(state);
        self.shared.wake.notify_one();
    }
}
