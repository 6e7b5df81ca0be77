//! The operations that are measured, each by name; [`cases::all`] lists them.
//!
//! `benches/speed.rs` times them for people. `src/bin/counts.rs` counts their instructions, which do not depend on what
//! else the machine does, and compares them with those that are committed.

pub mod cases;
pub mod room;
pub mod sound;

/// One operation.
pub struct Case {
    /// The operation measured, `group/operation`.
    pub name: &'static str,
    /// Prepares this many repetitions, outside of the measurement. The returned function is then called exactly as
    /// often.
    pub prepare: fn(u64) -> Box<dyn FnMut()>,
}
