//! Pictures of cameras and screens, encoded: in by a [`VideoWriter`], out by a [`VideoReader`].

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parlour_core::client::{Desktop, Pictures as _, SendError};
use parlour_core::room::{Codec, StreamKey, StreamKind};
use parlour_core::rtp::RtpPacket;
use parlour_core::signal::{Operation, StreamRef};
use parlour_core::time::Instant;
use parlour_core::video::{
    AssembledPicture, Feedback, MAX_PICTURE, MAX_PICTURE_PACKETS, Picture, PictureReceiver,
    PictureSender, SendPictureError, SendSlot, Slot,
};
use rand_core::{OsRng, RngCore as _};
use thiserror::Error;
use tokio::sync::mpsc;

use super::RequestError;
use super::room::RoomState;
use super::shared::{Published, Shared, State};
use crate::machine::Client;

/// Pictures that wait for a reader: a second of a camera.
const WAITING: usize = 30;
/// Slots for the packets of any picture.
const SLOTS: usize = MAX_PICTURE_PACKETS as usize;

/// How a stream of pictures is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoOptions {
    /// A camera or a screen.
    pub kind: StreamKind,
    /// What the encoder makes.
    pub codec: Codec,
    /// How much it makes at most. Packets leave at twice this rate, so that sound finds room between them, or as fast as the way to
    /// the server carries them.
    pub bits_per_second: u32,
}

impl VideoOptions {
    /// A camera with this codec, of 1.5 Mb/s.
    pub const fn camera(codec: Codec) -> Self {
        Self {
            kind: StreamKind::Video,
            codec,
            bits_per_second: 1_500_000,
        }
    }

    /// A screen with this codec, of 2 Mb/s.
    pub const fn screen(codec: Codec) -> Self {
        Self {
            kind: StreamKind::Screen,
            codec,
            bits_per_second: 2_000_000,
        }
    }

    /// The same at another rate.
    #[must_use]
    pub const fn bits_per_second(mut self, bits_per_second: u32) -> Self {
        self.bits_per_second = bits_per_second;
        self
    }
}

/// The reason that a picture is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WritePictureError {
    /// The participant is no longer in the room.
    #[error("the room is closed: join again")]
    Closed,
    /// The stream is no longer published.
    #[error("the stream is not published any more: publish it again")]
    NotPublished,
    /// The stream is muted.
    #[error("the stream is muted: unmute it, and begin with a key picture")]
    Muted,
    /// The picture is none, too many wait, or it needs one that was not sent.
    #[error(transparent)]
    Picture(#[from] SendPictureError),
}

/// One published stream of pictures. Dropping it unpublishes the stream.
///
/// ```no_run
/// use parlour_tokio::core::video::Picture;
/// use parlour_tokio::{Codec, Room, VideoOptions};
///
/// # async fn film(room: Room, mut encode: impl FnMut(bool, u32) -> Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
/// let mut camera = room.publish_video("camera", VideoOptions::camera(Codec::H264)).await?;
/// let mut clock = tokio::time::interval(std::time::Duration::from_millis(33));
/// let mut timestamp = 0;
/// loop {
///     clock.tick().await;
///     timestamp += 2_970; // 1/90,000 s
///     if camera.is_busy() {
///         continue; // the network is slower than the camera
///     }
///     let bytes = encode(camera.take_key_wanted(), camera.wanted_rate());
///     camera.write(&Picture { bytes: &bytes, timestamp, discardable: false, temporal_layer: 0, layer: 0 })?;
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct VideoWriter {
    stream: Published,
}

impl VideoWriter {
    pub(super) fn new(stream: Published, options: VideoOptions, sequence: u16) -> Self {
        let slots = vec![SendSlot::EMPTY; SLOTS];
        let mut sender = PictureSender::new(options.codec, sequence, slots);
        sender.set_rate(options.bits_per_second);
        let mut state = stream.shared.lock();
        state.video.cameras.insert(stream.key().clone(), sender);
        drop(state);
        Self { stream }
    }

    /// Sends one encoded picture. Never waits: what cannot be sent yet is refused. Without a connection pictures wait for it,
    /// as many as [`is_busy`](Self::is_busy) lets pass.
    ///
    /// # Errors
    /// [`WritePictureError`]
    pub fn write(&mut self, picture: &Picture<'_>) -> Result<(), WritePictureError> {
        let now = self.stream.shared.clock.now();
        let sent = {
            let mut state = self.stream.shared.lock();
            if state.client.closed().is_some() {
                return Err(WritePictureError::Closed);
            }
            if state.client.picture_flow(self.stream.key()) == Err(SendError::Muted) {
                return Err(WritePictureError::Muted);
            }
            let sender = self.stream.sender(&mut state);
            sender
                .ok_or(WritePictureError::NotPublished)?
                .send(now, picture)
        };
        self.stream.shared.wake.notify_one();
        Ok(sent?)
    }

    /// Whether so many pictures wait to be sent that the next one would be refused: do not encode one now.
    pub fn is_busy(&self) -> bool {
        let mut state = self.stream.shared.lock();
        let sender = self.stream.sender(&mut state);
        sender.is_some_and(|sender| sender.is_busy())
    }

    /// Whether the next picture has to be a key picture, because somebody has begun to watch, or has lost too much. True once
    /// for each that is needed.
    pub fn take_key_wanted(&mut self) -> bool {
        let now = self.stream.shared.clock.now();
        let mut state = self.stream.shared.lock();
        let sender = self.stream.sender(&mut state);
        sender.is_some_and(|sender| sender.take_key_wanted(now, 0))
    }

    /// How much the encoder is to make now, in bits per second: what was set, or less if the way to the server carries less. Look at
    /// it every few pictures, and set the encoder to it. One that cannot be set anew makes pictures that are
    /// [left out](Self::is_busy) instead.
    pub fn wanted_rate(&self) -> u32 {
        let mut state = self.stream.shared.lock();
        let sender = self.stream.sender(&mut state);
        sender.map_or(0, |sender| sender.wanted_rate())
    }

    /// Sets how much the encoder makes at most from now on, in bits per second.
    pub fn set_rate(&mut self, bits_per_second: u32) {
        let mut state = self.stream.shared.lock();
        if let Some(sender) = self.stream.sender(&mut state) {
            sender.set_rate(bits_per_second);
        }
    }

    /// The stream's key.
    pub fn key(&self) -> &StreamKey {
        self.stream.key()
    }
}

impl Published {
    /// The sender of the stream, unless another writer has published it anew.
    fn sender<'s>(&self, state: &'s mut State) -> Option<&'s mut PictureSender<Vec<SendSlot>>> {
        let is_current = self.is_current(&state.writers);
        let sender = state.video.cameras.get_mut(self.key());
        sender.filter(|_| is_current)
    }
}

/// An encoded picture of a stream that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodedPicture {
    /// What a decoder takes: a VP8 frame, an H.264 access unit with start codes, or a JPEG file.
    pub bytes: Bytes,
    /// The codec of the bytes. It changes at a key picture only.
    pub codec: Codec,
    /// When the picture was taken, in units of 1/90,000 s. It does not wrap.
    pub timestamp: u64,
    /// A decoder can begin here.
    pub key: bool,
    /// No later picture needs this one.
    pub discardable: bool,
    /// Its temporal layer, 0 to 3.
    pub temporal_layer: u8,
}

impl EncodedPicture {
    fn new(picture: &AssembledPicture<'_>) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(picture.bytes),
            codec: picture.codec,
            timestamp: picture.timestamp,
            key: picture.key,
            discardable: picture.discardable,
            temporal_layer: picture.temporal_layer,
        }
    }
}

/// The pictures of one stream, complete, in the order of decoding: the first is a key picture, and none comes whose references are
/// missing. Made by [`Room::watch`](super::Room::watch). Dropping it ends the subscription.
///
/// The stream may end and be published again, also by a participant that comes back: the reader goes on with it.
#[derive(Debug)]
pub struct VideoReader {
    shared: Arc<Shared>,
    stream: StreamRef,
    id: u64,
    pictures: mpsc::Receiver<EncodedPicture>,
}

impl VideoReader {
    /// Looks at `stream`, which is being subscribed to.
    pub(super) fn new(shared: &Arc<Shared>, stream: &StreamRef) -> Self {
        let (sender, pictures) = mpsc::channel(WAITING);
        let mut state = shared.lock();
        let id = state.video.add(stream, sender);
        let state = &mut *state;
        state.video.resolve(state.client.state());
        Self {
            shared: Arc::clone(shared),
            stream: stream.clone(),
            id,
            pictures,
        }
    }

    /// The next picture; `None` once the room is closed and all have been read. A reader that is too slow misses pictures up to a
    /// key picture, which is asked for. Cancellation-safe.
    pub async fn next(&mut self) -> Option<EncodedPicture> {
        self.pictures.recv().await
    }

    /// The decoder has failed: asks for a key picture; none comes before that one.
    pub fn request_key(&mut self) {
        let mut state = self.shared.lock();
        if let Some(watched) = state.video.find(self.id) {
            watched.receiver.request_key();
        }
        drop(state);
        self.shared.wake.notify_one();
    }

    /// The stream.
    pub fn stream(&self) -> &StreamRef {
        &self.stream
    }
}

impl Drop for VideoReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.video.watched.retain(|watched| watched.id != self.id);
        let is_watched = (state.video.watched.iter()).any(|other| other.stream == self.stream);
        if !is_watched {
            // Without room for the request it stays subscribed, which costs bandwidth and nothing else.
            let _ = parlour_core::client::Commands::ask(
                &mut state.client,
                Operation::Unsubscribe(self.stream.clone()),
            );
        }
        drop(state);
        self.shared.wake.notify_one();
    }
}

/// A stream that is watched.
struct Watched {
    id: u64,
    stream: StreamRef,
    /// While it is published.
    ssrc: Option<u32>,
    receiver: PictureReceiver<Vec<Slot>>,
    pictures: mpsc::Sender<EncodedPicture>,
    /// A picture found no room: none is given out before a key picture.
    is_behind: bool,
}

/// The streams of pictures that are sent and watched.
#[derive(Default)]
pub(super) struct Video {
    cameras: BTreeMap<StreamKey, PictureSender<Vec<SendSlot>>>,
    watched: Vec<Watched>,
    last_id: u64,
    /// Where pictures are put together.
    memory: Vec<u8>,
}

impl Video {
    fn add(&mut self, stream: &StreamRef, pictures: mpsc::Sender<EncodedPicture>) -> u64 {
        self.last_id += 1;
        self.memory.resize(MAX_PICTURE, 0);
        self.watched.push(Watched {
            id: self.last_id,
            stream: stream.clone(),
            ssrc: None,
            receiver: PictureReceiver::new(vec![Slot::EMPTY; SLOTS]),
            pictures,
            is_behind: false,
        });
        self.last_id
    }

    fn find(&mut self, id: u64) -> Option<&mut Watched> {
        self.watched.iter_mut().find(|watched| watched.id == id)
    }

    /// Finds the streams that are watched in the room's state.
    pub(super) fn resolve(&mut self, room: &RoomState) {
        for watched in &mut self.watched {
            let participant = room.participant(&watched.stream.participant);
            let mut streams = participant.into_iter().flat_map(|it| it.streams.iter());
            let stream = streams.find(|stream| stream.key == watched.stream.key);
            let ssrc = stream.map(|stream| stream.ssrc);
            if ssrc.is_some() && ssrc != watched.ssrc {
                watched.receiver = PictureReceiver::new(vec![Slot::EMPTY; SLOTS]);
                watched.ssrc = ssrc;
            }
        }
    }

    pub(super) fn handle_packet(&mut self, now: Instant, packet: &RtpPacket<'_>) {
        let ssrc = Some(packet.ssrc());
        for watched in self.watched.iter_mut().filter(|it| it.ssrc == ssrc) {
            if let Err(error) = watched.receiver.handle_packet(now, packet) {
                tracing::debug!(%error, stream = ?watched.stream, "packet dropped");
            }
        }
    }

    pub(super) fn handle_feedback(
        &mut self,
        now: Instant,
        key: &StreamKey,
        feedback: Feedback<'_>,
    ) {
        if let Some(sender) = self.cameras.get_mut(key) {
            sender.handle_feedback(now, feedback);
        }
    }

    /// Gives out the pictures that are complete, and asks for what is missing.
    pub(super) fn watch(&mut self, now: Instant, client: &mut Client<Desktop>) {
        for watched in &mut self.watched {
            // The memory holds any picture: none is refused.
            while let Ok(Some(picture)) = watched.receiver.poll_picture(now, &mut self.memory) {
                watched.is_behind |= watched.pictures.capacity() == 0;
                if !watched.is_behind {
                    // It is not full, and nobody is left to read if it is closed.
                    let _ = watched.pictures.try_send(EncodedPicture::new(&picture));
                }
            }
            // Not before there is room, or it would ask for ever.
            if watched.is_behind && watched.pictures.capacity() > 0 {
                watched.is_behind = false;
                watched.receiver.request_key();
            }
            if let Some(ssrc) = watched.ssrc {
                client.send_feedback(now, ssrc, &mut watched.receiver);
            }
        }
    }

    /// Gives the client a packet that is due, if nothing else waits.
    pub(super) fn transmit(&mut self, now: Instant, client: &mut Client<Desktop>) {
        for (key, sender) in &mut self.cameras {
            // What cannot be sent now waits, but nobody may see later what was filmed while it was muted.
            if client.send_pictures(now, key, sender) == Err(SendError::Muted) {
                sender.clear();
            }
        }
    }

    /// The time of the next work.
    pub(super) fn due(&self, client: &Client<Desktop>) -> Option<Instant> {
        let cameras = self.cameras.iter();
        let sent = cameras.filter(|(key, _)| client.picture_flow(key).is_ok());
        let watched = self.watched.iter().filter(|watched| watched.ssrc.is_some());
        sent.map(|(_, sender)| sender.poll_timeout())
            .chain(watched.map(|watched| watched.receiver.poll_timeout()))
            .flatten()
            .min()
    }

    /// The stream is not published any more.
    pub(super) fn forget(&mut self, key: &StreamKey) {
        self.cameras.remove(key);
    }
}

impl super::Room {
    /// Publishes the pictures of a camera or a screen under `key` (1 to 16 printable ASCII characters, such as `camera`). Others
    /// receive it if they [watch](Self::watch) it.
    ///
    /// Dropping the future unpublishes the stream again.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn publish_video(
        &self,
        key: &str,
        options: VideoOptions,
    ) -> Result<VideoWriter, RequestError> {
        let stream = self
            .publish_pictures(key, options.kind, options.codec)
            .await?;
        Ok(VideoWriter::new(stream, options, OsRng.next_u32() as u16))
    }

    /// Watches a stream of pictures of another participant, whether it is published now or later.
    ///
    /// # Errors
    /// [`RequestError`]: [`Refusal::UnknownStream`](parlour_core::signal::Refusal::UnknownStream) if it was never there.
    pub async fn watch(&self, stream: &StreamRef) -> Result<VideoReader, RequestError> {
        // It is there before the first packet comes, and unsubscribes if this is dropped.
        let reader = VideoReader::new(self.shared(), stream);
        self.subscribe(stream).await?;
        Ok(reader)
    }
}
