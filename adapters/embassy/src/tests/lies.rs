//! A name server that lies, as those of some access points do.

use super::world::{PORT, World};
use crate::{Config, JoinError};

#[test]
fn addresses_that_cannot_be_are_tried_in_vain_and_leave_the_device_whole() {
    let mut world = World::new();
    let anna = world.party_with(2, "anna", "lies.test", PORT, Config::default());
    for _ in 0..2 {
        assert_eq!(anna.join(&mut world), Err(JoinError::NoAnswer));
    }
}

#[test]
fn an_answer_that_ends_too_early_is_none() {
    let mut world = World::new();
    let anna = world.party_with(2, "anna", "garbage.test", PORT, Config::default());
    assert_eq!(anna.join(&mut world), Err(JoinError::UnknownHost));
}
