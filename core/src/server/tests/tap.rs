use alloc::boxed::Box;

use super::*;

/// The sequence numbers that were tapped since the last call, and whose; ends are told as `None`.
fn tapped(world: &mut World) -> Vec<(String, Option<u16>)> {
    let mut all = Vec::new();
    while let Some(tapped) = world.server.poll_tapped() {
        all.push(match tapped {
            Tapped::Packet {
                stream, sequence, ..
            } => (stream.participant.to_string(), Some(sequence)),
            Tapped::Ended(stream) => (stream.participant.to_string(), None),
        });
    }
    all
}

fn tap(world: &mut World) -> SessionId {
    world.server.set_tapped(&room_id("room"), true).unwrap()
}

#[test]
fn a_tap_opened_late_gets_what_comes_from_then_on() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    world.talk(ms(100), &[(anna, 30)]);
    assert_eq!(world.server.poll_tapped(), None);
    let session = tap(&mut world);
    // Nobody else is there to hear it.
    let (ssrc, sequence) = (world.peers[anna].ssrc(), world.peers[anna].sequence);
    world.peers[anna].send_rtp(ssrc, 111, 33, b"a payload");
    world.run();
    let stream = TappedStream {
        session,
        participant: pid("anna"),
        key: mic().key,
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        ssrc,
    };
    let expected = Tapped::Packet {
        stream,
        received: world.now,
        sequence,
        timestamp: u32::from(sequence) * 960,
        marker: false,
        level: Some(AudioLevel {
            voice: true,
            level: 33,
        }),
        payload: Box::from(*b"a payload"),
    };
    assert_eq!(world.server.poll_tapped(), Some(expected));
    assert_eq!(world.server.poll_tapped(), None);
}

#[test]
fn what_nobody_may_hear_is_not_tapped() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::publishing("room/ben"));
    tap(&mut world);
    let both = [(anna, 30), (ben, 30)];
    let of = |tapped: Vec<(String, Option<u16>)>, who: &str| {
        let packets = tapped.into_iter();
        packets.filter(|(whose, _)| whose == who).count()
    };
    world.talk(ms(100), &both);
    let all = tapped(&mut world);
    assert_eq!((of(all.clone(), "anna"), of(all, "ben")), (5, 5));

    world.moderate(Act::Censor, &pid("anna").into());
    world.talk(ms(100), &both);
    let all = tapped(&mut world);
    assert_eq!((of(all.clone(), "anna"), of(all, "ben")), (0, 5));
    let set = |muted| Operation::SetMuted {
        key: mic().key,
        muted,
    };
    world.ask(ben, set(true)).unwrap();
    world.talk(ms(100), &both);
    assert_eq!(tapped(&mut world), []);

    world.moderate(Act::Uncensor, &pid("anna").into());
    world.ask(ben, set(false)).unwrap();
    world.talk(ms(100), &both);
    let all = tapped(&mut world);
    assert_eq!((of(all.clone(), "anna"), of(all, "ben")), (5, 5));
    // Nor is what is no stream's.
    world.peers[anna].send_rtp(7, 111, 30, b"x");
    world.run();
    assert_eq!(tapped(&mut world), []);
}

#[test]
fn a_stream_that_ends_is_told_after_its_last_packet_and_before_the_next_of_its_name() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    world.join(&Hello::publishing("room/ben"));
    tap(&mut world);
    let first = world.peers[anna].ssrc();
    world.peers[anna].speak(30);
    world.run();
    world
        .ask(anna, Operation::Unpublish { key: mic().key })
        .unwrap();
    let Ok(Outcome::Published { ssrc: second }) = world.ask(anna, Operation::Publish(mic())) else {
        panic!("not published again");
    };
    world.peers[anna].send_rtp(second, 111, 30, b"x");
    world.run();
    world.moderate(Act::Kick { keep_out: true }, &pid("anna").into());
    let mut told = Vec::new();
    while let Some(tapped) = world.server.poll_tapped() {
        told.push(match tapped {
            Tapped::Packet { stream, .. } => (stream.ssrc, false),
            Tapped::Ended(stream) => (stream.ssrc, true),
        });
    }
    let expected = [
        (first, false),
        (first, true),
        (second, false),
        (second, true),
    ];
    assert_eq!(told, expected);
    // With its session a tap is over, and the next one has none.
    let (room, now) = (room_id("room"), world.now);
    world.server.end_session(now, &room).unwrap();
    world.run();
    assert_eq!(world.server.poll_tapped(), None);
    let unknown = world.server.set_tapped(&room, true);
    assert_eq!(unknown, Err(ModerateError::UnknownRoom));
    let carl = world.join(&Hello::publishing("room/carl"));
    world.talk(ms(100), &[(carl, 30)]);
    assert_eq!(world.server.poll_tapped(), None);
}

#[test]
fn what_is_not_polled_is_bounded_and_counted() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    tap(&mut world);
    world.talk(ms(100_000), &[(anna, 30)]);
    assert_eq!(world.server.tapped_missed(), 5_000 - 4_096);
    assert_eq!(tapped(&mut world).len(), 4_096);
    // Others would have heard it all the same.
    assert_eq!(world.server.statistics().media_received, 5_000);
    world.server.set_tapped(&room_id("room"), false).unwrap();
    world.talk(ms(100), &[(anna, 30)]);
    assert_eq!(tapped(&mut world), []);
}
