//! Known problems of today's device SDKs: one test for each, which fails if Parlour has it, too.
//!
//! The table in `docs/TESTING.md` names the tests. Number 10, a closed core that nobody can fix,
//! needs no test: this is the core.

mod audio;
mod connection;
mod memory;
mod versions;

use parlour_core::client::Event;
use parlour_core::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whether a device was told that its connection broke or ended.
fn broke(event: &Event) -> bool {
    matches!(event, Event::Reconnecting(_) | Event::Closed(_))
}
