//! Voice agents.
extern crate alloc;
mod command;
mod engine;
pub mod turns;
pub use command::{CommandStt, CommandTts};
pub use engine::{EngineError, EngineFuture, EngineKind, Line, Llm, STT_RATE, Stt, Tts, Words};
pub use parlour_core;
