//! A token runs out: told in time, refreshed or out.

use parlour_core::client::{CloseCause, Event, RequestFailure};
use parlour_core::room::CloseReason;
use parlour_core::signal::{JoinRefusal, Outcome, Refusal};
use parlour_tests::{Options, World};

use crate::s;

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
