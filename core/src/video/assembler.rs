//! RTP packets to complete pictures that can be decoded.

mod references;
mod slot;

use thiserror::Error;

use self::references::References;
pub use self::slot::Slot;
use super::picture::{AssembledPicture, MAX_PICTURE, MAX_PICTURE_PAYLOAD, is_key};
use super::{h264, vp8};
use crate::room::{Codec, StreamKind};
use crate::rtp::{RtpPacket, SequenceUnwrapper, TimestampUnwrapper};

/// Most pictures of which an [`Assembler`] holds the first packet, and most of which it holds the last one, whatever slots
/// it has. One more, and the oldest goes.
pub const MAX_PICTURES: u8 = 12;

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AssembleError {
    /// Not of a video codec.
    #[error("the packet's payload type is not that of a video codec")]
    NotVideo,
    /// Without a [`PictureTag`](crate::rtp::PictureTag), which nothing can be assembled without.
    #[error("the packet has no picture tag: its publisher has to send one with every packet")]
    NoTag,
    /// An empty payload, or one of more than [`MAX_PICTURE_PAYLOAD`] bytes.
    #[error("the packet's payload is empty or longer than 960 bytes")]
    PayloadLength,
}

/// Why a complete picture was not given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PollPictureError {
    /// The output has too little room; the picture is kept.
    #[error("the output is too small: lend at least {needed} bytes")]
    BufferTooSmall {
        /// Bytes that the picture has.
        needed: usize,
    },
}

/// How far the picture is there that begins with a certain packet.
enum Run {
    /// All up to this number, which is missing.
    Incomplete(u64),
    /// All; the next picture begins with this number.
    Complete(u64),
    /// Its last packet has no marker: with this number something else begins.
    Broken(u64),
}

/// Puts the packets of one stream together to pictures, and gives those out that can be decoded, in their order.
///
/// Packets may come in any order, twice, or not at all. It never gives out a picture whose references it has not given
/// out ([which those are](super#references)), nor one without all of its packets. It holds no clock: how long to wait for
/// what is missing is the caller's decision.
///
/// * [`poll_picture`](Self::poll_picture) gives out what follows without a gap.
/// * [`skip_unneeded`](Self::skip_unneeded) leaves out what is missing if nothing needs it: call it when packets have had
///   the time to overtake each other.
/// * [`skip_missing`](Self::skip_missing) leaves out what is missing although others need it: call it when it is too late
///   for a repair. [`wants_key`](Self::wants_key) tells whether a key picture is to be asked for then.
///
/// The slots are the memory: as many as the packets of the largest picture, and of what comes while one of them is
/// repaired. [`MAX_PICTURE_PACKETS`](super::MAX_PICTURE_PACKETS) of them hold any picture. When a packet has no slot, the
/// oldest pictures go.
///
/// ```
/// use parlour_core::room::Codec;
/// use parlour_core::rtp::RtpPacket;
/// use parlour_core::video::{Assembler, Picture, PicturePacketizer, Slot};
///
/// let file = b"\xFF\xD8 a very small picture \xFF\xD9";
/// let picture = Picture { bytes: file, timestamp: 90_000, discardable: true, temporal_layer: 0, layer: 0 };
/// let mut packets = PicturePacketizer::new(Codec::Jpeg, 0xCAFE, 7).packetize(&picture)?;
/// let mut assembler = Assembler::new([const { Slot::EMPTY }; 8]);
///
/// let mut datagram = [0; 1_008];
/// while let Some(len) = packets.write_next(&mut datagram)? {
///     assembler.handle_packet(&RtpPacket::parse(&datagram[..len])?)?;
/// }
/// let mut out = [0; 100];
/// let picture = assembler.poll_picture(&mut out)?.expect("all of it is there");
/// assert_eq!(picture.bytes, file);
/// assert!(picture.key);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Assembler<S> {
    slots: S,
    sequences: SequenceUnwrapper,
    timestamps: TimestampUnwrapper,
    /// The first number that is not decided yet: all below were given out or left out.
    next: u64,
    /// The one behind the highest that came.
    end: u64,
    /// The packet before this one had this number, which was too old.
    too_old: Option<u64>,
    /// The numbers from `next` up to here are of one picture without a gap.
    scanned: u64,
    /// Whether anything was decided. Before, a packet may be older than `next`.
    began: bool,
    /// First packets of pictures among those held.
    firsts: u8,
    /// Last packets of pictures among those held.
    markers: u8,
    /// Packets of key pictures among those held.
    keys: usize,
    references: References,
    /// The layer of the newest packet.
    layer: Option<u8>,
}

impl<S: AsRef<[Slot]> + AsMut<[Slot]>> Assembler<S> {
    /// For a stream's first packet. `slots` are an array, a slice or a vector of [`Slot::EMPTY`]; without any, packets are
    /// taken and dropped.
    pub const fn new(slots: S) -> Self {
        Self {
            slots,
            sequences: SequenceUnwrapper::new(),
            timestamps: TimestampUnwrapper::new(),
            next: 0,
            end: 0,
            too_old: None,
            scanned: 0,
            began: false,
            firsts: 0,
            markers: 0,
            keys: 0,
            references: References::new(),
            layer: None,
        }
    }

    /// Takes a packet, which must be of this stream: the caller checks its SSRC. One that came before, or is of a picture
    /// that was given out or left out, changes nothing. Two in a row whose numbers follow each other, and lie further back
    /// than there are slots, are of a stream that has jumped: it begins anew with the second one.
    ///
    /// # Errors
    /// [`AssembleError`] if it is no packet of a picture; nothing has changed then.
    pub fn handle_packet(&mut self, packet: &RtpPacket<'_>) -> Result<(), AssembleError> {
        let codec = Codec::from_payload_type(packet.payload_type())
            .filter(|codec| codec.carries(StreamKind::Video))
            .ok_or(AssembleError::NotVideo)?;
        let tag = packet.picture_tag().ok_or(AssembleError::NoTag)?;
        let len = match packet.payload().len() {
            len @ 1..=MAX_PICTURE_PAYLOAD => len as u16,
            _ => return Err(AssembleError::PayloadLength),
        };
        let mut sequence = self.sequences.extend(packet.sequence());
        if self.has_jumped(sequence) {
            self.restart();
            sequence = self.sequences.extend(packet.sequence());
        }
        if !self.make_room(sequence) {
            return Ok(());
        }
        if sequence.saturating_add(1) == self.end {
            self.layer = Some(tag.layer);
        }
        let index = self.index(sequence);
        let Some(slot) = self.slots.as_mut().get_mut(index) else {
            return Ok(());
        };
        if slot.len > 0 {
            return Ok(());
        }
        slot.sequence = sequence;
        slot.timestamp = packet.timestamp();
        slot.tag = tag;
        slot.codec = codec;
        slot.marker = packet.marker();
        slot.len = len;
        for (to, from) in slot.payload.iter_mut().zip(packet.payload()) {
            *to = *from;
        }
        self.firsts += u8::from(tag.first);
        self.markers += u8::from(packet.marker());
        self.keys += usize::from(tag.key);
        while self.firsts.max(self.markers) > MAX_PICTURES {
            let ends = |&at: &u64| {
                self.get(at).is_some_and(|packet| packet.marker)
                    || self.get(at + 1).is_some_and(|packet| packet.tag.first)
            };
            let last = (self.next..self.end).find(ends);
            self.leave_out(last.map_or(self.end, |at| at + 1));
        }
        Ok(())
    }

    /// The next picture in the order of decoding, written to the start of `out`; `None` if a packet is missing, or if
    /// there is no key picture to begin with. Call it until then after every packet. [`MAX_PICTURE`] bytes of `out` are
    /// enough for any picture: a longer one is left out.
    ///
    /// # Errors
    /// [`PollPictureError::BufferTooSmall`]: the picture is given out by a call with a larger `out`.
    pub fn poll_picture<'o>(
        &mut self,
        out: &'o mut [u8],
    ) -> Result<Option<AssembledPicture<'o>>, PollPictureError> {
        let (picture, len) = loop {
            let Some(first) = self.get(self.next) else {
                return Ok(None);
            };
            if !first.tag.first || !first.tag.key {
                if !self.began {
                    return Ok(None);
                }
                if !first.tag.first {
                    self.leave_out(self.next + 1);
                    continue;
                }
            }
            let end = match self.run(self.scanned.max(self.next)) {
                Run::Complete(end) => end,
                Run::Broken(at) => {
                    self.leave_out(at);
                    continue;
                }
                Run::Incomplete(at) => {
                    self.scanned = at;
                    return Ok(None);
                }
            };
            let (tag, codec, timestamp) = (first.tag, first.codec, first.timestamp);
            let mut references = self.references;
            references.passed(tag, codec);
            if !references.are_there(tag) {
                self.leave_out(end);
                continue;
            }
            let joined = self.join(codec, end, out);
            let Some(needed) = joined.filter(|&len| len <= MAX_PICTURE) else {
                self.leave_out(end);
                continue;
            };
            let Some(bytes) = out.get(..needed) else {
                return Err(PollPictureError::BufferTooSmall { needed });
            };
            // Of a key picture the bytes have to say so, too: what follows is decoded with it.
            if tag.key && is_key(codec, bytes) != Ok(true) {
                self.leave_out(end);
                continue;
            }
            references.gave_out(tag, codec);
            self.release(end);
            self.references = references;
            break ((tag, codec, timestamp), needed);
        };
        let (tag, codec, timestamp) = picture;
        Ok(Some(AssembledPicture {
            bytes: out.get(..len).unwrap_or_default(),
            codec,
            timestamp: self.timestamps.extend(timestamp),
            key: tag.key,
            discardable: tag.discardable,
            temporal_layer: tag.temporal_layer,
            layer: tag.layer,
            number: tag.number,
        }))
    }

    /// Leaves out what [`poll_picture`](Self::poll_picture) waits for, if a picture behind it is complete and nothing from
    /// there on needs what is missing. That is so if only discardable pictures are missing, if what is missing could not
    /// be decoded anyway, and before a key picture or one of temporal layer 0 that can be decoded and is not discardable. A
    /// key picture is waited for if one of its packets came. If none did while nothing can be decoded, nobody knows of it,
    /// and it is left out at once. Returns whether anything was left out: poll and call it again then.
    pub fn skip_unneeded(&mut self) -> bool {
        let mut references = self.references;
        // A part of a key picture came: a repair gains something even if nothing can be decoded now.
        let mut awaits_key = false;
        // Where the first complete picture begins that can be decoded without what is missing.
        let mut decodable = None;
        let mut at = self.next;
        while at < self.end {
            let Some(packet) = self.get(at) else {
                references.missed(1);
                at += 1;
                continue;
            };
            let (tag, codec) = (packet.tag, packet.codec);
            if tag.first
                && at > self.next
                && let Run::Complete(end) = self.run_of(at, at)
            {
                let mut after = references;
                after.passed(tag, codec);
                if decodable.is_none() && after.are_there(tag) {
                    decodable = Some(at);
                }
                let is_base = tag.temporal_layer == 0 && !tag.discardable && after.are_there(tag);
                let loses_nothing = !awaits_key && after.loses_no_more_than(&self.references);
                if tag.key || is_base || loses_nothing {
                    self.leave_out(decodable.unwrap_or(at));
                    return true;
                }
                while at < end {
                    references.left_out(tag, codec, at + 1 == end);
                    at += 1;
                }
                continue;
            }
            if at == self.next && self.is_ready() {
                return false;
            }
            references.left_out(tag, codec, packet.marker);
            awaits_key |= tag.key;
            at += 1;
        }
        false
    }

    /// Leaves out the picture that [`poll_picture`](Self::poll_picture) waits for, with all missing packets before the next
    /// one, whoever needs it. Returns whether there was one: poll again then.
    pub fn skip_missing(&mut self) -> bool {
        if self.next == self.end || self.is_ready() {
            return false;
        }
        let begins = |&at: &u64| self.get(at).is_some_and(|packet| packet.tag.first);
        let to = (self.next + 1..self.end).find(begins);
        self.leave_out(to.unwrap_or(self.end));
        true
    }

    /// Whether a key picture is to be asked for, and of which layer: the stream has begun, nothing can be decoded until one
    /// comes, and none is arriving.
    pub fn wants_key(&self) -> Option<u8> {
        self.layer
            .filter(|_| self.references.are_lost() && self.keys == 0)
    }

    /// The layer of the newest packet.
    #[cfg(feature = "client")]
    pub(super) const fn layer(&self) -> Option<u8> {
        self.layer
    }

    /// The lowest number that has not come, of those of which a higher one came.
    #[cfg(feature = "client")]
    pub(super) fn first_missing(&self) -> Option<u64> {
        let from = self.scanned.max(self.next);
        (from..self.end).find(|&at| self.get(at).is_none())
    }

    /// The number behind all that came, if the last picture that came is not complete, and nothing else is missing.
    #[cfg(feature = "client")]
    pub(super) fn missing_tail(&self) -> Option<u64> {
        let last = self.get(self.end.checked_sub(1)?)?;
        (self.began && self.next < self.end && !last.marker).then_some(self.end)
    }

    /// Nothing is given out any more before a key picture.
    #[cfg(feature = "client")]
    pub(super) const fn lose_references(&mut self) {
        self.references = References::new();
    }

    /// Whether the next poll gives out or leaves out a picture by itself.
    fn is_ready(&self) -> bool {
        self.get(self.next).is_some_and(|first| {
            let can_begin = self.began || first.tag.first && first.tag.key;
            can_begin && !matches!(self.run(self.next), Run::Incomplete(_))
        })
    }

    /// Whether this number and the one before it are too old to be those of late packets. A jump of half the range ahead
    /// looks like one back; [RFC 3550, appendix A.1](https://www.rfc-editor.org/rfc/rfc3550#appendix-A.1) does the same.
    fn has_jumped(&mut self, sequence: u64) -> bool {
        let most = self.slots.as_ref().len() as u64;
        let is_too_old = self.next.saturating_sub(sequence) > most;
        let before = self.too_old.take();
        self.too_old = is_too_old.then_some(sequence);
        is_too_old && before.is_some_and(|before| before.saturating_add(1) == sequence)
    }

    /// Gives up all that is held: the next packet is the first one, whatever its number.
    fn restart(&mut self) {
        self.release(self.end);
        self.sequences.restart();
        self.references = References::new();
        self.too_old = None;
        self.began = false;
        self.layer = None;
    }

    /// Moves the numbers that are held so that `sequence` is one of them; false if it is too old.
    fn make_room(&mut self, sequence: u64) -> bool {
        let most = self.slots.as_ref().len() as u64;
        if self.layer.is_none() {
            (self.next, self.end) = (sequence, sequence);
        }
        if sequence < self.next {
            if self.began || self.end - sequence > most {
                return false;
            }
            (self.next, self.scanned) = (sequence, sequence);
        }
        let behind = sequence.saturating_add(1);
        if behind - self.next > most {
            self.leave_out(behind.saturating_sub(most));
        }
        self.end = self.end.max(behind);
        most > 0
    }

    fn index(&self, sequence: u64) -> usize {
        let len = self.slots.as_ref().len() as u64;
        sequence.checked_rem(len).unwrap_or(0) as usize
    }

    /// The packet with this number, if it is held.
    fn get(&self, sequence: u64) -> Option<&Slot> {
        let slot = self.slots.as_ref().get(self.index(sequence))?;
        (slot.len > 0 && slot.sequence == sequence).then_some(slot)
    }

    /// The picture that begins at `next`, of which all packets before `from` are there.
    fn run(&self, from: u64) -> Run {
        self.run_of(self.next, from)
    }

    fn run_of(&self, first: u64, from: u64) -> Run {
        let Some(head) = self.get(first) else {
            return Run::Incomplete(first);
        };
        let mut at = from;
        loop {
            match self.get(at) {
                None => return Run::Incomplete(at),
                Some(packet) if at > first && !head.is_continued_by(packet) => {
                    return Run::Broken(at);
                }
                Some(packet) if packet.marker => return Run::Complete(at + 1),
                Some(_) => at += 1,
            }
        }
    }

    /// Writes the picture from `next` to before `end` to `out` as far as there is room; returns how long it is, or `None`
    /// if its packets do not make one.
    fn join(&self, codec: Codec, end: u64, out: &mut [u8]) -> Option<usize> {
        let mut len = 0_usize;
        let mut put = |bytes: &[u8]| {
            let to = out
                .get_mut(len..)
                .and_then(|out| out.get_mut(..bytes.len()));
            if let Some(to) = to {
                to.copy_from_slice(bytes);
            }
            len += bytes.len();
        };
        let mut units = h264::Joiner::default();
        for at in self.next..end {
            let payload = self.get(at)?.payload();
            match codec {
                Codec::Vp8 => {
                    let (begins, part) = vp8::split(payload)?;
                    (begins == (at == self.next)).then_some(())?;
                    put(part);
                }
                Codec::H264 => units.join(payload, &mut put)?,
                _ => put(payload),
            }
        }
        units.is_whole().then_some(len)
    }

    /// Gives up all numbers below `to`, and frees their slots.
    fn leave_out(&mut self, to: u64) {
        let held = self.end.min(to);
        for at in self.next..held {
            match self.get(at) {
                Some(packet) => {
                    let (tag, codec, marker) = (packet.tag, packet.codec, packet.marker);
                    self.references.left_out(tag, codec, marker);
                }
                None => self.references.missed(1),
            }
        }
        self.references.missed(to - held);
        self.release(to);
    }

    /// Frees the slots of all numbers below `to`.
    fn release(&mut self, to: u64) {
        for at in self.next..self.end.min(to) {
            let index = self.index(at);
            if let Some(slot) = self.slots.as_mut().get_mut(index)
                && slot.len > 0
            {
                slot.len = 0;
                self.firsts -= u8::from(slot.tag.first);
                self.markers -= u8::from(slot.marker);
                self.keys -= usize::from(slot.tag.key);
            }
        }
        self.next = to;
        self.end = self.end.max(to);
        self.scanned = to;
        self.began = true;
    }
}

#[cfg(test)]
mod tests;
