//! The parts of the examples that are too long for one page.
//!
//! `meeting` holds a whole meeting on one machine: [`script`] says what happens, [`party`] and [`device`] are those
//! who take part, [`network`] loses and delays what they send, and [`measure`] tells whether they heard each other.
//!
//! `parrot` is a room server with one participant, who says back what a device says: [`mod@parrot`].

pub mod device;
pub mod ear;
pub mod events;
pub mod impair;
pub mod measure;
pub mod network;
pub mod options;
pub mod parrot;
pub mod party;
pub mod record;
pub mod recording;
pub mod report;
pub mod script;
pub mod speech;
pub mod timeline;
pub mod verdict;
pub mod wav;
