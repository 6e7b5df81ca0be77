//! A publisher's end of one stream: pictures become packets, which leave paced and are kept for those who lose them.

use thiserror::Error;

use super::bandwidth::Bandwidth;
use super::feedback::{Feedback, KEPT_FOR, KEY_INTERVAL};
use super::packetizer::{LAYERS, PacketizePictureError, PicturePacketizer};
use super::picture::{MAX_PICTURE_PACKET, Picture};
use crate::client::PictureFlow;
use crate::room::Codec;
use crate::time::{Duration, Instant, micros};

/// Where the SSRC stands in a packet.
const SSRC: core::ops::Range<usize> = 8..12;
/// Most pictures that wait to be sent.
const MAX_WAITING: u8 = 3;
/// What the way to the server is taken to carry, in bits per second, before anything is known; and at most.
const START_RATE: u32 = 600_000;
const MAX_RATE: u32 = 20_000_000;
/// Packets that could have been sent in this time may leave together.
const BURST: Duration = Duration::from_millis(5);

/// Why a picture is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendPictureError {
    /// It does not become packets.
    #[error(transparent)]
    Picture(#[from] PacketizePictureError),
    /// Three pictures wait already, or there are too few slots for it. Pictures that need it are refused from now on.
    #[error(
        "too many pictures wait to be sent: do not encode while `is_busy` says so, or lend more slots"
    )]
    Full,
    /// It needs a picture that was not sent.
    #[error(
        "the picture needs one that was not sent: encode a key picture, as `take_key_wanted` says"
    )]
    NeedsKey,
}

/// Room for one packet that is sent, and kept for a while in case that it gets lost.
#[derive(Debug, Clone)]
pub struct SendSlot {
    len: u16,
    sent: Option<Instant>,
    /// It is to be sent again.
    again: bool,
    bytes: [u8; MAX_PICTURE_PACKET],
}

impl SendSlot {
    /// A free one.
    pub const EMPTY: Self = Self {
        len: 0,
        sent: None,
        again: false,
        bytes: [0; MAX_PICTURE_PACKET],
    };

    fn is_marked(&self) -> bool {
        self.bytes.get(1).is_some_and(|byte| byte & 0x80 != 0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Layer {
    key_wanted: bool,
    last_key: Option<Instant>,
    /// A picture that others need was not sent.
    broken: bool,
}

/// Sends the pictures of one stream.
///
/// The slots are the memory: a packet each, of those that wait and of those sent in the last 500 ms. 2,200 of them take any
/// picture, 256 a camera of 700 kb/s. Packets leave at twice the rate of [`set_rate`](Self::set_rate) at most, so that sound finds
/// room between them, and not faster than the way to the server carries them: it is measured by what arrives there. Have the
/// encoder make what [`wanted_rate`](Self::wanted_rate) says.
///
/// ```
/// use parlour_core::client::{Client, Incoming, Pictures, Profile, SendError};
/// use parlour_core::room::{Codec, StreamKey};
/// use parlour_core::time::Instant;
/// use parlour_core::video::{Picture, PictureSender, SendSlot};
///
/// let slots = vec![SendSlot::EMPTY; 256];
/// let mut camera = PictureSender::new(Codec::Vp8, 4_711, slots); // in earnest: a random number
/// camera.set_rate(700_000);
///
/// /// When the camera has a picture.
/// fn encode(now: Instant, camera: &mut PictureSender<Vec<SendSlot>>, timestamp: u32, mut vp8: impl FnMut(bool) -> Vec<u8>) {
///     if camera.is_busy() {
///         return; // this one is left out
///     }
///     let bytes = vp8(camera.take_key_wanted(now, 0));
///     let picture = Picture { bytes: &bytes, timestamp, discardable: false, temporal_layer: 0, layer: 0 };
///     if let Err(error) = camera.send(now, &picture) {
///         println!("{error}");
///     }
/// }
///
/// /// In the loop of the client; again when `camera.poll_timeout()` is due.
/// fn transmit<P: Profile>(
///     now: Instant,
///     client: &mut Client<P>,
///     key: &StreamKey,
///     camera: &mut PictureSender<Vec<SendSlot>>,
///     mut datagram: impl FnMut(&[u8]),
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let mut buffer = [0; 1_200];
///     loop {
///         if client.send_pictures(now, key, camera) == Err(SendError::Muted) {
///             camera.clear(); // nobody may see them later
///         }
///         let Some(len) = client.poll_transmit(now, &mut buffer)? else {
///             return Ok(());
///         };
///         datagram(&buffer[..len]);
///     }
/// }
///
/// /// What comes in.
/// fn receive(now: Instant, key: &StreamKey, camera: &mut PictureSender<Vec<SendSlot>>, incoming: Incoming<'_>) {
///     match incoming {
///         Incoming::Feedback { key: to, feedback } if to == key => camera.handle_feedback(now, feedback),
///         _ => {}
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PictureSender<S> {
    slots: S,
    packetizer: PicturePacketizer,
    /// The flow that packets were sent on.
    ssrc: Option<u32>,
    /// The number on the wire of packet 0.
    origin: u16,
    /// Packets are counted from 0: those from here on are held.
    start: u64,
    /// Those from here on wait.
    unsent: u64,
    end: u64,
    /// Pictures that wait, or of which a part waits.
    waiting: u8,
    /// Packets to be sent again.
    repairs: u16,
    layers: [Layer; LAYERS],
    /// Bits per second.
    rate: u32,
    /// When the next packet may leave.
    next_at: Instant,
    bandwidth: Bandwidth,
}

impl<S: AsRef<[SendSlot]> + AsMut<[SendSlot]>> PictureSender<S> {
    /// For pictures of `codec`. The first packet has the number `initial_sequence`: draw it at random.
    pub const fn new(codec: Codec, initial_sequence: u16, slots: S) -> Self {
        Self {
            slots,
            packetizer: PicturePacketizer::new(codec, 0, initial_sequence),
            ssrc: None,
            origin: initial_sequence,
            start: 0,
            unsent: 0,
            end: 0,
            waiting: 0,
            repairs: 0,
            layers: [Layer {
                key_wanted: false,
                last_key: None,
                broken: false,
            }; LAYERS],
            rate: 1_000_000,
            next_at: Instant::from_micros(0),
            bandwidth: Bandwidth::new(START_RATE, MAX_RATE),
        }
    }

    /// Sets how much the encoder is to make at most, in bits per second: 1,000,000 unless set. Packets leave at twice that rate,
    /// or as fast as the way carries them.
    pub const fn set_rate(&mut self, bits_per_second: u32) {
        self.rate = bits_per_second;
    }

    /// How much the encoder is to make now, in bits per second: what was [set](Self::set_rate), or less if the way to the server
    /// carries less. More than this makes pictures wait, and [`is_busy`](Self::is_busy) then leaves some out.
    pub fn wanted_rate(&self) -> u32 {
        self.rate.min(self.bandwidth.usable())
    }

    /// Takes a picture, to be sent after those that it took before. Its bytes are copied.
    ///
    /// # Errors
    /// [`SendPictureError`]; the picture is not sent.
    pub fn send(&mut self, now: Instant, picture: &Picture<'_>) -> Result<(), SendPictureError> {
        let mut packetizer = self.packetizer.clone();
        let mut packets = packetizer.packetize(picture)?;
        let tag = packets.tag();
        let room = self.slots.as_ref().len() as u64 - (self.end - self.unsent);
        let is_full = self.waiting >= MAX_WAITING || u64::from(packets.count()) > room;
        let layer = self.layers.get_mut(usize::from(tag.layer));
        let layer = layer.ok_or(PacketizePictureError::Layer)?;
        if layer.broken && !tag.key {
            return Err(SendPictureError::NeedsKey);
        }
        if is_full {
            layer.broken |= !tag.discardable || tag.key;
            layer.key_wanted |= layer.broken;
            return Err(SendPictureError::Full);
        }
        if tag.key {
            *layer = Layer {
                key_wanted: false,
                last_key: Some(now),
                broken: false,
            };
        }
        self.packetizer = packetizer;
        self.waiting += 1;
        loop {
            let index = self.index(self.end);
            let Some(slot) = self.slots.as_mut().get_mut(index) else {
                return Ok(());
            };
            let Ok(Some(len)) = packets.write_next(&mut slot.bytes) else {
                return Ok(());
            };
            self.repairs -= u16::from(core::mem::take(&mut slot.again));
            slot.len = len as u16;
            slot.sent = None;
            self.end += 1;
            let held = self.slots.as_ref().len() as u64;
            self.start = self.start.max(self.end.saturating_sub(held));
        }
    }

    /// Whether a picture would be refused, since three wait to be sent: do not encode one now.
    pub const fn is_busy(&self) -> bool {
        self.waiting >= MAX_WAITING
    }

    /// Takes in what the receivers need, of [`Incoming::Feedback`](crate::client::Incoming::Feedback).
    pub fn handle_feedback(&mut self, now: Instant, feedback: Feedback<'_>) {
        match feedback {
            Feedback::Lost(lost) => {
                for sequence in lost.numbers() {
                    self.repair(now, sequence);
                }
            }
            Feedback::KeyWanted { layer } => {
                if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
                    layer.key_wanted = true;
                }
            }
            Feedback::Arrived(arrived) => self.bandwidth.handle_arrived(now, arrived),
        }
    }

    fn repair(&mut self, now: Instant, sequence: u16) {
        // The truncation is the point: the low bits are what the wire carries.
        let next = self.origin.wrapping_add(self.end as u16);
        let back = u64::from(next.wrapping_sub(sequence));
        let packet = self.end.saturating_sub(back);
        if back > self.end || packet < self.start || packet >= self.unsent {
            return;
        }
        let index = self.index(packet);
        if let Some(slot) = self.slots.as_mut().get_mut(index)
            && let Some(sent) = slot.sent
            && now.saturating_duration_since(sent) < KEPT_FOR
            && !slot.again
        {
            slot.again = true;
            self.repairs += 1;
        }
    }

    /// Whether the next picture of a layer is to be a key picture: a receiver needs one, or a picture was refused. True once
    /// for each that is needed, and at most once in 300 ms.
    pub fn take_key_wanted(&mut self, now: Instant, layer: u8) -> bool {
        let Some(layer) = self.layers.get_mut(usize::from(layer)) else {
            return false;
        };
        let is_too_soon = layer
            .last_key
            .is_some_and(|last| now.saturating_duration_since(last) < KEY_INTERVAL);
        if is_too_soon {
            return false;
        }
        core::mem::take(&mut layer.key_wanted)
    }

    /// Forgets all pictures, sent or not, as when the stream is muted. The next one has to be a key picture.
    pub fn clear(&mut self) {
        for slot in self.slots.as_mut() {
            slot.again = false;
        }
        // Numbers that were not sent are no gap.
        self.packetizer.take_back(self.end - self.unsent);
        self.end = self.unsent;
        self.start = self.end;
        (self.waiting, self.repairs) = (0, 0);
        for layer in &mut self.layers {
            (layer.broken, layer.key_wanted) = (true, true);
        }
    }

    /// When to call the client's [`send_pictures`](crate::client::Pictures::send_pictures); `None` if nothing waits. It lies in
    /// the past while packets wait for the stream to be published or unmuted: look at
    /// [`picture_flow`](crate::client::Pictures::picture_flow) before you wait for it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.repairs > 0 || self.unsent < self.end).then_some(self.next_at)
    }

    /// Writes a packet that is due to the start of `out`, for `flow`; returns its length.
    pub(crate) fn poll_packet(
        &mut self,
        now: Instant,
        flow: PictureFlow,
        out: &mut [u8],
    ) -> Option<usize> {
        let PictureFlow { ssrc, counter } = flow;
        if self.ssrc != Some(ssrc) {
            // Published anew: nobody has seen what was sent before.
            if self.ssrc.is_some() {
                self.clear();
            }
            self.ssrc = Some(ssrc);
        }
        if now < self.next_at {
            return None;
        }
        let packet = self.next_packet()?;
        let index = self.index(packet);
        let slot = self.slots.as_mut().get_mut(index)?;
        let len = usize::from(slot.len);
        let out = out.get_mut(..len)?;
        out.copy_from_slice(slot.bytes.get(..len)?);
        out.get_mut(SSRC)?.copy_from_slice(&ssrc.to_be_bytes());
        slot.sent = Some(now);
        if core::mem::take(&mut slot.again) {
            self.repairs -= 1;
        } else {
            self.unsent += 1;
            self.waiting -= u8::from(slot.is_marked());
        }
        self.bandwidth.sent(now, counter, len, true);
        let rate = self.rate.max(1).saturating_mul(2);
        let rate = u64::from(rate.min(self.bandwidth.pace()));
        let lasts = (len as u64 * 8_000_000).checked_div(rate).unwrap_or(0);
        let earliest = Instant::from_micros(now.as_micros().saturating_sub(micros(BURST)));
        self.next_at = self.next_at.max(earliest) + Duration::from_micros(lasts);
        Some(len)
    }

    /// Repairs first, the oldest first.
    fn next_packet(&self) -> Option<u64> {
        let is_due = |&packet: &u64| {
            let slot = self.slots.as_ref().get(self.index(packet));
            slot.is_some_and(|slot| slot.again)
        };
        let repair = (self.repairs > 0).then(|| (self.start..self.unsent).find(is_due));
        let next = (self.unsent < self.end).then_some(self.unsent);
        repair.flatten().or(next)
    }

    fn index(&self, packet: u64) -> usize {
        let len = self.slots.as_ref().len() as u64;
        packet.checked_rem(len).unwrap_or(0) as usize
    }
}

#[cfg(test)]
mod tests;
