//! Pictures into packets, and packets of any kind into pictures.
//!
//! Input: a codec, a number of slots, and steps: one byte for what follows, and its operands. Pictures are cut, and their
//! packets damaged, lost, delayed or sent twice; other packets are made up. What comes out is compared with what went in.

use parlour_core::room::Codec;
use parlour_core::rtp::{PictureTag, RtpHeader, RtpPacket};
use parlour_core::video::{
    Assembler, MAX_PICTURE, Picture, PicturePacketizer, PollPictureError, Slot,
};
use parlour_fuzz::input::Input;

struct Watcher {
    assembler: Assembler<Vec<Slot>>,
    out: Vec<u8>,
    /// The pictures that were sent whole and unharmed.
    sent: Vec<Vec<u8>>,
    /// Nothing but such pictures was sent.
    is_honest: bool,
    /// The time of the last picture that came out.
    last: Option<u64>,
}

fn main() {
    parlour_fuzz::search(run);
}

/// Cuts, loses, damages, assembles.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let codec = input.choose(&[Codec::Vp8, Codec::H264, Codec::Jpeg, Codec::Opus]);
    let slots = usize::from(input.below(65));
    let mut packetizer = PicturePacketizer::new(codec, 1, input.u16());
    let mut watcher = Watcher {
        assembler: Assembler::new(vec![Slot::EMPTY; slots]),
        out: vec![0; MAX_PICTURE],
        sent: Vec::new(),
        is_honest: true,
        last: None,
    };
    let mut delayed: Vec<Vec<u8>> = Vec::new();
    while let Some(opcode) = input.opcode() {
        match opcode % 8 {
            0 | 1 => watcher.picture(&mut packetizer, codec, &mut input, &mut delayed),
            2 => watcher.made_up(&mut input),
            3 => delayed
                .drain(..)
                .rev()
                .for_each(|packet| watcher.packet(&packet)),
            4 => watcher.poll(usize::from(input.u16())),
            5 => drop(watcher.assembler.skip_unneeded()),
            6 => drop(watcher.assembler.skip_missing()),
            _ => {
                watcher.is_honest = false;
                watcher.packet(input.bytes());
            }
        }
    }
    watcher.poll(MAX_PICTURE);
    while watcher.assembler.skip_unneeded() || watcher.assembler.skip_missing() {
        watcher.poll(MAX_PICTURE);
    }
}

impl Watcher {
    fn packet(&mut self, bytes: &[u8]) {
        if let Ok(packet) = RtpPacket::parse(bytes) {
            let _ = self.assembler.handle_packet(&packet);
        }
    }

    /// A picture that is well-formed, or the fuzzer's own bytes.
    fn picture(
        &mut self,
        packetizer: &mut PicturePacketizer,
        codec: Codec,
        input: &mut Input<'_>,
        delayed: &mut Vec<Vec<u8>>,
    ) {
        let how = input.byte();
        let body = vec![input.byte() | 1; usize::from(input.u16() % 5_000)];
        let bytes = match (how & 3, codec) {
            (0, _) => input.long_bytes().to_vec(),
            (1, Codec::Vp8) => [&[0x10, 0, 0, 0x9D, 1, 0x2A, 0, 0, 0, 0], &body[..]].concat(),
            (_, Codec::Vp8) => [&[0x11, 0, 0], &body[..]].concat(),
            (1, Codec::H264) => [
                &[0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 1],
                &body[..],
            ]
            .concat(),
            (_, Codec::H264) => [&[0, 0, 1, 0x41], &body[..], &[0, 0, 1, 0x41, 1]].concat(),
            _ => [&[0xFF, 0xD8], &body[..], &[0xFF, 0xD9]].concat(),
        };
        let picture = Picture {
            bytes: &bytes,
            timestamp: input.u32(),
            discardable: how & 4 != 0,
            temporal_layer: how >> 3 & 3,
            layer: how >> 5 & 1,
        };
        let Ok(mut packets) = packetizer.packetize(&picture) else {
            return;
        };
        self.sent.push(bytes.clone());
        let (mut out, mut again) = ([0; 1_008], [0; 1_008]);
        let mut sequence = packets.first_sequence();
        while let Some(len) = packets
            .write_next(&mut out)
            .expect("1,008 bytes are enough")
        {
            let repeated = packets.write_again(sequence, &mut again);
            assert_eq!(repeated, Ok(Some(len)));
            assert_eq!(out[..len], again[..len]);
            sequence = sequence.wrapping_add(1);
            match input.byte() {
                0..160 => self.packet(&out[..len]),
                160..180 => {}
                180..200 => delayed.push(out[..len].to_vec()),
                200..220 => {
                    self.packet(&out[..len]);
                    self.packet(&out[..len]);
                }
                _ => {
                    self.is_honest = false;
                    let mut bytes = out[..len].to_vec();
                    input.damage(&mut bytes);
                    self.packet(&bytes);
                }
            }
        }
        assert_eq!(
            sequence,
            packets.first_sequence().wrapping_add(packets.count())
        );
    }

    /// A packet of nobody's picture.
    fn made_up(&mut self, input: &mut Input<'_>) {
        self.is_honest = false;
        let what = input.byte();
        let header = RtpHeader {
            marker: what & 1 != 0,
            payload_type: [96, 102, 103, 111][usize::from(what >> 1 & 3)],
            sequence: input.u16(),
            timestamp: input.u32(),
            ssrc: 1,
            csrcs: &[],
            audio_level: None,
        };
        let tag = PictureTag::from_bytes([input.byte(), input.byte(), input.byte()]);
        let payload = if what & 8 != 0 {
            input.long_bytes()
        } else {
            input.bytes()
        };
        let mut bytes = vec![0; header.picture_header_len() + payload.len()];
        let len = header.write_picture(tag, payload, &mut bytes);
        assert_eq!(len, Ok(bytes.len()));
        self.packet(&bytes);
    }

    /// Takes the pictures out that there are, with a buffer of `room` bytes or, if that is too small, of as many as needed.
    fn poll(&mut self, room: usize) {
        let mut room = room.min(MAX_PICTURE);
        loop {
            let picture = match self.assembler.poll_picture(&mut self.out[..room]) {
                Ok(Some(picture)) => picture,
                Ok(None) => return,
                Err(PollPictureError::BufferTooSmall { needed }) => {
                    assert!(room < needed && needed <= MAX_PICTURE);
                    room = needed;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            assert!(picture.temporal_layer <= 3 && picture.layer <= 3);
            if self.is_honest {
                let is_sent = |sent: &Vec<u8>| is_same(picture.codec, sent, picture.bytes);
                assert!(
                    self.sent.iter().any(is_sent),
                    "a picture that nobody has sent"
                );
                assert!(self.last.is_some() || picture.key, "nothing to refer to");
            }
            self.last = Some(picture.timestamp);
        }
    }
}

/// Whether the pictures are the same but for the length of start codes, and zeros before them.
fn is_same(codec: Codec, sent: &[u8], read: &[u8]) -> bool {
    match codec {
        Codec::H264 => units(sent).eq(units(read)),
        _ => sent == read,
    }
}

fn units(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut units = vec![Vec::new()];
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        if rest.starts_with(&[0, 0, 1]) {
            units.push(Vec::new());
            rest = &rest[3..];
            continue;
        }
        units.last_mut().expect("there is one").push(first);
        rest = behind;
    }
    units.into_iter().filter_map(|mut unit| {
        while unit.last() == Some(&0) {
            unit.pop();
        }
        (!unit.is_empty()).then_some(unit)
    })
}
