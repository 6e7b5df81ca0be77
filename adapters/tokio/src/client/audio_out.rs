//! Audio on its way out.

use std::time::Duration;

use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::{AudioLevel, frame_samples};
use parlour_core::time::Instant;

use super::encoder::Encoder;
use super::shared::Published;
use super::{RequestError, WriteError};

/// How long a pause in writing may be before it counts as silence rather than as jitter.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the encoder is adapted to the loss that the server reports.
const ADAPT: Duration = Duration::from_secs(2);

/// One published audio stream. Dropping it unpublishes the stream.
///
/// Encoding happens in [`write`](Self::write), on the caller's thread: give that 512 KB of stack, in debug builds 1 MB;
/// tokio's and Rust's own threads have 2 MB.
#[derive(Debug)]
pub struct AudioWriter {
    stream: Published,
    codec: Codec,
    encoder: Encoder,
    clock: RtpClock,
    adapt_at: Instant,
}

/// When the next frame starts, in RTP units of the codec.
#[derive(Debug)]
struct RtpClock {
    rate: u32,
    timestamp: u32,
    /// When the last frame was written.
    written: Option<Instant>,
}

impl RtpClock {
    /// Whether so much time has passed since the last frame that there was silence; then it is skipped.
    fn skip_pause(&mut self, now: Instant) -> bool {
        let Some(written) = self.written else {
            return false;
        };
        let pause = now.saturating_duration_since(written);
        if pause <= PAUSE {
            return false;
        }
        // Modulo 2^32, as RTP counts: a truncation is what is meant.
        let units = pause.as_micros() * u128::from(self.rate) / 1_000_000;
        self.timestamp = self.timestamp.wrapping_add(units as u32);
        self.written = Some(now);
        true
    }

    /// The timestamp of a frame of `units` that is written at `now`.
    fn frame(&mut self, now: Instant, units: u32) -> u32 {
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(units);
        self.written = Some(now);
        timestamp
    }
}

impl AudioWriter {
    pub(super) fn new(stream: Published, codec: Codec, encoder: Encoder) -> Self {
        Self {
            encoder,
            adapt_at: stream.shared.clock.now() + ADAPT,
            stream,
            codec,
            clock: RtpClock {
                rate: codec.clock_rate(),
                timestamp: 0,
                written: None,
            },
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
        self.adapt(now);
        loop {
            let encoded = self.encoder.take(&mut pcm);
            let Some(frame) = encoded.map_err(|_| WriteError::Codec)? else {
                return Ok(());
            };
            let timestamp = self.clock.frame(now, self.clock.rate / 50);
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
        self.clock.skip_pause(now);
        let timestamp = self.clock.frame(now, units);
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
        let command = self
            .stream
            .shared
            .request(|client| client.set_muted(self.stream.key(), muted));
        command.await.map(drop)
    }

    fn adapt(&mut self, now: Instant) {
        if now < self.adapt_at {
            return;
        }
        self.adapt_at = now + ADAPT;
        let loss = self.stream.shared.lock().client.statistics().uplink_loss;
        if let Some(loss) = loss {
            self.encoder.adapt(loss);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_on_through_a_pause_and_not_through_jitter() {
        let at = |ms: u64| Instant::from_micros(1_000_000 + ms * 1_000);
        let mut clock = RtpClock {
            rate: 48_000,
            timestamp: u32::MAX - 959,
            written: None,
        };
        assert!(!clock.skip_pause(at(0)));
        assert_eq!(clock.frame(at(0), 960), u32::MAX - 959);
        assert!(!clock.skip_pause(at(200)));
        assert_eq!(clock.frame(at(200), 960), 0);
        assert!(clock.skip_pause(at(1_200)));
        assert_eq!(clock.frame(at(1_200), 960), 960 + 48_000);
    }
}
