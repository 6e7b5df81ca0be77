//! What participants know of a recording.

use super::*;

fn record(world: &mut World, session: SessionId, recorded: bool) -> Result<(), ModerateError> {
    let (room, now) = (room_id("room"), world.now);
    let done = world.server.record(now, &room, session, recorded);
    world.run();
    done
}

#[test]
fn those_who_are_there_and_those_who_come_know_that_they_are_recorded() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let guest = world.join(&Hello::new("room/guest/lobby"));
    let session = world.peers[anna].joined().session;
    assert!(!world.peers[anna].replica.is_recorded());
    assert_eq!(record(&mut world, session, true), Ok(()));
    assert!(world.peers[anna].replica.is_recorded());
    let ben = world.join(&Hello::new("room/ben"));
    assert!(world.peers[ben].replica.is_recorded());
    // Who waits is not recorded, and learns nothing of the room.
    assert!(!world.peers[guest].replica.is_recorded());
    world.moderate(Act::Admit, &Selection::all());
    world.run();
    assert!(world.peers[guest].replica.is_recorded());

    assert_eq!(record(&mut world, session, false), Ok(()));
    let carl = world.join(&Hello::new("room/carl"));
    for one in [anna, ben, guest, carl] {
        assert!(!world.peers[one].replica.is_recorded());
    }
}

#[test]
fn a_recording_ends_with_its_session() {
    let mut world = World::new();
    let room = room_id("room");
    let anna = world.join(&Hello::new("room/anna"));
    let former = world.peers[anna].joined().session;
    record(&mut world, former, true).unwrap();
    world.server.end_session(world.now, &room).unwrap();
    world.run();
    let unknown = Err(ModerateError::UnknownRoom);
    assert_eq!(record(&mut world, former, true), unknown);
    let ben = world.join(&Hello::new("room/ben"));
    assert!(!world.peers[ben].replica.is_recorded());
    // What is meant for the former session does not touch the one that followed.
    assert_eq!(record(&mut world, former, true), unknown);
    assert!(!world.peers[ben].replica.is_recorded());
}

#[test]
fn who_was_away_while_a_recording_began_learns_of_it() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    world.join(&Hello::new("room/ben"));
    let (session, path) = (world.peers[anna].joined().session, world.peers[anna].path);
    world.dead.push(path);
    record(&mut world, session, true).unwrap();
    world.dead.clear();
    assert!(!world.peers[anna].replica.is_recorded());
    let back = world.resume_hello(anna, "room/anna");
    world.rejoin(anna, &back);
    world.run();
    assert!(world.peers[anna].replica.is_recorded());
}
