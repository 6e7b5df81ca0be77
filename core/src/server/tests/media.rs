use super::*;
use crate::rtp::{PictureTag, ReceptionStats, RtcpCompound, write_report};
use crate::server::Gather;

/// The streams that were heard, each once, in order.
fn heard(world: &mut World, index: usize) -> Vec<u32> {
    let mut heard: Vec<u32> = Vec::new();
    for (_, csrc, ..) in world.peers[index].take_media() {
        let csrc = csrc.unwrap();
        if !heard.contains(&csrc) {
            heard.push(csrc);
        }
    }
    heard.sort_unstable();
    heard
}

#[test]
fn one_hears_the_other_in_a_slot_and_not_oneself() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::publishing("room/ben"));
    world.talk(ms(100), &[(anna, 30)]);
    let media = world.peers[ben].take_media();
    assert_eq!(media.len(), 5);
    let first = media[0];
    for (n, packet) in media.iter().enumerate() {
        assert_eq!(packet.0, world.peers[ben].joined().slot_ssrc);
        assert_eq!(packet.1, Some(world.peers[anna].ssrc()));
        assert_eq!(packet.2, first.2.wrapping_add(n as u16));
        assert_eq!(packet.3, first.3.wrapping_add(n as u32 * 960));
    }
    assert_eq!(world.peers[anna].take_media(), []);
}

#[test]
fn a_packet_keeps_its_payload_and_level() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    let ssrc = world.peers[anna].ssrc();
    world.peers[anna].send_rtp(ssrc, 111, 33, b"a payload");
    world.run();
    let packet = RtpPacket::parse(&world.peers[ben].media[0]).unwrap();
    assert_eq!(packet.payload(), b"a payload");
    assert_eq!(
        packet.audio_level(),
        Some(AudioLevel {
            voice: true,
            level: 33
        })
    );
    assert_eq!((packet.payload_type(), packet.marker()), (111, true));
}

#[test]
fn three_talkers_are_one_datagram() {
    let mut world = World::new();
    let talkers =
        ["a", "b", "c"].map(|name| world.join(&Hello::publishing(&alloc::format!("room/{name}"))));
    let listener = world.join(&Hello::new("room/listener/listener"));
    world.advance(ms(1_000));
    world.peers[listener].take_media();
    for talker in talkers {
        world.peers[talker].speak(30);
    }
    let mut received = Vec::new();
    for talker in talkers {
        received.push((world.peers[talker].path, world.compose(talker).unwrap()));
    }
    for (from, mut bytes) in received {
        world.deliver(from, &mut bytes).unwrap();
    }
    world.serve();
    let to_listener = world.peers[listener].path;
    let batch = &world.last_batch;
    assert_eq!(batch.iter().filter(|(to, _)| *to == to_listener).count(), 1);
    assert_eq!(world.peers[listener].take_media().len(), 3);
}

#[test]
fn only_what_was_announced_is_forwarded() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::publishing("room/ben"));
    let (own, other) = (world.peers[anna].ssrc(), world.peers[ben].ssrc());
    world.peers[anna].send_rtp(other, 111, 30, b"x");
    world.peers[anna].send_rtp(own, 0, 30, b"x");
    world.peers[anna].send_rtp(0, 111, 30, b"x");
    world.peers[anna].outbox.push((true, Vec::from(b"not RTP")));
    world.run();
    // With the header of its slot it would not fit into any datagram.
    world.peers[anna].send_rtp(own, 111, 30, &[0; 1_150]);
    world.run();
    assert_eq!(world.peers[ben].take_media(), []);
    assert_eq!(world.server.statistics().media_overflowed, 1);
    world.peers[anna].send_rtp(own, 111, 30, &[0; 1_140]);
    world.run();
    assert_eq!(world.peers[ben].take_media().len(), 1);
    assert_eq!(world.server.statistics().media_rejected, 4);
    let set = Operation::SetMuted {
        key: mic().key,
        muted: true,
    };
    world.ask(anna, set).unwrap();
    world.talk(ms(60), &[(anna, 30)]);
    assert_eq!(world.peers[ben].take_media(), []);
    assert_eq!(world.server.statistics().media_rejected, 7);
}

#[test]
fn a_device_with_two_slots_hears_the_two_loudest() {
    let mut world = World::new();
    let talkers = ["a", "b", "c", "d"]
        .map(|name| world.join(&Hello::publishing(&alloc::format!("room/{name}"))));
    let device = world.join(&Hello {
        slots: 2,
        ..Hello::new("room/device")
    });
    let levels = [50, 20, 50, 22];
    let speakers: Vec<(usize, u8)> = talkers.into_iter().zip(levels).collect();
    world.talk(ms(1_500), &speakers);
    world.peers[device].take_media();
    world.talk(ms(200), &speakers);
    let mut loudest = [
        world.peers[talkers[1]].ssrc(),
        world.peers[talkers[3]].ssrc(),
    ];
    loudest.sort_unstable();
    assert_eq!(heard(&mut world, device), loudest);
    assert!(world.server.statistics().media_outranked > 0);

    // A pinned stream keeps its slot against louder ones.
    let pinned = world.peers[talkers[2]].ssrc();
    world
        .ask(device, Operation::Pin(Some(stream("c", "mic"))))
        .unwrap();
    world.talk(ms(1_000), &speakers);
    world.peers[device].take_media();
    world.talk(ms(200), &speakers);
    assert!(heard(&mut world, device).contains(&pinned));
    // Nor does it lose it to silence.
    world.talk(ms(500), &[speakers[0], speakers[1], speakers[3]]);
    world.peers[device].take_media();
    world.talk(ms(40), &speakers);
    assert!(heard(&mut world, device).contains(&pinned));
}

#[test]
fn subscriptions_say_who_is_heard() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let carl = world.join(&Hello::publishing("room/carl"));
    let ben = world.join(&Hello {
        policy: SubscribePolicy::None,
        ..Hello::new("room/ben")
    });
    let both = [(anna, 30), (carl, 30)];
    let ssrcs = [world.peers[anna].ssrc(), world.peers[carl].ssrc()];
    world.talk(ms(100), &both);
    assert_eq!(heard(&mut world, ben), []);
    world
        .ask(ben, Operation::Subscribe(stream("carl", "mic")))
        .unwrap();
    world.talk(ms(100), &both);
    assert_eq!(heard(&mut world, ben), [ssrcs[1]]);
    let all = Operation::SetSubscribePolicy(SubscribePolicy::All);
    world.ask(ben, all).unwrap();
    world
        .ask(ben, Operation::Unsubscribe(stream("carl", "mic")))
        .unwrap();
    world.talk(ms(100), &both);
    assert_eq!(heard(&mut world, ben), [ssrcs[0]]);
    for (stream, refusal) in [
        (stream("zoe", "mic"), Refusal::UnknownParticipant),
        (stream("anna", "cam"), Refusal::UnknownStream),
    ] {
        let subscribed = world.ask(ben, Operation::Subscribe(stream.clone()));
        assert_eq!(subscribed, Err(refusal));
        assert_eq!(world.ask(ben, Operation::Pin(Some(stream))), Err(refusal));
    }
    let mix = Operation::SetSubscribePolicy(SubscribePolicy::Mix);
    assert_eq!(world.ask(ben, mix), Err(Refusal::MixUnavailable));
}

#[test]
fn a_wish_follows_a_stream_that_is_published_again() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello {
        policy: SubscribePolicy::None,
        slots: 1,
        ..Hello::new("room/ben")
    });
    world
        .ask(ben, Operation::Subscribe(stream("anna", "mic")))
        .unwrap();
    world
        .ask(ben, Operation::Pin(Some(stream("anna", "mic"))))
        .unwrap();
    world
        .ask(anna, Operation::Unpublish { key: mic().key })
        .unwrap();
    let Ok(Outcome::Published { ssrc }) = world.ask(anna, Operation::Publish(mic())) else {
        panic!()
    };
    world.peers[anna].send_rtp(ssrc, 111, 30, b"x");
    world.run();
    assert_eq!(heard(&mut world, ben), [ssrc]);
}

#[test]
fn video_goes_unchanged_to_those_who_asked() {
    let mut world = World::new();
    let hello = Hello {
        publish: Vec::from([camera()]),
        ..Hello::new("room/anna")
    };
    let anna = world.join(&hello);
    let ben = world.join(&Hello::new("room/ben"));
    let carl = world.join(&Hello::new("room/carl"));
    world
        .ask(ben, Operation::Subscribe(stream("anna", "cam")))
        .unwrap();
    let ssrc = world.peers[anna].ssrc();
    let sequence = world.peers[anna].sequence;
    world.peers[anna].send_rtp(ssrc, 96, 127, &[9; 1_000]);
    world.run();
    let timestamp = u32::from(sequence) * 960;
    assert_eq!(
        world.peers[ben].take_media(),
        [(ssrc, None, sequence, timestamp)]
    );
    assert_eq!(world.peers[carl].take_media(), []);
}

#[test]
fn a_packet_of_video_keeps_the_tag_of_its_picture() {
    let mut world = World::new();
    let hello = Hello {
        publish: Vec::from([camera()]),
        ..Hello::new("room/anna")
    };
    let anna = world.join(&hello);
    let ben = world.join(&Hello::new("room/ben"));
    world
        .ask(ben, Operation::Subscribe(stream("anna", "cam")))
        .unwrap();
    let header = RtpHeader {
        marker: true,
        payload_type: 96,
        sequence: 7,
        timestamp: 90_000,
        ssrc: world.peers[anna].ssrc(),
        csrcs: &[],
        audio_level: None,
    };
    let tag = PictureTag::from_bytes([0xF4, 1, 2]);
    let mut bytes = [0; 100];
    let len = header.write_picture(tag, b"picture", &mut bytes).unwrap();
    world.peers[anna].outbox.push((true, bytes[..len].to_vec()));
    world.run();
    assert_eq!(world.peers[ben].media, [bytes[..len].to_vec()]);
}

#[test]
fn who_talks_is_the_active_speaker_until_silent() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::publishing("room/ben"));
    world.talk(ms(500), &[(anna, 30)]);
    let speaker = |world: &World| world.peers[ben].replica.active_speaker().cloned();
    assert_eq!(speaker(&world), Some(pid("anna")));
    world.talk(ms(1_500), &[(ben, 30)]);
    assert_eq!(speaker(&world), Some(pid("ben")));
    // Nobody sends anything: time alone ends it.
    world.advance(ms(4_000));
    assert_eq!(speaker(&world), None);
    let changes = world.events.iter().filter_map(|event| match event {
        Event::SpeakerChanged { participant, .. } => Some(participant.clone()),
        _ => None,
    });
    let expected = [Some(pid("anna")), Some(pid("ben")), None];
    assert_eq!(changes.collect::<Vec<_>>(), expected);
    // Nor is a mute one it.
    world.talk(ms(500), &[(anna, 30)]);
    let set = Operation::SetMuted {
        key: mic().key,
        muted: true,
    };
    world.ask(anna, set).unwrap();
    assert_eq!(speaker(&world), None);
}

#[test]
fn reports_tell_what_arrives() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    for n in 0..110 {
        world.peers[anna].speak(30);
        if n % 4 == 3 {
            world.peers[anna].outbox.clear();
        }
        world.advance(ms(20));
    }
    let report = world.peers[anna]
        .reports
        .first()
        .expect("no report")
        .clone();
    let report = RtcpCompound::parse(&report).unwrap().next().unwrap();
    let block = report.blocks().next().unwrap();
    assert_eq!(block.ssrc, world.peers[anna].ssrc());
    assert!((60..=66).contains(&block.fraction_lost), "{block:?}");

    // And Ben reports the packets that arrive: every second of those that reached the server.
    let mut reception = ReceptionStats::new(world.peers[ben].joined().slot_ssrc, 48_000);
    for (_, _, sequence, timestamp) in world.peers[ben].take_media().iter().step_by(2) {
        reception.handle_packet(world.now, *sequence, *timestamp);
    }
    let heard = reception.report_block(world.now).unwrap();
    assert!(heard.fraction_lost > 140, "with what Anna lost");
    let mut bytes = [0; 100];
    let len = write_report(1, None, &[heard], &mut bytes).unwrap();
    let now = world.now;
    let mut out = [0; 1200];
    let link = world.peers[ben].link.as_mut().unwrap();
    let len = link
        .compose(now, &mut out, |writer| {
            writer.push(&Frame::Report(&bytes[..len])).unwrap()
        })
        .unwrap()
        .unwrap();
    let from = world.peers[ben].path;
    world.deliver(from, &mut out[..len]).unwrap();
    let room = room_id("room");
    let anna = world
        .server
        .participant_statistics(&room, &pid("anna"))
        .unwrap();
    let ben = world
        .server
        .participant_statistics(&room, &pid("ben"))
        .unwrap();
    assert_eq!(anna.uplink_loss, block.fraction_lost);
    assert!((120..=130).contains(&ben.downlink_loss), "{ben:?}");
    assert!(anna.quality < 100 && ben.quality < anna.quality);
    assert!(anna.media_received > 0 && ben.media_sent > 0);
    // A participant that sends nothing gets no reports, and no timer runs for it.
    world.advance(ms(3_000));
    let count = world.peers[0].reports.len();
    world.advance(ms(10_000));
    assert_eq!(world.peers[0].reports.len(), count);
}

#[test]
fn who_is_silent_gets_no_media_and_frees_its_slots() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    world.dead.push(world.peers[ben].path);
    world.talk(ms(16_000), &[(anna, 30)]);
    let sent = world.sent[&world.peers[ben].path];
    world.talk(ms(1_000), &[(anna, 30)]);
    assert_eq!(world.sent[&world.peers[ben].path], sent);
    assert_eq!(world.server.accounting().queued_media, 0);
    assert_eq!(world.server.accounting().media_buffers, 0);
}

#[test]
fn nothing_piles_up_for_an_address_that_does_not_answer() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    // Packets that wait for Ben are not for the peer at his next address.
    for _ in 0..20 {
        world.peers[anna].speak(30);
        let from = world.peers[anna].path;
        let mut bytes = world.compose(anna).unwrap();
        world.deliver(from, &mut bytes).unwrap();
    }
    assert_eq!(world.server.accounting().queued_media, 20);
    let elsewhere = World::path(60);
    world.dead.push(elsewhere);
    world.peers[ben].link.as_mut().unwrap().ping(1);
    let mut bytes = world.compose(ben).unwrap();
    let now = world.now;
    world
        .server
        .handle_datagram(now, elsewhere, &mut bytes)
        .unwrap();
    assert_eq!(world.server.accounting().queued_media, 0);
    for _ in 0..100 {
        world.peers[anna].speak(30);
        world.run();
    }
    let waiting = world.server.accounting().queued_media;
    assert!((1..=4).contains(&waiting), "{waiting}");
}

#[test]
fn that_the_speaker_is_gone_is_an_event() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    world.join(&Hello::publishing("room/ben"));
    world.talk(ms(500), &[(anna, 30)]);
    world.ask(anna, Operation::Leave).unwrap();
    let changes = world.events.iter().filter_map(|event| match event {
        Event::SpeakerChanged { participant, .. } => Some(participant.clone()),
        _ => None,
    });
    assert_eq!(changes.collect::<Vec<_>>(), [Some(pid("anna")), None]);
}

/// Three talkers speak, a millisecond apart; how many datagrams with their frames went to the listener, and when.
fn datagrams(world: &mut World, talkers: [usize; 3], listener: usize) -> Vec<(u64, usize)> {
    let start = world.now;
    let mut datagrams = Vec::new();
    for step in 0..12 {
        if let Some(talker) = talkers.get(step) {
            world.peers[*talker].speak(30);
            let mut bytes = world.compose(*talker).unwrap();
            let from = world.peers[*talker].path;
            world.deliver(from, &mut bytes).unwrap();
        }
        world.server.handle_timeout(world.now);
        world.serve();
        let heard = world.peers[listener].take_media().len();
        if heard > 0 {
            let after = world.now.saturating_duration_since(start);
            datagrams.push((after.as_millis() as u64, heard));
        }
        world.now += ms(1);
    }
    world.run();
    datagrams
}

#[test]
fn frames_wait_for_each_other_as_long_as_the_load_or_the_room_asks() {
    let mut world = World::new();
    let talkers =
        ["a", "b", "c"].map(|name| world.join(&Hello::publishing(&alloc::format!("room/{name}"))));
    let listener = world.join(&Hello::new("room/listener/listener"));
    world.advance(ms(1_000));
    world.peers[listener].take_media();
    let at_once = [(0, 1), (1, 1), (2, 1)];
    assert_eq!(datagrams(&mut world, talkers, listener), at_once);

    world.server.set_load(70);
    let together = [(3, 3)];
    assert_eq!(datagrams(&mut world, talkers, listener), together);
    world.server.set_load(100);
    assert_eq!(datagrams(&mut world, talkers, listener), [(5, 3)]);

    let room = room_id("room");
    world
        .server
        .set_gather(&room, Some(Gather::Always(Duration::ZERO)))
        .unwrap();
    assert_eq!(datagrams(&mut world, talkers, listener), at_once);
    world
        .server
        .set_gather(&room, Some(Gather::Always(ms(1))))
        .unwrap();
    assert_eq!(datagrams(&mut world, talkers, listener), [(1, 2), (3, 1)]);
    let nowhere = world.server.set_gather(&room_id("nowhere"), None);
    assert_eq!(nowhere, Err(ModerateError::UnknownRoom));
}

#[test]
fn signalling_takes_along_what_waits_and_nothing_is_left_of_it() {
    let mut world = World::with(Config {
        gather: Gather::Always(ms(5)),
        ..Config::default()
    });
    let talker = world.join(&Hello::publishing("room/a"));
    let listener = world.join(&Hello::new("room/listener/listener"));
    world.advance(ms(1_000));
    world.peers[listener].take_media();
    world.peers[talker].speak(30);
    let mut bytes = world.compose(talker).unwrap();
    let from = world.peers[talker].path;
    world.deliver(from, &mut bytes).unwrap();
    let timers = world.server.accounting().timers;
    world.serve();
    assert_eq!(world.peers[listener].take_media(), []);
    let (room, sender, topic) = (room_id("room"), pid("app"), Topic::new("").unwrap());
    let everybody = Recipients::All;
    let sent = (world.server).send(world.now, &room, &sender, &everybody, &topic, b"hello");
    assert_eq!(sent, Ok(2));
    world.serve();
    assert_eq!(world.peers[listener].take_media().len(), 1);
    world.now += ms(5);
    world.server.handle_timeout(world.now);
    assert_eq!(world.server.accounting().timers, timers - 1);
    world.serve();
    assert_eq!(world.peers[listener].take_media(), []);
}

#[test]
fn what_waits_of_a_stream_is_not_sent_once_it_is_not_wanted() {
    let unsubscribe = || Operation::Unsubscribe(stream("anna", "mic"));
    let none = || Operation::SetSubscribePolicy(SubscribePolicy::None);
    for change in [unsubscribe(), none()] {
        let mut world = World::new();
        let anna = world.join(&Hello::publishing("room/anna"));
        let carl = world.join(&Hello::publishing("room/carl"));
        let ben = world.join(&Hello::new("room/ben"));
        let expected = match change {
            Operation::Unsubscribe(_) => 1,
            _ => 0,
        };
        // In one batch with the earlier packets, none of which has been sent.
        for talker in [anna, carl] {
            world.peers[talker].speak(30);
        }
        world.peers[ben].request(change);
        for peer in [anna, carl, ben] {
            let mut bytes = world.compose(peer).unwrap();
            let from = world.peers[peer].path;
            world.deliver(from, &mut bytes).unwrap();
        }
        world.run();
        let carls = world.peers[carl].ssrc();
        let media = world.peers[ben].take_media();
        assert_eq!(media.len(), expected, "{media:?}");
        assert!(media.iter().all(|packet| packet.1 == Some(carls)));
        assert_eq!(world.server.accounting().media_buffers, 0);
    }
}

#[test]
fn what_waits_of_the_censored_is_not_sent() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    world.peers[anna].speak(30);
    let mut bytes = world.compose(anna).unwrap();
    let from = world.peers[anna].path;
    world.deliver(from, &mut bytes).unwrap();
    world.moderate(Act::Censor, &pid("anna").into());
    world.run();
    assert_eq!(world.peers[ben].take_media(), []);
}

#[test]
fn what_was_held_back_is_not_heard_as_new_once_another_had_the_slot() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::publishing("room/ben"));
    let device = world.join(&Hello {
        slots: 1,
        ..Hello::new("room/device")
    });
    world.peers[anna].speak(30);
    let mut held = world.compose(anna).unwrap();
    for talker in [anna, ben] {
        world.talk(ms(60), &[(talker, 30)]);
        world.advance(ms(1_000));
        assert_eq!(heard(&mut world, device), [world.peers[talker].ssrc()]);
    }
    let from = world.peers[anna].path;
    world.deliver(from, &mut held).unwrap();
    world.run();
    assert_eq!(world.peers[device].take_media(), []);
    world.talk(ms(20), &[(anna, 30)]);
    assert_eq!(heard(&mut world, device), [world.peers[anna].ssrc()]);
}
