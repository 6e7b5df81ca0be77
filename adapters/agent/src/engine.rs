//! What recognizes, thinks and speaks for an agent: engines as traits, for whatever there is.
//!
//! An engine makes one future for each task. It takes what it needs out of a channel, gives what it makes into another, and
//! returns when it is done. The agent drops the future, and the channels with it, when nobody wants the result any more. An
//! engine that gives nothing for too long is given up ([`EngineError::Silent`]).
//!
//! ```
//! use parlour_agent::{EngineFuture, Line, Llm};
//! use tokio::sync::mpsc;
//!
//! /// Says again what it hears.
//! struct Echo;
//!
//! impl Llm for Echo {
//!     fn reply(&self, history: Vec<Line>, tokens: mpsc::Sender<String>) -> EngineFuture {
//!         Box::pin(async move {
//!             let said = history.last().map(|line| line.text.clone()).unwrap_or_default();
//!             // An error means that nobody waits for it.
//!             let _ = tokens.send(said).await;
//!             Ok(())
//!         })
//!     }
//! }
//! ```

use std::pin::Pin;
use std::time::Duration;

use parlour_tokio::{ParticipantId, SampleRate};
use tokio::sync::mpsc;

/// The work of an engine on one task.
pub type EngineFuture = Pin<Box<dyn Future<Output = Result<(), EngineError>> + Send>>;

/// The rate of the sound that recognizers hear.
pub const STT_RATE: SampleRate = SampleRate::Hz16000;

/// Speech to text.
pub trait Stt: Send + Sync {
    /// Recognizes what one participant says in one turn: mono PCM at [`STT_RATE`] in pieces of 20 ms, until the channel ends.
    fn transcribe(
        &self,
        sound: mpsc::Receiver<Vec<i16>>,
        words: mpsc::Sender<Words>,
    ) -> EngineFuture;
}

/// Text to speech.
pub trait Tts: Send + Sync {
    /// The rate of the PCM that it gives.
    fn sample_rate(&self) -> SampleRate;

    /// Speaks one sentence: mono PCM in pieces of any length.
    fn synthesize(&self, text: String, sound: mpsc::Sender<Vec<i16>>) -> EngineFuture;
}

/// A language model, or whatever else finds a reply.
pub trait Llm: Send + Sync {
    /// Replies to the last line of `history`, in pieces of any length. Nothing is a reply, too.
    fn reply(&self, history: Vec<Line>, tokens: mpsc::Sender<String>) -> EngineFuture;
}

/// Recognized words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The words since the last final ones.
    pub text: String,
    /// Whether they will not change any more.
    pub is_final: bool,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The participant; `None` for the agent itself.
    pub who: Option<ParticipantId>,
    /// What was said. Of the agent's own replies, what was heard of them.
    pub text: String,
}

/// The engine that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Speech to text.
    Stt,
    /// The language model.
    Llm,
    /// Text to speech.
    Tts,
}

/// The reason that an engine did not finish its task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A program does not start.
    #[error("{program} does not start: install it, or give its path")]
    Start {
        /// The program.
        program: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("{program} failed ({status}): run it by hand to see why")]
    Exit {
        /// The program.
        program: String,
        /// What it ended with.
        status: std::process::ExitStatus,
    },
    /// A program stopped to talk to us.
    #[error("the pipe to {program} broke")]
    Pipe {
        /// The program.
        program: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// What it gives is not what it should give.
    #[error("{what}: check the engine's options")]
    Garbage {
        /// What is wrong.
        what: &'static str,
    },
    /// It gave nothing for too long.
    #[error("the engine gave nothing for {0:?} and was given up")]
    Silent(Duration),
    /// It gave more than anybody would hear.
    #[error("the engine gave more than {0}, and the rest was dropped")]
    TooMuch(&'static str),
    /// It panicked.
    #[error("the engine panicked: its log says why")]
    Panicked,
    /// An engine's own error. Its text is logged and told: it must have no secrets in it.
    #[error("{0}")]
    Other(String),
}
