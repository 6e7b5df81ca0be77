//! RTCP sender and receiver reports, [RFC 3550 section 6.4](https://www.rfc-editor.org/rfc/rfc3550#section-6.4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|   RC    | PT=200 or 201 |   length in words, less one   |
//! |                        SSRC of reporter                       |
//! +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//! |              NTP timestamp, most significant word             |  only in a
//! |              NTP timestamp, least significant word            |  sender report
//! |                         RTP timestamp                         |  (PT 200)
//! |                     sender's packet count                     |
//! |                      sender's octet count                     |
//! +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//! |                         SSRC of source                        |  RC times,
//! | fraction lost |       cumulative number of packets lost       |  0 to 31
//! |           extended highest sequence number received           |
//! |                      interarrival jitter                      |
//! |                         last SR (LSR)                         |
//! |                   delay since last SR (DLSR)                  |
//! +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//! ```
//!
//! Several such packets, one after the other, are a compound. Parlour sends only reports. The secure association
//! already identifies a participant and its leaving, so SDES and BYE are not needed ([RFC
//! 5506](https://www.rfc-editor.org/rfc/rfc5506) allows leaving them out); received ones are skipped.

use thiserror::Error;

use super::packet::without_padding;

const VERSION: u8 = 2;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
/// RC has five bits.
const MAX_BLOCKS: usize = 31;
/// The first words of every packet with a report: flags, type, length, SSRC.
const HEAD_LEN: usize = 8;
const SENDER_INFO_LEN: usize = 20;
const BLOCK_LEN: usize = 24;

/// Why bytes are not an RTCP compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RtcpParseError {
    /// Fewer bytes than a packet's length or block count states, or none at all.
    #[error("not RTCP: the bytes end before the packet does")]
    Truncated,
    /// Another version than 2.
    #[error("not RTCP: the version is not 2")]
    Version,
    /// Padding before the compound's end, or of an impossible length.
    #[error("not RTCP: the padding is misplaced or of a wrong length")]
    Padding,
}

/// Sender statistics of one flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SenderInfo {
    /// When the report is sent, as seconds and fraction of 32 bits each; see
    /// [`ntp_timestamp`](super::ntp_timestamp).
    pub ntp: u64,
    /// The same moment in the flow's RTP clock.
    pub rtp_timestamp: u32,
    /// Packets sent so far, wrapping.
    pub packets: u32,
    /// Bytes of payload sent so far, wrapping.
    pub octets: u32,
}

impl SenderInfo {
    fn from_bytes(bytes: &[u8; SENDER_INFO_LEN]) -> Self {
        let mut words = [0; SENDER_INFO_LEN / 4];
        read(bytes, &mut words);
        let [high, low, rtp_timestamp, packets, octets] = words;
        Self {
            ntp: u64::from(high) << 32 | u64::from(low),
            rtp_timestamp,
            packets,
            octets,
        }
    }

    fn words(&self) -> [u32; SENDER_INFO_LEN / 4] {
        [
            (self.ntp >> 32) as u32,
            self.ntp as u32,
            self.rtp_timestamp,
            self.packets,
            self.octets,
        ]
    }
}

/// Reception statistics of one flow.
///
/// Made by [`ReceptionStats::report_block`](super::ReceptionStats::report_block).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ReportBlock {
    /// The flow that is reported on.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the flow began; negative if duplicates outnumber the lost. 24 bits are sent: a value beyond
    /// them is sent as the nearest that fits.
    pub cumulative_lost: i32,
    /// Low 16 bits: highest sequence number received; high 16 bits: how often it wrapped.
    pub highest_sequence: u32,
    /// Interarrival jitter in units of the flow's RTP clock.
    pub jitter: u32,
    /// [`compact_ntp`](super::compact_ntp) of the flow's last sender report; 0 if none came.
    pub last_sr: u32,
    /// Time since that report arrived, in 1/65536 s; 0 if none came.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    fn from_bytes(bytes: &[u8; BLOCK_LEN]) -> Self {
        let mut words = [0; BLOCK_LEN / 4];
        read(bytes, &mut words);
        let [
            ssrc,
            lost,
            highest_sequence,
            jitter,
            last_sr,
            delay_since_last_sr,
        ] = words;
        Self {
            ssrc,
            fraction_lost: (lost >> 24) as u8,
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            highest_sequence,
            jitter,
            last_sr,
            delay_since_last_sr,
        }
    }

    fn words(&self) -> [u32; BLOCK_LEN / 4] {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF);
        [
            self.ssrc,
            u32::from(self.fraction_lost) << 24 | lost.cast_unsigned() & 0xFF_FFFF,
            self.highest_sequence,
            self.jitter,
            self.last_sr,
            self.delay_since_last_sr,
        ]
    }
}

/// A sender or receiver report, read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    ssrc: u32,
    sender: Option<SenderInfo>,
    blocks: &'a [[u8; BLOCK_LEN]],
}

impl<'a> Report<'a> {
    /// The reporter's own flow.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The reporter's sender statistics; `None` in a receiver report.
    pub const fn sender(&self) -> Option<SenderInfo> {
        self.sender
    }

    /// The reporter's reception statistics, one block per flow.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = ReportBlock> + Clone + use<'a> {
        self.blocks.iter().map(ReportBlock::from_bytes)
    }

    fn from_body(body: &'a [u8], is_sender: bool, block_count: u8) -> Option<Self> {
        let (&ssrc, rest) = body.split_first_chunk()?;
        let (sender, rest) = if is_sender {
            let (info, rest) = rest.split_first_chunk()?;
            (Some(SenderInfo::from_bytes(info)), rest)
        } else {
            (None, rest)
        };
        // The blocks may be followed by extensions of a profile, which we ignore.
        let (blocks, _) = rest.as_chunks();
        Some(Self {
            ssrc: u32::from_be_bytes(ssrc),
            sender,
            blocks: blocks.get(..block_count.into())?,
        })
    }
}

/// The reports in an RTCP compound; packets of other types are skipped.
///
/// ```
/// use parlour_core::rtp::{ReportBlock, RtcpCompound, SenderInfo, write_report};
///
/// let info = SenderInfo { packets: 50, ..SenderInfo::default() };
/// let block = ReportBlock { ssrc: 2, fraction_lost: 25, ..ReportBlock::default() };
/// let mut bytes = [0; 64];
/// let len = write_report(1, Some(&info), &[block], &mut bytes)?;
///
/// for report in RtcpCompound::parse(&bytes[..len])? {
///     assert_eq!((report.ssrc(), report.sender()), (1, Some(info)));
///     assert_eq!(report.blocks().next(), Some(block));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RtcpCompound<'a> {
    rest: &'a [u8],
}

impl<'a> RtcpCompound<'a> {
    /// Checks that `bytes` are whole RTCP packets, one after the other.
    ///
    /// # Errors
    /// [`RtcpParseError`] if any packet is malformed: then the whole compound is refused.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtcpParseError> {
        let (_, mut rest) = split_packet(bytes)?;
        while !rest.is_empty() {
            (_, rest) = split_packet(rest)?;
        }
        Ok(Self { rest: bytes })
    }
}

impl<'a> Iterator for RtcpCompound<'a> {
    type Item = Report<'a>;

    fn next(&mut self) -> Option<Report<'a>> {
        // `parse` went over all packets, so an error here can only be the end.
        while let Ok((report, rest)) = split_packet(self.rest) {
            self.rest = rest;
            if report.is_some() {
                return report;
            }
        }
        None
    }
}

impl core::iter::FusedIterator for RtcpCompound<'_> {}

/// Reads as many words as there are bytes for.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn read(bytes: &[u8], words: &mut [u32]) {
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
}

/// The first packet's report, if it is one, and what follows the packet.
fn split_packet(bytes: &[u8]) -> Result<(Option<Report<'_>>, &[u8]), RtcpParseError> {
    let (&[flags, kind, l0, l1], rest) =
        bytes.split_first_chunk().ok_or(RtcpParseError::Truncated)?;
    if flags >> 6 != VERSION {
        return Err(RtcpParseError::Version);
    }
    let (mut body, rest) = rest
        .split_at_checked(usize::from(u16::from_be_bytes([l0, l1])) * 4)
        .ok_or(RtcpParseError::Truncated)?;
    if flags & 0x20 != 0 {
        // Only a compound's last packet may be padded (section 6.4.1), and to whole words.
        body = match without_padding(body) {
            Some(unpadded) if unpadded.len() % 4 == 0 && rest.is_empty() => unpadded,
            _ => return Err(RtcpParseError::Padding),
        };
    }
    let report = match kind {
        SENDER_REPORT | RECEIVER_REPORT => Some(
            Report::from_body(body, kind == SENDER_REPORT, flags & 0x1F)
                .ok_or(RtcpParseError::Truncated)?,
        ),
        _ => None,
    };
    Ok((report, rest))
}

/// Why a report was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RtcpWriteError {
    /// The output has too little room; nothing was written.
    #[error("the output is too small: lend at least {needed} bytes, or report on fewer flows")]
    BufferTooSmall {
        /// Bytes that the report takes.
        needed: usize,
    },
}

/// Bytes that [`write_report`] takes for `blocks` report blocks, and for sender information if
/// `sender`.
pub const fn report_len(sender: bool, blocks: usize) -> usize {
    let packets = if blocks == 0 {
        1
    } else {
        blocks.div_ceil(MAX_BLOCKS)
    };
    let info = if sender { SENDER_INFO_LEN } else { 0 };
    packets
        .saturating_mul(HEAD_LEN)
        .saturating_add(blocks.saturating_mul(BLOCK_LEN))
        .saturating_add(info)
}

/// Writes a compound from the flow `ssrc` to the start of `out`: a sender report if there is
/// `sender` information, otherwise a receiver report, and further receiver reports for the blocks
/// beyond 31. Returns how many bytes that took, [`report_len`].
///
/// # Errors
/// [`RtcpWriteError`] if `out` is too small; it is then unchanged.
pub fn write_report(
    ssrc: u32,
    sender: Option<&SenderInfo>,
    blocks: &[ReportBlock],
    out: &mut [u8],
) -> Result<usize, RtcpWriteError> {
    let needed = report_len(sender.is_some(), blocks.len());
    let out = out
        .get_mut(..needed)
        .ok_or(RtcpWriteError::BufferTooSmall { needed })?;
    let mut places = out.as_chunks_mut().0.iter_mut();
    let mut write = |words: &[u32]| {
        for (word, place) in words.iter().zip(places.by_ref()) {
            *place = word.to_be_bytes();
        }
    };
    let mut sender = sender;
    let (first, others) = blocks.split_at(blocks.len().min(MAX_BLOCKS));
    for blocks in core::iter::once(first).chain(others.chunks(MAX_BLOCKS)) {
        write(&[head(sender.is_some(), blocks.len()), ssrc]);
        if let Some(sender) = sender.take() {
            write(&sender.words());
        }
        for block in blocks {
            write(&block.words());
        }
    }
    Ok(needed)
}

/// The first word of a report with `blocks` blocks, at most [`MAX_BLOCKS`].
fn head(sender: bool, blocks: usize) -> u32 {
    let kind = if sender {
        SENDER_REPORT
    } else {
        RECEIVER_REPORT
    };
    // At most (8 + 20 + 31 * 24) / 4: nothing is truncated.
    let words_less_one = (report_len(sender, blocks) / 4 - 1) as u32;
    u32::from(VERSION) << 30 | (blocks as u32) << 24 | u32::from(kind) << 16 | words_less_one
}

#[cfg(test)]
mod tests;
