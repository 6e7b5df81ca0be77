//! The [world](parlour_world) in which tests run whole rooms, and meetings in it that go wrong in every way.

pub mod simulation;

pub use parlour_world::*;
