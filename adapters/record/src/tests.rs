//! Whole sessions, and forged logs.

use std::net::SocketAddr;
use std::time::Duration;

use parlour_core::client::{Commands as _, Config, Small};
use parlour_core::room::{
    AttributeKey, AttributeValue, CloseReason, DisplayName, Grants, ParticipantId, RoomId,
    StreamKey, Topic,
};
use parlour_core::secure::KeyPair;
use parlour_core::server::{
    self, Act, Admission, Event, ModerateError, Path, RoomLimits, Selection,
};
use parlour_core::signal::Recipients;
use parlour_core::ticket::Ticket;
use parlour_core::time::Instant;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::Serialize;

use crate::log::{Entry, MAGIC, Reader};
use crate::{Client, Server, Sink, client as recorded_client, replay, server as recorded_server};

const TOKEN: &str = "token-that-nobody-may-see";
const LONG: usize = 70_000;

/// A client and a server, and their logs.
struct Session {
    now: Instant,
    keys: KeyPair,
    client: Client<Small>,
    server: Server,
    client_log: Sink,
    server_log: Sink,
}

impl Session {
    fn new() -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let keys = KeyPair::generate(&mut rng);
        let ticket = Ticket {
            host: "192.0.2.1",
            port: 7900,
            server_key: *keys.public(),
            token: TOKEN,
        };
        let now = Instant::from_micros(0);
        let (client_log, server_log) = (Sink::memory(), Sink::memory());
        let config = Config::default();
        let client = Client::recorded(&ticket, &config, now, &mut rng, client_log.clone()).unwrap();
        let config = server::Config::default();
        let server = Server::recorded(config, keys.clone(), now, &mut rng, server_log.clone());
        Self {
            now,
            keys,
            client,
            server,
            client_log,
            server_log,
        }
    }

    /// A session whose client has joined, and has had a message answered.
    fn joined() -> Self {
        let mut session = Self::new();
        session.run();
        assert!(session.client.me().is_some());
        let topic = Topic::new("chat").unwrap();
        let sent = session
            .client
            .send_message(&Recipients::All, &topic, b"hello");
        sent.unwrap();
        session.run();
        session
    }

    /// Some exchanges, 20 ms apart.
    fn run(&mut self) {
        let path = Path::udp(SocketAddr::from(([192, 0, 2, 7], 5000)));
        let mut out = [0; 1200];
        for _ in 0..10 {
            self.now += Duration::from_millis(20);
            let now = self.now;
            self.client.handle_timeout(now);
            while let Some(len) = self.client.poll_transmit(now, &mut out).unwrap() {
                let _ = self.server.handle_datagram(now, path, &mut out[..len]);
            }
            self.server.handle_timeout(now);
            while let Some(event) = self.server.poll_event() {
                if let Event::JoinRequested { join, .. } = event {
                    self.server.admit(now, join, admission()).unwrap();
                }
            }
            while let Some(sent) = self.server.poll_transmit(now, &mut out).unwrap() {
                let bytes = &mut out[..sent.len];
                let _ = self.client.handle_datagram(now, bytes, &mut |_| ());
            }
            while self.client.poll_event().is_some() {}
            assert!(self.client.poll_message(&mut out).unwrap().is_none());
        }
    }

    fn logs(&self) -> [Vec<u8>; 2] {
        [self.client_log.take(), self.server_log.take()]
    }
}

fn admission() -> Admission {
    Admission::new(
        RoomId::new("green").unwrap(),
        ParticipantId::new("alice").unwrap(),
        DisplayName::new("Alice").unwrap(),
        Grants::all(),
    )
}

/// An entry as it is written, with its correct length.
fn entry(call: impl Serialize) -> Vec<u8> {
    let entry = postcard::to_extend(&Entry { elapsed: 0, call }, Vec::new()).unwrap();
    let len = u32::try_from(entry.len()).unwrap();
    [&len.to_le_bytes()[..], &entry].concat()
}

#[test]
fn debug_of_what_is_recorded_shows_no_secret() {
    let mut fresh = Session::new();
    let before = format!("{:?} {:#?}", fresh.client, fresh.server);
    let _ = fresh.client.refresh_token(TOKEN);
    let after = format!("{:?} {:?}", fresh.client, fresh.server);
    let joined = Session::joined();
    let both = format!("{:?} {:?}", joined.client, joined.server);
    let list = |bytes: &[u8]| {
        let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
        numbers.join(", ")
    };
    for printed in [before, after, both] {
        // As `{:#?}` prints a list: a number a line.
        let printed = printed.replace(",\n", ", ").replace("  ", "");
        assert!(printed.contains("Client") && printed.contains("Server"));
        assert!(!printed.contains(TOKEN), "{printed}");
        assert!(!printed.contains(&list(TOKEN.as_bytes())), "{printed}");
        let key = list(fresh.keys.secret().expose_bytes());
        assert!(!printed.contains(&key), "{printed}");
        let numbers = printed.split(|c: char| !c.is_ascii_digit() && c != ',' && c != ' ');
        let longest = numbers.map(|list| list.matches(',').count()).max();
        assert!(longest < Some(12), "a list of bytes: {printed}");
    }
}

#[test]
fn a_whole_session_is_replayed() {
    for log in Session::joined().logs() {
        let replayed = replay(&log[..]).unwrap();
        assert!(replayed.calls > 50 && !replayed.is_cut, "{replayed:?}");
    }
}

#[test]
fn what_an_application_does_in_a_room_is_replayed() {
    let mut session = Session::joined();
    let Admission {
        room, participant, ..
    } = admission();
    let hand = AttributeKey::new("hand").unwrap();
    let limits = RoomLimits {
        max_participants: Some(3),
        ..RoomLimits::default()
    };
    let everybody = Selection::all_but([ParticipantId::new("bob").unwrap()]);
    let (server, now) = (&mut session.server, session.now);
    let (room, alice) = (&room, &participant);
    for act in [Act::Censor, Act::Uncensor, Act::Admit, Act::Deny] {
        server.moderate(now, room, act, &everybody).unwrap();
    }
    let up = AttributeValue::new("up").unwrap();
    (server.set_attribute(now, room, alice, &hand, Some(&up))).unwrap();
    server.set_room_limits(now, room, limits).unwrap();
    let (recorded, _) = server.room(room).unwrap().session.unwrap();
    server.record(now, room, recorded, true).unwrap();
    let mic = StreamKey::new("mic").unwrap();
    let unpublished = server.unpublish(now, room, alice, &mic);
    assert_eq!(unpublished, Err(ModerateError::UnknownStream));
    let grants = Grants::SUBSCRIBE;
    server.set_grants(now, room, alice, grants).unwrap();
    session.run();
    assert!(session.client.state().is_recorded());
    let (server, now) = (&mut session.server, session.now);
    let kick = Act::Kick { keep_out: false };
    let kicked = server.moderate(now, room, kick, &alice.into()).unwrap();
    assert_eq!(kicked.affected, std::slice::from_ref(alice));
    session.run();
    let (server, now) = (&mut session.server, session.now);
    let closed = server.close_room(now, room, CloseReason::SessionEnded);
    assert!(closed.is_err(), "nobody is there any more");
    session.run();
    for log in session.logs() {
        assert!(!replay(&log[..]).unwrap().is_cut);
    }
}

#[test]
fn calls_refused_for_their_length_are_replayed() {
    let mut session = Session::joined();
    let (now, long) = (session.now, vec![b'a'; LONG]);
    let token = String::from_utf8(long.clone()).unwrap();
    let topic = Topic::new("chat").unwrap();
    let Session { client, server, .. } = &mut session;
    let all = Recipients::All;
    assert!(client.send_message(&all, &topic, &long).is_err());
    assert!(client.send_lossy_message(&all, &topic, &long).is_err());
    assert!(client.refresh_token(&token).is_err());
    let key = StreamKey::new("screen").unwrap();
    assert!(client.send_media(now, &key, 0, false, &long).is_err());
    let mut datagram = long.clone();
    let handled = client.handle_datagram(now, &mut datagram, &mut |_| ());
    assert!(handled.is_err());
    let path = Path::Stream {
        id: 1,
        from: std::net::Ipv4Addr::LOCALHOST.into(),
    };
    assert!(server.handle_datagram(now, path, &mut datagram).is_err());
    let Admission {
        room, participant, ..
    } = admission();
    let sent = server.send(now, &room, &participant, &all, &topic, &long);
    assert!(sent.is_err());
    session.run();
    for log in session.logs() {
        assert!(!replay(&log[..]).unwrap().is_cut);
    }
}

#[test]
fn a_log_that_ends_within_an_entry_is_cut() {
    let mut session = Session::new();
    let made = session.logs();
    session.client.handle_timeout(session.now);
    session.server.handle_timeout(session.now);
    for (made, call) in made.iter().zip(session.logs()) {
        for len in 0..=call.len() {
            let log = [made, &call[..len]].concat();
            let replayed = replay(&log[..]).unwrap();
            let (is_none, is_whole) = (len == 0, len == call.len());
            assert_eq!(replayed.is_cut, !is_none && !is_whole, "{len} bytes");
            assert_eq!(replayed.calls, u64::from(is_whole));
        }
    }
}

#[test]
fn a_log_that_claims_much_takes_little() {
    let mut session = Session::new();
    let made = session.logs();
    let mut out = [0; 1200];
    session.client.poll_transmit(session.now, &mut out).unwrap();
    session.server.poll_transmit(session.now, &mut out).unwrap();
    let sent = session.logs();
    session.client.poll_message(&mut out).unwrap();
    let received = session.client_log.take();

    // Buffers as long as the address space give the same output.
    let capacity = usize::MAX;
    let transmit = entry(recorded_client::Call::Transmit { capacity });
    let message = entry(recorded_client::Call::Message { capacity });
    let client = [
        &made[0][..],
        &transmit,
        sent[0].last_chunk::<4>().unwrap(),
        &message,
        received.last_chunk::<4>().unwrap(),
    ];
    assert_eq!(replay(&client.concat()[..]).unwrap().calls, 2);
    let transmit = entry(recorded_server::Call::Transmit { capacity });
    let server = [&made[1][..], &transmit, sent[1].last_chunk::<4>().unwrap()];
    assert_eq!(replay(&server.concat()[..]).unwrap().calls, 1);

    // An entry that is longer than the log.
    let log = [&MAGIC[..], &u32::MAX.to_le_bytes(), &[7; 100]].concat();
    let mut reader = Reader::new(&log[..]).unwrap().unwrap();
    let _ = reader.next_entry();
    assert!(reader.entry.capacity() < 1_000);
}

/// A place in a log: half of them in the construction of the machine, which determines all later calls.
fn place() -> impl Strategy<Value = (bool, Index)> {
    (any::<bool>(), any::<Index>())
}

proptest! {
    #[test]
    fn what_is_no_log_never_panics(
        bytes in vec(any::<u8>(), 0..500),
        is_client in any::<bool>(),
    ) {
        // As a log, as what follows the magic, as what follows a machine that was made, and as its calls.
        let _ = replay(&bytes[..]);
        let _ = replay(&[&MAGIC[..], &bytes].concat()[..]);
        let len = u32::try_from(bytes.len()).unwrap();
        let framed = [&len.to_le_bytes()[..], &bytes, &[0; 4]].concat();
        let _ = replay(&[&MAGIC[..], &framed].concat()[..]);
        let made = &Session::new().logs()[usize::from(!is_client)];
        let _ = replay(&[&made[..], &bytes].concat()[..]);
        let _ = replay(&[&made[..], &framed].concat()[..]);
    }

    #[test]
    fn a_changed_log_never_panics(
        is_client in any::<bool>(),
        changes in vec((place(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<Index>()),
    ) {
        let mut log = Session::joined().logs()[usize::from(!is_client)].clone();
        for ((is_early, index), byte) in changes {
            let len = if is_early { 300.min(log.len()) } else { log.len() };
            log[index.index(len)] = byte;
        }
        if let Some(cut) = cut {
            log.truncate(cut.index(log.len()));
        }
        let _ = replay(&log[..]);
    }
}
