use std::vec::Vec;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::*;
use crate::secure::{InitiatorHandshake, KeyPair, ResponderHandshake};
use crate::wire::Frames;

const KEEPALIVE: Duration = Duration::from_secs(10);
const CLIENT: ConnectionId = ConnectionId(1);
const SERVER: ConnectionId = ConnectionId(2);

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn transports(seed: u64) -> (Transport, Transport) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let keys = KeyPair::generate(&mut rng);
    let (mut hello, mut welcome, mut payload) = ([0; 1200], [0; 1200], [0; 1200]);
    let (initiator, len) =
        InitiatorHandshake::start(keys.public(), CLIENT, &mut rng, b"", &mut hello).unwrap();
    let (responder, _) =
        ResponderHandshake::read(&keys, CLIENT, &hello[..len], &mut payload).unwrap();
    let (len, server) = responder
        .answer(&mut rng, SERVER, b"", &mut welcome)
        .unwrap();
    let client = initiator.finish(&welcome[..len], &mut payload).unwrap();
    (client.transport, server)
}

fn pair() -> (Link, Link) {
    let (client, server) = transports(1);
    let ids = |local, peer| Ids { local, peer };
    (
        Link::new(client, ids(CLIENT, SERVER), KEEPALIVE, at(0)),
        Link::new(server, ids(SERVER, CLIENT), Duration::MAX, at(0)),
    )
}

fn compose(link: &mut Link, now: Instant) -> Option<Vec<u8>> {
    let mut out = [0; MAX_DATAGRAM];
    let len = link.compose(now, &mut out, |_| {}).unwrap()?;
    Some(out[..len].to_vec())
}

/// Gives `datagram` to `link`, which accepts every message in order; returns the accepted ones.
fn deliver(link: &mut Link, now: Instant, mut datagram: Vec<u8>) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let opened = link.open(now, &mut datagram).unwrap();
    for frame in Frames::new(opened.plaintext) {
        if let Received::Signal(sequence, message) = link.receive(now, frame.unwrap()).unwrap() {
            messages.push(message.to_vec());
            link.accept(sequence);
        }
    }
    messages
}

#[test]
fn signalling_arrives_in_one_datagram_and_is_acknowledged() {
    let (mut client, mut server) = pair();
    client.send(b"one").unwrap();
    client.send(b"two").unwrap();
    let datagram = compose(&mut client, at(0)).unwrap();
    assert_eq!(
        deliver(&mut server, at(10), datagram),
        [b"one".to_vec(), b"two".to_vec()]
    );
    assert!(!client.is_settled());
    let ack = compose(&mut server, at(10)).unwrap();
    deliver(&mut client, at(20), ack);
    assert!(client.is_settled());
    assert_eq!(client.rtt().smoothed(), Some(Duration::from_millis(20)));
    assert_eq!(compose(&mut client, at(20)), None);
    assert_eq!(compose(&mut server, at(20)), None);
}

#[test]
fn a_message_that_the_owner_does_not_take_comes_again() {
    let (mut client, mut server) = pair();
    client.send(b"later").unwrap();
    let mut datagram = compose(&mut client, at(0)).unwrap();
    let opened = server.open(at(1), &mut datagram).unwrap();
    for frame in Frames::new(opened.plaintext) {
        server.receive(at(1), frame.unwrap()).unwrap();
    }
    let due = client.poll_timeout().unwrap();
    client.handle_timeout(due, || 0);
    let datagram = compose(&mut client, due).unwrap();
    assert_eq!(deliver(&mut server, due, datagram), [b"later".to_vec()]);
}

#[test]
fn silence_is_noticed_within_seconds_of_the_keepalive() {
    let (mut client, _) = pair();
    let mut now = client.poll_timeout().unwrap();
    assert_eq!(now, at(0) + KEEPALIVE);
    let mut pings = 0;
    while client.handle_timeout(now, || 7) == Liveness::Alive {
        pings += compose(&mut client, now).map_or(0, |_| 1);
        now = client.poll_timeout().unwrap();
    }
    assert_eq!(pings, 6);
    assert!(now > at(12_000) && now <= at(45_000), "{now:?}");
}

/// The owner sends at least as often as the keepalive, with a ping that replaces the awaited one.
#[test]
fn silence_is_noticed_on_slow_paths_too() {
    let (mut client, _) = pair();
    let mut last_sent = at(0);
    // While no round-trip time is known, a ping may take a second, and the sixth the whole keepalive.
    for _ in 0..100 {
        let speak_by = last_sent + KEEPALIVE;
        let now = earlier(client.poll_timeout(), Some(speak_by)).unwrap();
        if client.handle_timeout(now, || 7) == Liveness::Lost {
            assert!(now <= at(45_000), "{now:?}");
            return;
        }
        if speak_by <= now {
            client.ping(8);
        }
        if compose(&mut client, now).is_some() {
            last_sent = now;
        }
    }
    panic!("nobody noticed");
}

#[test]
fn an_answered_ping_measures_the_round_trip_and_starts_the_wait_anew() {
    let (mut client, mut server) = pair();
    client.handle_timeout(at(10_000), || 7);
    let ping = compose(&mut client, at(10_000)).unwrap();
    deliver(&mut server, at(10_050), ping);
    let pong = compose(&mut server, at(10_050)).unwrap();
    deliver(&mut client, at(10_100), pong);
    assert_eq!(client.rtt().smoothed(), Some(Duration::from_millis(100)));
    assert_eq!(client.poll_timeout(), Some(at(20_100)));
}

#[test]
fn only_the_awaited_pong_proves_anything() {
    let (mut client, mut server) = pair();
    server.ping(42);
    compose(&mut server, at(0)).unwrap();
    let mut pong = |nonce| server.receive(at(1), Frame::Pong { nonce });
    assert_eq!(pong(41), Ok(Received::Redundant));
    assert_eq!(pong(42), Ok(Received::Pong(42)));
    assert_eq!(pong(42), Ok(Received::Redundant));
    assert_eq!(
        client.receive(at(1), Frame::Ack { next: 1 }),
        Err(ProtocolViolation)
    );
}

/// Each answer arrives after another ping has replaced its own, and shows that the peer is present.
#[test]
fn a_ping_is_waited_for_longer_once_answers_take_longer() {
    let (mut client, mut server) = pair();
    server.handle_rtt(Duration::from_millis(20));
    server.ping(0);
    let mut now = at(0);
    let mut under_way = std::collections::VecDeque::new();
    for nonce in 1..100 {
        if let Some(ping) = compose(&mut server, now) {
            deliver(&mut client, now, ping);
            let pong = compose(&mut client, now).unwrap();
            under_way.push_back((now + Duration::from_millis(300), pong));
        }
        let arrival = under_way.front().map(|(arrival, _)| *arrival);
        now = earlier(server.poll_timeout(), arrival).unwrap();
        if arrival == Some(now) {
            let (_, pong) = under_way.pop_front().unwrap();
            deliver(&mut server, now, pong);
        }
        if server.rtt().smoothed() > Some(Duration::from_millis(20)) {
            assert!(now < at(2_000), "{now:?}");
            return;
        }
        assert_eq!(server.handle_timeout(now, || nonce), Liveness::Alive);
    }
    panic!("no answer was taken");
}

#[test]
fn new_keys_take_over_while_old_packets_are_still_under_way() {
    let (mut client, mut server) = pair();
    client.send(b"before").unwrap();
    let before = compose(&mut client, at(0)).unwrap();
    let (client_keys, server_keys) = transports(2);
    let (local, peer) = (ConnectionId(3), ConnectionId(4));
    client.rekey(client_keys, Ids { local, peer }, at(1));
    let (local, peer) = (peer, local);
    server.rekey(server_keys, Ids { local, peer }, at(1));

    let mut copy = before.clone();
    assert!(!server.open(at(2), &mut copy).unwrap().is_newest);
    // The message goes out again under the new keys, and once is enough.
    let again = compose(&mut client, at(2)).unwrap();
    assert_eq!(deliver(&mut server, at(3), again), [b"before".to_vec()]);

    server.handle_timeout(at(1) + FORMER_KEYS_LIFETIME, || 0);
    assert_eq!(
        server.open(at(6000), &mut before.clone()),
        Err(OpenError::NotData)
    );
}

#[test]
fn a_buffer_too_small_loses_nothing() {
    let (mut client, _) = pair();
    client.send(b"kept").unwrap();
    let error = client.compose(at(0), &mut [0; 100], |_| unreachable!());
    assert_eq!(
        error,
        Err(ComposeError::Buffer(BufferTooSmall { needed: 1200 }))
    );
    assert!(compose(&mut client, at(0)).is_some());
}

#[test]
fn former_keys_end_whether_or_not_anybody_looks_at_the_clock() {
    let (mut client, mut server) = pair();
    client.send(b"first").unwrap();
    let first = compose(&mut client, at(0)).unwrap();
    client.send(b"second").unwrap();
    let second = compose(&mut client, at(0)).unwrap();
    let (_, keys) = transports(2);
    let (local, peer) = (ConnectionId(4), ConnectionId(3));
    server.rekey(keys, Ids { local, peer }, at(0));
    let end = at(0) + FORMER_KEYS_LIFETIME;
    assert!(server.open(at(4999), &mut first.clone()).is_ok());
    assert_eq!(
        server.open(end, &mut second.clone()),
        Err(OpenError::NotData)
    );
}

#[test]
fn a_lost_ping_is_repeated_soon_however_slow_the_last_answer_was() {
    let (mut client, mut server) = pair();
    client.ping(1);
    let ping = compose(&mut client, at(0)).unwrap();
    deliver(&mut server, at(30_000), ping);
    let pong = compose(&mut server, at(30_000)).unwrap();
    deliver(&mut client, at(30_000), pong);
    let slow = Some(Duration::from_secs(30));
    assert_eq!(client.rtt().smoothed(), slow);

    client.ping(2);
    let _lost = compose(&mut client, at(30_000)).unwrap();
    assert_eq!(client.poll_timeout(), Some(at(32_000)));
    assert_eq!(client.handle_timeout(at(32_000), || 3), Liveness::Alive);
    assert!(compose(&mut client, at(32_000)).is_some());
}

/// The times at which `client`, which hears nothing, sends pings from `now` on, and the time when it gives up.
fn asks(client: &mut Link, mut now: Instant) -> (Vec<u64>, u64) {
    let mut pings = Vec::new();
    loop {
        let millis = now.as_micros() / 1_000;
        if client.handle_timeout(now, || 7) == Liveness::Lost {
            return (pings, millis);
        }
        if compose(client, now).is_some() {
            pings.push(millis);
        }
        now = client.poll_timeout().unwrap();
    }
}

/// Something arrives at `client` from the server.
fn hear(client: &mut Link, server: &mut Link, now: Instant) {
    server.ping(1);
    let datagram = compose(server, now).unwrap();
    deliver(client, now, datagram);
    // The answer, which does not matter here.
    compose(client, now).unwrap();
}

#[test]
fn silence_after_media_is_noticed_soon() {
    let (mut client, mut server) = pair();
    client.handle_rtt(Duration::from_millis(20));
    hear(&mut client, &mut server, at(1_000));
    client.media_received(at(1_000));
    let (pings, lost) = asks(&mut client, at(1_000));
    assert_eq!(pings[..3], [1_500, 1_600, 1_680]);
    assert_eq!((pings.len(), lost), (11, 2_400));
}

#[test]
fn a_slow_or_lossy_path_has_more_time() {
    let noticed = |round_trip, lost_packets| {
        let (mut client, mut server) = pair();
        client.handle_rtt(Duration::from_millis(round_trip));
        for _ in 0..lost_packets {
            server.ping(1);
            compose(&mut server, at(0)).unwrap();
        }
        hear(&mut client, &mut server, at(1_000));
        client.media_received(at(1_000));
        let (pings, lost) = asks(&mut client, at(1_000));
        (pings[1] - pings[0], lost - 1_500)
    };
    assert_eq!(noticed(200, 0), (300, 900));
    assert_eq!(noticed(400, 0), (600, 1_600));
    assert_eq!(noticed(20, 1), (100, 2_700));
    assert_eq!(noticed(3_000, 1), (2_000, 4_000));
}

#[test]
fn an_answer_ends_the_doubt_for_good() {
    let (mut client, mut server) = pair();
    hear(&mut client, &mut server, at(1_000));
    client.media_received(at(1_000));
    client.handle_timeout(at(1_500), || 7);
    let ping = compose(&mut client, at(1_500)).unwrap();
    deliver(&mut server, at(1_510), ping);
    let pong = compose(&mut server, at(1_510)).unwrap();
    deliver(&mut client, at(1_520), pong);
    assert_eq!(client.poll_timeout(), Some(at(1_520) + KEEPALIVE));
}

#[test]
fn who_sends_much_and_hears_nothing_asks_along_with_it() {
    let (mut client, mut server) = pair();
    client.handle_rtt(Duration::from_millis(20));
    hear(&mut client, &mut server, at(1_000));
    let mut asked = Vec::new();
    for millis in (1_020..=1_520).step_by(20) {
        client.media_sent(at(millis), || 7);
        if compose(&mut client, at(millis)).is_some() {
            asked.push(millis);
        }
    }
    assert_eq!(asked, [1_500]);
    let (pings, lost) = asks(&mut client, at(1_520));
    assert_eq!((pings[0], lost), (1_600, 2_400));
}

#[test]
fn who_sends_little_hardly_asks() {
    let (mut client, mut server) = pair();
    let mut asked = 0;
    for millis in (400..=60_000).step_by(400) {
        client.media_sent(at(millis), || 7);
        if client.wants_transmit() {
            asked += 1;
            let ping = compose(&mut client, at(millis)).unwrap();
            deliver(&mut server, at(millis), ping);
            let pong = compose(&mut server, at(millis)).unwrap();
            deliver(&mut client, at(millis), pong);
        }
    }
    assert_eq!(asked, 30, "one in 2 s");
}
