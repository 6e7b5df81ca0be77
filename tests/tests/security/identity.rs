//! Identity: tokens, and the treatment of a second bearer of one.

use parlour_core::client::{CloseCause, CommandError, Commands as _, RequestFailure};
use parlour_core::room::CloseReason;
use parlour_core::server::Event as ServerEvent;
use parlour_core::signal::{MAX_TOKEN, Outcome, Refusal};
use parlour_tests::{Options, World};

use crate::{ms, s};

#[test]
fn a_second_bearer_of_a_token_replaces_the_first_and_both_know() {
    let mut world = World::new("a_second_bearer_of_a_token_replaces_the_first_and_both_know");
    let bob = world.joined("bob", Options::default());
    let first = world.joined("alice", Options::small().publishing("mic"));
    world.talk(first, "mic", s(30));
    world.run_for(s(1));
    let second = world.joined("alice", Options::small().publishing("mic"));
    world.run_until("the first is told", s(2), |world| {
        world.closed(first) == Some(CloseCause::Closed(CloseReason::Replaced))
    });
    world.forget(bob);
    world.talk(second, "mic", s(1));
    world.run_for(s(20));
    // There is never more than one of the name, and the first does not come back by itself.
    assert_eq!(world.present("green"), ["alice", "bob"]);
    assert!(
        world
            .heard(bob)
            .iter()
            .all(|frame| frame.talker() == second)
    );
    assert_eq!(world.heard(bob).len(), 50);
    let joins = world.server_events().iter().filter(|(_, event)| {
        matches!(event, ServerEvent::ParticipantJoined { participant, .. } if participant.as_str() == "alice")
    });
    assert_eq!(joins.count(), 2);
}

#[test]
fn a_new_token_must_be_for_the_same_participant_and_room() {
    let mut world = World::new("a_new_token_must_be_for_the_same_participant_and_room");
    let alice = world.joined("alice", Options::default());
    let bob = world.joined("bob", Options::default());
    for token in [
        "green/bob",
        "blue/alice",
        "nonsense",
        "green/alice?refuse=TokenExpired",
    ] {
        let refused = world.ask(alice, |device| device.refresh_token(token));
        let invalid = Err(RequestFailure::Refused(Refusal::InvalidToken));
        assert_eq!(refused, invalid, "{token}");
    }
    assert_eq!(world.present("green"), ["alice", "bob"]);
    assert!(world.present("blue").is_empty());
    let fresh = "green/alice?expires=600";
    let done = world.ask(alice, |device| device.refresh_token(fresh));
    assert_eq!(done, Ok(Outcome::Done));
    world.run_until_agreed(&[alice, bob], s(1));
}

#[test]
fn tokens_of_absurd_sizes_get_nowhere() {
    let mut world = World::new("tokens_of_absurd_sizes_get_nowhere");
    let alice = world.joined("alice", Options::default());
    let too_long = "x".repeat(MAX_TOKEN + 1);
    for token in ["", &too_long] {
        let refused = world.device(alice).refresh_token(token);
        assert_eq!(refused, Err(CommandError::TokenLength));
    }
    let longest = "x".repeat(MAX_TOKEN);
    let refused = world.ask(alice, |device| device.refresh_token(&longest));
    let invalid = Err(RequestFailure::Refused(Refusal::InvalidToken));
    assert_eq!(refused, invalid);
    world.run_for(ms(100));
    assert!(world.is_joined(alice));
}
