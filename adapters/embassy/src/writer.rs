//! Audio on its way out: PCM or encoded frames to packets.

use core::fmt;

use parlour_core::audio::Talker;
use parlour_core::audio::codec::{AudioEncoder as _, SampleRate};
use parlour_core::audio::encoder::Encoder;
use parlour_core::audio::g711::{G711Encoder, Law};
#[cfg(feature = "opus")]
use parlour_core::audio::opus::{Adaptive, OpusEncoder};
use parlour_core::client::{CommandError, Commands as _, Profile, SendError};
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::{AudioLevel, SendClock, frame_samples};

use crate::error::{PublishError, WriteError};
use crate::shared::Shared;
use crate::time::{now, wait_until};
use crate::{Device, FRAME, SoundStatistics};

/// The longest piece that is written at once: its packets fit into the smallest queue.
const MAX_PIECE_MS: u16 = 100;
/// Samples of a frame at the highest rate that an encoder here takes, and bytes of the longest payload.
#[cfg(feature = "opus")]
const MAX_ENCODED: usize = SampleRate::Hz16000.samples(FRAME.ms());
#[cfg(feature = "opus")]
const MAX_PAYLOAD: usize = parlour_core::audio::opus::MAX_PAYLOAD;
#[cfg(not(feature = "opus"))]
const MAX_ENCODED: usize = SampleRate::Hz8000.samples(FRAME.ms());
#[cfg(not(feature = "opus"))]
const MAX_PAYLOAD: usize = MAX_ENCODED;

/// How a device encodes its microphone.
#[derive(Debug)]
pub enum AudioCodec<'e> {
    /// G.711 µ-law: next to no work, 64 kb/s.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Opus at 16 kHz, by an encoder made for frames of 20 ms: it is so large (309 KB) that it is lent. When packets
    /// are lost, it is set to repeat what may be missing (FEC), and gets fewer bits, but not below
    /// [`OpusEncoder::MIN_FEC_BITRATE`].
    #[cfg(feature = "opus")]
    Opus(&'e mut OpusEncoder),
    #[doc(hidden)]
    #[cfg(not(feature = "opus"))]
    _Lent(core::convert::Infallible, core::marker::PhantomData<&'e ()>),
}

#[cfg(feature = "opus")]
type Opus<'e> = Adaptive<&'e mut OpusEncoder>;
#[cfg(not(feature = "opus"))]
type Opus<'e> = core::convert::Infallible;

pub(crate) type DeviceTalker<'e> = Talker<Encoder<Opus<'e>>, MAX_ENCODED>;

/// A talker of PCM at `rate`.
pub(crate) fn talker(
    codec: AudioCodec<'_>,
    rate: SampleRate,
) -> Result<DeviceTalker<'_>, PublishError> {
    let clock_rate = codec.core().clock_rate();
    let encoder = encoder(codec);
    if encoder.frame_samples() != encoder.sample_rate().samples(FRAME.ms()) {
        return Err(PublishError::FrameDuration);
    }
    Talker::new(encoder, rate, clock_rate).ok_or(PublishError::FrameDuration)
}

fn encoder(codec: AudioCodec<'_>) -> Encoder<Opus<'_>> {
    match codec {
        AudioCodec::Pcmu => Encoder::G711(G711Encoder::new(Law::Mu, FRAME)),
        AudioCodec::Pcma => Encoder::G711(G711Encoder::new(Law::A, FRAME)),
        #[cfg(feature = "opus")]
        AudioCodec::Opus(encoder) => Encoder::Opus(Adaptive::lent(encoder)),
        #[cfg(not(feature = "opus"))]
        AudioCodec::_Lent(never, _) => match never {},
    }
}

impl AudioCodec<'_> {
    pub(crate) fn core(&self) -> Codec {
        match self {
            Self::Pcmu => Codec::Pcmu,
            Self::Pcma => Codec::Pcma,
            #[cfg(feature = "opus")]
            Self::Opus(_) => Codec::Opus,
            #[cfg(not(feature = "opus"))]
            Self::_Lent(never, _) => match *never {},
        }
    }
}

/// One of this device's streams, which is unpublished when this is dropped.
pub(crate) struct Published<'d, P: Profile> {
    shared: &'d Shared<'d, P>,
    key: StreamKey,
}

impl<'d, P: Profile> Published<'d, P> {
    /// The stream `key`, which the client was told to publish.
    pub(crate) fn new(shared: &'d Shared<'d, P>, key: StreamKey) -> Self {
        Self { shared, key }
    }

    /// Whether the packet was taken: it is dropped while there is no connection, and while the stream is muted.
    fn send(&self, timestamp: u32, level: AudioLevel, payload: &[u8]) -> Result<bool, WriteError> {
        let sent = self
            .shared
            .with(|client| client.send_audio(now(), &self.key, timestamp, level, payload));
        match sent {
            Ok(()) => {
                self.shared.command.signal(());
                Ok(true)
            }
            Err(SendError::NotJoined | SendError::NotPublished | SendError::Muted) => Ok(false),
            Err(SendError::Frame(error)) => Err(error.into()),
            Err(SendError::TooLong { .. }) => Err(WriteError::TooLong),
            Err(_) => Err(WriteError::NotPublished),
        }
    }

    fn set_muted(&self, muted: bool) -> Result<(), CommandError> {
        let inner = &mut *self.shared.inner.borrow_mut();
        inner.client.set_muted(&self.key, muted)?;
        if let Some(publication) = &mut inner.publication {
            publication.muted = muted;
        }
        self.shared.command.signal(());
        Ok(())
    }
}

impl<P: Profile> Drop for Published<'_, P> {
    fn drop(&mut self) {
        let inner = &mut *self.shared.inner.borrow_mut();
        inner.publication = None;
        // An error means that there is nothing to unpublish, or that the next connection will show it.
        let _ = inner.client.unpublish(&self.key);
        self.shared.command.signal(());
    }
}

/// One published stream of frames that something else has encoded. Dropping it unpublishes the stream.
pub struct EncodedWriter<'d, P: Profile = Device> {
    stream: Published<'d, P>,
    codec: Codec,
    clock: SendClock,
}

impl<'d, P: Profile> EncodedWriter<'d, P> {
    pub(crate) fn new(stream: Published<'d, P>, codec: Codec) -> Self {
        Self {
            stream,
            codec,
            clock: SendClock::new(codec.clock_rate()),
        }
    }

    /// Sends one frame of at most 120 ms, with its loudness. Never waits.
    ///
    /// Write as fast as sound is heard. If too many packets wait, the oldest are dropped; while there is no
    /// connection or the stream is muted, all are.
    ///
    /// # Errors
    /// [`WriteError`]; the frame is dropped.
    pub fn write(&mut self, payload: &[u8], level: AudioLevel) -> Result<(), WriteError> {
        let units = frame_samples(self.codec, payload)?;
        let timestamp = self.clock.next(now(), units);
        self.stream.send(timestamp, level, payload)?;
        Ok(())
    }

    /// Lets 20 ms of silence pass, which are not sent.
    pub fn silence(&mut self) {
        let units = self.codec.clock_rate() / 1000 * u32::from(FRAME.ms());
        self.clock.next(now(), units);
    }

    /// The stream's key.
    pub fn key(&self) -> &StreamKey {
        &self.stream.key
    }

    /// Silences the stream for everybody, or lets it be heard again. It stays so when the room is joined again.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn set_muted(&self, muted: bool) -> Result<(), CommandError> {
        self.stream.set_muted(muted)
    }
}

impl<P: Profile> fmt::Debug for EncodedWriter<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedWriter")
            .field("key", self.key())
            .field("codec", &self.codec)
            .finish_non_exhaustive()
    }
}

/// One published stream of PCM. Dropping it unpublishes the stream.
pub struct AudioWriter<'d, P: Profile = Device> {
    stream: Published<'d, P>,
    talker: DeviceTalker<'d>,
}

impl<'d, P: Profile> AudioWriter<'d, P> {
    pub(crate) fn new(stream: Published<'d, P>, talker: DeviceTalker<'d>) -> Self {
        Self { stream, talker }
    }

    /// Takes at most 100 ms of mono PCM, and encodes and sends every 20 ms that are complete. Never waits. For longer
    /// pieces there is [`play`](Self::play).
    ///
    /// Write as fast as sound is heard. If too many packets wait, the oldest are dropped; while there is no
    /// connection or the stream is muted, all are.
    ///
    /// # Errors
    /// [`WriteError::PieceTooLong`]: nothing of the piece is sent. With any other, the rest of it is dropped.
    pub fn write(&mut self, pcm: &[i16]) -> Result<(), WriteError> {
        self.offer(pcm)?;
        Ok(())
    }

    /// As [`write`](Self::write): whether a packet was taken.
    pub(crate) fn offer(&mut self, mut pcm: &[i16]) -> Result<bool, WriteError> {
        let max = self.sample_rate().samples(MAX_PIECE_MS);
        if pcm.len() > max {
            return Err(WriteError::PieceTooLong { max });
        }
        let shared = self.stream.shared;
        let loss = || shared.with(|client| client.statistics().uplink_loss);
        self.talker.begin(now(), loss);
        let mut payload = [0; MAX_PAYLOAD];
        let mut taken = false;
        loop {
            let spoken = self.talker.take(&mut pcm, &mut payload);
            let Some(spoken) = spoken.map_err(|_| WriteError::Codec)? else {
                return Ok(taken);
            };
            if let Some(payload) = spoken.payload {
                let timestamp = spoken.time.timestamp;
                taken |= self.stream.send(timestamp, spoken.level, payload)?;
            }
        }
    }

    /// Takes mono PCM in pieces of any length, and sends it at the pace of sound: returns 40 ms before the end of the
    /// piece is due. If it is dropped half way, the rest is not sent.
    ///
    /// # Errors
    /// [`WriteError`]; the rest of the piece is dropped.
    pub async fn play(&mut self, pcm: &[i16]) -> Result<(), WriteError> {
        for frame in pcm.chunks(self.frame_samples()) {
            let now = now();
            let due = self.talker.due(now);
            if due > now {
                wait_until(Some(due)).await;
            }
            self.write(frame)?;
        }
        Ok(())
    }

    /// Lets 20 ms of silence pass, which are not sent: a gate is closed.
    pub fn silence(&mut self) {
        self.talker.silence(now());
    }

    /// Samples per second of the PCM.
    pub fn sample_rate(&self) -> SampleRate {
        self.talker.sample_rate()
    }

    /// Samples of the PCM in 20 ms.
    pub fn frame_samples(&self) -> usize {
        self.sample_rate().samples(FRAME.ms())
    }

    /// The stream's key.
    pub fn key(&self) -> &StreamKey {
        &self.stream.key
    }

    /// Counts what befell the sound.
    pub(crate) fn count(&self, change: impl FnOnce(&mut SoundStatistics)) {
        let place = &self.stream.shared.sound;
        let mut counts = place.get();
        change(&mut counts);
        place.set(counts);
    }

    /// See [`EncodedWriter::set_muted`].
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn set_muted(&self, muted: bool) -> Result<(), CommandError> {
        self.stream.set_muted(muted)
    }
}

impl<P: Profile> fmt::Debug for AudioWriter<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudioWriter")
            .field("key", self.key())
            .field("rate", &self.sample_rate())
            .finish_non_exhaustive()
    }
}
