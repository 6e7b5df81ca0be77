//! How much memory a client takes: printed, and compared with what the documentation says.

use std::fs;
use std::path::Path;
use std::{format, println};

use super::*;
use crate::client::events::Events;
use crate::client::flows::Slot;
use crate::client::joining::Joining;
use crate::client::machine::Machine;
use crate::client::profile::Profile;
use crate::client::publications::Publication;
use crate::client::subscriptions::Subscription;
use crate::client::voices::Voice;
use crate::link::Link;
use crate::room::{Attribute, Waiting};

/// Most that a small client may take, bytes.
const LIMIT: usize = 12 * 1024;

/// One row of the table: what, and its bytes in `Small` and in `Desktop`.
fn row(what: &str, small: usize, desktop: usize) -> String {
    format!("| {what} | {small} | {desktop} |")
}

fn both(what: &str, bytes: usize) -> String {
    row(what, bytes, bytes)
}

fn each(what: &str, bytes: usize, small: usize, desktop: usize) -> String {
    row(
        &format!("{what}, {bytes} each"),
        bytes * small,
        bytes * desktop,
    )
}

#[test]
#[cfg(target_arch = "x86_64")]
fn sizes_are_as_documented() {
    let rows = [
        row(
            "**`Client`**",
            size_of::<Client<Small>>(),
            size_of::<Client<Desktop>>(),
        ),
        row(
            "replica of the room",
            size_of::<RoomState<<Small as Profile>::Roster>>()
                - size_of::<Attribute>() * Small::ATTRIBUTES,
            size_of::<RoomState<<Desktop as Profile>::Roster>>()
                - size_of::<Attribute>() * Desktop::ATTRIBUTES,
        ),
        each(
            "audio slots",
            size_of::<Slot>(),
            Small::SLOTS,
            Desktop::SLOTS,
        ),
        each(
            "those who were heard lately",
            size_of::<Voice>(),
            Small::SLOTS,
            Desktop::SLOTS,
        ),
        each(
            "streams published",
            size_of::<Publication>(),
            Small::PUBLISHED,
            Desktop::PUBLISHED,
        ),
        each(
            "subscriptions",
            size_of::<Subscription>(),
            Small::PARTICIPANTS,
            Desktop::PARTICIPANTS,
        ),
        each(
            "attributes of participants",
            size_of::<Attribute>(),
            Small::ATTRIBUTES,
            Desktop::ATTRIBUTES,
        ),
        each(
            "those who wait in a lobby",
            size_of::<Waiting>(),
            Small::WAITING,
            Desktop::WAITING,
        ),
        row("reliable messages received", 768, 16_384),
        row("packets to send", 1200, 32_768),
        both("association and outgoing signalling", size_of::<Link>()),
        both("handshake", size_of::<Joining>()),
        both("events", size_of::<Events>()),
        both("token", size_of::<heapless::String<MAX_TOKEN>>()),
        both(
            "all else",
            size_of::<Machine>()
                - size_of::<Link>()
                - size_of::<Joining>()
                - size_of::<Events>()
                - size_of::<heapless::String<MAX_TOKEN>>(),
        ),
    ];
    for row in &rows {
        println!("{row}");
    }
    assert!(size_of::<Client<Small>>() <= LIMIT);
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Cargo adds this file to a package, which has no documentation beside it.
    if core.join("Cargo.toml.orig").exists() {
        return;
    }
    let documented = fs::read_to_string(core.join("../docs/MEMORY.md")).expect("docs/MEMORY.md");
    for row in &rows {
        assert!(
            documented.contains(row.as_str()),
            "not in docs/MEMORY.md: {row}"
        );
    }
}
