//! A participant that may admit knows at any time who waits, however it got that right.

use parlour_core::client::{Commands as _, Event};
use parlour_core::room::{Grants, MAX_WAITING};
use parlour_core::signal::{Moderation, Outcome};
use parlour_core::time::Duration;
use parlour_tests::{Handle, Options, World};

use crate::{id, only, s};

fn wait(world: &mut World, name: &str) -> Handle {
    let guest = Options {
        lobby: true,
        ..Options::small()
    };
    let handle = world.join(name, guest);
    world.run_until("the guest waits", s(5), |world| {
        world.saw(handle, |event| *event == Event::Waiting)
    });
    // Its first packet has it wait in the server's eyes, too.
    world.run_for(Duration::from_millis(200));
    handle
}

/// Those whom a party knows to wait, in their order.
fn known(world: &World, handle: Handle) -> Vec<String> {
    let waiting = world.device_of(handle).lobby().waiting.iter();
    waiting
        .map(|one| one.participant.as_str().to_owned())
        .collect()
}

fn moderate(world: &mut World, by: Handle, action: Moderation, name: &str) {
    let done = world.ask(by, |device| device.moderate(action, &only(&[name])));
    assert_eq!(done, Ok(Outcome::Moderated { participants: 1 }));
}

fn refresh(world: &mut World, who: Handle, grants: Grants) {
    let token = format!("green/{}?grants={}", world.id(who), grants.bits());
    let done = world.ask(who, |device| device.refresh_token(&token));
    assert_eq!(done, Ok(Outcome::Done));
}

fn changes(world: &World, handle: Handle) -> Vec<u32> {
    let events = world.events(handle).iter();
    events
        .filter_map(|(_, event)| match event {
            Event::LobbyChanged { waiting } => Some(*waiting),
            _ => None,
        })
        .collect()
}

#[test]
fn a_late_moderator_knows_who_waits() {
    let mut world = World::new("a_late_moderator_knows_who_waits");
    // Not in the order of their ids.
    for name in ["carol", "alice", "bob"] {
        wait(&mut world, name);
    }
    let other = world.joined("other", Options::default());
    world.run_for(s(60));
    let host = world.joined("host", Options::moderator());
    world.run_until_agreed(&[host, other], s(2));
    assert_eq!(known(&world, host), ["carol", "alice", "bob"]);
    assert_eq!(world.device_of(host).lobby().count, 3);
    // Those present before are told first, and then that the list is complete.
    assert_eq!(changes(&world, host), [3]);
    let of_lobby = |event: &Event| {
        matches!(
            event,
            Event::Knocked { .. } | Event::KnockEnded(_) | Event::LobbyChanged { .. }
        )
    };
    assert_eq!(world.count_seen(host, of_lobby), 4);
    assert_eq!(world.count_seen(other, of_lobby), 0);
    assert!(known(&world, other).is_empty());
}

#[test]
fn a_small_device_is_told_and_keeps_only_the_count() {
    let mut world = World::new("a_small_device_is_told_and_keeps_only_the_count");
    wait(&mut world, "alice");
    let door = Options {
        grants: Grants::all(),
        ..Options::small()
    };
    let door = world.joined("door", door);
    world.run_until_agreed(&[door], s(2));
    assert!(known(&world, door).is_empty());
    assert_eq!(world.device_of(door).lobby().others(), 1);
    let knock = |event: &Event| matches!(event, Event::Knocked { participant, .. } if *participant == id("alice"));
    assert_eq!(world.count_seen(door, knock), 1);
    moderate(&mut world, door, Moderation::Admit, "alice");
    world.run_until_agreed(&[door], s(2));
    assert_eq!(changes(&world, door), [1, 0]);
}

/// The moderator's network breaks for `broken`, and the lobby has changed when it is back.
fn out_of_touch(broken: Duration, resumes: bool) {
    let mut world = World::new("a_moderator_who_was_out_of_touch_knows_who_waits");
    let host = world.joined("host", Options::moderator());
    let other = world.joined("other", Options::moderator());
    for name in ["alice", "bob", "carol"] {
        wait(&mut world, name);
    }
    world.run_until_agreed(&[host, other], s(2));
    world.forget(host);
    world.partition(host, true);
    moderate(&mut world, other, Moderation::Admit, "alice");
    moderate(&mut world, other, Moderation::Deny, "bob");
    wait(&mut world, "dave");
    world.run_for(broken);
    assert_eq!(known(&world, host), ["alice", "bob", "carol"]);
    world.partition(host, false);
    world.run_until("the host is back", s(60), |world| world.is_joined(host));
    world.run_until_agreed(&[host, other], s(10));
    assert_eq!(known(&world, host), ["carol", "dave"]);
    let told_anew = world.saw(host, |event| *event == Event::KnockEnded(id("carol")));
    assert_eq!(told_anew, !resumes, "carol has waited all the time");
}

#[test]
fn a_moderator_who_was_out_of_touch_knows_who_waits() {
    out_of_touch(s(3), true);
    out_of_touch(s(25), true);
    out_of_touch(s(120), false);
}

#[test]
fn a_new_token_gives_and_takes_the_lobby() {
    let mut world = World::new("a_new_token_gives_and_takes_the_lobby");
    let alice = wait(&mut world, "alice");
    let bob = world.joined("bob", Options::default());
    world.run_for(s(1));
    assert_eq!(world.device_of(bob).lobby(), Default::default());

    refresh(&mut world, bob, Grants::PARTICIPANT | Grants::ADMIT);
    world.run_until_agreed(&[bob], s(2));
    assert_eq!(known(&world, bob), ["alice"]);
    assert_eq!(changes(&world, bob), [1]);

    refresh(&mut world, bob, Grants::PARTICIPANT);
    world.run_until_agreed(&[bob], s(2));
    assert_eq!(world.device_of(bob).lobby(), Default::default());
    assert_eq!(changes(&world, bob), [1, 0]);
    let ended = |event: &Event| *event == Event::KnockEnded(id("alice"));
    assert_eq!(world.count_seen(bob, ended), 1);

    // Later changes there are none of its business.
    let version = world.device_of(bob).version();
    world.forget(bob);
    wait(&mut world, "carol");
    world.leave(alice);
    world.run_for(s(5));
    let heard = world.events(bob);
    assert!(heard.is_empty(), "{heard:?}");
    assert_eq!(world.device_of(bob).version(), version, "a gap shows it");

    refresh(&mut world, bob, Grants::PARTICIPANT | Grants::ADMIT);
    world.run_until_agreed(&[bob], s(2));
    assert_eq!(known(&world, bob), ["carol"]);
}

#[test]
fn what_one_moderator_does_the_other_knows() {
    let mut world = World::new("what_one_moderator_does_the_other_knows");
    let hosts = ["host", "other"].map(|name| world.joined(name, Options::moderator()));
    for name in ["alice", "bob", "carol"] {
        wait(&mut world, name);
    }
    world.run_until_agreed(&hosts, s(2));
    moderate(&mut world, hosts[0], Moderation::Admit, "bob");
    world.run_until_agreed(&hosts, s(2));
    assert_eq!(known(&world, hosts[1]), ["alice", "carol"]);
    moderate(&mut world, hosts[1], Moderation::Deny, "alice");
    world.run_until_agreed(&hosts, s(2));
    assert_eq!(known(&world, hosts[0]), ["carol"]);
    assert_eq!(world.present("green"), ["bob", "host", "other"]);
}

#[test]
fn of_a_lobby_larger_than_the_table_the_first_are_known_and_all_counted() {
    let name = "of_a_lobby_larger_than_the_table_the_first_are_known_and_all_counted";
    let mut world = World::new(name);
    let host = world.joined("host", Options::moderator());
    let waiting: Vec<_> = (0..MAX_WAITING + 12)
        .map(|number| format!("g{number:02}"))
        .collect();
    for name in &waiting {
        wait(&mut world, name);
    }
    world.run_until_agreed(&[host], s(2));
    assert_eq!(known(&world, host), waiting[..MAX_WAITING]);
    assert_eq!(world.device_of(host).lobby().others(), 12);

    // As places become free, the next are known.
    for name in &waiting[..3] {
        moderate(&mut world, host, Moderation::Admit, name);
    }
    world.run_until_agreed(&[host], s(2));
    assert_eq!(known(&world, host), waiting[3..MAX_WAITING + 3]);
    assert_eq!(world.device_of(host).lobby().others(), 9);
}

#[test]
fn one_who_comes_anew_keeps_its_place_in_the_lobby() {
    let mut world = World::new("one_who_comes_anew_keeps_its_place_in_the_lobby");
    let host = world.joined("host", Options::moderator());
    wait(&mut world, "alice");
    wait(&mut world, "bob");
    wait(&mut world, "alice");
    world.run_until_agreed(&[host], s(2));
    assert_eq!(known(&world, host), ["alice", "bob"]);
    assert_eq!(world.device_of(host).lobby().count, 2);
}

#[test]
fn after_a_restart_of_the_server_only_those_are_known_who_wait_again() {
    let mut world = World::new("after_a_restart_of_the_server_only_those_are_known_who_wait_again");
    let host = world.joined("host", Options::moderator());
    wait(&mut world, "alice");
    let bob = wait(&mut world, "bob");
    world.run_until_agreed(&[host], s(2));
    world.power_off(bob);
    world.restart_server();
    world.run_for(s(30));
    world.run_until_agreed(&[host], s(30));
    assert_eq!(known(&world, host), ["alice"]);
}
