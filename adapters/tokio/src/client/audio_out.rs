//! Audio on its way out.

use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::{AudioLevel, SendClock, frame_samples};
use parlour_core::signal::Operation;

use super::encoder::Encoder;
use super::shared::Published;
use super::{RequestError, WriteError};

/// One published audio stream. Dropping it unpublishes the stream.
///
/// Encoding happens in [`write`](Self::write), on the caller's thread: give that 512 KB of stack, in debug builds 1 MB;
/// tokio's and Rust's own threads have 2 MB.
#[derive(Debug)]
pub struct AudioWriter {
    stream: Published,
    codec: Codec,
    encoder: Encoder,
    clock: SendClock,
}

impl AudioWriter {
    pub(super) fn new(stream: Published, codec: Codec, encoder: Encoder) -> Self {
        Self {
            stream,
            codec,
            encoder,
            clock: SendClock::new(codec.clock_rate()),
        }
    }

    /// Takes mono PCM at the stream's sample rate, any number of samples; sends a packet for every 20 ms. Never waits.
    ///
    /// Write as fast as sound is heard, no faster: what does not fit into the queue of packets is dropped, the oldest
    /// first. A pause of more than 200 ms is silence for those who listen. While the stream is muted, or the
    /// connection is being restored, what is written is dropped.
    ///
    /// # Errors
    /// [`WriteError`]; what is left of `pcm` is dropped.
    pub fn write(&mut self, mut pcm: &[i16]) -> Result<(), WriteError> {
        let now = self.stream.shared.clock.now();
        if self.clock.skip_pause(now) {
            self.encoder.clear();
        }
        let shared = &self.stream.shared;
        (self.encoder).adapt(now, || shared.lock().client.statistics().uplink_loss);
        loop {
            let encoded = self.encoder.take(&mut pcm);
            let Some(frame) = encoded.map_err(|_| WriteError::Codec)? else {
                return Ok(());
            };
            let timestamp = self.clock.next(now, self.codec.clock_rate() / 50);
            if let Some(payload) = frame.payload {
                self.stream.send(|client, now, key| {
                    client.send_audio(now, key, timestamp, frame.level, payload)
                })?;
            }
        }
    }

    /// Sends one frame that is encoded already, of at most 120 ms, with its loudness.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn write_encoded(&mut self, payload: &[u8], level: AudioLevel) -> Result<(), WriteError> {
        let now = self.stream.shared.clock.now();
        let units = frame_samples(self.codec, payload)?;
        let timestamp = self.clock.next(now, units);
        self.stream
            .send(|client, now, key| client.send_audio(now, key, timestamp, level, payload))
    }

    /// What the stream is called.
    pub fn key(&self) -> &StreamKey {
        self.stream.key()
    }

    /// Silences the stream, or lets it be heard again. Cancellation-safe: at the latest when the connection is
    /// restored, the server knows.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn set_muted(&self, muted: bool) -> Result<(), RequestError> {
        let key = self.stream.key().clone();
        let asked = (self.stream.shared).ask(Operation::SetMuted { key, muted });
        asked.await.map(drop)
    }
}
