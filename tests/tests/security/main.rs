//! The claims of docs/SECURITY.md, each a test that fails if the claim does not hold.

mod abuse;
mod audio;
mod claims;
mod cycles;
mod floods;
mod forgery;
mod identity;
mod levels;
mod noise;
mod replay;
mod secrets;
mod splicing;
mod tickets;

use std::net::SocketAddr;

use parlour_core::client::Event;
use parlour_core::time::Duration;
use parlour_tests::network::Datagram;
use parlour_tests::{Handle, World};

/// So many ms.
const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many seconds.
const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An address that nobody has who is in the room.
fn stranger(number: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 9], number))
}

/// All datagrams that were sent so far.
fn recorded(world: &World) -> Vec<Datagram> {
    let history = world.history().iter();
    history.map(|sent| sent.datagram.clone()).collect()
}

/// Those of them from `from`.
fn recorded_from(world: &World, from: SocketAddr) -> Vec<Vec<u8>> {
    let recorded = recorded(world).into_iter();
    let from_there = recorded.filter(|datagram| datagram.from == from);
    from_there.map(|datagram| datagram.bytes).collect()
}

/// Whether this tells a participant that something is wrong, or that somebody came or went.
fn disturbed(event: &Event) -> bool {
    !parlour_tests::is_about_speech(event)
}

/// Nobody of `handles` was told of anything, and each has heard so many frames.
fn assert_undisturbed(world: &World, handles: &[Handle], heard: usize) {
    for handle in handles {
        assert!(
            !world.saw(*handle, disturbed),
            "{:?}",
            world.events(*handle)
        );
        assert_eq!(world.heard(*handle).len(), heard, "frames heard");
    }
}
