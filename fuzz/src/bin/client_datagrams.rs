//! A live client whose server holds the right keys and says what it likes, on a network where others speak, too.
//!
//! Input: one byte of configuration, then steps. The server's packets are sealed with its true keys and have hostile
//! contents. Arbitrary datagrams, and altered captured ones, come beside them.
//!
//! Always: what the client sends is well formed; it tells of no more participants than it can hold; every request is
//! answered exactly once, also when it is over; then nothing follows. It never asks to be woken for nothing.

#[path = "client_datagrams/villain.rs"]
mod villain;

use std::collections::{BTreeSet, VecDeque};

use parlour_core::client::{
    Capacity, Client, CommandError, Commands as _, Config, Event, Incoming, Profile, Small,
};
use parlour_core::room::{
    ConnectionState, DisplayName, MAX_WAITING, Participant, RoomUpdate, Stream, Version,
};
use parlour_core::rtp::{AudioLevel, ReportBlock, RtpHeader, SenderInfo, write_report};
use parlour_core::secure::KeyPair;
use parlour_core::signal::{
    Answer, JoinRefusal, Joined, LossyDelivery, Outcome, Refusal, RequestId, Secret, ServerMessage,
    encode,
};
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use parlour_core::wire::{Frame, MAX_DATAGRAM};
use parlour_fuzz::input::Input;
use parlour_fuzz::messages::{self, CLOSE_REASONS};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use self::villain::Villain;

/// As little as a client can have.
type Tiny = Capacity<3, 2, 2, 1026, 400, 5, MAX_WAITING>;
/// Datagrams that are remembered to be sent again.
const CAPTURED: usize = 16;

struct World<P: Profile> {
    client: Client<P>,
    now: Instant,
    rng: ChaCha12Rng,
    server: Villain,
    captured: VecDeque<Vec<u8>>,
    /// Requests without an answer yet.
    outstanding: BTreeSet<RequestId>,
    is_over: bool,
}

fn main() {
    parlour_fuzz::search(run);
}

/// Lives a client's life.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    if how & 1 == 0 {
        live(World::<Tiny>::new(how), &mut input);
    } else {
        live(World::<Small>::new(how), &mut input);
    }
}

fn live<P: Profile>(mut world: World<P>, input: &mut Input<'_>) {
    while let Some(opcode) = input.opcode() {
        world.step(opcode, input);
        world.check();
    }
    world.rest();
}

impl<P: Profile> World<P> {
    fn new(how: u8) -> Self {
        let mut rng = ChaCha12Rng::from_seed([how; 32]);
        let keys = KeyPair::from_secret_bytes([9; 32]);
        let now = Instant::from_micros(1_000_000);
        let ticket = Ticket {
            host: "192.0.2.1",
            port: 7_900,
            server_key: *keys.public(),
            token: "token",
        };
        let config = Config {
            slots: (how & 2 != 0).then_some(1),
            rekey_after: Duration::from_secs(if how & 4 != 0 { 60 } else { 3_600 }),
            ..Config::default()
        };
        let client = Client::new(&ticket, &config, now, &mut rng).expect("the ticket is good");
        Self {
            client,
            now,
            rng,
            server: Villain::new(keys),
            captured: VecDeque::new(),
            outstanding: BTreeSet::new(),
            is_over: false,
        }
    }

    fn step(&mut self, opcode: u8, input: &mut Input<'_>) {
        match opcode % 20 {
            0 => self.deliver(input.bytes().to_vec()),
            1 => self.drain(),
            2 => {
                let answer = answer(input);
                let mut payload = [0; 1024];
                if let Ok(len) = encode(&answer, &mut payload) {
                    self.answer(&payload[..len]);
                }
            }
            3 => self.answer(input.bytes()),
            4 => self.stateless(input),
            5 => {
                let sealed = self.server.seal_bytes(input.long_bytes());
                self.deliver_sealed(sealed);
            }
            6 => self.signal(input.bytes()),
            7 => self.message(input),
            8 => self.media(input),
            9 => self.report(input),
            10 => {
                let message = LossyDelivery {
                    from: messages::participant(input.byte()),
                    topic: messages::topic(input),
                    body: input.bytes(),
                };
                let mut bytes = [0; 1024];
                let len = encode(&message, &mut bytes).expect("it fits");
                self.frame(&Frame::Message(&bytes[..len]));
            }
            11 => {
                self.now += input.duration();
                self.client.handle_timeout(self.now);
            }
            12 | 13 => self.command(input),
            14 => self.send_media(input),
            15 => self.take(input),
            16 => {
                let frame = match input.below(3) {
                    0 => Frame::Ack { next: input.u16() },
                    1 => Frame::Ping { nonce: input.u32() },
                    _ => Frame::Pong { nonce: input.u32() },
                };
                self.frame(&frame);
            }
            17 => self.replay(input),
            18 => self.reply(input),
            _ => self.settle(),
        }
        self.events();
    }

    /// Hands the client a datagram.
    fn deliver(&mut self, mut bytes: Vec<u8>) {
        if self.captured.len() == CAPTURED {
            self.captured.pop_front();
        }
        self.captured.push_back(bytes.clone());
        let _ = self
            .client
            .handle_datagram(self.now, &mut bytes, &mut |incoming| {
                if let Incoming::Audio { slot, frame } = incoming {
                    assert!(usize::from(slot) < P::SLOTS);
                    assert!(frame.duration > 0 && !frame.payload.is_empty());
                }
            });
    }

    fn deliver_sealed(&mut self, sealed: Option<Vec<u8>>) {
        if let Some(sealed) = sealed {
            self.deliver(sealed);
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        let sealed = self.server.seal(&[*frame]);
        self.deliver_sealed(sealed);
    }

    fn signal(&mut self, message: &[u8]) {
        let sequence = self.server.next_signal();
        self.frame(&Frame::Signal { sequence, message });
    }

    fn answer(&mut self, payload: &[u8]) {
        if let Some(welcome) = self.server.welcome(payload, &mut self.rng) {
            self.deliver(welcome);
        }
    }

    /// Packets that any attacker could send, but for their correct fields.
    fn stateless(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let packet = self.server.stateless(how, input.byte());
        self.deliver(packet);
    }

    fn message(&mut self, input: &mut Input<'_>) {
        let message = server_message(input, self.server.version);
        if let ServerMessage::Update { version, .. } = &message {
            self.server.version = *version;
        }
        let mut bytes = [0; 1024];
        if let Ok(len) = encode(&message, &mut bytes) {
            self.signal(&bytes[..len]);
        }
    }

    /// Answers requests, the oldest first.
    fn reply(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        for _ in 0..=how & 3 {
            let Some(request) = self.server.requests.pop_front() else {
                return;
            };
            let result = match how >> 4 {
                0..8 => Ok(Outcome::Published {
                    ssrc: u32::from(how >> 4),
                }),
                8..14 => Ok(Outcome::Done),
                14 => Err(Refusal::NotPermitted),
                _ => Err(Refusal::AlreadyPublished),
            };
            let mut bytes = [0; 1024];
            let reply = ServerMessage::Reply { request, result };
            let len = encode(&reply, &mut bytes).expect("it fits");
            self.signal(&bytes[..len]);
        }
    }

    fn media(&mut self, input: &mut Input<'_>) {
        let which = input.byte();
        let level = input.byte();
        let header = RtpHeader {
            marker: which & 0x80 != 0,
            payload_type: [111, 111, 0, 8, 96, 102, 1, 127][usize::from(which >> 4 & 7)],
            sequence: input.u16(),
            timestamp: input.u32(),
            ssrc: self.server.slot_ssrc.wrapping_add(u32::from(which & 3)),
            csrcs: &[1, 2][..usize::from(which >> 2 & 3).min(2)],
            audio_level: (level < 0xf0).then_some(AudioLevel::from_byte(level)),
        };
        let mut bytes = [0; 400];
        let len = header.write(input.bytes(), &mut bytes).expect("it fits");
        self.frame(&Frame::Media(&bytes[..len]));
    }

    fn report(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let block = ReportBlock {
            ssrc: u32::from(how & 7),
            fraction_lost: input.byte(),
            jitter: input.u32(),
            last_sr: input.u32(),
            ..ReportBlock::default()
        };
        let sender = SenderInfo {
            ntp: input.u64(),
            ..SenderInfo::default()
        };
        let sender = (how & 0x80 != 0).then_some(&sender);
        let ssrc = self.server.slot_ssrc.wrapping_add(u32::from(how >> 4 & 3));
        let mut bytes = [0; 128];
        let len = write_report(ssrc, sender, &[block], &mut bytes).expect("it fits");
        self.frame(&Frame::Report(&bytes[..len]));
    }

    fn command(&mut self, input: &mut Input<'_>) {
        let client = &mut self.client;
        let asked = match input.below(16) {
            1 => client.ask(messages::operation_of(9, input)),
            kind @ (0 | 2..=8 | 10) => client.ask(messages::operation_of(kind, input)),
            kind @ 11..=13 => client.ask(messages::operation_of(kind + 1, input)),
            9 => {
                let (to, topic) = (messages::recipients(input), messages::topic(input));
                let sent = client.send_lossy_message(&to, &topic, input.bytes());
                sent.map(|()| None)
            }
            14 => {
                client.network_changed(self.now);
                return;
            }
            _ => match input.byte() {
                // Rarely, for nothing comes after it.
                0xff => client.leave(self.now).map(|()| None),
                _ => client.end_session().map(Some),
            },
        };
        if self.is_over {
            assert_eq!(asked, Err(CommandError::Closed));
        }
        if let Ok(Some(request)) = asked {
            assert!(
                self.outstanding.insert(request),
                "a number is used once at a time"
            );
        }
    }

    fn send_media(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let key = messages::key(how);
        let timestamp = input.u32();
        let payload = input.bytes();
        if how & 0x80 == 0 {
            let level = AudioLevel::from_byte(how);
            let _ = self
                .client
                .send_audio(self.now, &key, timestamp, level, payload);
        } else {
            let _ = self
                .client
                .send_media(self.now, &key, timestamp, how & 0x40 != 0, payload);
        }
    }

    fn take(&mut self, input: &mut Input<'_>) {
        let mut buffer = [0; 640];
        let len = usize::from(input.byte()) * 3;
        let len = len.min(buffer.len());
        // Too small a buffer loses nothing: it is there for the next.
        if self.client.poll_message(&mut buffer[..len]).is_err() {
            let message = self
                .client
                .poll_message(&mut buffer)
                .expect("any message fits");
            assert!(message.expect("it is still there").body.len() > len);
        }
    }

    fn replay(&mut self, input: &mut Input<'_>) {
        let which = usize::from(input.byte());
        let Some(bytes) = self.captured.get(which % CAPTURED) else {
            return;
        };
        let mut bytes = bytes.clone();
        input.damage(&mut bytes);
        self.deliver(bytes);
    }

    fn drain(&mut self) {
        let mut out = [0; MAX_DATAGRAM];
        for number in 0.. {
            assert!(number < 1_000, "the client goes on sending");
            let sent = self.client.poll_transmit(self.now, &mut out);
            let Some(len) = sent.expect("the buffer is large enough") else {
                return;
            };
            self.server.receive(&out[..len]);
        }
    }

    /// Everything as it should be: what is said arrives, and is acknowledged.
    fn settle(&mut self) {
        for _ in 0..2 {
            self.drain();
            let frames = self.server.acknowledgement();
            let sealed = self.server.seal(&frames);
            self.deliver_sealed(sealed);
        }
        self.drain();
    }

    fn events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            assert!(!self.is_over, "{event:?} after the end");
            match event {
                Event::Replied { request, .. } => {
                    assert!(self.outstanding.remove(&request), "an answer too many");
                }
                Event::Closed(cause) => {
                    assert_eq!(self.client.closed(), Some(cause));
                    assert_eq!(self.outstanding, BTreeSet::new(), "without an answer");
                    self.is_over = true;
                }
                _ => {}
            }
        }
    }

    fn check(&self) {
        let state = self.client.state();
        assert!(state.participants().count() <= P::PARTICIPANTS);
        assert!(!self.is_over || !self.client.is_joined());
        if let Some(main) = self.client.main_participant() {
            // The active speaker need not be tracked; a pinned or presenting participant is.
            assert!(state.participant(main).is_some() || state.active_speaker() == Some(main));
        }
        let _ = self.client.statistics();
    }

    /// The server says nothing any more: the client tries to come back, with patience.
    fn rest(&mut self) {
        let end = self.now + Duration::from_secs(120);
        let mut at_once = 0;
        for number in 0.. {
            assert!(number < 500, "the client is busy with nothing");
            self.drain();
            self.events();
            let Some(next) = self.client.poll_timeout() else {
                assert!(self.is_over, "a client that lives wakes again");
                return;
            };
            at_once = if next > self.now { 0 } else { at_once + 1 };
            assert!(at_once <= 8, "the client wakes for nothing");
            self.now = self.now.max(next);
            if self.now > end {
                return;
            }
            self.client.handle_timeout(self.now);
        }
    }
}

fn answer(input: &mut Input<'_>) -> Answer {
    let how = input.byte();
    match how & 15 {
        0 => Answer::Refused(JoinRefusal::RoomFull),
        1 => Answer::Redirect(([198, 51, 100, 2], 7_900).into()),
        2 => Answer::Waiting {
            reset_token: Secret([3; 16]),
            keepalive: input.byte(),
            resume_ticket: Secret([how; 24]),
        },
        _ => Answer::Joined(joined(how, input)),
    }
}

fn joined(how: u8, input: &mut Input<'_>) -> Joined {
    let streams = input.below(5);
    Joined {
        participant: messages::participant(0),
        session: parlour_core::room::SessionId([how >> 6; 16]),
        grants: messages::grants(input.u16()),
        resumed: how & 0x20 != 0,
        slot_ssrc: Villain::SLOT_SSRC,
        streams: (0..streams)
            .map(|stream| match how & 0x10 {
                0 => Ok(u32::from(stream) + 1),
                _ => Err(Refusal::TooManyStreams),
            })
            .collect(),
        policy_refused: (how & 8 != 0).then_some(Refusal::MixUnavailable),
        resume_ticket: Secret([how; 24]),
        reset_token: Secret([3; 16]),
        keepalive: input.byte(),
        grace: input.byte(),
    }
}

fn stream(input: &mut Input<'_>) -> Stream {
    let publish = messages::publish(input);
    Stream {
        key: publish.key,
        kind: publish.kind,
        codec: publish.codec,
        ssrc: input.byte().into(),
        muted: publish.muted,
    }
}

fn update(input: &mut Input<'_>) -> RoomUpdate {
    let who = input.byte();
    let participant = messages::participant(who);
    match input.below(11) {
        0 | 1 => {
            let name = DisplayName::new("Ada").expect("a name");
            let mut joined = Participant::new(participant, name);
            joined.censored = who & 0x80 != 0;
            joined.streams = (0..input.below(4)).map(|_| stream(input)).collect();
            RoomUpdate::Joined(joined)
        }
        2 => RoomUpdate::Left {
            participant,
            reason: input.choose(&CLOSE_REASONS),
        },
        3 => RoomUpdate::Hidden { participant },
        4 => RoomUpdate::Connection {
            participant,
            state: input.choose(&[ConnectionState::Connected, ConnectionState::Reconnecting]),
        },
        5 => RoomUpdate::Published {
            participant,
            stream: stream(input),
        },
        6 => RoomUpdate::Unpublished {
            participant,
            key: messages::key(who >> 4),
        },
        7 => RoomUpdate::Muted {
            participant,
            key: messages::key(who >> 4),
            muted: input.flag(),
        },
        8 if who & 0x40 != 0 => RoomUpdate::Attribute {
            participant,
            key: messages::attribute_key(who >> 3),
            value: messages::attribute_value(input),
        },
        8 => RoomUpdate::Censored {
            participant,
            censored: input.flag(),
        },
        9 => RoomUpdate::Speaker {
            participant: (who & 0x80 == 0).then_some(participant),
        },
        _ => match who & 0x40 {
            0 => RoomUpdate::Floor {
                holder: (who & 0x80 == 0).then_some(participant),
            },
            _ if who & 0x20 != 0 => RoomUpdate::Recorded {
                recorded: who & 0x80 != 0,
            },
            _ => RoomUpdate::Count {
                participants: input.u32(),
            },
        },
    }
}

fn server_message<'a>(input: &mut Input<'a>, last: Version) -> ServerMessage<'a> {
    let how = input.byte();
    // The next version, as a rule.
    let version = match how >> 4 {
        0..12 => last.next(),
        12 => last,
        _ => Version(input.byte().into()),
    };
    let participant = messages::participant(how);
    match how & 15 {
        0 => ServerMessage::SnapshotBegin { version: last },
        1 => ServerMessage::SnapshotEnd { version: last },
        2 => ServerMessage::Reply {
            request: RequestId(input.byte().into()),
            result: Ok(Outcome::Done),
        },
        3 | 4 => ServerMessage::Deliver {
            from: participant,
            topic: messages::topic(input),
            body: input.bytes(),
        },
        5 => ServerMessage::Missed {
            messages: input.u16(),
        },
        6 => ServerMessage::Admitted(joined(how, input)),
        7 => ServerMessage::Knock {
            participant,
            name: DisplayName::new("Ada").expect("a name"),
        },
        8 => ServerMessage::KnockEnded { participant },
        9 => ServerMessage::TokenExpiring {
            seconds: input.u16(),
        },
        10 if how >> 4 == 15 => ServerMessage::Closed {
            reason: input.choose(&CLOSE_REASONS),
        },
        11 if how >> 4 == 15 => ServerMessage::Lobby {
            version: last,
            waiting: input.u16().into(),
        },
        _ => ServerMessage::Update {
            version,
            update: update(input),
        },
    }
}
