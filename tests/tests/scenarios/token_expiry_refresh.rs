//! A token runs out: told in time, refreshed or out.

use parlour_core::client::{CloseCause, Commands as _, Event, RequestFailure};
use parlour_core::room::{CloseReason, Grants};
use parlour_core::signal::{JoinRefusal, Outcome, Refusal, SubscribePolicy};
use parlour_tests::{Options, World, microphone};

use crate::{key, s};

fn expiring() -> Options {
    Options {
        expires_in: Some(s(60)),
        ..Options::default()
    }
}

fn warned(event: &Event) -> bool {
    matches!(event, Event::TokenExpiring { .. })
}

#[test]
fn who_does_not_refresh_is_out() {
    let mut world = World::new("who_does_not_refresh_is_out");
    let bob = world.joined("bob", Options::default());
    let alice = world.joined("alice", expiring());
    let joined = world.now();
    world.run_until("she is warned", s(40), |world| world.saw(alice, warned));
    let at = world.now().saturating_duration_since(joined);
    assert!(at >= s(25) && at <= s(31), "warned after {at:?}");
    world.run_until("she is out", s(40), |world| world.closed(alice).is_some());
    let at = world.now().saturating_duration_since(joined);
    assert!(at >= s(59) && at <= s(62), "out after {at:?}");
    assert_eq!(
        world.closed(alice),
        Some(CloseCause::Closed(CloseReason::TokenExpired))
    );
    world.run_until_agreed(&[bob], s(2));
    assert_eq!(world.present("green"), ["bob"]);
}

#[test]
fn who_refreshes_stays() {
    let mut world = World::new("who_refreshes_stays");
    let alice = world.joined("alice", expiring());
    let _bob = world.joined("bob", Options::default());
    for _ in 0..3 {
        world.run_until("she is warned", s(70), |world| world.saw(alice, warned));
        world.forget(alice);
        let done = world.ask(alice, |device| {
            device.refresh_token("green/alice?expires=60")
        });
        assert_eq!(done, Ok(Outcome::Done));
    }
    let others = [
        "green/bob",
        "blue/alice",
        "nonsense",
        "green/alice?refuse=TokenExpired",
    ];
    for token in others {
        let refused = world.ask(alice, |device| device.refresh_token(token));
        assert_eq!(
            refused,
            Err(RequestFailure::Refused(Refusal::InvalidToken)),
            "{token}"
        );
    }
    assert!(world.is_joined(alice));
    assert_eq!(world.present("green"), ["alice", "bob"]);
    // The good one, not a bad one, is shown at the next join.
    world.restart_server();
    world.run_until("she is back", s(40), |world| {
        world.present("green").contains(&"alice".into())
    });
}

#[test]
fn a_rejoin_shows_the_refreshed_token() {
    let mut world = World::new("a_rejoin_shows_the_refreshed_token");
    let alice = world.joined("alice", Options::default());
    let token = "green/alice?grants=8";
    assert_eq!(
        world.ask(alice, |device| device.refresh_token(token)),
        Ok(Outcome::Done)
    );
    world.restart_server();
    world.forget(alice);
    world.run_until("she is back", s(40), |world| {
        world.saw(alice, |event| *event == Event::Joined { resumed: false })
    });
    assert_eq!(world.device(alice).grants().bits(), 8);
    let mut events = world.server_events().iter().rev();
    let shown = events.find_map(|(_, event)| match event {
        parlour_core::server::Event::JoinRequested { token, .. } => Some(token.to_string()),
        _ => None,
    });
    assert_eq!(shown.as_deref(), Some(token));
}

#[test]
fn an_expired_token_is_refused_at_the_next_join() {
    let mut world = World::new("an_expired_token_is_refused_at_the_next_join");
    let alice = world.joined("alice", Options::default());
    let token = "green/alice?refuse=TokenExpired";
    let _ = world.ask(alice, |device| device.refresh_token(token));
    assert!(world.is_joined(alice), "the token it has is still good");
    let options = Options {
        refuse: Some(JoinRefusal::TokenExpired),
        ..Options::default()
    };
    let late = world.join("late", options);
    world.run_until("it is refused", s(5), |world| world.closed(late).is_some());
    let expired = CloseCause::Refused(JoinRefusal::TokenExpired);
    assert_eq!(world.closed(late), Some(expired));
}

#[test]
fn who_shows_a_new_token_is_told_what_it_grants() {
    let mut world = World::new("who_shows_a_new_token_is_told_what_it_grants");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    world.forget(alice);
    let changed = |grants| move |event: &Event| *event == Event::GrantsChanged(grants);

    // The same again is no news.
    let same = "green/alice?expires=600";
    world
        .ask(alice, |device| device.refresh_token(same))
        .unwrap();
    assert!(!world.saw(alice, |event| matches!(event, Event::GrantsChanged(_))));

    // Less: what is not granted any more ends, here as there.
    let less = Grants::SEND_MESSAGES;
    let token = format!("green/alice?grants={}", less.bits());
    world
        .ask(alice, |device| device.refresh_token(&token))
        .unwrap();
    assert_eq!(world.device(alice).grants(), less);
    assert_eq!(world.count_seen(alice, changed(less)), 1);
    let refused = Event::PublishRefused {
        key: key("mic"),
        refusal: Refusal::NotPermitted,
    };
    assert_eq!(world.count_seen(alice, |event| *event == refused), 1);
    let policy = Event::PolicyRefused(Refusal::NotPermitted);
    assert_eq!(world.count_seen(alice, |event| *event == policy), 1);
    world.run_until_agreed(&[alice, bob], s(1));
    world.talk(bob, "mic", s(1));
    world.run_for(s(2));
    assert!(world.heard(alice).is_empty());

    // More: she may begin anew.
    let more = Grants::PARTICIPANT;
    let token = format!("green/alice?grants={}", more.bits());
    world
        .ask(alice, |device| device.refresh_token(&token))
        .unwrap();
    assert_eq!(world.count_seen(alice, changed(more)), 1);
    let all = SubscribePolicy::All;
    world
        .ask(alice, |device| device.set_subscribe_policy(all))
        .unwrap();
    world
        .ask(alice, |device| device.publish(microphone("mic")))
        .unwrap();
    world.talk(bob, "mic", s(1));
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_eq!((world.heard(alice).len(), world.heard(bob).len()), (50, 50));
    world.run_until_agreed(&[alice, bob], s(1));
}
