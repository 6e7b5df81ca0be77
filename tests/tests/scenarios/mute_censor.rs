//! Silenced by oneself or by a moderator: both must be clear to be heard.

use parlour_core::client::{Commands as _, Event, RequestFailure};
use parlour_core::signal::{Moderation, Outcome, Refusal, Targets};
use parlour_tests::{Handle, Options, World};

use crate::{id, key, list, ms, only, s, stream};

fn hears(world: &mut World, listener: Handle, talker: Handle) -> usize {
    let before = world.heard_from(listener, talker).len();
    world.talk(talker, "mic", s(1));
    world.run_for(s(2));
    world.heard_from(listener, talker).len() - before
}

#[test]
fn mute_and_censor_are_two_locks() {
    let mut world = World::new("mute_and_censor_are_two_locks");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::moderator());
    assert_eq!(hears(&mut world, bob, alice), 50);

    let done = Ok(Outcome::Done);
    assert_eq!(
        world.ask(alice, |device| device.set_muted(&key("mic"), true)),
        done
    );
    assert_eq!(hears(&mut world, bob, alice), 0);
    let muted = |muted| Event::StreamMuted {
        stream: stream("alice", "mic"),
        muted,
    };
    assert_eq!(world.count_seen(bob, |event| *event == muted(true)), 1);

    let one = Ok(Outcome::Moderated { participants: 1 });
    let censor = Moderation::Censor;
    assert_eq!(
        world.ask(bob, |device| device.moderate(censor, &only(&["alice"]))),
        one
    );
    assert_eq!(
        world.ask(alice, |device| device.set_muted(&key("mic"), false)),
        done
    );
    assert_eq!(hears(&mut world, bob, alice), 0, "still censored");
    let censored = |censored| Event::Censored {
        participant: id("alice"),
        censored,
    };
    assert_eq!(
        world.count_seen(alice, |event| *event == censored(true)),
        1,
        "told to her"
    );
    assert_eq!(world.count_seen(bob, |event| *event == censored(true)), 1);

    let uncensor = Moderation::Uncensor;
    assert_eq!(
        world.ask(bob, |device| device.moderate(uncensor, &only(&["alice"]))),
        one
    );
    assert_eq!(hears(&mut world, bob, alice), 50);
    world.run_until_agreed(&[alice, bob], s(1));
}

#[test]
fn the_server_holds_a_censored_one_silent_whatever_it_sends() {
    // Alice's device does not know yet, and the sound is on its way: nobody may hear it.
    let mut world = World::new("the_server_holds_a_censored_one_silent_whatever_it_sends");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::moderator());
    world.talk(alice, "mic", s(5));
    world.run_for(s(1));
    world
        .ask(bob, |device| {
            device.moderate(Moderation::Censor, &only(&["alice"]))
        })
        .unwrap();
    let at = world.now();
    world.run_for(s(5));
    let slack = ms(40);
    assert!(world.heard(bob).iter().all(|frame| frame.at <= at + slack));
    assert!(world.server().statistics().media_rejected > 0);
    assert!(world.facts(alice).participants[&id("alice")].censored);
}

#[test]
fn all_but_some_are_censored() {
    let mut world = World::new("all_but_some_are_censored");
    let bob = world.joined("bob", Options::moderator());
    for name in ["alice", "carol", "dave", "erin"] {
        world.joined(name, Options::small().publishing("mic"));
    }
    let all = Targets::All {
        except: list(&["carol", "dave"]),
    };
    let done = world.ask(bob, |device| device.moderate(Moderation::Censor, &all));
    assert_eq!(done, Ok(Outcome::Moderated { participants: 2 }));
    world.run_until_agreed(&[bob], s(1));
    let facts = world.facts(bob);
    let censored = facts
        .participants
        .values()
        .filter(|participant| participant.censored);
    let censored: Vec<_> = censored
        .map(|participant| participant.id.as_str())
        .collect();
    assert_eq!(censored, ["alice", "erin"]);
}

#[test]
fn only_moderators_censor() {
    let mut world = World::new("only_moderators_censor");
    let alice = world.joined("alice", Options::default());
    let _bob = world.joined("bob", Options::default());
    let asked = world.ask(alice, |device| {
        device.moderate(Moderation::Censor, &only(&["bob"]))
    });
    assert_eq!(asked, Err(RequestFailure::Refused(Refusal::NotPermitted)));
    let mighty = world.joined("mighty", Options::moderator());
    let asked = world.ask(mighty, |device| {
        device.moderate(Moderation::Censor, &only(&["who"]))
    });
    assert_eq!(
        asked,
        Err(RequestFailure::Refused(Refusal::UnknownParticipant))
    );
}
