//! The shared parts of the examples.
//!
//! `meeting` holds a whole meeting on one machine: [`script`] is its script, [`party`] and [`device`] are the
//! participants, [`network`] loses and delays their datagrams, and [`measure`] checks whether they heard each other.
//!
//! `parrot` is a room server with one participant, which repeats what a device says: [`mod@parrot`].
//!
//! `talk` is a voice client for a desktop; [`talk`] is its window.

pub mod device;
pub mod ear;
pub mod events;
pub mod impair;
pub mod ivf;
pub mod network;
pub mod options;
pub mod parrot;
pub mod party;
pub mod record;
pub mod recording;
pub mod report;
pub mod script;
pub mod speech;
pub mod talk;
pub mod timeline;
pub mod verdict;
pub mod wav;

pub use parlour_measure as measure;

#[cfg(doctest)]
#[doc = include_str!("../../docs/APPLICATIONS.md")]
struct TheGuideToApplications;
