//! Audio on its way out.

use std::time::Duration;

use parlour_core::audio::opus::MAX_PAYLOAD;
use parlour_core::client::MAX_AUDIO_PAYLOAD;
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::{AudioLevel, frame_samples};
use parlour_core::signal::Operation;

use super::encoder::{FRAME, Talker};
use super::rate::Input;
use super::shared::Published;
use super::{AudioOptions, RequestError, WriteError};

/// The length of the pieces that [`AudioWriter::play`] hands over, and the most that waits.
const PIECE_MS: u16 = 100;
const AHEAD: Duration = Duration::from_millis(100);

/// One published audio stream. Dropping it unpublishes the stream.
///
/// Encoding happens in [`write`](Self::write), on the caller's thread: give that 512 KB of stack, in debug builds 1 MB;
/// tokio's and Rust's own threads have 2 MB.
#[derive(Debug)]
pub struct AudioWriter {
    stream: Published,
    codec: Codec,
    input: Input,
    talker: Box<Talker>,
    /// The duration of all PCM handed over and not cleared.
    handed_over: Duration,
}

impl AudioWriter {
    pub(super) fn new(stream: Published, options: &AudioOptions, talker: Box<Talker>) -> Self {
        Self {
            stream,
            codec: options.codec.core(),
            input: Input::new(options.sample_rate),
            talker,
            handed_over: Duration::ZERO,
        }
    }

    /// Takes mono PCM at the stream's sample rate, in pieces of any length, and sends a packet for every 20 ms. Never
    /// waits.
    ///
    /// Write at the pace of the sound, no faster. The packets of a long piece are sent at the pace of its sound; up
    /// to a minute of it waits, and beyond that the oldest is dropped. After more than 200 ms without audio,
    /// listeners hear silence. While the stream is muted, or the connection is being restored, audio that is due is
    /// dropped. Dropping the writer drops the waiting audio.
    ///
    /// # Errors
    /// [`WriteError`]; what is left of `pcm` is dropped.
    pub fn write(&mut self, pcm: &[i16]) -> Result<(), WriteError> {
        let shared = &self.stream.shared;
        let loss = || shared.lock().client.statistics().uplink_loss;
        self.talker.begin(shared.clock.now(), loss);
        let mut payload = [0; MAX_PAYLOAD];
        let (talker, stream) = (&mut self.talker, &self.stream);
        self.input.feed(pcm, |mut pcm| {
            loop {
                let spoken = talker.take(&mut pcm, &mut payload);
                let Some(spoken) = spoken.map_err(|_| WriteError::Codec)? else {
                    return Ok(());
                };
                self.handed_over += FRAME;
                if let Some(payload) = spoken.payload {
                    stream.send_audio(spoken.time, spoken.level, payload)?;
                }
            }
        })
    }

    /// Plays mono PCM of any length, at the stream's sample rate: sends it at the pace of its sound, and returns when
    /// all but its last 40 ms has been heard, as far as this end can tell. Audio written directly afterwards follows
    /// without a gap.
    ///
    /// Dropping the future stops handing over; what was handed over already, up to 200 ms, is still sent. To be silent
    /// at once, [`clear`](Self::clear).
    ///
    /// ```no_run
    /// # async fn example(mut voice: parlour_tokio::AudioWriter, answer: Vec<i16>, interrupted: tokio::sync::Notify)
    /// # -> Result<(), parlour_tokio::WriteError> {
    /// let begins = voice.played();
    /// tokio::select! {
    ///     played = voice.play(&answer) => played?,
    ///     () = interrupted.notified() => voice.clear(),
    /// }
    /// println!("{:?} of it was said", voice.played() - begins);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`WriteError`]; what is left of `pcm` is not played.
    pub async fn play(&mut self, pcm: &[i16]) -> Result<(), WriteError> {
        for piece in pcm.chunks(self.input.rate().samples(PIECE_MS)) {
            self.write(piece)?;
            self.sent(AHEAD).await;
        }
        self.sent(Duration::ZERO).await;
        Ok(())
    }

    /// Waits until what was handed over is sent, but for the last `ahead` of it.
    ///
    /// The future does not borrow the writer: another task may [`write`](Self::write) or [`clear`](Self::clear) meanwhile. It
    /// waits for what had been handed over when it was made.
    pub fn sent(&self, ahead: Duration) -> impl Future<Output = ()> + Send + use<> {
        let clock = self.stream.shared.clock;
        let due = self.talker.due(clock.now());
        async move {
            if due > clock.now() + ahead {
                tokio::time::sleep_until(clock.at(due) - ahead).await;
            }
        }
    }

    /// Drops the audio that was handed over and is not sent yet: listeners hear nothing more of it once the packets
    /// in the network and in jitter buffers are played.
    pub fn clear(&mut self) {
        self.input.clear();
        let first = self.stream.clear();
        let cleared = self.talker.take_back(self.stream.shared.clock.now(), first);
        self.handed_over = self.handed_over.saturating_sub(cleared);
    }

    /// The duration of the audio heard so far, as far as this end can tell: network and jitter buffers add their
    /// delay. Audio dropped while the stream was muted counts, [cleared](Self::clear) audio does not.
    pub fn played(&self) -> Duration {
        let left = self.talker.left(self.stream.shared.clock.now());
        self.handed_over.saturating_sub(left)
    }

    /// Says whether what is written from now on is a voice, by what a detector found. Sound that is none does not make this
    /// participant a speaker, however loud it is. Until the first call everything counts as a voice.
    pub fn set_voice(&mut self, voice: bool) {
        self.talker.set_voice(voice);
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
        self.input.clear();
        let now = self.stream.shared.clock.now();
        let time = self.talker.encoded(now, units);
        let units = u64::from(units) * 1_000_000 / u64::from(self.codec.clock_rate());
        self.handed_over += Duration::from_micros(units);
        self.stream.send_audio(time, level, payload)
    }

    /// The stream's key.
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
