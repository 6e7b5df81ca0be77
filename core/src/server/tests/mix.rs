//! Mixes at their bounds. Their sound is tested in whole rooms: `tests/tests/scenarios/mix.rs`.

use super::*;

const MIX: SubscribePolicy = SubscribePolicy::Mix;

fn world(mix: MixConfig) -> World {
    World::with(Config {
        mix: Some(mix),
        ..Config::default()
    })
}

fn talker(world: &mut World, name: &str) -> usize {
    world.join(&Hello {
        policy: MIX,
        slots: 1,
        ..Hello::publishing(&alloc::format!("room/{name}"))
    })
}

/// Lets them say 20 ms at a time, as loud as given: bytes that any Opus decoder takes for speech.
fn talk(world: &mut World, talkers: &[(usize, u8)], frames: usize) {
    for _ in 0..frames {
        for (talker, level) in talkers {
            let ssrc = world.peers[*talker].ssrc();
            world.peers[*talker].send_rtp(ssrc, 111, *level, &[0x48; 40]);
        }
        world.advance(ms(20));
    }
}

/// The speakers heard, packet for packet.
fn heard(world: &mut World, listener: usize) -> Vec<Vec<u32>> {
    let packets = core::mem::take(&mut world.peers[listener].media);
    let csrcs = |bytes: &Vec<u8>| RtpPacket::parse(bytes).unwrap().csrcs().collect();
    packets.iter().map(csrcs).collect()
}

#[test]
fn the_loudest_are_mixed_and_no_more_than_allowed() {
    let mut world = world(MixConfig {
        talkers: 2,
        ..MixConfig::default()
    });
    let talkers: Vec<usize> = ["anna", "ben", "cleo"]
        .iter()
        .map(|name| talker(&mut world, name))
        .collect();
    let dan = talker(&mut world, "dan");
    let levels = [(talkers[0], 60), (talkers[1], 15), (talkers[2], 20)];
    talk(&mut world, &levels, 60);
    world.peers[dan].media.clear();
    talk(&mut world, &levels, 20);
    let ssrcs: Vec<u32> = talkers
        .iter()
        .map(|index| world.peers[*index].ssrc())
        .collect();
    for mut csrcs in heard(&mut world, dan) {
        csrcs.sort_unstable();
        assert_eq!(csrcs, ssrcs[1..]);
    }
    let accounting = world.server.accounting();
    assert_eq!((accounting.mixes, accounting.mix_decoders), (1, 2));
    assert!(world.server.statistics().media_outranked > 0);
}

#[test]
fn who_would_need_one_more_encoder_hears_nothing_and_that_is_counted() {
    let mut world = world(MixConfig {
        encoders: 1,
        ..MixConfig::default()
    });
    let dan = talker(&mut world, "dan");
    let anna = talker(&mut world, "anna");
    let ben = talker(&mut world, "ben");
    talk(&mut world, &[(anna, 30), (ben, 30)], 50);
    assert!(heard(&mut world, dan).len() > 40);
    assert!(heard(&mut world, anna).is_empty() && heard(&mut world, ben).is_empty());
    assert!(world.server.statistics().mix_overflowed > 80);
    assert_eq!(world.server.accounting().mix_encoders, 1);
}

#[test]
fn a_server_that_was_late_leaves_out_what_it_missed() {
    let mut world = world(MixConfig::default());
    let anna = talker(&mut world, "anna");
    let dan = talker(&mut world, "dan");
    talk(&mut world, &[(anna, 30)], 50);
    let before = world.server.statistics().mix_encoded;
    world.peers[dan].take_media();
    // Busy elsewhere for ten seconds.
    world.now += ms(10_000);
    talk(&mut world, &[(anna, 30)], 50);
    let made = world.server.statistics().mix_encoded - before;
    assert!((30..=62).contains(&made), "{made} packets for a second");
    let media = world.peers[dan].take_media();
    for pair in media.windows(2) {
        assert_eq!(pair[1].2, pair[0].2.wrapping_add(1), "a gap in the numbers");
    }
}

#[test]
fn an_idle_mix_holds_no_timer_and_an_ended_one_no_memory() {
    let mut world = world(MixConfig::default());
    let anna = talker(&mut world, "anna");
    let dan = talker(&mut world, "dan");
    let timers = world.server.accounting().timers;
    talk(&mut world, &[(anna, 30)], 20);
    assert!(world.server.accounting().timers > timers);
    world.advance(ms(3_000));
    let idle = world.server.accounting();
    assert_eq!(
        (idle.timers, idle.mixes, idle.media_buffers),
        (timers, 1, 0)
    );
    assert!(idle.mix_bytes > 0);
    for listener in [anna, dan] {
        let all = Operation::SetSubscribePolicy(SubscribePolicy::All);
        assert_eq!(world.ask(listener, all), Ok(Outcome::Done));
    }
    let ended = world.server.accounting();
    assert_eq!((ended.mixes, ended.mix_bytes), (0, 0));
    // The mixed stream is forwarded now, in the same flow.
    let mixed = world.peers[dan].take_media();
    talk(&mut world, &[(anna, 30)], 5);
    let forwarded = world.peers[dan].take_media();
    assert_eq!(forwarded.len(), 5);
    let next = mixed.last().unwrap().2.wrapping_add(1);
    assert_eq!((forwarded[0].0, forwarded[0].2), (mixed[0].0, next));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    #[test]
    fn whatever_talkers_send_is_survived(
        payloads in proptest::collection::vec(
            proptest::collection::vec(proptest::prelude::any::<u8>(), 1..200),
            1..40,
        ),
    ) {
        let mut world = world(MixConfig::default());
        let anna = talker(&mut world, "anna");
        let dan = talker(&mut world, "dan");
        let ssrc = world.peers[anna].ssrc();
        for payload in &payloads {
            world.peers[anna].send_rtp(ssrc, 111, 30, payload);
            world.advance(ms(20));
        }
        talk(&mut world, &[(anna, 30)], 50);
        proptest::prop_assert!(heard(&mut world, dan).len() > 20);
    }
}
