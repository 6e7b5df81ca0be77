use super::*;

#[test]
fn a_server_is_deserted_when_nobody_is_there_nor_about_to_be() {
    let mut world = World::new();
    assert!(world.server.is_deserted());
    // Its first packet under the new keys gets lost.
    let anna = world.add(&Hello::new("room/anna"));
    world.send_hello(anna);
    assert!(world.server.is_deserted(), "nobody has let it in");
    world.serve();
    assert_eq!(world.server.participant_count(), 0);
    assert!(!world.server.is_deserted(), "it may be there any moment");
    world.run();
    let counts = (world.server.room_count(), world.server.participant_count());
    assert_eq!(counts, (1, 1));
    assert!(!world.server.is_deserted());

    world.join(&Hello::new("room/ben/lobby"));
    world.ask(anna, Operation::Leave).unwrap();
    world.run();
    assert_eq!(world.server.participant_count(), 1, "one waits");
    assert!(!world.server.is_deserted());
    let path = world.peers[1].path;
    world.dead.push(path);
    world.advance(ms(60_000));
    assert!(world.server.is_deserted());
    assert_eq!(world.server.room_count(), 0);
    // A join that comes to nothing is forgotten.
    let carl = world.add(&Hello::new("room/carl"));
    world.send_hello(carl);
    world.dead.push(world.peers[carl].path);
    world.serve();
    assert!(!world.server.is_deserted());
    world.advance(ms(10_000));
    assert!(world.server.is_deserted());
}
