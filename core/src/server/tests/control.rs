//! Packets and frames that cost little each, and of which there may not be too many.

use super::*;
use crate::wire::DATA_HEADER;

/// Frames in which there is nothing new, or nothing at all.
const EMPTY: &[u8] = &[];
const PADDING: &[u8] = &[0, 0, 1, 0];
const CUT_OFF: &[u8] = &[1, 0, 9, 9];
const PONG: &[u8] = &[6, 0, 4, 1, 2, 3, 4];
const ACK: &[u8] = &[4, 0, 2, 0, 0];
const SIGNAL_AGAIN: &[u8] = &[3, 0, 3, 255, 255, 7];
const SIGNAL_AHEAD: &[u8] = &[3, 0, 3, 0, 9, 7];
const PING: &[u8] = &[5, 0, 4, 1, 2, 3, 4];
/// For the bucket of media.
const MEDIA: &[u8] = &[1, 0, 1, 0];
const MESSAGE: &[u8] = &[7, 0, 1, 0];

/// The sender's path, by the number of the datagram.
type Paths = fn(u32) -> Path;

fn one(_: u32) -> Path {
    World::path(0)
}

/// Every address once.
fn another(number: u32) -> Path {
    Path::udp((number.to_be_bytes(), 5_000).into())
}

/// Has Anna, who joined first, send this `per_second` times a second for `seconds`. Returns after how many she is cut
/// off.
fn flood(
    world: &mut World,
    plaintext: &[u8],
    paths: Paths,
    per_second: u32,
    seconds: u32,
) -> Option<u32> {
    let gap = Duration::from_secs(1) / per_second;
    for number in 0..per_second * seconds {
        let path = paths(number);
        world.peers[0].path = path;
        let mut out = [0; 1200];
        out[DATA_HEADER..][..plaintext.len()].copy_from_slice(plaintext);
        let link = world.peers[0].link.as_mut().unwrap();
        let len = link.seal(plaintext.len(), &mut out);
        let _ = world.deliver(path, &mut out[..len]);
        world.advance(gap);
        let lobby = world.peers[0].closed() == Some(CloseReason::ProtocolError);
        if lobby || world.left() == [("anna".into(), CloseReason::ProtocolError)] {
            return Some(number);
        }
    }
    assert_eq!(world.left(), []);
    None
}

const KINDS: [(&[u8], Paths); 9] = [
    (EMPTY, one),
    (PADDING, one),
    (CUT_OFF, one),
    (PONG, one),
    (ACK, one),
    (SIGNAL_AGAIN, one),
    (SIGNAL_AHEAD, one),
    (PING, one),
    (MEDIA, another),
];

#[test]
fn no_packet_is_for_nothing_and_a_flood_of_any_ends_the_stay() {
    for (plaintext, paths) in KINDS {
        let mut world = World::new();
        world.join(&Hello::new("room/anna"));
        world.join(&Hello::new("room/ben"));
        let out = flood(&mut world, plaintext, paths, 1_000, 3);
        // A thousand at once, and 250 a second.
        let out = out.unwrap_or_else(|| panic!("{plaintext:?} for ever"));
        assert!((1_300..1_350).contains(&out), "{out} of {plaintext:?}");
        assert_eq!(world.ids_in("room"), ["ben"]);
    }
}

#[test]
fn four_times_too_many_of_any_are_no_flood() {
    for (plaintext, paths) in KINDS {
        let mut world = World::new();
        world.join(&Hello::new("room/anna"));
        assert_eq!(flood(&mut world, plaintext, paths, 200, 20), None);
    }
}

#[test]
fn nor_is_a_packet_for_nothing_in_the_lobby() {
    for plaintext in [EMPTY, PONG, ACK, SIGNAL_AGAIN, PING, MEDIA, MESSAGE] {
        let mut world = World::new();
        world.join(&Hello::new("room/anna/lobby"));
        let out = flood(&mut world, plaintext, one, 1_000, 3);
        assert!(out.is_some(), "{plaintext:?} for ever");
    }
}

#[test]
fn who_moves_too_often_stays_where_it_is() {
    let mut world = World::new();
    world.join(&Hello::new("room/anna"));
    assert_eq!(flood(&mut world, MEDIA, another, 200, 10), None);
    // Two hundred at once, and fifty a second.
    let roams = world.server.statistics().roams;
    assert!((690..=702).contains(&roams), "{roams}");
}
