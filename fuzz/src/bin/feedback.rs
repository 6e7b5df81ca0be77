//! Pictures from a sender to a receiver, with feedback that is true, lost, late, damaged or made up.
//!
//! Input: a codec, numbers of slots, and steps: one byte for what follows, and its operands. Checked are the bytes of packets that
//! are sent again, that pictures come in their order, that questions are about packets that there were, and that both
//! ends come to rest: once they have had their turn, none is due at the same time again.

use std::collections::BTreeMap;

use parlour_core::client::{PictureFlow, Pictures, SendError};
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::RtpPacket;
use parlour_core::time::{Duration, Instant};
use parlour_core::video::{Feedback, Picture, PictureReceiver, PictureSender, SendSlot, Slot};
use parlour_core::wire::{Arrived, Lost};
use parlour_fuzz::input::Input;

fn main() {
    parlour_fuzz::search(run);
}

/// Between the two ends: packets one way, questions the other.
#[derive(Default)]
struct Way {
    ssrc: u32,
    /// Nothing may be sent.
    is_closed: bool,
    counter: u32,
    packets: Vec<Vec<u8>>,
    questions: Vec<Result<Vec<u8>, u8>>,
}

impl Pictures for Way {
    fn picture_flow(&self, _: &StreamKey) -> Result<Option<PictureFlow>, SendError> {
        match self.is_closed {
            true => Err(SendError::NotJoined),
            false => Ok(Some(PictureFlow {
                ssrc: self.ssrc,
                counter: self.counter,
            })),
        }
    }

    fn send_picture_packet(
        &mut self,
        _: Instant,
        _: &StreamKey,
        packet: &[u8],
    ) -> Result<(), SendError> {
        self.counter = self.counter.wrapping_add(1);
        self.packets.push(packet.to_vec());
        Ok(())
    }

    fn send_feedback_frame(&mut self, _: Instant, _: u32, feedback: Feedback<'_>) {
        self.questions.push(match feedback {
            Feedback::Lost(lost) => Ok(lost.as_bytes().to_vec()),
            Feedback::KeyWanted { layer } => Err(layer),
            Feedback::Arrived(_) => return,
        });
    }

    fn report_arrivals(&mut self, _: Instant) {}

    fn round_trip(&self) -> Option<Duration> {
        self.ssrc
            .is_multiple_of(2)
            .then_some(Duration::from_millis(40))
    }
}

/// Sends, loses, asks.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let codec = input.choose(&[Codec::Vp8, Codec::Jpeg, Codec::H264, Codec::Opus]);
    let send_slots = vec![SendSlot::EMPTY; usize::from(input.below(65))];
    let slots = vec![Slot::EMPTY; usize::from(input.below(65))];
    let mut ends = Ends {
        now: Instant::from_micros(1_000_000),
        key: StreamKey::new("camera").expect("a key"),
        codec,
        sender: PictureSender::new(codec, input.u16(), send_slots),
        receiver: PictureReceiver::new(slots),
        way: Way::default(),
        sent: BTreeMap::new(),
        memory: vec![0; 10_000],
        is_honest: true,
        last: None,
    };
    while let Some(opcode) = input.opcode() {
        match opcode % 12 {
            0 | 1 => ends.picture(&mut input),
            2 => ends.now += Duration::from_micros(u64::from(input.u16()) * 16),
            3 | 4 => ends.transmit(&mut input),
            5 => ends.watch(&mut input),
            6 => ends.ask(input.bytes()),
            7 => ends.made_up(input.bytes()),
            8 => ends.receiver.request_key(),
            9 => ends.sender.clear(),
            10 => {
                let to = input.byte();
                ends.way.is_closed = to & 1 == 1;
                ends.way.ssrc = u32::from(to >> 5);
            }
            _ => ends.sender.set_rate(input.u32()),
        }
    }
    ends.way.is_closed = false;
    for _ in 0..20 {
        ends.now += Duration::from_millis(100);
        ends.watch(&mut input);
    }
    assert_eq!(ends.receiver_questions(), 0, "too late for repairs");
}

struct Ends {
    now: Instant,
    key: StreamKey,
    codec: Codec,
    sender: PictureSender<Vec<SendSlot>>,
    receiver: PictureReceiver<Vec<Slot>>,
    way: Way,
    /// Packets by flow and number.
    sent: BTreeMap<(u32, u16), Vec<u8>>,
    memory: Vec<u8>,
    /// The receiver got only what the sender had sent, on one flow.
    is_honest: bool,
    /// The time of the last picture that came out.
    last: Option<u64>,
}

impl Ends {
    fn picture(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let body = vec![how | 1; usize::from(input.u16() % 3_000)];
        let bytes = match (how & 3, self.codec) {
            (0, Codec::Vp8) => [&[0x10, 0, 0, 0x9D, 1, 0x2A, 0, 0, 0, 0], &body[..]].concat(),
            (_, Codec::Vp8) => [&[0x11, 0, 0], &body[..]].concat(),
            (0, Codec::H264) => [
                &[0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 1],
                &body[..],
            ]
            .concat(),
            (_, Codec::H264) => [&[0, 0, 1, 0x41], &body[..]].concat(),
            _ => [&[0xFF, 0xD8], &body[..], &[0xFF, 0xD9]].concat(),
        };
        let timestamp = (self.now.as_micros() * 9 / 100) as u32;
        let picture = Picture {
            bytes: &bytes,
            timestamp,
            discardable: how & 4 != 0,
            temporal_layer: how >> 3 & 3,
            layer: how >> 5 & 1,
        };
        let was_busy = self.sender.is_busy();
        let sent = self.sender.send(self.now, &picture);
        assert!(!(was_busy && sent.is_ok()));
        self.sender.take_key_wanted(self.now, how >> 5);
    }

    /// Sends what is due, and loses, repeats or delays some of it.
    fn transmit(&mut self, input: &mut Input<'_>) {
        let _ = self
            .way
            .send_pictures(self.now, &self.key, &mut self.sender);
        for bytes in std::mem::take(&mut self.way.packets) {
            let packet = RtpPacket::parse(&bytes).expect("a sender's packet");
            assert_eq!(packet.ssrc(), self.way.ssrc);
            let (flow, number) = (packet.ssrc(), packet.sequence());
            let known = self.sent.insert((flow, number), bytes.clone());
            if let Some(known) = known.filter(|_| self.sent.len() < 0x8000) {
                assert_eq!(known, bytes, "another packet under the same number");
            }
            if flow != 0 {
                self.is_honest = false;
            }
            let times = match input.byte() {
                0..200 => 1,
                200..240 => 0,
                _ => 2,
            };
            for _ in 0..times {
                let _ = self.receiver.handle_packet(self.now, &packet);
            }
        }
        let is_open = !self.way.is_closed;
        let due = self.sender.poll_timeout().filter(|_| is_open);
        assert!(
            due.is_none_or(|due| due > self.now),
            "it does not come to rest"
        );
    }

    /// Takes pictures, and lets questions through or loses them.
    fn watch(&mut self, input: &mut Input<'_>) {
        while let Ok(Some(picture)) = self.receiver.poll_picture(self.now, &mut self.memory) {
            if self.is_honest {
                let last = self.last.replace(picture.timestamp);
                assert!(last.is_none_or(|last| last <= picture.timestamp));
            }
        }
        self.way.send_feedback(self.now, 0, &mut self.receiver);
        let due = self.receiver.poll_timeout();
        assert!(
            due.is_none_or(|due| due > self.now),
            "it does not come to rest"
        );
        for question in std::mem::take(&mut self.way.questions) {
            if let Ok(bytes) = &question
                && self.is_honest
            {
                let lost = Lost::parse(bytes).expect("a receiver's list");
                assert!(
                    lost.numbers()
                        .all(|number| self.sent.contains_key(&(0, number)))
                );
            }
            if input.byte() < 200 {
                match question {
                    Ok(bytes) => self.ask(&bytes),
                    Err(layer) => self
                        .sender
                        .handle_feedback(self.now, Feedback::KeyWanted { layer }),
                }
            }
        }
    }

    fn ask(&mut self, bytes: &[u8]) {
        if let [b'A', arrived @ ..] = bytes {
            self.tell(arrived);
        } else if let Some(lost) = Lost::parse(bytes) {
            self.sender.handle_feedback(self.now, Feedback::Lost(lost));
        } else if let Some(&layer) = bytes.first() {
            self.sender
                .handle_feedback(self.now, Feedback::KeyWanted { layer });
        }
    }

    /// Tells the sender what has arrived, which may be a lie.
    fn tell(&mut self, bytes: &[u8]) {
        let number = |at| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        if let (Some(back), Some(opened), Some(clock)) = (number(0), number(4), number(8)) {
            let arrived = Arrived {
                highest: self.way.counter.wrapping_sub(back >> 24),
                opened,
                clock,
            };
            self.sender
                .handle_feedback(self.now, Feedback::Arrived(arrived));
        }
    }

    fn made_up(&mut self, bytes: &[u8]) {
        if let Ok(packet) = RtpPacket::parse(bytes) {
            self.is_honest = false;
            let _ = self.receiver.handle_packet(self.now, &packet);
        }
    }

    /// The lists of lost packets that the receiver asks for now.
    fn receiver_questions(&mut self) -> usize {
        self.way.send_feedback(self.now, 0, &mut self.receiver);
        let questions = std::mem::take(&mut self.way.questions);
        questions.iter().filter(|question| question.is_ok()).count()
    }
}
