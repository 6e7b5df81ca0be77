//! Every case, by its subject.

mod audio;
mod room;
mod rtp;
mod secure;
mod signal;

use crate::Case;

/// All cases, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        secure::CASES,
        rtp::CASES,
        signal::CASES,
        audio::CASES,
        room::CASES,
    ]
    .into_iter()
    .flatten()
}
