//! Sound and pictures, there and back, and what is counted of them.

use super::*;

#[test]
fn sound_arrives_in_a_slot_with_its_speaker() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    let ssrc = world.nodes[ann].client.published_ssrc(&key("mic"));
    world.speak(ann, 1000);
    let heard = world.node(bob).heard.clone();
    assert!(heard.len() >= 48, "{}", heard.len());
    assert!(
        heard
            .iter()
            .all(|(slot, speaker, _)| *slot == heard[0].0 && *speaker == ssrc)
    );
    assert!(heard.windows(2).all(|two| two[1].2 - two[0].2 == 960));
    assert!(world.node(ann).heard.is_empty());
    assert!(
        world
            .node(bob)
            .has(&Event::SpeakerChanged(Some(pid("ann"))))
    );
    assert!(world.node(bob).has(&Event::MainChanged(Some(pid("ann")))));
    let statistics = world.nodes[bob].client.slot_statistics(heard[0].0).unwrap();
    assert_eq!(statistics.received, heard.len() as u64);
    assert_eq!(statistics.lost, 0);
    assert_eq!(world.nodes[bob].client.slot_statistics(4), None);
}

#[test]
fn sound_needs_a_session_a_stream_and_a_frame() {
    let mut world = World::new();
    let ann = world.client("ann");
    world.client_mut(ann).publish(mic()).unwrap();
    let now = world.now;
    assert_eq!(world.node(ann).speak(now), Err(SendError::NotJoined));
    world.run(ms(100));
    world.client_mut(ann).publish(screen()).unwrap();
    let now = world.now;
    let client = world.client_mut(ann);
    let mut send = |name, payload: &[u8]| client.send_audio(now, &key(name), 0, LEVEL, payload);
    assert_eq!(send("nothing", &OPUS), Err(SendError::UnknownStream));
    assert_eq!(send("screen", &OPUS), Err(SendError::NotPublished));
    assert_eq!(
        send("mic", &[]),
        Err(SendError::Frame(crate::rtp::FrameError::Empty))
    );
    assert!(matches!(
        send("mic", &[0x48; 1200]),
        Err(SendError::TooLong { .. })
    ));
    assert_eq!(send("mic", &OPUS), Ok(()));
    world.run(ms(100));
    let now = world.now;
    let client = world.client_mut(ann);
    let error = client.send_audio(now, &key("screen"), 0, LEVEL, &OPUS);
    assert_eq!(error, Err(SendError::WrongKind));
    let error = client.send_media(now, &key("mic"), 0, false, &OPUS);
    assert_eq!(error, Err(SendError::WrongKind));
    client.set_muted(&key("mic"), true).unwrap();
    assert_eq!(world.node(ann).speak(now), Err(SendError::Muted));
}

#[test]
fn pictures_go_to_who_subscribed_for_as_long_as_they_want() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.client_mut(ann).publish(screen()).unwrap();
    world.run(ms(100));
    let ssrc = world.nodes[ann]
        .client
        .published_ssrc(&key("screen"))
        .unwrap();
    let show = |world: &mut World, picture: u8| {
        let now = world.now;
        let client = world.client_mut(ann);
        client
            .send_media(now, &key("screen"), 0, true, &[picture; 1100])
            .unwrap();
        world.run(ms(50));
    };
    show(&mut world, 1);
    world
        .client_mut(bob)
        .subscribe(&stream("ann", "screen"))
        .unwrap();
    world.run(ms(50));
    show(&mut world, 2);
    show(&mut world, 3);
    world
        .client_mut(bob)
        .unsubscribe(&stream("ann", "screen"))
        .unwrap();
    world.run(ms(50));
    show(&mut world, 4);
    let shown = world.node(bob).media.clone();
    assert_eq!(
        shown,
        [(ssrc, Vec::from([2; 1100])), (ssrc, Vec::from([3; 1100]))]
    );
}

#[test]
fn explicit_subscriptions_are_bounded_and_replaced() {
    let mut world = World::new();
    let ann = world.client("ann");
    let client = world.client_mut(ann);
    for n in 0..8 {
        let who = alloc::format!("p{n}");
        assert_eq!(client.subscribe(&stream(&who, "mic")), Ok(None));
    }
    let full = Err(CommandError::TooManySubscriptions);
    assert_eq!(client.subscribe(&stream("one-more", "mic")), full);
    assert_eq!(client.unsubscribe(&stream("p0", "mic")), Ok(None));
}

#[test]
fn old_sound_is_dropped_before_new() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    let now = world.now;
    for n in 0..100_u32 {
        let client = world.client_mut(ann);
        let payload = [0x48, n as u8, 2, 3];
        client
            .send_audio(now, &key("mic"), n * 960, LEVEL, &payload)
            .unwrap();
    }
    world.run(ms(100));
    let heard = world.node(bob).heard.len();
    let dropped = world.nodes[ann].client.statistics().unsent;
    assert_eq!(heard + dropped as usize, 100);
    assert!((20..80).contains(&dropped), "{dropped}");
    assert!(world.node(ann).has(&Event::PacketsDropped(dropped)));
}

#[test]
fn both_ends_learn_of_loss() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    for n in 0..250 {
        world.node(ann).up = n % 5 != 0;
        world.speak(ann, 20);
    }
    let up = world.nodes[ann].client.statistics();
    let lost = up.uplink_loss.unwrap();
    // Each frame that is down for its 20 ms loses one packet: a fifth.
    assert!((40..64).contains(&lost), "{lost}");
    assert!(up.quality.unwrap() < 80);

    world.node(ann).up = true;
    for n in 0..250 {
        world.node(bob).up = n % 5 != 0;
        world.speak(ann, 20);
    }
    let down = world.nodes[bob].client.statistics();
    assert!((40..64).contains(&down.downlink_loss.unwrap()), "{down:?}");
    let slot = world.node(bob).heard[0].0;
    assert!(world.nodes[bob].client.slot_statistics(slot).unwrap().lost > 40);
    // Ann is no longer losing anything.
    assert_eq!(world.nodes[ann].client.statistics().uplink_loss, Some(0));
}

#[test]
fn silence_is_not_reported_on() {
    let mut world = World::new();
    let ann = world.joined("ann");
    world.speak(ann, 100);
    world.run(secs(5));
    let sent = world.node(ann).sent;
    // Two keepalives.
    world.run(secs(8));
    assert_eq!(world.node(ann).sent, sent + 2);
}

#[test]
fn who_only_listens_still_makes_itself_heard() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.client("bob"));
    world.run(ms(100));
    // Pictures are not reported on, and nothing else is sent.
    world.client_mut(ann).publish(screen()).unwrap();
    world
        .client_mut(bob)
        .subscribe(&stream("ann", "screen"))
        .unwrap();
    world.run(secs(1));
    for _ in 0..60 {
        let now = world.now;
        let client = world.client_mut(ann);
        client
            .send_media(now, &key("screen"), 0, true, &[1; 100])
            .unwrap();
        world.run(secs(1));
    }
    assert_eq!(
        world
            .node(ann)
            .count(|e| matches!(e, Event::ConnectionChanged { .. })),
        0
    );
    assert!(world.client_mut(bob).is_joined());
}
