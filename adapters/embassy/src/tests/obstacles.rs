//! What stands between a device and its server, and how it is found.

use embassy_time::{Duration, Instant};
use std::string::ToString as _;

use super::world::{PORT, Party, World};
use crate::{Config, JoinError, Obstacle};

/// Nobody is there.
const ELSEWHERE: u16 = PORT + 1;
const REDIRECT: &[u8] =
    b"HTTP/1.1 302 Found\r\nLocation: http://login.cafe.test/?from=here\r\n\r\n";

fn look(world: &mut World, party: &Party) -> Option<Obstacle> {
    let room = party.room;
    let began = Instant::now();
    let found = world.run(async move { room.find_obstacle().await });
    assert!(
        began.elapsed() <= Duration::from_secs(11),
        "it is not endless"
    );
    found
}

fn host(found: Option<Obstacle>) -> Option<std::string::String> {
    match found {
        Some(Obstacle::LogInPage { host }) => Some(host.to_string()),
        _ => None,
    }
}

#[test]
fn a_log_in_page_is_found_and_after_the_log_in_the_room_is_joined() {
    let mut world = World::new();
    world.set_lying(true);
    world.show(REDIRECT);
    let anna = world.party_with(2, "anna", "anywhere.test", ELSEWHERE, Config::default());
    for _ in 0..2 {
        assert_eq!(anna.join(&mut world), Err(JoinError::NoAnswer));
        let found = look(&mut world, &anna);
        assert_eq!(host(found).as_deref(), Some("login.cafe.test"));
    }
    world.set_lying(false);
    let after = world.ticket("rooms.test", PORT, "anna");
    anna.room.set_ticket(after);
    assert_eq!(anna.join(&mut world), Ok(()));
}

#[test]
fn a_page_in_the_servers_place_is_found_without_a_lie() {
    for (page, expected) in [
        (REDIRECT, Some("login.cafe.test")),
        (b"HTTP/1.1 511 Log in\r\n\r\n", Some("")),
        (
            b"HTTP/1.1 301 x\r\nLocation: https://rooms.test/\r\n\r\n",
            None,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\na page of the server's", None),
        (b"220 mail.test ESMTP\r\n", None),
        (b"", None),
    ] {
        let mut world = World::new();
        world.show(page);
        let anna = world.party_with(2, "anna", "rooms.test", ELSEWHERE, Config::default());
        assert_eq!(anna.join(&mut world), Err(JoinError::NoAnswer));
        let found = look(&mut world, &anna);
        assert_eq!(host(found).as_deref(), expected, "{}", page.escape_ascii());
    }
}

#[test]
fn a_name_server_that_knows_all_names_is_said_to_lie() {
    let mut world = World::new();
    world.set_lying(true);
    let anna = world.party_with(2, "anna", "10.0.0.99", PORT, Config::default());
    assert_eq!(anna.join(&mut world), Err(JoinError::NoAnswer));
    assert_eq!(look(&mut world, &anna), Some(Obstacle::LyingNameServer));
}

#[test]
fn where_nothing_answers_nothing_is_found() {
    let mut world = World::new();
    let refused = world.party_with(2, "anna", "rooms.test", ELSEWHERE, Config::default());
    let nobody = world.party_with(3, "ben", "10.0.0.99", PORT, Config::default());
    let nowhere = world.party_with(4, "eve", "nowhere.test", PORT, Config::default());
    for party in [&refused, &nobody, &nowhere] {
        assert_eq!(look(&mut world, party), None);
    }
    world.set_server_reachable(false);
    assert_eq!(look(&mut world, &nowhere), None);
}
