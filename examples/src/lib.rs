//! The parts of the examples that are too long for one page.

pub mod impair;
pub mod measure;
pub mod network;
pub mod wav;
