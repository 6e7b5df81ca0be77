//! The head of a WAV file with one channel, as this crate writes it.
//!
//! ```text
//! "RIFF" size │ "WAVE" │ "fmt " 16 or 18 … │ "fact" 4 samples (not for PCM) │ "data" size │ samples
//! ```

use std::fs::File;
use std::io;

use parlour_tokio::core::audio::g711::Law;

use crate::sink::Sink;

/// How samples are coded, with what a head says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// 16 bits, linear.
    Pcm16,
    /// G.711, 8 bits.
    G711(Law),
}

/// A head without its sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) coding: Coding,
    pub(crate) hz: u32,
}

const PCM: u16 = 1;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;

impl Coding {
    pub(crate) fn of_tag(tag: u16) -> Option<Self> {
        Some(match tag {
            PCM => Self::Pcm16,
            A_LAW => Self::G711(Law::A),
            MU_LAW => Self::G711(Law::Mu),
            _ => return None,
        })
    }

    fn tag(self) -> u16 {
        match self {
            Self::Pcm16 => PCM,
            Self::G711(Law::A) => A_LAW,
            Self::G711(Law::Mu) => MU_LAW,
        }
    }

    /// Bytes of a sample.
    pub(crate) fn width(self) -> u8 {
        match self {
            Self::Pcm16 => 2,
            Self::G711(_) => 1,
        }
    }
}

impl Head {
    /// The length of the longest head.
    pub(crate) const LONGEST: usize = 58;

    /// Its length in bytes.
    pub(crate) fn len(self) -> u64 {
        match self.coding {
            Coding::Pcm16 => 44,
            Coding::G711(_) => 58,
        }
    }

    /// The most bytes of samples that a file takes: its sizes have 32 bits.
    pub(crate) fn most_data(self) -> u64 {
        // One more for the byte that makes the number of bytes even.
        u64::from(u32::MAX) - self.len() - 1
    }

    /// The head of a file with `data` bytes of samples.
    ///
    /// # Errors
    /// If a file cannot have so many.
    pub(crate) fn bytes(self, data: u64) -> io::Result<Vec<u8>> {
        if data > self.most_data() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // Both fit: see `most_data`.
        let (whole, data) = ((self.len() - 8 + data + data % 2) as u32, data as u32);
        let width = self.coding.width();
        let mut head = Vec::with_capacity(Self::LONGEST);
        head.extend(b"RIFF");
        head.extend(whole.to_le_bytes());
        head.extend(b"WAVEfmt ");
        let is_pcm = self.coding == Coding::Pcm16;
        head.extend((if is_pcm { 16_u32 } else { 18 }).to_le_bytes());
        head.extend(self.coding.tag().to_le_bytes());
        head.extend(1_u16.to_le_bytes());
        head.extend(self.hz.to_le_bytes());
        head.extend((self.hz.saturating_mul(width.into())).to_le_bytes());
        head.extend(u16::from(width).to_le_bytes());
        head.extend((u16::from(width) * 8).to_le_bytes());
        if !is_pcm {
            head.extend(0_u16.to_le_bytes());
            head.extend(b"fact");
            head.extend(4_u32.to_le_bytes());
            head.extend(data.to_le_bytes());
        }
        head.extend(b"data");
        head.extend(data.to_le_bytes());
        Ok(head)
    }

    /// The head that `bytes` begin with, and how many bytes of samples it tells; `None` if this crate did not write it.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, u64)> {
        let tag = u16::from_le_bytes(*bytes.get(20..)?.first_chunk()?);
        let head = Self {
            coding: Coding::of_tag(tag)?,
            hz: u32::from_le_bytes(*bytes.get(24..)?.first_chunk()?),
        };
        if head.hz == 0 {
            return None;
        }
        let mut expected = head.bytes(0).ok()?;
        let bytes = bytes.get(..expected.len())?;
        let mut data = 0;
        for at in head.sizes() {
            let size: &[u8; 4] = bytes.get(*at..)?.first_chunk()?;
            expected.get_mut(*at..at + 4)?.copy_from_slice(size);
            data = u32::from_le_bytes(*size);
        }
        (expected == bytes).then_some((head, data.into()))
    }

    /// Where the sizes stand; the last one is that of the samples.
    fn sizes(self) -> &'static [usize] {
        match self.coding {
            Coding::Pcm16 => &[4, 40],
            Coding::G711(_) => &[4, 46, 54],
        }
    }
}

/// A WAV file under way. The sizes in its head are those of what was flushed.
#[derive(Debug)]
pub(crate) struct RiffFile {
    sink: Sink,
    head: Head,
    /// Samples that are not written yet.
    waiting: Vec<u8>,
}

impl RiffFile {
    /// Bytes that wait.
    const WAITING: usize = 4_096;

    pub(crate) fn new(file: File, head: Head) -> io::Result<Self> {
        let mut sink = Sink::new(file);
        sink.append(&head.bytes(0)?)?;
        Ok(Self {
            sink,
            head,
            waiting: Vec::with_capacity(Self::WAITING),
        })
    }

    /// The bytes of samples, written or not.
    pub(crate) fn data(&self) -> u64 {
        self.sink.len() - self.head.len() + self.waiting.len() as u64
    }

    /// Appends samples.
    ///
    /// # Errors
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge) if a WAV file does not take so many: nothing is appended then.
    pub(crate) fn write(&mut self, samples: &[u8]) -> io::Result<()> {
        if self.data() + samples.len() as u64 > self.head.most_data() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        for piece in samples.chunks(Self::WAITING) {
            if self.waiting.len() + piece.len() > Self::WAITING {
                self.append()?;
            }
            self.waiting.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Writes what waits, and then the sizes: these never claim what is not there.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let data = self.data();
        self.append()?;
        self.sink.rewrite_start(&self.head.bytes(data)?)
    }

    /// Completes the file, and gives its bytes.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        if self.data() % 2 == 1 {
            // The next chunk would begin at an even place. The size does not count this byte.
            self.sink.append(&[0])?;
        }
        Ok(self.sink.len())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.sink.sync()
    }

    fn append(&mut self) -> io::Result<()> {
        self.sink.append(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.waiting.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_again_and_others_are_not() {
        for coding in [Coding::Pcm16, Coding::G711(Law::A), Coding::G711(Law::Mu)] {
            let head = Head { coding, hz: 8_000 };
            for data in [0, 7, head.most_data()] {
                let bytes = head.bytes(data).unwrap();
                assert_eq!(bytes.len() as u64, head.len());
                assert_eq!(Head::parse(&bytes), Some((head, data)));
                for cut in 0..bytes.len() {
                    assert_eq!(Head::parse(&bytes[..cut]), None);
                }
                let mut other = bytes;
                other[22] = 2;
                assert_eq!(Head::parse(&other), None, "two channels");
            }
            assert!(head.bytes(head.most_data() + 1).is_err());
        }
    }
}
