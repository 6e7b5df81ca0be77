//! Audio on its way out: PCM or encoded frames to packets.

use core::fmt;

use parlour_core::audio::codec::{AudioEncoder, EncodeError, Encoded, FrameDuration, SampleRate};
use parlour_core::audio::g711::{G711Encoder, Law};
use parlour_core::audio::level::level;
#[cfg(feature = "opus")]
use parlour_core::audio::opus::{Adaptation, OpusEncoder};
use parlour_core::audio::resample::Resampler;
use parlour_core::client::{CommandError, Commands as _, Profile, SendError};
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::{AudioLevel, SendClock, frame_samples};
#[cfg(feature = "opus")]
use parlour_core::time::Instant;

use crate::error::{PublishError, WriteError};
use crate::shared::Shared;
use crate::time::now;
use crate::{Device, FRAME};

/// Samples of a frame at the highest rate that an encoder here takes.
const MAX_ENCODED: usize = SampleRate::Hz16000.samples(FRAME.ms());
#[cfg(feature = "opus")]
const MAX_PAYLOAD: usize = parlour_core::audio::opus::MAX_PAYLOAD;
#[cfg(not(feature = "opus"))]
const MAX_PAYLOAD: usize = SampleRate::Hz8000.samples(FRAME.ms());

/// How a device encodes its microphone.
#[derive(Debug)]
pub enum AudioCodec<'e> {
    /// G.711 µ-law: next to no work, 64 kb/s.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Opus at 16 kHz, by an encoder made for frames of 20 ms: it is so large (309 KB) that it is lent. Where packets
    /// are lost, it is made to repeat what may be missing, and gets fewer bits, but not below
    /// [`OpusEncoder::MIN_FEC_BITRATE`].
    #[cfg(feature = "opus")]
    Opus(&'e mut OpusEncoder),
    #[doc(hidden)]
    #[cfg(not(feature = "opus"))]
    _Lent(core::convert::Infallible, core::marker::PhantomData<&'e ()>),
}

enum Encoder<'e> {
    G711(G711Encoder),
    #[cfg(feature = "opus")]
    Opus(&'e mut OpusEncoder, Adaptation),
    #[cfg(not(feature = "opus"))]
    _Lent(core::convert::Infallible, core::marker::PhantomData<&'e ()>),
}

impl<'e> Encoder<'e> {
    fn new(codec: AudioCodec<'e>) -> Self {
        match codec {
            AudioCodec::Pcmu => Self::G711(G711Encoder::new(Law::Mu, FRAME)),
            AudioCodec::Pcma => Self::G711(G711Encoder::new(Law::A, FRAME)),
            #[cfg(feature = "opus")]
            AudioCodec::Opus(encoder) => {
                let (least, bitrate) = (OpusEncoder::MIN_FEC_BITRATE, encoder.bitrate());
                let adaptation = Adaptation::not_below(least, bitrate);
                Self::Opus(encoder, adaptation)
            }
            #[cfg(not(feature = "opus"))]
            AudioCodec::_Lent(never, _) => match never {},
        }
    }

    fn sample_rate(&self) -> SampleRate {
        match self {
            Self::G711(encoder) => encoder.sample_rate(),
            #[cfg(feature = "opus")]
            Self::Opus(encoder, _) => encoder.sample_rate(),
            #[cfg(not(feature = "opus"))]
            Self::_Lent(never, _) => match *never {},
        }
    }

    fn frame_samples(&self) -> usize {
        match self {
            Self::G711(encoder) => encoder.frame_samples(),
            #[cfg(feature = "opus")]
            Self::Opus(encoder, _) => encoder.frame_samples(),
            #[cfg(not(feature = "opus"))]
            Self::_Lent(never, _) => match *never {},
        }
    }

    /// Adapts to the share of packets that are lost on the way, when it is time for that.
    #[cfg(feature = "opus")]
    fn adapt(&mut self, now: Instant, loss: impl FnOnce() -> Option<u8>) {
        let Self::Opus(encoder, adaptation) = self else {
            return;
        };
        if let Some(adapted) = adaptation.poll(now, loss) {
            // Both are within what the encoder took when it was made.
            let _ = encoder.set_bitrate(adapted.bitrate);
            let _ = encoder.set_expected_loss(adapted.expected_loss);
        }
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<Encoded, EncodeError> {
        match self {
            Self::G711(encoder) => encoder.encode(pcm, out),
            #[cfg(feature = "opus")]
            Self::Opus(encoder, _) => encoder.encode(pcm, out),
            #[cfg(not(feature = "opus"))]
            Self::_Lent(never, _) => match *never {},
        }
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

/// One published stream of frames that something else has encoded. Dropping it unpublishes the stream.
pub struct EncodedWriter<'d, P: Profile = Device> {
    shared: &'d Shared<'d, P>,
    key: StreamKey,
    codec: Codec,
    clock: SendClock,
}

impl<'d, P: Profile> EncodedWriter<'d, P> {
    pub(crate) fn new(shared: &'d Shared<'d, P>, key: StreamKey, codec: Codec) -> Self {
        Self {
            shared,
            key,
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
        let now = now();
        let timestamp = self.clock.next(now, units);
        let sent = self
            .shared
            .with(|client| client.send_audio(now, &self.key, timestamp, level, payload));
        match sent {
            Ok(()) => {
                self.shared.command.signal(());
                Ok(())
            }
            Err(SendError::NotJoined | SendError::NotPublished | SendError::Muted) => Ok(()),
            Err(SendError::Frame(error)) => Err(error.into()),
            Err(SendError::TooLong { .. }) => Err(WriteError::TooLong),
            Err(_) => Err(WriteError::NotPublished),
        }
    }

    /// Lets 20 ms of silence pass, which are not sent.
    pub fn silence(&mut self) {
        let units = self.codec.clock_rate() / 1000 * u32::from(FRAME.ms());
        self.clock.next(now(), units);
    }

    /// What the stream is called.
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Silences the stream for everybody, or lets it be heard again. It stays so when the room is joined again.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn set_muted(&self, muted: bool) -> Result<(), CommandError> {
        let inner = &mut *self.shared.inner.borrow_mut();
        inner.client.set_muted(&self.key, muted)?;
        if let Some(publication) = &mut inner.publication {
            publication.muted = muted;
        }
        self.shared.command.signal(());
        Ok(())
    }
}

impl<P: Profile> Drop for EncodedWriter<'_, P> {
    fn drop(&mut self) {
        let inner = &mut *self.shared.inner.borrow_mut();
        inner.publication = None;
        // An error means that there is nothing to unpublish, or that the next connection will show it.
        let _ = inner.client.unpublish(&self.key);
        self.shared.command.signal(());
    }
}

impl<P: Profile> fmt::Debug for EncodedWriter<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedWriter")
            .field("key", &self.key)
            .field("codec", &self.codec)
            .finish_non_exhaustive()
    }
}

/// One published stream of PCM. Dropping it unpublishes the stream.
pub struct AudioWriter<'d, P: Profile = Device> {
    stream: EncodedWriter<'d, P>,
    encoder: Encoder<'d>,
    resampler: Resampler,
    rate: SampleRate,
}

impl<'d, P: Profile> AudioWriter<'d, P> {
    /// Fails before anything is published.
    pub(crate) fn check(codec: &AudioCodec<'_>) -> Result<(), PublishError> {
        match codec {
            #[cfg(feature = "opus")]
            AudioCodec::Opus(encoder) if encoder.frame_samples() != MAX_ENCODED => {
                Err(PublishError::FrameDuration)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn new(
        stream: EncodedWriter<'d, P>,
        codec: AudioCodec<'d>,
        rate: SampleRate,
    ) -> Self {
        let encoder = Encoder::new(codec);
        Self {
            stream,
            resampler: Resampler::new(rate, encoder.sample_rate()),
            encoder,
            rate,
        }
    }

    /// Encodes and sends 20 ms of mono PCM. Never waits; see [`EncodedWriter::write`] for what is dropped.
    ///
    /// # Errors
    /// [`WriteError`]; the frame is dropped.
    pub fn write(&mut self, pcm: &[i16]) -> Result<(), WriteError> {
        let needed = self.frame_samples();
        if pcm.len() != needed {
            return Err(WriteError::FrameLength { needed });
        }
        #[cfg(feature = "opus")]
        {
            let shared = self.stream.shared;
            let loss = || shared.with(|client| client.statistics().uplink_loss);
            self.encoder.adapt(now(), loss);
        }
        let (mut encodable, mut payload) = ([0; MAX_ENCODED], [0; MAX_PAYLOAD]);
        let encodable = (encodable.get_mut(..self.encoder.frame_samples())).unwrap_or_default();
        self.resampler
            .process(pcm, encodable)
            .map_err(|_| WriteError::Codec)?;
        let encoded = (self.encoder)
            .encode(encodable, &mut payload)
            .map_err(|_| WriteError::Codec)?;
        let level = AudioLevel {
            // What is written was let through by a gate, or by whoever has none.
            voice: true,
            level: level(pcm),
        };
        match encoded.payload(&payload) {
            Some(payload) => self.stream.write(payload, level),
            None => {
                self.stream.silence();
                Ok(())
            }
        }
    }

    /// Lets 20 ms of silence pass, which are not sent: a gate is closed.
    pub fn silence(&mut self) {
        self.stream.silence();
    }

    /// Samples per second of the PCM.
    pub fn sample_rate(&self) -> SampleRate {
        self.rate
    }

    /// Samples of the PCM in 20 ms.
    pub fn frame_samples(&self) -> usize {
        self.rate.samples(FrameDuration::Ms20.ms())
    }

    /// What the stream is called.
    pub fn key(&self) -> &StreamKey {
        self.stream.key()
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
            .field("stream", &self.stream)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}
