//! How loud a sound card is at the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use parlour_tokio::core::audio::level::level;
use parlour_tokio::core::rtp::AudioLevel;

/// How loud a card's last piece of sound was, some milliseconds of it. Clones show the same card.
#[derive(Debug, Clone)]
pub struct Meter {
    level: Arc<AtomicU8>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            level: Arc::new(AtomicU8::new(AudioLevel::SILENCE.level)),
        }
    }

    /// The loudness in −dBov, as RTP packets carry it: 0 is the loudest possible, 127 is silence.
    pub fn level(&self) -> u8 {
        self.level.load(Relaxed)
    }

    pub(crate) fn hear(&self, pcm: &[i16]) {
        self.level.store(level(pcm), Relaxed);
    }
}
