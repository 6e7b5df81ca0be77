//! The [world](parlour_world) in which tests run whole rooms, and meetings in it that go wrong in every way.

#[cfg(target_os = "linux")]
pub mod process;
pub mod simulation;

pub use parlour_world::*;
