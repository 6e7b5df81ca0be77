//! The handles of an agent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parlour_tokio::{AudioOptions, ParticipantId, PublishError, Room};
use parlour_voice::RateError;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::engine::{EngineError, EngineKind, Llm, Stt, Tts};
use crate::run::{Command, Run};
use crate::turns;
use crate::work::{Engines, Work};

/// Events that wait for a slow reader.
const EVENTS: usize = 256;

/// To whom an agent listens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Address {
    /// Everybody: each turn is answered.
    #[default]
    Everybody,
    /// Everybody, but only turns with this name in them are answered. Others fall into the history.
    Name(String),
    /// One participant. Others are not heard.
    Only(ParticipantId),
    /// Whoever holds the floor: push-to-talk. Releasing it ends the turn.
    Floor,
}

/// How an agent behaves. [`Agent::pipeline`] makes one.
#[must_use]
pub struct Builder {
    pub(crate) engines: Engines,
    pub(crate) address: Address,
    pub(crate) turns: turns::Config,
    pub(crate) stream: String,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("address", &self.address)
            .field("turns", &self.turns)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// To whom it listens; by default, to everybody.
    pub fn address(self, address: Address) -> Self {
        Self { address, ..self }
    }

    /// The pauses and voices that decide whose turn it is.
    pub fn turns(self, turns: turns::Config) -> Self {
        Self { turns, ..self }
    }

    /// How long an engine may give nothing; by default, 10 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.engines.patience = patience;
        self
    }

    /// The key of the stream of its voice, 1 to 16 printable ASCII characters; by default `voice`.
    pub fn stream(self, key: &str) -> Self {
        let stream = key.to_owned();
        Self { stream, ..self }
    }

    /// Publishes the agent's voice in a room, and begins to listen. It sets its attribute `agent`, and does not listen to others
    /// that have it: two agents would never end.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(self, room: Room) -> Result<Agent, StartError> {
        let rate = self.engines.tts.sample_rate();
        let writer = room
            .publish_audio(&self.stream, AudioOptions::opus_voice(rate))
            .await?;
        let (commands, asked) = mpsc::channel(16);
        let (events, _) = broadcast::channel(EVENTS);
        let run = Run::new(self, room, writer, asked, events.clone()).await?;
        Ok(Agent {
            commands,
            events: events.downgrade(),
            task: Work::start(run.run()),
        })
    }
}

/// The reason that an agent does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its voice is not published.
    #[error("the agent's voice is not published: {0}")]
    Publish(#[from] PublishError),
    /// There is no detector of voices for the rate of its ears.
    #[error(transparent)]
    Rate(#[from] RateError),
}

/// A participant that listens, thinks and answers. Dropping it ends the agent in the background; the room stays.
///
/// ```no_run
/// use std::sync::Arc;
/// use parlour_agent::{Agent, AgentEvent, CommandStt, CommandTts};
/// # use parlour_agent::{Llm, Room};
///
/// # async fn example(room: Room, llm: Arc<dyn Llm>) -> Result<(), Box<dyn std::error::Error>> {
/// let stt = Arc::new(CommandStt::new("pocketsphinx_continuous", ["-infile", "/dev/stdin", "-jsgf", "commands.gram"]));
/// let tts = Arc::new(CommandTts::new("espeak-ng", ["--stdin", "--stdout"]));
/// let agent = Agent::pipeline(stt, llm, tts).start(room).await?;
/// let mut events = agent.events();
/// let mut greeting = agent.say("Hello! I can turn on the lamp.").await?;
/// println!("{:?}: {:?} of it was heard", greeting.ended().await, greeting.heard());
/// while let Some(event) = events.next().await {
///     if let AgentEvent::Heard { who, text } = event {
///         println!("{who}: {text}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Agent {
    commands: mpsc::Sender<Command>,
    /// The task has the sender: the events end with it.
    events: broadcast::WeakSender<AgentEvent>,
    task: Work<()>,
}

impl Agent {
    /// An agent of three engines, one after the other: it recognizes what is said, finds a reply, and speaks it sentence by
    /// sentence.
    pub fn pipeline(stt: Arc<dyn Stt>, llm: Arc<dyn Llm>, tts: Arc<dyn Tts>) -> Builder {
        Builder {
            engines: Engines {
                stt,
                llm,
                tts,
                patience: Duration::from_secs(10),
            },
            address: Address::default(),
            turns: turns::Config::default(),
            stream: "voice".to_owned(),
        }
    }

    /// Says something when nobody speaks and no reply is under way. It can be interrupted.
    ///
    /// # Errors
    /// [`SayError`]
    pub async fn say(&self, text: &str) -> Result<Speech, SayError> {
        let (answer, answered) = oneshot::channel();
        let text = text.to_owned();
        let asked = self.commands.send(Command::Say { text, answer }).await;
        asked.map_err(|_| SayError::Closed)?;
        let (number, progress) = answered.await.map_err(|_| SayError::Closed)??;
        Ok(Speech {
            number,
            progress,
            commands: self.commands.clone(),
        })
    }

    /// Falls silent, and drops the reply that is made or said.
    pub async fn cancel_reply(&self) {
        // An error means that it says nothing any more.
        let _ = self.commands.send(Command::CancelReply).await;
    }

    /// What happens from now on.
    pub fn events(&self) -> AgentEvents {
        let events = self.events.upgrade().map(|events| events.subscribe());
        AgentEvents { events }
    }

    /// Ends the agent, and waits until its stream may be published again.
    pub async fn stop(self) {
        self.task.stop().await;
    }

    /// Whether it has ended, as its room is closed or its stream is not published any more.
    pub fn is_closed(&self) -> bool {
        self.task.is_finished()
    }
}

/// The reason that an agent does not say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SayError {
    /// The agent has ended.
    #[error("the agent has ended: start another in the room")]
    Closed,
    /// Too much waits to be said.
    #[error("{max} texts wait to be said: wait for one of them to end")]
    Full {
        /// How many may wait.
        max: usize,
    },
    /// There is nothing to say.
    #[error("the text has no words: say something")]
    Empty,
}

/// How far a [`Speech`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Said {
    pub(crate) heard: Duration,
    pub(crate) end: Option<SpeechEnd>,
}

/// How a speech ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechEnd {
    /// All was heard.
    Whole,
    /// It was interrupted or cancelled, or its engine failed, or the agent has ended.
    Broken,
}

/// Something that an agent says, or waits to say. Dropping it changes nothing.
#[derive(Debug)]
pub struct Speech {
    number: u64,
    progress: watch::Receiver<Said>,
    commands: mpsc::Sender<Command>,
}

impl Speech {
    /// How much of it has been heard, to a packet of 20 ms, as far as this end can tell: network and jitter buffers add their
    /// delay.
    pub fn heard(&self) -> Duration {
        self.progress.borrow().heard
    }

    /// Falls silent within a packet, or does not begin.
    pub async fn cancel(&self) {
        // An error means that it has ended.
        let _ = self.commands.send(Command::Cancel(self.number)).await;
    }

    /// Waits until it has ended. Cancellation-safe.
    pub async fn ended(&mut self) -> SpeechEnd {
        let ended = self.progress.wait_for(|said| said.end.is_some()).await;
        ended.map_or(SpeechEnd::Broken, |said| {
            said.end.unwrap_or(SpeechEnd::Broken)
        })
    }
}

/// Something that happened to an agent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AgentEvent {
    /// Somebody's part of a turn was recognized.
    Heard {
        /// The participant.
        who: ParticipantId,
        /// What was said.
        text: String,
    },
    /// The agent begins to speak.
    Speaking {
        /// The time since somebody's voice was heard last, if it is a reply.
        after: Option<Duration>,
    },
    /// Somebody's voice silenced the agent.
    Ducked,
    /// It was a backchannel, and the agent goes on.
    Resumed,
    /// The agent has ended what it said.
    Said {
        /// What was heard of it.
        text: String,
        /// How long that is.
        heard: Duration,
        /// Whether it was broken off.
        interrupted: bool,
    },
    /// An engine failed. The turn is over; the agent listens on.
    EngineFailed {
        /// The engine.
        engine: EngineKind,
        /// The reason.
        error: Arc<EngineError>,
    },
    /// This reader was too slow, and events are lost to it.
    Lagged {
        /// The number of lost events.
        missed: u64,
    },
}

/// The events of an agent, in their order. Bounded: a slow reader loses the oldest, and is [told so](AgentEvent::Lagged).
#[derive(Debug)]
pub struct AgentEvents {
    events: Option<broadcast::Receiver<AgentEvent>>,
}

impl AgentEvents {
    /// The next event; `None` once the agent has ended. Cancellation-safe.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        match self.events.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(AgentEvent::Lagged { missed }),
            Err(RecvError::Closed) => None,
        }
    }
}
