//! Audio on its way out.

use parlour_core::audio::opus::MAX_PAYLOAD;
use parlour_core::client::MAX_AUDIO_PAYLOAD;
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::{AudioLevel, frame_samples};
use parlour_core::signal::Operation;

use super::encoder::Talker;
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
    talker: Box<Talker>,
}

impl AudioWriter {
    pub(super) fn new(stream: Published, codec: Codec, talker: Box<Talker>) -> Self {
        Self {
            stream,
            codec,
            talker,
        }
    }

    /// Takes mono PCM at the stream's sample rate, in pieces of any length, and sends a packet for every 20 ms. Never
    /// waits.
    ///
    /// Write as fast as sound is heard, no faster. The packets of a long piece are sent at the pace of its sound; up to
    /// a minute of it waits, and of what is more the oldest is dropped. When nothing has been left to hear for more than
    /// 200 ms, that is silence for those who listen. While the stream is muted, or the connection is being restored,
    /// what is due is dropped. Dropping the writer drops what waits.
    ///
    /// # Errors
    /// [`WriteError`]; what is left of `pcm` is dropped.
    pub fn write(&mut self, mut pcm: &[i16]) -> Result<(), WriteError> {
        let shared = &self.stream.shared;
        let loss = || shared.lock().client.statistics().uplink_loss;
        self.talker.begin(shared.clock.now(), loss);
        let mut payload = [0; MAX_PAYLOAD];
        loop {
            let spoken = self.talker.take(&mut pcm, &mut payload);
            let Some(spoken) = spoken.map_err(|_| WriteError::Codec)? else {
                return Ok(());
            };
            if let Some(payload) = spoken.payload {
                self.stream.send_audio(spoken.time, spoken.level, payload)?;
            }
        }
    }

    /// Sends one frame that is encoded already, of at most 120 ms, with its loudness.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn write_encoded(&mut self, payload: &[u8], level: AudioLevel) -> Result<(), WriteError> {
        let max = MAX_AUDIO_PAYLOAD;
        if payload.len() > max {
            return Err(WriteError::TooLong { max });
        }
        let units = frame_samples(self.codec, payload)?;
        let now = self.stream.shared.clock.now();
        let time = self.talker.encoded(now, units);
        self.stream.send_audio(time, level, payload)
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
