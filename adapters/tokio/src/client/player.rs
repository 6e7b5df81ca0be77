//! One slot's frames to PCM: the jitter buffer and the decoder behind it.

use parlour_core::audio::codec::{FrameDuration, SampleRate};
use parlour_core::audio::decoder::Decoder;
use parlour_core::audio::opus::{Channels, OpusDecoder};
use parlour_core::audio::{JitterBuffer, JitterConfig, JitterStatistics, Packet, Pull};
use parlour_core::room::Codec;
use parlour_core::time::Instant;

use super::ReadError;
use super::shared::SlotFrame;

/// Frames that wait: half a second of 20 ms. One is never longer than a datagram.
type Jitter = JitterBuffer<24, 1_200>;

/// Enough to make a decoder in a debug build.
const STACK: usize = 8 << 20;

/// RTP timestamp units per ms in a slot.
const CLOCK_PER_MS: usize = 48;

#[derive(Debug)]
pub(super) struct Player {
    jitter: Box<Jitter>,
    /// 179 KB.
    decoder: Box<Decoder<OpusDecoder>>,
    rate: SampleRate,
    /// PCM that was decoded and not read.
    ready: Vec<i16>,
    /// Of `ready`, what was read.
    read: usize,
    /// Codec and stream of what was decoded last.
    heard: Codec,
    speaker: Option<u32>,
}

impl Player {
    /// # Errors
    /// [`ReadError::SampleRate`] at 8 kHz.
    pub(super) fn new(rate: SampleRate) -> Result<Self, ReadError> {
        let (decoder, jitter) = on_a_large_stack(|| {
            let opus = OpusDecoder::new(rate, Channels::Stereo);
            let opus = opus.map_err(|_| ReadError::SampleRate)?;
            let jitter = Box::new(Jitter::new(JitterConfig::default()));
            Ok((Box::new(Decoder::new(opus)), jitter))
        })?;
        Ok(Self {
            jitter,
            decoder,
            rate,
            ready: Vec::new(),
            read: 0,
            heard: Codec::Opus,
            speaker: None,
        })
    }

    pub(super) fn push(&mut self, frame: &SlotFrame) {
        let packet = Packet {
            sequence: frame.sequence,
            timestamp: frame.timestamp,
            duration: frame.duration,
            codec: frame.codec,
            speaker: frame.speaker,
            marker: frame.marker,
            payload: &frame.payload,
        };
        if let Err(error) = self.jitter.push(frame.arrived, packet) {
            tracing::trace!(slot = frame.slot, %error, "frame not taken");
        }
    }

    /// Fills `pcm` with what is to be played from `now` on, and says which stream speaks at its end.
    pub(super) fn read(&mut self, now: Instant, pcm: &mut [i16]) -> Option<u32> {
        let mut rest = pcm;
        while !rest.is_empty() {
            if self.read == self.ready.len() {
                self.pull(now);
            }
            let ready = self.ready.get(self.read..).unwrap_or_default();
            let len = ready.len().min(rest.len());
            let (now_filled, later) = rest.split_at_mut(len);
            now_filled.copy_from_slice(&ready[..len]);
            self.read += len;
            rest = later;
        }
        self.speaker
    }

    pub(super) fn statistics(&self) -> JitterStatistics {
        self.jitter.statistics()
    }

    /// Makes the next piece of sound.
    fn pull(&mut self, now: Instant) {
        let pull = self.jitter.pull(now);
        let samples = pull.samples() as usize * self.rate.samples(1) / CLOCK_PER_MS;
        self.read = 0;
        self.ready.clear();
        self.ready.resize(samples.max(1), 0);
        match pull {
            Pull::Frame(frame) => {
                self.speaker = frame.speaker;
                self.heard = frame.codec;
                // The frame's own bytes may say that it holds more than its packet did.
                let longest = self.rate.samples(FrameDuration::MAX_MS);
                self.ready.resize(longest.max(samples), 0);
                let decoded = self
                    .decoder
                    .decode(frame.codec, frame.payload, &mut self.ready);
                self.ready.truncate(decoded.unwrap_or(samples).max(1));
                if let Err(error) = decoded {
                    tracing::trace!(%error, "frame not decoded");
                    self.decoder.conceal(&mut self.ready);
                }
            }
            Pull::Lost {
                next: Some(next), ..
            } => {
                self.decoder.recover(self.heard, next, &mut self.ready);
            }
            Pull::Lost { next: None, .. } => self.decoder.conceal(&mut self.ready),
            Pull::Silence { .. } | Pull::Buffering { .. } => self.speaker = None,
        }
    }
}

/// Makes something that passes through the stack on its way to the heap, whoever's stack is too small for that.
///
/// A decoder's 179 KB are copied half a dozen times in a debug build, and those who read audio may be on a thread of
/// 2 MB or of a sound card's library.
fn on_a_large_stack<T: Send>(make: impl FnOnce() -> T + Send + Copy) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        match thread.spawn_scoped(scope, make) {
            Ok(made) => made
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread to be had: then this one has to do.
            Err(_) => make(),
        }
    })
}
