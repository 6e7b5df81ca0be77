//! Voice agents in Parlour rooms: participants that listen, think and answer.
//!
//! ```text
//!  room ──► ears ──► [ voice detection ] ──► TurnTaking ──► what to do
//!            │                                   ▲
//!            └──► Stt ──► words ─────────────────┤
//!                           └──► Llm ──► Tts ──► mouth ──► room
//! ```
//!
//! * [`Agent`] takes part in a room by `parlour-tokio`. It knows who speaks, as each participant has its own stream, and
//!   it hears several at once.
//! * [`turns`] decides when it listens, speaks, falls silent and goes on: a state machine without IO and clock.
//! * [`Stt`], [`Llm`] and [`Tts`] are the engines. Programs are some ([`CommandStt`], [`CommandTts`]); others are a few lines
//!   ([example](Llm)).
//!
//! An agent that is interrupted falls silent at once, and what was heard of its reply is known to a packet of 20 ms: the history
//! and the [transcript](Transcript) have no more than that. A voice that was only a "mhm" does not break a reply: it goes on
//! where it stopped.
//!
//! Nothing that an engine does ends an agent: one that hangs, panics or gives too much fails its turn, and is told
//! ([`AgentEvent::EngineFailed`]). What belongs to a reply that is over is dropped.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod agent;
mod command;
mod ears;
mod engine;
mod mouth;
mod reply;
mod run;
mod text;
mod transcript;
pub mod turns;
mod work;

pub use agent::{
    Address, Agent, AgentEvent, AgentEvents, Builder, SayError, Speech, SpeechEnd, StartError,
};
pub use command::{CommandStt, CommandTts};
pub use engine::{EngineError, EngineFuture, EngineKind, Line, Llm, STT_RATE, Stt, Tts, Words};
pub use parlour_core;
pub use parlour_tokio::Room;
pub use transcript::{MAX_TEXT, TOPIC, Transcript, Transcripts};
