//! What the boards in QEMU have in common. Each board's crate passes it on, so that a firmware depends on one crate.
//!
//! | module | contents |
//! |---|---|
//! | [`host`] | semihosting: QEMU traps a certain sequence of instructions |
//! | [`lines`] | the bytes that a UART received, as lines |
//! | [`stack`] | the painted stack |
//! | [`register`] | memory-mapped registers |
#![no_std]
#![deny(missing_docs)]

pub mod host;
pub mod lines;
pub mod register;
pub mod stack;
