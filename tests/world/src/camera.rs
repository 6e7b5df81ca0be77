//! Cameras that film their own pictures' numbers, and those who watch them.

use parlour_core::client::Pictures as _;
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::RtpPacket;
use parlour_core::time::{Duration, Instant};
use parlour_core::video::{
    Feedback, Picture, PictureReceiver, PictureSender, SendPictureError, SendSlot, Slot,
};
use parlour_core::wire::MAX_DATAGRAM;

use crate::device::Device;

/// The header of a VP8 frame: a key frame of 640 × 360, or another (RFC 6386, section 9.1).
const KEY: [u8; 10] = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01];
const DELTA: [u8; 3] = [0x11, 0, 0];
/// The temporal layers of the pictures after a key picture.
const PATTERN: [u8; 4] = [0, 2, 1, 2];

/// Packets that a camera and those who watch it keep, if nothing else is said: screens have large pictures.
pub(crate) const SLOTS: usize = 2_200;

/// What a camera films.
#[derive(Debug, Clone, Copy)]
pub struct Filming {
    /// Pictures per second.
    pub rate: u32,
    /// Bits per second at most, key pictures aside. It makes no more than its sender says.
    pub bits_per_second: u32,
    /// Bytes of a key picture.
    pub key_len: usize,
    /// Packets that the camera keeps.
    pub slots: usize,
}

impl Default for Filming {
    /// A camera of 640 × 360.
    fn default() -> Self {
        Self {
            rate: 30,
            bits_per_second: 700_000,
            key_len: 18_000,
            slots: SLOTS,
        }
    }
}

/// A camera.
#[derive(Debug)]
pub struct Camera {
    pub(crate) key: StreamKey,
    pub(crate) sender: PictureSender<Vec<SendSlot>>,
    filming: Filming,
    pub(crate) next: Instant,
    pub(crate) until: Instant,
    /// Pictures sent.
    pub taken: u32,
    /// Those of them that are key pictures.
    pub keys: u32,
    /// Pictures not encoded, because too many waited, and those refused.
    pub left_out: u32,
    since_key: usize,
    /// The last picture of each temporal layer.
    last: [Option<u32>; 3],
}

impl Camera {
    pub(crate) fn new(key: StreamKey, filming: Filming, now: Instant, time: Duration) -> Self {
        let slots = vec![SendSlot::EMPTY; filming.slots];
        let mut sender = PictureSender::new(Codec::Vp8, 65_000, slots);
        sender.set_rate(filming.bits_per_second);
        Self {
            key,
            sender,
            filming,
            next: now,
            until: now + time,
            taken: 0,
            keys: 0,
            left_out: 0,
            since_key: 0,
            last: [None; 3],
        }
    }

    /// Takes a picture at `now`, which its device's clock shows as `clock`.
    pub(crate) fn film(&mut self, now: Instant, clock: Instant) {
        self.next += Duration::from_secs(1) / self.filming.rate;
        if self.sender.is_busy() {
            self.left_out += 1;
            return;
        }
        let is_key = self.taken == 0 || self.sender.take_key_wanted(clock, 0);
        if is_key {
            self.since_key = 0;
        }
        let layer = match is_key {
            true => 0,
            false => PATTERN[self.since_key % PATTERN.len()],
        };
        let needs = self.last[..=usize::from(layer)].iter().max().copied();
        let shot = Shot {
            number: self.taken,
            needs: needs.flatten().filter(|_| !is_key),
            taken_at: now,
        };
        let delta = self.sender.wanted_rate() / 8 / self.filming.rate;
        // No two are of the same size.
        let len = match is_key {
            true => self.filming.key_len,
            false => (delta * (60 + shot.number * 37 % 80) / 100) as usize,
        };
        let bytes = shot.encode(is_key, len);
        let picture = Picture {
            bytes: &bytes,
            timestamp: (now.as_micros() * 9 / 100) as u32,
            discardable: layer == 2,
            temporal_layer: layer,
            layer: 0,
        };
        match self.sender.send(clock, &picture) {
            Ok(()) => {
                self.taken += 1;
                self.keys += u32::from(is_key);
                self.since_key += usize::from(!is_key);
                if is_key {
                    self.last = [None; 3];
                }
                if layer < 2 {
                    self.last[usize::from(layer)] = Some(shot.number);
                }
            }
            Err(SendPictureError::Full | SendPictureError::NeedsKey) => self.left_out += 1,
            Err(error) => panic!("{error}"),
        }
    }

    /// Goes on filming from now on.
    pub(crate) fn film_on(&mut self, filming: Filming, now: Instant, time: Duration) {
        self.filming = filming;
        self.next = now;
        self.until = now + time;
    }

    pub(crate) fn handle_feedback(&mut self, clock: Instant, feedback: Feedback<'_>) {
        self.sender.handle_feedback(clock, feedback);
    }
}

/// What is seen on a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// Its number, by its camera.
    pub number: u32,
    /// The newest picture that it cannot be decoded without.
    pub needs: Option<u32>,
    /// When it was taken.
    pub taken_at: Instant,
}

impl Shot {
    fn encode(&self, is_key: bool, len: usize) -> Vec<u8> {
        let mut bytes = if is_key { KEY.to_vec() } else { DELTA.to_vec() };
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.needs.unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(self.taken_at.as_micros().to_be_bytes());
        bytes.resize(len.max(bytes.len()), 7);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let body = bytes.strip_prefix(&KEY).or(bytes.strip_prefix(&DELTA))?;
        let (number, body) = body.split_first_chunk()?;
        let (needs, body) = body.split_first_chunk()?;
        let (taken_at, _) = body.split_first_chunk()?;
        Some(Self {
            number: u32::from_be_bytes(*number),
            needs: Some(u32::from_be_bytes(*needs)).filter(|needs| *needs != u32::MAX),
            taken_at: Instant::from_micros(u64::from_be_bytes(*taken_at)),
        })
    }
}

/// A picture that somebody saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// When it could be decoded.
    pub at: Instant,
    /// The picture.
    pub shot: Shot,
}

/// Somebody watching a stream.
#[derive(Debug)]
pub struct Watcher {
    pub(crate) ssrc: u32,
    pub(crate) receiver: PictureReceiver<Vec<Slot>>,
    memory: Vec<u8>,
    /// Bytes of RTP packets that came.
    pub bytes: usize,
    /// What it saw.
    pub shown: Vec<Shown>,
}

impl Watcher {
    pub(crate) fn new(ssrc: u32, slots: usize) -> Self {
        Self {
            ssrc,
            receiver: PictureReceiver::new(vec![Slot::EMPTY; slots]),
            memory: vec![0; slots * MAX_DATAGRAM],
            bytes: 0,
            shown: Vec::new(),
        }
    }

    pub(crate) fn handle_packet(&mut self, clock: Instant, packet: &RtpPacket<'_>) {
        self.bytes += packet.payload().len();
        self.receiver
            .handle_packet(clock, packet)
            .expect("a packet of a picture");
    }

    /// Looks at what can be decoded at `now`, which the device's clock shows as `clock`, and asks for what cannot. Gives how many
    /// pictures that were.
    ///
    /// # Panics
    /// If a picture comes without one that it needs, or out of order.
    pub(crate) fn watch(&mut self, now: Instant, clock: Instant, device: &mut Device) -> usize {
        let before = self.shown.len();
        while let Some(picture) = self
            .receiver
            .poll_picture(clock, &mut self.memory)
            .expect("there is room")
        {
            let shot = Shot::decode(picture.bytes).expect("a picture of this world");
            if let Some(needs) = shot.needs {
                let mut shown = self.shown.iter().rev();
                let is_there = shown.any(|shown| shown.shot.number == needs);
                assert!(is_there, "{shot:?} is torn");
            }
            let last = self.shown.last();
            let is_next = last.is_none_or(|last| last.shot.number < shot.number);
            assert!(is_next, "{shot:?} follows {last:?}");
            self.shown.push(Shown { at: now, shot });
        }
        device.send_feedback(clock, self.ssrc, &mut self.receiver);
        self.shown.len() - before
    }
}
