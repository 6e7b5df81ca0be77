//! G.711 in WAV, as it came.

use std::fs::File;
use std::io;
use std::time::Duration;

use parlour_tokio::core::audio::g711::Law;

use crate::riff::{Coding, Head, RiffFile};

/// Samples in a second; each has a byte.
pub(super) const HZ: u32 = 8_000;
/// How long sound waits to be written.
const OPEN: Duration = Duration::from_millis(800);

/// A WAV file of a G.711 stream.
#[derive(Debug)]
pub(super) struct G711File {
    wav: RiffFile,
    silence: u8,
    /// When sound came that is not flushed yet.
    opened: Option<Duration>,
}

impl G711File {
    pub(super) fn new(file: File, law: Law) -> io::Result<Self> {
        let coding = Coding::G711(law);
        Ok(Self {
            wav: RiffFile::new(file, Head { coding, hz: HZ })?,
            silence: law.encode(0),
            opened: None,
        })
    }

    /// Where the file ends.
    pub(super) fn end(&self) -> u64 {
        self.wav.data()
    }

    pub(super) fn packet(&mut self, now: Duration, samples: &[u8]) -> io::Result<()> {
        self.opened.get_or_insert(now);
        self.wav.write(samples)
    }

    /// Fills up to `place` with silence.
    pub(super) fn fill(&mut self, place: u64) -> io::Result<()> {
        let mut missing = place.saturating_sub(self.end());
        let silence = [self.silence; 256];
        while missing > 0 {
            let some = missing.min(silence.len() as u64);
            self.wav.write(&silence[..some as usize])?;
            missing -= some;
        }
        Ok(())
    }

    /// Flushes sound that has waited for so long that it would be a pity to lose it.
    pub(super) fn tick(&mut self, now: Duration) -> io::Result<()> {
        match self.opened {
            Some(opened) if now.saturating_sub(opened) >= OPEN => {
                self.opened = None;
                self.wav.flush()
            }
            _ => Ok(()),
        }
    }

    /// Completes the file, and gives its bytes.
    pub(super) fn finish(self) -> io::Result<u64> {
        self.wav.finish()
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.wav.sync()
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.wav.size()
    }
}
