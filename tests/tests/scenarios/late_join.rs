//! A late joiner knows all that there is, and hears it.

use parlour_core::client::Commands as _;
use parlour_core::signal::Moderation;
use parlour_tests::{Options, World, microphone, screen};

use crate::{id, key, only, s};

#[test]
fn a_late_joiner_knows_and_hears_what_there_is() {
    let mut world = World::new("a_late_joiner_knows_and_hears_what_there_is");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let options = Options {
        publish: vec![microphone("mic"), screen("screen")],
        ..Options::moderator()
    };
    let bob = world.joined("bob", options);
    let carol = world.joined("carol", Options::default().publishing("mic"));
    world
        .ask(alice, |device| device.publish(microphone("music")))
        .unwrap();
    world
        .ask(alice, |device| device.set_muted(&key("music"), true))
        .unwrap();
    world
        .ask(bob, |device| {
            device.moderate(Moderation::Censor, &only(&["carol"]))
        })
        .unwrap();
    world.ask(bob, |device| device.request_floor()).unwrap();
    world.talk(alice, "mic", s(20));
    world.run_for(s(5));

    let late = [
        world.joined("dave", Options::default()),
        world.joined("erin", Options::small()),
    ];
    world.run_until_agreed(&late, s(2));
    for handle in late {
        let facts = world.facts(handle);
        assert_eq!(facts.count, 5);
        let alice_there = &facts.participants[&id("alice")];
        assert!(!alice_there.stream(&key("mic")).unwrap().muted);
        assert!(alice_there.stream(&key("music")).unwrap().muted);
        assert!(facts.participants[&id("carol")].censored);
        assert_eq!(facts.presenter, Some(id("bob")));
        assert_eq!(facts.floor, Some(id("bob")));
        assert_eq!(facts.speaker, Some(id("alice")));
    }
    world.run_for(s(2));
    for handle in late {
        let heard = world.heard_from(handle, alice);
        assert!(heard.len() >= 90, "heard only {}", heard.len());
        assert!(heard.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
    assert!(world.heard_from(bob, alice).len() > 200);
    assert!(world.heard(carol).len() > 200);
}
