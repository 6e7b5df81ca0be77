//! Ogg Opus ([RFC 7845](https://www.rfc-editor.org/rfc/rfc7845)), packet by packet.

use std::fs::File;
use std::io;
use std::time::Duration;

use parlour_tokio::Codec;
use parlour_tokio::core::rtp::frame_samples;

use crate::ogg_page::{FIRST, LAST, PageWriter};
use crate::sink::Sink;

/// Samples in a second, whatever the rate at which its publisher encodes.
pub(super) const HZ: u32 = 48_000;
/// The longest packet: 120 ms.
const LONGEST: u64 = 5_760;
/// The shortest frame: 2.5 ms.
const SHORTEST: u64 = 120;
/// CELT, 20 ms, one channel: the configuration of what is filled before the first packet.
const FIRST_TOC: u8 = 0xf8;
/// How long a page with sound stays open.
const OPEN: Duration = Duration::from_millis(800);

/// An Ogg Opus file with one stream, in mono.
#[derive(Debug)]
pub(super) struct OpusFile {
    sink: Sink,
    page: PageWriter,
    /// The samples in the page.
    in_page: u64,
    /// The samples in the file, those of the page included.
    end: u64,
    /// When a packet with sound came into the page that is open.
    opened: Option<Duration>,
    /// The configuration of the packet before.
    toc: u8,
}

impl OpusFile {
    /// Writes the two pages of the head.
    pub(super) fn new(file: File, serial: u32, comments: &[(&str, &str)]) -> io::Result<Self> {
        let mut sink = Sink::new(file);
        let mut page = PageWriter::new(serial, 0);
        // Version 1, one channel, nothing to skip, 48 kHz, no gain, mapping 0.
        page.push(b"OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00");
        let mut head = page.take(0, FIRST);
        page.push(&tags(comments)?);
        head.extend(page.take(0, 0));
        sink.append(&head)?;
        Ok(Self {
            sink,
            page,
            in_page: 0,
            end: 0,
            opened: None,
            toc: FIRST_TOC,
        })
    }

    /// Where the file ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.sink.sync()
    }

    /// Appends a packet with so many samples.
    pub(super) fn packet(&mut self, now: Duration, packet: &[u8], samples: u64) -> io::Result<()> {
        self.push(packet, samples)?;
        self.opened.get_or_insert(now);
        self.toc = packet.first().copied().unwrap_or(self.toc);
        Ok(())
    }

    /// Fills up to `place`, to within 2.5 ms.
    pub(super) fn fill(&mut self, place: u64) -> io::Result<()> {
        while let Some((packet, samples)) = concealed(self.toc, place.saturating_sub(self.end)) {
            self.push(&packet, samples)?;
        }
        Ok(())
    }

    fn push(&mut self, packet: &[u8], samples: u64) -> io::Result<()> {
        if self.in_page + samples > u64::from(HZ) || !self.page.fits(packet.len()) {
            self.end_page(0)?;
        }
        self.page.push(packet);
        self.in_page += samples;
        self.end += samples;
        Ok(())
    }

    /// Ends the page if it is open for so long that it would be a pity to lose it.
    pub(super) fn tick(&mut self, now: Duration) -> io::Result<()> {
        match self.opened {
            Some(opened) if now.saturating_sub(opened) >= OPEN => self.end_page(0),
            _ => Ok(()),
        }
    }

    /// Ends the stream. Gives the bytes of the file.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.end_page(LAST)?;
        Ok(self.sink.len())
    }

    fn end_page(&mut self, flags: u8) -> io::Result<()> {
        (self.in_page, self.opened) = (0, None);
        let page = self.page.take(self.end, flags);
        self.sink.append(&page)
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.page.size()
    }
}

/// The comment header. It has to fit into one page.
fn tags(comments: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    const MOST: usize = 3_000;
    let mut tags = b"OpusTags\x07\x00\x00\x00parlour".to_vec();
    // Not more than there are bytes.
    tags.extend((comments.len() as u32).to_le_bytes());
    for (name, value) in comments {
        tags.extend(((name.len() + 1 + value.len()) as u32).to_le_bytes());
        tags.extend([name.as_bytes(), b"=", value.as_bytes()].concat());
    }
    if tags.len() > MOST {
        let message = "the comments are longer than 3,000 bytes: leave some out";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(tags)
}

/// A packet of frames of no bytes, which has the decoder conceal, for at most `gap` samples and 120 ms, and how many it is
/// for ([RFC 7845 section 4.1](https://www.rfc-editor.org/rfc/rfc7845#section-4.1)). It has the configuration of the packet
/// before, by its TOC, but where the gap is too short for a frame of that.
fn concealed(toc: u8, gap: u64) -> Option<([u8; 2], u64)> {
    let stereo = toc & 0x04;
    let own = toc & 0xf8;
    let shorter = match own >> 3 {
        // SILK and hybrid have frames of 10 ms at least.
        0..12 if gap >= 480 => own & 0xe0,
        12..16 if gap >= 480 => own & 0xf0,
        // CELT: the same bandwidth, 2.5 ms.
        16.. => own & 0xe0,
        // Wideband, 2.5 ms.
        _ => 0xa0,
    };
    let length = |config: u8| {
        let frame = frame_samples(Codec::Opus, &[config]);
        frame.map_or(LONGEST, u64::from)
    };
    let config = if length(own) <= gap { own } else { shorter };
    let frame = length(config);
    let frames = (gap.min(LONGEST) / frame) as u8;
    // A code 3 packet: the number of frames is in the second byte.
    (gap >= SHORTEST).then(|| ([config | stereo | 3, frames], u64::from(frames) * frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_after_any_packet_is_filled_to_within_2_5_ms() {
        for toc in 0..=255 {
            for gap in (0..12_000).step_by(40) {
                let (mut left, mut packets) = (gap, 0);
                while let Some((packet, samples)) = concealed(toc, left) {
                    let length = frame_samples(Codec::Opus, &packet);
                    assert_eq!(length.map(u64::from), Ok(samples), "{toc:#x} {gap}");
                    assert_eq!(packet[0] & 4, toc & 4, "as many channels");
                    left -= samples;
                    packets += 1;
                }
                assert!(left < SHORTEST, "{toc:#x} {gap} {left}");
                assert!(packets <= 6, "{toc:#x} {gap} {packets}");
            }
        }
    }
}
