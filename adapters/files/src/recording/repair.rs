//! Files that a crash cut off.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use parlour_tokio::Codec;
use parlour_tokio::core::rtp::frame_samples;
use thiserror::Error;

use super::opus;
use super::placing::Placing;
use crate::ogg_page::{FIRST, LAST, Page, PageWriter};
use crate::riff::Head;

/// A file that is whole again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repaired {
    /// The length of its sound.
    pub duration: Duration,
    /// Its bytes.
    pub size: u64,
}

/// Why a file is not repaired. Nothing has changed then, unless it was the file that failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepairError {
    /// It does not begin as a file of this crate does: it is another one, or was cut off before it had any sound.
    #[error("the file has no whole head of a recording: there is nothing to repair")]
    NoRecording,
    /// The file cannot be read or written.
    #[error("cannot repair the file: {0}")]
    File(#[from] io::Error),
}

/// Makes a file of a [`StreamFile`](super::StreamFile), or a [`WavFile`](crate::WavFile), that was cut off at any byte whole: what
/// comes after the last whole page or sample is cut off, and the end is marked. A file that is whole stays as it is.
///
/// ```no_run
/// use std::fs::OpenOptions;
/// use parlour_files::recording::repair;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut file = OpenOptions::new().read(true).write(true).open("anna.opus")?;
/// println!("{:?} are left", repair(&mut file)?.duration);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`RepairError`]
pub fn repair(file: &mut File) -> Result<Repaired, RepairError> {
    file.rewind()?;
    let mut start = Vec::new();
    Read::by_ref(file)
        .take(Head::LONGEST as u64)
        .read_to_end(&mut start)?;
    match Head::parse(&start) {
        Some((head, told)) => repair_wav(file, head, told),
        None => repair_ogg(file),
    }
}

fn repair_wav(file: &mut File, head: Head, told: u64) -> Result<Repaired, RepairError> {
    let len = file.metadata()?.len();
    let width = u64::from(head.coding.width());
    let whole = |data: u64| head.len() + data + data % 2;
    let mut data = told;
    if whole(told) != len {
        let all = len.saturating_sub(head.len()).min(head.most_data());
        data = all - all % width;
        file.set_len(head.len() + data)?;
        if data % 2 == 1 {
            file.seek(SeekFrom::Start(head.len() + data))?;
            file.write_all(&[0])?;
        }
        file.rewind()?;
        file.write_all(&head.bytes(data)?)?;
    }
    Ok(Repaired {
        duration: Placing::new(head.hz).time(data / width),
        size: whole(data),
    })
}

fn repair_ogg(file: &mut File) -> Result<Repaired, RepairError> {
    file.rewind()?;
    let mut pages = Pages {
        file: BufReader::new(file),
        bytes: Vec::new(),
    };
    let head = pages.next_head(b"OpusHead")?;
    let tags = pages.next_head(b"OpusTags")?;
    let is_first = (head.flags, head.number) == (FIRST, 0);
    if !is_first || !follows(&head, &tags) || tags.flags != 0 {
        return Err(RepairError::NoRecording);
    }
    let mut last = tags;
    let mut size = (head.len + tags.len) as u64;
    while last.flags & LAST == 0
        && let Some((page, samples)) = pages.next_sound()?
        && follows(&last, &page)
        && last.granule.checked_add(samples) == Some(page.granule)
    {
        size += page.len as u64;
        last = page;
    }
    let file = pages.file.into_inner();
    file.set_len(size)?;
    if last.flags & LAST == 0 {
        let end =
            PageWriter::new(last.serial, last.number.wrapping_add(1)).take(last.granule, LAST);
        file.seek(SeekFrom::Start(size))?;
        file.write_all(&end)?;
        size += end.len() as u64;
    }
    Ok(Repaired {
        duration: Placing::new(opus::HZ).time(last.granule),
        size,
    })
}

fn follows(before: &Page, page: &Page) -> bool {
    page.serial == before.serial
        && page.number == before.number.wrapping_add(1)
        && page.flags & FIRST == 0
}

/// The pages of a file, one after another.
struct Pages<'a> {
    file: BufReader<&'a mut File>,
    bytes: Vec<u8>,
}

impl Pages<'_> {
    /// Reads a page into `bytes`, as far as there is one.
    fn read(&mut self) -> io::Result<()> {
        self.bytes.clear();
        // All up to the number of lengths, these, and the packets.
        self.read_more(27)?;
        let lengths = self.bytes.get(26).copied().unwrap_or(0);
        self.read_more(lengths.into())?;
        let lengths = self.bytes.iter().skip(27);
        self.read_more(lengths.map(|length| u64::from(*length)).sum())
    }

    fn read_more(&mut self, bytes: u64) -> io::Result<()> {
        let read = Read::by_ref(&mut self.file)
            .take(bytes)
            .read_to_end(&mut self.bytes);
        read.map(drop)
    }

    /// The next page, whose one packet begins with `magic`.
    fn next_head(&mut self, magic: &[u8]) -> Result<Page, RepairError> {
        self.read()?;
        let parsed = Page::parse(&self.bytes);
        let (page, mut packets) = parsed.ok_or(RepairError::NoRecording)?;
        let is_head = packets
            .next()
            .is_some_and(|packet| packet.starts_with(magic));
        if !is_head || packets.next().is_some() || page.granule != 0 {
            return Err(RepairError::NoRecording);
        }
        Ok(page)
    }

    /// The next page with sound, and its samples, if it is whole.
    fn next_sound(&mut self) -> io::Result<Option<(Page, u64)>> {
        self.read()?;
        let Some((page, packets)) = Page::parse(&self.bytes) else {
            return Ok(None);
        };
        let mut samples = 0;
        for packet in packets {
            match frame_samples(Codec::Opus, packet) {
                Ok(some) => samples += u64::from(some),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some((page, samples)))
    }
}
