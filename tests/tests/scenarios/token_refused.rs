//! A join that the embedder refuses ends with its reason, and is not tried again.

use parlour_core::client::{CloseCause, CommandError, Commands as _};
use parlour_core::signal::JoinRefusal;
use parlour_tests::{Options, World, microphone};

use crate::s;

#[test]
fn each_refusal_reaches_the_application() {
    let mut world = World::new("each_refusal_reaches_the_application");
    for refusal in [
        JoinRefusal::InvalidToken,
        JoinRefusal::TokenExpired,
        JoinRefusal::WrongRoom,
        JoinRefusal::Unavailable,
        JoinRefusal::UnknownRoom,
        JoinRefusal::RoomDisabled,
        JoinRefusal::Banned,
        JoinRefusal::TokenRevoked,
        JoinRefusal::DuplicateParticipant,
    ] {
        let options = Options {
            refuse: Some(refusal),
            ..Options::default()
        };
        let alice = world.join("alice", options);
        world.run_until("she is refused", s(5), |world| {
            world.closed(alice).is_some()
        });
        assert_eq!(world.closed(alice), Some(CloseCause::Refused(refusal)));
        let late = world.device(alice).publish(microphone("mic"));
        assert_eq!(late, Err(CommandError::Closed));
        let sent = world.history().len();
        world.run_for(s(60));
        assert_eq!(world.history().len(), sent, "it is tried again");
        assert_eq!(world.device(alice).poll_timeout(), None);
    }
    assert!(world.present("green").is_empty());
    let accounting = world.server().accounting();
    assert_eq!(
        (accounting.half_open, accounting.rooms),
        (0, 0),
        "{accounting:?}"
    );
}
