//! The parts of the devices that need no chip, and are tested on a host.
#![no_std]
#![forbid(unsafe_code)]

pub mod lamp;
pub mod slot;
