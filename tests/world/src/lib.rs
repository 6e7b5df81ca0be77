//! A whole room in one process: clients, server, network and clock, all decided by one seed. Scenarios, the simulation and fuzz
//! targets run in it.

pub mod camera;
pub mod device;
pub mod facts;
pub mod network;
pub mod party;
pub mod token;
pub mod tone;
pub mod voice;
pub mod world;

pub use camera::{Camera, Filming, Shown, Watcher};
pub use device::{Device, Size};
pub use facts::{Facts, is_about_speech};
pub use network::{Bottleneck, LinkConfig};
pub use party::{Handle, Heard, Mixed, Options, Received, camera, microphone, screen};
pub use world::World;
