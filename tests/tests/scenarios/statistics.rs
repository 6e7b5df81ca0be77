//! How well one is connected: both ends measure it, and they agree with the network.

use parlour_core::room::RoomId;
use parlour_tests::{LinkConfig, Options, World};

use crate::{id, ms, s};

#[test]
fn both_ends_know_loss_and_round_trip() {
    let mut world = World::new("both_ends_know_loss_and_round_trip");
    let lossy = LinkConfig {
        loss: 20,
        ..LinkConfig::with_rtt(ms(120))
    };
    let alice = world.joined("alice", Options::small().publishing("mic").over(lossy));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    // The same without loss, for comparison.
    let good = || Options::small().publishing("mic").in_room("blue");
    let carol = world.joined("carol", good().over(LinkConfig::with_rtt(ms(40))));
    let dave = world.joined("dave", good());
    for talker in [alice, bob, carol, dave] {
        world.talk(talker, "mic", s(30));
    }
    // Mid-talk: what the latest interval showed.
    world.run_for(s(25));

    let percent = |share: u8| u32::from(share) * 100 / 256;
    let of_alice = world.device(alice).statistics();
    let of_bob = world.device(bob).statistics();
    let of_carol = world.device(carol).statistics();
    let rtt = of_alice.rtt.expect("measured");
    assert!(rtt >= ms(119) && rtt <= ms(140), "{rtt:?}");
    let lost = |share: Option<u8>| percent(share.expect("reported"));
    assert!(
        (8..=35).contains(&lost(of_alice.uplink_loss)),
        "{of_alice:?}"
    );
    assert!(
        (8..=35).contains(&lost(of_alice.downlink_loss)),
        "{of_alice:?}"
    );
    assert_eq!(lost(of_bob.uplink_loss), 0, "{of_bob:?}");
    assert_eq!(lost(of_carol.uplink_loss), 0, "{of_carol:?}");
    assert_eq!(lost(of_carol.downlink_loss), 0, "{of_carol:?}");
    let (hers, carols) = (of_alice.quality.unwrap(), of_carol.quality.unwrap());
    assert!(hers + 20 <= carols && carols >= 90, "{hers} and {carols}");

    let statistics = |world: &mut World, room: &str, name: &str| {
        let room = RoomId::new(room).unwrap();
        let statistics = world.server().participant_statistics(&room, &id(name));
        statistics.expect("present")
    };
    let of_alice = statistics(&mut world, "green", "alice");
    let of_bob = statistics(&mut world, "green", "bob");
    let of_carol = statistics(&mut world, "blue", "carol");
    assert!(
        (8..=35).contains(&percent(of_alice.uplink_loss)),
        "{of_alice:?}"
    );
    assert!(
        (8..=35).contains(&percent(of_alice.downlink_loss)),
        "{of_alice:?}"
    );
    // Alice's loss is not his.
    assert_eq!(
        (of_bob.uplink_loss, of_bob.downlink_loss),
        (0, 0),
        "{of_bob:?}"
    );
    assert!(of_bob.quality >= 90, "{of_bob:?}");
    assert_eq!(
        (of_carol.uplink_loss, of_carol.downlink_loss),
        (0, 0),
        "{of_carol:?}"
    );
    assert!(
        of_alice.quality + 20 <= of_carol.quality,
        "{of_alice:?} {of_carol:?}"
    );
    let rtt = of_alice.round_trip.expect("measured");
    assert!(rtt >= ms(119) && rtt <= ms(140), "{rtt:?}");
    assert!(
        (900..=1_100).contains(&of_alice.media_received),
        "{of_alice:?}"
    );
}

#[test]
fn the_active_speaker_is_who_speaks() {
    let mut world = World::new("the_active_speaker_is_who_speaks");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::small().publishing("mic"));
    let carol = world.joined("carol", Options::small());
    for (talker, name) in [(alice, "alice"), (bob, "bob"), (alice, "alice")] {
        world.talk(talker, "mic", s(3));
        world.run_for(s(2));
        for listener in [alice, bob, carol] {
            assert_eq!(world.facts(listener).speaker, Some(id(name)));
            assert_eq!(world.device(listener).main_participant(), Some(&id(name)));
        }
        let told = parlour_core::client::Event::SpeakerChanged(Some(id(name)));
        assert!(world.saw(carol, |event| *event == told));
        world.forget(carol);
        world.run_for(s(1));
    }
    world.run_for(s(5));
    assert_eq!(world.facts(carol).speaker, None, "nobody speaks any more");
}

#[test]
fn what_a_talker_loses_on_its_way_up_is_not_the_listeners_loss() {
    let mut world = World::new("what_a_talker_loses_on_its_way_up_is_not_the_listeners_loss");
    let lossy = LinkConfig {
        loss: 20,
        ..LinkConfig::GOOD
    };
    let alice = world.joined("alice", Options::small().publishing("mic").over(lossy));
    let bob = world.joined("bob", Options::small());
    world.talk(alice, "mic", s(20));
    world.run_for(s(15));
    let of_bob = world.device(bob).statistics();
    assert_eq!(of_bob.downlink_loss, Some(0), "{of_bob:?}");
    assert!(of_bob.quality >= Some(90), "{of_bob:?}");
    // Of the sound it is lost all the same.
    let slot = world.heard(bob)[0].slot;
    let slot = world.device(bob).slot_statistics(slot).unwrap();
    assert!(slot.lost > 100, "{slot:?}");
}
