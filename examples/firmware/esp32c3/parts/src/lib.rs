//! What of the device needs no chip, and is tested on a host.
#![no_std]
#![forbid(unsafe_code)]

pub mod lamp;
pub mod slot;
