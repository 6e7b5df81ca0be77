//! Any input, from strangers or from a hostile server: no panic, no flood, nothing grows.

use proptest::prelude::*;

use super::*;
use crate::room::arbitrary::any_update;
use crate::rtp::{ReportBlock, RtpHeader, SenderInfo, write_report};
use crate::secure::{ResponderHandshake, Transport};
use crate::wire::{ConnectionId, Frame, FrameWriter, Packet};

const SERVER: ConnectionId = ConnectionId(0x5E4E);
const SLOTS: u32 = u32::MAX - 1;

/// A lossy message from `a`, about nothing, that says `x`.
const LOSSY: &[u8] = &[1, b'a', 0, 1, b'x'];

/// One thing that happens to a client.
#[derive(Debug, Clone)]
enum Step {
    Raw(Vec<u8>),
    /// A datagram as it could be, with one byte different.
    Packet(u8, Vec<u8>),
    /// Frames under the right keys.
    Frames(Vec<Sent>),
    Command(u8, u8),
    Wait(u64),
    /// Takes all output.
    Drain,
    /// The server answers Hello, in one of its ways.
    Answer(u8),
}

/// The possible inputs of a server with the right keys.
#[derive(Debug, Clone)]
enum Sent {
    Plaintext(Vec<u8>),
    Message(Box<Told>),
    Signal(Vec<u8>),
    Media {
        ssrc: u32,
        kind: u8,
        payload: Vec<u8>,
    },
    Report(u32),
    Lossy(Vec<u8>),
}

#[derive(Debug, Clone)]
enum Told {
    Begin(u64),
    Update(u64, RoomUpdate),
    End(u64),
    Reply(u16, Result<Outcome, Refusal>),
    Deliver(Vec<u8>),
    Other(u8),
}

use alloc::boxed::Box;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

fn told() -> impl Strategy<Value = Told> {
    let outcome = prop_oneof![
        Just(Ok(Outcome::Done)),
        any::<u32>().prop_map(|ssrc| Ok(Outcome::Published { ssrc })),
        Just(Err(Refusal::NotPermitted)),
    ];
    prop_oneof![
        1 => any::<u64>().prop_map(Told::Begin),
        6 => (0u64..40, any_update()).prop_map(|(version, update)| Told::Update(version, update)),
        1 => any::<u64>().prop_map(Told::End),
        3 => (0u16..20, outcome).prop_map(|(request, result)| Told::Reply(request, result)),
        2 => bytes(641).prop_map(Told::Deliver),
        1 => any::<u8>().prop_map(Told::Other),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        1 => bytes(100).prop_map(Sent::Plaintext),
        6 => told().prop_map(|told| Sent::Message(Box::new(told))),
        1 => bytes(60).prop_map(Sent::Signal),
        3 => (any::<u32>(), prop::sample::select(&[0u8, 8, 96, 111, 5][..]), bytes(40)).prop_map(
            |(ssrc, kind, payload)| Sent::Media {
                // Mostly one of the slots, or just beyond.
                ssrc: if ssrc & 1 == 0 { SLOTS.wrapping_add(ssrc >> 1 & 7) } else { ssrc },
                kind,
                payload,
            }
        ),
        1 => any::<u32>().prop_map(Sent::Report),
        1 => bytes(60).prop_map(Sent::Lossy),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => bytes(1300).prop_map(Step::Raw),
        1 => (8u8..14, bytes(120)).prop_map(|(kind, rest)| Step::Packet(kind, rest)),
        8 => prop::collection::vec(sent(), 1..8).prop_map(Step::Frames),
        6 => (0u8..16, any::<u8>()).prop_map(|(command, value)| Step::Command(command, value)),
        3 => (0u64..20_000).prop_map(Step::Wait),
        6 => Just(Step::Drain),
        3 => (0u8..12).prop_map(Step::Answer),
    ]
}

/// A client and what somebody who holds the server's private key can do to it.
struct Bad {
    now: Instant,
    rng: ChaCha12Rng,
    keys: KeyPair,
    client: Client<Small>,
    hello: Option<Vec<u8>>,
    transport: Option<Transport>,
    client_id: ConnectionId,
    /// The number of the next signalling message: acknowledged or not.
    sequence: u16,
    acknowledged: u16,
    requests: usize,
    replies: usize,
}

impl Bad {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let keys = KeyPair::generate(&mut rng);
        let now = Instant::from_micros(5);
        let ticket = ticket(keys.public(), "token");
        let client = Client::new(&ticket, &Config::default(), now, &mut rng).unwrap();
        Self {
            now,
            rng,
            keys,
            client,
            hello: None,
            transport: None,
            client_id: ConnectionId(0),
            sequence: 0,
            acknowledged: 0,
            requests: 0,
            replies: 0,
        }
    }

    fn give(&mut self, datagram: &mut [u8]) {
        let mut most = 0;
        let _ = self
            .client
            .handle_datagram(self.now, datagram, &mut |_| most += 1);
        assert!(most <= 400);
    }

    fn drain(&mut self) {
        let mut out = [0; MAX_DATAGRAM];
        let mut datagrams = 0;
        while let Some(len) = self.client.poll_transmit(self.now, &mut out).unwrap() {
            datagrams += 1;
            assert!(len <= MAX_DATAGRAM && datagrams < 30, "a flood");
            if let Ok(Packet::Hello { .. }) = Packet::parse(&out[..len]) {
                self.hello = Some(out[..len].to_vec());
            } else if let Some(transport) = &mut self.transport
                && let Ok(opened) = transport.open(&mut out[..len])
            {
                for frame in crate::wire::Frames::new(opened.plaintext) {
                    if let Frame::Ack { next } = frame.unwrap() {
                        self.acknowledged = next;
                    }
                }
            }
        }
        let due = self.client.poll_timeout();
        assert!(
            due.is_none_or(|due| due > self.now) || self.is_late(),
            "{due:?}"
        );
        while let Some(event) = self.client.poll_event() {
            if let Event::Replied { .. } = event {
                self.replies += 1;
            }
        }
        let mut buffer = [0; MAX_BODY];
        while self.client.poll_message(&mut buffer).unwrap().is_some() {}
    }

    /// A timeout is due that `handle_timeout` has not been told of.
    fn is_late(&mut self) -> bool {
        self.client.handle_timeout(self.now);
        let mut out = [0; MAX_DATAGRAM];
        while self
            .client
            .poll_transmit(self.now, &mut out)
            .unwrap()
            .is_some()
        {}
        self.client.poll_timeout().is_none_or(|due| due > self.now)
    }

    fn answer(&mut self, way: u8) {
        let Some(mut hello) = self.hello.take() else {
            return;
        };
        let Ok(Packet::Hello {
            client_id, noise, ..
        }) = Packet::parse(&hello)
        else {
            unreachable!();
        };
        let mut payload = [0; MAX_DATAGRAM];
        let (handshake, join) =
            ResponderHandshake::read(&self.keys, client_id, noise, &mut payload).unwrap();
        let join: Join<'_> = decode(join).unwrap();
        let joined = Joined {
            participant: pid(if way & 1 == 0 { "a" } else { "me" }),
            session: SessionId([way; 16]),
            grants: Grants::all(),
            resumed: way >= 6,
            slot_ssrc: SLOTS,
            // As many answers as asked, or more, or fewer.
            streams: (0..u32::from(way) % 5).map(Ok).collect(),
            policy_refused: (way == 3).then_some(Refusal::NotPermitted),
            resume_ticket: Secret([way; 24]),
            reset_token: Secret([way; 16]),
            keepalive: way % 3,
            grace: 0,
        };
        let answer = match way {
            0 => Answer::Waiting {
                reset_token: Secret([0; 16]),
                keepalive: 0,
                resume_ticket: Secret([9; 24]),
            },
            1 if join.resume.is_some() => Answer::Refused(JoinRefusal::Unavailable),
            2 => Answer::Redirect("127.0.0.1:1".parse().unwrap()),
            _ => Answer::Joined(joined.clone()),
        };
        let mut encoded = [0; MAX_MESSAGE];
        let len = encode(&answer, &mut encoded).unwrap();
        let mut noise = [0; MAX_DATAGRAM];
        let (len, transport) = handshake
            .answer(&mut self.rng, SERVER, &encoded[..len], &mut noise)
            .unwrap();
        let welcome = Packet::Welcome {
            client_id,
            noise: &noise[..len],
        };
        self.client_id = client_id;
        let len = welcome.encode(&mut hello).unwrap_or(0);
        let mut datagram = [0; MAX_DATAGRAM];
        let len = if len == 0 {
            welcome.encode(&mut datagram).unwrap()
        } else {
            datagram[..len].copy_from_slice(&hello[..len]);
            len
        };
        self.give(&mut datagram[..len]);
        self.transport = Some(transport);
        if !joined.resumed {
            self.sequence = 0;
            self.acknowledged = 0;
        }
    }

    fn send(&mut self, frames: &[Sent]) {
        let mut datagram = [0; MAX_DATAGRAM];
        let mut writer = FrameWriter::in_datagram(&mut datagram);
        for sent in frames {
            let mut buffer = [0; MAX_DATAGRAM];
            let _ = match sent {
                Sent::Plaintext(bytes) => {
                    // Not through the writer: whatever it is, it is read as frames.
                    if let Ok(body) = writer.push_media(bytes.len()) {
                        body.copy_from_slice(bytes);
                    }
                    Ok(())
                }
                Sent::Message(told) => {
                    let len = told.encode(&mut buffer);
                    let message = &buffer[..len];
                    let sequence = self.sequence;
                    let pushed = writer.push(&Frame::Signal { sequence, message });
                    if pushed.is_ok() {
                        self.sequence = self.sequence.wrapping_add(1);
                    }
                    pushed
                }
                Sent::Signal(message) => {
                    let sequence = self.sequence;
                    self.sequence = self.sequence.wrapping_add(1);
                    writer.push(&Frame::Signal { sequence, message })
                }
                Sent::Media {
                    ssrc,
                    kind,
                    payload,
                } => {
                    let header = RtpHeader {
                        marker: false,
                        payload_type: *kind,
                        sequence: *ssrc as u16,
                        timestamp: *ssrc,
                        ssrc: *ssrc,
                        csrcs: &[3],
                        audio_level: None,
                    };
                    let len = header.write(payload, &mut buffer).unwrap();
                    writer.push(&Frame::Media(&buffer[..len]))
                }
                Sent::Report(value) => {
                    let info = SenderInfo {
                        ntp: u64::from(*value) << 20,
                        ..SenderInfo::default()
                    };
                    let block = ReportBlock {
                        ssrc: value % 5,
                        fraction_lost: *value as u8,
                        jitter: *value,
                        last_sr: *value,
                        ..ReportBlock::default()
                    };
                    let len = write_report(SLOTS, Some(&info), &[block], &mut buffer).unwrap();
                    writer.push(&Frame::Report(&buffer[..len]))
                }
                Sent::Lossy(message) => writer.push(&Frame::Message(message)),
            };
        }
        let len = writer.len();
        let Some(transport) = &mut self.transport else {
            return;
        };
        let len = transport.seal(self.client_id, len, &mut datagram).unwrap();
        self.give(&mut datagram[..len]);
        self.drain();
        // Like the real one, it sends again what was not taken.
        self.sequence = self.acknowledged;
    }

    fn command(&mut self, command: u8, value: u8) {
        let now = self.now;
        let client = &mut self.client;
        let name = alloc::format!("s{}", value & 3);
        let target = stream(&alloc::format!("p{}", value & 15), "mic");
        let some = |request: Result<Option<RequestId>, CommandError>| {
            usize::from(matches!(request, Ok(Some(_))))
        };
        let one = |request: Result<RequestId, CommandError>| usize::from(request.is_ok());
        let body = [value; 600];
        let topic = Topic::new("t").unwrap();
        self.requests += match command {
            0 => some(client.publish(publish(&name, StreamKind::Audio, Codec::Opus))),
            1 => some(client.publish(publish(&name, StreamKind::Screen, Codec::Vp8))),
            2 => some(client.unpublish(&key(&name))),
            3 => some(client.set_muted(&key(&name), value & 4 == 0)),
            4 => some(client.subscribe(&target)),
            5 => some(client.unsubscribe(&target)),
            6 => some(client.set_subscribe_policy(SubscribePolicy::None)),
            7 => some(client.pin((value & 1 == 0).then_some(&target))),
            8 => one(client.send_message(&Recipients::All, &topic, &body)),
            9 => one(client.request_floor()),
            10 => some(client.refresh_token("another")),
            11 => {
                let _ = client.send_lossy_message(&Recipients::All, &topic, &body);
                0
            }
            12 => {
                let _ = client.send_audio(now, &key(&name), value.into(), LEVEL, &OPUS);
                0
            }
            13 => {
                let _ = client.send_media(now, &key(&name), value.into(), true, &body);
                0
            }
            14 => {
                client.network_changed(now);
                0
            }
            _ => {
                // Seldom: nothing follows.
                if value < 10 {
                    let _ = client.leave(now);
                }
                0
            }
        };
    }
}

impl Told {
    fn encode(&self, buffer: &mut [u8]) -> usize {
        let message = match self {
            Self::Begin(version) => ServerMessage::SnapshotBegin {
                version: Version(*version),
            },
            Self::Update(version, update) => ServerMessage::Update {
                version: Version(*version),
                update: update.clone(),
            },
            Self::End(version) => ServerMessage::SnapshotEnd {
                version: Version(*version),
            },
            Self::Reply(request, result) => ServerMessage::Reply {
                request: RequestId(*request),
                result: *result,
            },
            Self::Deliver(body) => ServerMessage::Deliver {
                from: pid("a"),
                topic: Topic::new("").unwrap(),
                body,
            },
            Self::Other(0) => ServerMessage::Closed {
                reason: CloseReason::Kicked,
            },
            Self::Other(n) if n & 1 == 0 => ServerMessage::Missed {
                messages: u16::from(*n),
            },
            Self::Other(n) => ServerMessage::TokenExpiring {
                seconds: u16::from(*n),
            },
        };
        encode(&message, buffer).unwrap()
    }
}

/// A packet that goes wrong in its middle is read up to there, and nothing ends by it.
#[test]
fn frames_before_a_malformed_one_stand() {
    let mut bad = Bad::new(1);
    bad.drain();
    bad.answer(3);
    bad.drain();
    let seen = |bad: &mut Bad, wrong: &[u8]| {
        let mut datagram = [0; MAX_DATAGRAM];
        let plaintext = &mut datagram[9..];
        let mut writer = FrameWriter::new(plaintext);
        writer.push(&Frame::Message(LOSSY)).unwrap();
        let len = writer.len();
        plaintext[len..len + wrong.len()].copy_from_slice(wrong);
        let mut writer = FrameWriter::new(&mut plaintext[len + wrong.len()..]);
        writer.push(&Frame::Message(LOSSY)).unwrap();
        let len = len + wrong.len() + writer.len();
        let transport = bad.transport.as_mut().unwrap();
        let len = transport.seal(bad.client_id, len, &mut datagram).unwrap();
        let mut seen = 0;
        let taken = (bad.client).handle_datagram(bad.now, &mut datagram[..len], &mut |_| seen += 1);
        assert_eq!(taken, Ok(()));
        bad.drain();
        seen
    };
    // An unknown kind is skipped; a Ping of one byte, or a frame cut off, ends the reading.
    assert_eq!(seen(&mut bad, &[99, 0, 1, 0]), 2);
    assert_eq!(seen(&mut bad, &[5, 0, 1, 0]), 1);
    assert_eq!(seen(&mut bad, &[1, 4, 0]), 1);
    assert_eq!(bad.client.statistics().drops.frames, 2);
    assert!(bad.client.is_joined());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_that_comes_in_breaks_a_client(
        seed in 0u64..4,
        first in 3u8..12,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut bad = Bad::new(seed);
        let _ = bad.client.publish(publish("s0", StreamKind::Audio, Codec::Opus));
        bad.drain();
        bad.answer(first);
        for step in steps {
            match step {
                Step::Raw(mut bytes) => bad.give(&mut bytes),
                Step::Packet(kind, mut rest) => {
                    rest.insert(0, kind);
                    if let (Some(place), Some(hello)) = (rest.get_mut(1..5), &bad.hello) {
                        place.copy_from_slice(&hello[2..6]);
                    }
                    bad.give(&mut rest);
                }
                Step::Frames(frames) => bad.send(&frames),
                Step::Command(command, value) => bad.command(command, value),
                Step::Wait(millis) => {
                    bad.now += ms(millis);
                    bad.client.handle_timeout(bad.now);
                }
                Step::Drain => bad.drain(),
                Step::Answer(way) => bad.answer(way),
            }
            let state = bad.client.state();
            prop_assert!(state.participants().len() <= Small::PARTICIPANTS);
        }
        // However it went, each request got one answer.
        let now = bad.now;
        let _ = bad.client.leave(now);
        bad.now += secs(2);
        bad.client.handle_timeout(bad.now);
        bad.drain();
        prop_assert!(bad.client.closed().is_some());
        prop_assert_eq!(bad.requests, bad.replies);
    }
}
