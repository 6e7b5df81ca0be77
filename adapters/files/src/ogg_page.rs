//! Pages of Ogg ([RFC 3533](https://www.rfc-editor.org/rfc/rfc3533)): written one after another, and found again in a file that
//! was cut off. No packet goes over the end of a page, so that each page stands for itself.
//!
//! ```text
//! "OggS" │ 0 │ flags │ granule position u64 │ serial u32 │ number u32 │ CRC u32 │ n u8 │ n lengths │ packets
//! ```

/// The header without the lengths.
const HEAD: usize = 27;
const CRC_AT: usize = 22;
/// A packet's last length is below this one.
const FULL: u8 = 255;
/// Bytes of packets in a page. Ogg allows 65,025; a recorder has many files open.
const MOST_BYTES: usize = 4_096;

const CONTINUED: u8 = 1;
pub(crate) const FIRST: u8 = 2;
pub(crate) const LAST: u8 = 4;

/// The page of a stream that is being filled.
#[derive(Debug)]
pub(crate) struct PageWriter {
    serial: u32,
    number: u32,
    lengths: Vec<u8>,
    packets: Vec<u8>,
}

impl PageWriter {
    /// The writer of page `number` of a stream, and of those after it.
    pub(crate) fn new(serial: u32, number: u32) -> Self {
        Self {
            serial,
            number,
            lengths: Vec::with_capacity(255),
            packets: Vec::with_capacity(MOST_BYTES),
        }
    }

    /// Whether there is a place for a packet of `len` bytes. In an empty page there is for all up to 4 KiB.
    pub(crate) fn fits(&self, len: usize) -> bool {
        self.lengths.len() + len / 255 < 255 && self.packets.len() + len <= MOST_BYTES
    }

    /// Appends a packet that [fits](Self::fits).
    pub(crate) fn push(&mut self, packet: &[u8]) {
        let full = packet.len() / 255;
        self.lengths.extend(std::iter::repeat_n(FULL, full));
        // The remainder is below 255.
        self.lengths.push((packet.len() % 255) as u8);
        self.packets.extend_from_slice(packet);
    }

    /// The page, which ends at `granule`; the next one begins.
    pub(crate) fn take(&mut self, granule: u64, flags: u8) -> Vec<u8> {
        let mut page = Vec::with_capacity(HEAD + self.lengths.len() + self.packets.len());
        page.extend_from_slice(b"OggS\0");
        page.push(flags);
        page.extend_from_slice(&granule.to_le_bytes());
        page.extend_from_slice(&self.serial.to_le_bytes());
        page.extend_from_slice(&self.number.to_le_bytes());
        page.extend_from_slice(&[0; 4]);
        // As many as fit.
        page.push(self.lengths.len() as u8);
        page.append(&mut self.lengths);
        page.append(&mut self.packets);
        let crc = crc(&page);
        page[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        self.number = self.number.wrapping_add(1);
        page
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.lengths.capacity() + self.packets.capacity()
    }
}

/// A page that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) flags: u8,
    pub(crate) granule: u64,
    pub(crate) serial: u32,
    pub(crate) number: u32,
    /// Its length in bytes.
    pub(crate) len: usize,
}

impl Page {
    /// The page that `bytes` begin with, and its packets. `None` if it is not whole, is damaged, or has only a part of a packet.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, impl Iterator<Item = &[u8]>)> {
        let head = bytes.get(..HEAD)?;
        if !head.starts_with(b"OggS\0") {
            return None;
        }
        let number = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
        let page = Self {
            flags: *head.get(5)?,
            granule: u64::from_le_bytes(*head.get(6..)?.first_chunk()?),
            serial: number(14)?,
            number: number(18)?,
            len: 0,
        };
        let lengths = bytes.get(HEAD..HEAD + usize::from(*head.get(26)?))?;
        let packets: usize = lengths.iter().map(|length| usize::from(*length)).sum();
        let start = HEAD + lengths.len();
        let is_whole = page.flags & CONTINUED == 0 && lengths.last() != Some(&FULL);
        let bytes = bytes.get(..start + packets).filter(|_| is_whole)?;
        let (head, rest) = bytes.split_at(CRC_AT);
        let crc = [head, &[0; 4], rest.get(4..)?].into_iter().fold(0, update);
        if crc != number(CRC_AT)? {
            return None;
        }
        let len = bytes.len();
        let packets = Packets {
            lengths,
            packets: bytes.get(start..)?,
        };
        Some((Self { len, ..page }, packets))
    }
}

/// The packets of a page whose last one is whole.
struct Packets<'a> {
    lengths: &'a [u8],
    packets: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let last = self.lengths.iter().position(|length| *length < FULL)?;
        let (own, lengths) = self.lengths.split_at(last + 1);
        let length: usize = own.iter().map(|length| usize::from(*length)).sum();
        let (packet, packets) = self.packets.split_at_checked(length)?;
        (self.lengths, self.packets) = (lengths, packets);
        Some(packet)
    }
}

fn crc(bytes: &[u8]) -> u32 {
    update(0, bytes)
}

/// The CRC of RFC 3533: 0x04c11db7, the highest bit first, from 0 and not inverted.
fn update(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        let [highest, ..] = crc.to_be_bytes();
        crc << 8 ^ TABLE[usize::from(highest ^ byte)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u32) << 24, 0);
        while bit < 8 {
            crc = crc << 1 ^ if crc & 1 << 31 == 0 { 0 } else { 0x04c1_1db7 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ogg::PacketReader;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_others_read(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1_300), 1..80),
            serial: u32,
        ) {
            let mut writer = PageWriter::new(serial, 0);
            let mut file = Vec::new();
            let mut own = Vec::new();
            for (place, packet) in (0..).zip(&packets) {
                if !writer.fits(packet.len()) {
                    let flags = if file.is_empty() { FIRST } else { 0 };
                    file.extend(writer.take(place, flags));
                }
                writer.push(packet);
            }
            let flags = if file.is_empty() { FIRST } else { 0 };
            file.extend(writer.take(packets.len() as u64, flags | LAST));
            let mut rest = &file[..];
            while let Some((page, packets)) = Page::parse(rest) {
                prop_assert_eq!(page.serial, serial);
                own.extend(packets.map(<[u8]>::to_vec));
                prop_assert_eq!(page.granule, own.len() as u64);
                rest = &rest[page.len..];
            }
            prop_assert_eq!(rest, b"");
            prop_assert_eq!(&own, &packets);
            let mut reader = PacketReader::new(Cursor::new(&file));
            for (number, packet) in packets.iter().enumerate() {
                let read = reader.read_packet_expected().unwrap();
                prop_assert_eq!(&read.data, packet);
                prop_assert_eq!(read.stream_serial(), serial);
                prop_assert_eq!(read.last_in_stream(), number + 1 == packets.len());
            }
            prop_assert!(reader.read_packet().unwrap().is_none());
        }

        #[test]
        fn a_page_with_one_wrong_bit_is_none(packet in proptest::collection::vec(any::<u8>(), 0..300), bit: prop::sample::Index) {
            let mut writer = PageWriter::new(7, 3);
            writer.push(&packet);
            let mut page = writer.take(5, 0);
            prop_assert!(Page::parse(&page).is_some());
            let bit = bit.index(page.len() * 8);
            page[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Page::parse(&page).is_none());
        }
    }
}
