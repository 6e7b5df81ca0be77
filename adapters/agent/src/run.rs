//! The task of an agent: it tells the machine of turns what it hears, and does what that says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parlour_core::time::Instant;
use parlour_tokio::{
    AudioWriter, Event, Events, Grants, ParticipantId, Recipients, Room, RoomEvent, StreamKind,
    WriteError,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Interval, interval};

use crate::agent::{Address, AgentEvent, Builder, Said, SayError, SpeechEnd, StartError};
use crate::ears::Ear;
use crate::engine::{EngineError, EngineKind, Line};
use crate::mouth::Mouth;
use crate::reply::{Reply, Saying, Script};
use crate::text::{cleaned, is_backchannel, names};
use crate::transcript::{MAX_TEXT, TOPIC, Transcript};
use crate::turns::{Action, Epoch, Reply as Step, State, TurnTaking};
use crate::work::{Engines, Made, Recognized, Task, Work, make, recognize};

mod listening;
mod replying;

use listening::{Listening, Stage};

/// The attribute that marks agents.
const MARK: &str = "agent";
/// Lines that are remembered.
const HISTORY: usize = 64;
/// Texts that may wait to be said.
const SAYINGS: usize = 16;
/// Recognizers at a time.
const LISTENINGS: usize = 16;

/// What the application wants.
#[derive(Debug)]
pub(crate) enum Command {
    Say {
        text: String,
        answer: oneshot::Sender<Result<(u64, watch::Receiver<Said>), SayError>>,
    },
    Cancel(u64),
    CancelReply,
}

enum Input {
    Tick,
    Room(Option<Event>),
    Recognized(Recognized),
    Made(Option<Made>),
    Command(Option<Command>),
}

pub(crate) struct Run {
    room: Room,
    engines: Engines,
    address: Address,
    turns: TurnTaking,
    origin: tokio::time::Instant,
    ticks: Interval,
    room_events: Events,
    commands: mpsc::Receiver<Command>,
    events: broadcast::Sender<AgentEvent>,
    transcripts: Transcripts,
    ears: BTreeMap<ParticipantId, Ear>,
    floor: Option<ParticipantId>,
    /// When a voice was heard last.
    voice: Option<Instant>,
    listenings: Vec<Listening>,
    recognized: (mpsc::Sender<Recognized>, mpsc::Receiver<Recognized>),
    /// The epoch whose turn is over, while recognizers still work on it.
    ended: Option<Epoch>,
    /// Lines that were not answered, as their turn went on.
    unanswered: Vec<Line>,
    history: VecDeque<Line>,
    sayings: VecDeque<Saying>,
    reply: Option<Reply>,
    mouth: Mouth,
    /// Counts recognizers and speeches.
    count: u64,
}

/// Sends transcripts, one after the other, beside the agent's own work.
struct Transcripts {
    /// `None` without the grant.
    queue: Option<mpsc::Sender<Transcript>>,
    count: u64,
    _task: Option<Work<()>>,
}

impl Transcripts {
    fn new(room: &Room) -> Self {
        if !room.grants().contains(Grants::SEND_MESSAGES) {
            return Self {
                queue: None,
                count: 0,
                _task: None,
            };
        }
        let (queue, mut waiting) = mpsc::channel::<Transcript>(64);
        let room = room.clone();
        let task = Work::start(async move {
            while let Some(transcript) = waiting.recv().await {
                for body in transcript.to_messages() {
                    if let Err(error) = room.send_message(&Recipients::All, TOPIC, &body).await {
                        tracing::debug!(%error, "a transcript is not sent");
                        break;
                    }
                }
            }
        });
        Self {
            queue: Some(queue),
            count: 0,
            _task: Some(task),
        }
    }

    fn send(&mut self, who: ParticipantId, from_ms: u64, text: &str) {
        let Some(queue) = &self.queue else { return };
        self.count += 1;
        let text = text.to_owned();
        let transcript = Transcript {
            id: self.count,
            who,
            from_ms,
            text,
            is_final: true,
        };
        if queue.try_send(transcript).is_err() {
            tracing::warn!("transcripts are sent too slowly, and one is lost");
        }
    }
}

impl Run {
    pub(crate) async fn new(
        builder: Builder,
        room: Room,
        writer: AudioWriter,
        commands: mpsc::Receiver<Command>,
        events: broadcast::Sender<AgentEvent>,
    ) -> Result<Self, StartError> {
        if let Err(error) = room.set_attribute(MARK, "1").await {
            tracing::debug!(%error, "other agents will listen to this one");
        }
        let Builder {
            engines,
            address,
            turns,
            ..
        } = builder;
        let rate = engines.tts.sample_rate();
        let mut run = Self {
            turns: TurnTaking::new(turns),
            origin: tokio::time::Instant::now(),
            ticks: interval(Duration::from_millis(20)),
            room_events: room.events(),
            transcripts: Transcripts::new(&room),
            floor: room.with_state(|state| state.floor().cloned()),
            ears: BTreeMap::new(),
            voice: None,
            listenings: Vec::new(),
            recognized: mpsc::channel(64),
            ended: None,
            unanswered: Vec::new(),
            history: VecDeque::new(),
            sayings: VecDeque::new(),
            reply: None,
            mouth: Mouth::new(writer, rate),
            count: 0,
            room,
            engines,
            address,
            commands,
            events,
        };
        run.look_around()?;
        Ok(run)
    }

    /// Works until the room is closed, or the agent is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let going = match self.next().await {
                Input::Tick => self.tick(),
                Input::Room(Some(event)) => self.room_event(&event),
                Input::Recognized(recognized) => {
                    self.recognized(recognized);
                    true
                }
                Input::Made(made) => self.made(made),
                Input::Command(Some(command)) => {
                    self.command(command);
                    true
                }
                Input::Room(None) | Input::Command(None) => false,
            };
            if !going {
                return;
            }
            self.obey();
        }
    }

    async fn next(&mut self) -> Input {
        let Self {
            reply,
            mouth,
            ticks,
            room_events,
            recognized,
            commands,
            ..
        } = self;
        let made = async {
            match reply {
                // The rest of what is made waits with the engine while there is enough to play.
                Some(Reply {
                    made: Some(made),
                    began_ms,
                    ..
                }) if began_ms.is_none() || mouth.wants() => made.recv().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            command = commands.recv() => Input::Command(command),
            event = room_events.next() => Input::Room(event),
            _ = ticks.tick() => Input::Tick,
            Some(recognized) = recognized.1.recv() => Input::Recognized(recognized),
            made = made => Input::Made(made),
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.origin.elapsed().as_micros() as u64)
    }

    /// An error means that nobody listens.
    fn tell(&self, event: AgentEvent) {
        let _ = self.events.send(event);
    }

    fn failed(&self, engine: EngineKind, error: EngineError) {
        tracing::warn!(?engine, %error, "an engine failed");
        let error = Arc::new(error);
        self.tell(AgentEvent::EngineFailed { engine, error });
    }

    /// Every 20 ms. `false` if the agent has no voice any more.
    fn tick(&mut self) -> bool {
        let now = self.now();
        let Self {
            ears,
            turns,
            address,
            floor,
            voice,
            ..
        } = self;
        for (who, ear) in ears {
            let is_voice =
                ear.hear() && (*address != Address::Floor || floor.as_ref() == Some(who));
            if is_voice {
                *voice = Some(now);
            }
            turns.handle_voice(now, who, is_voice);
        }
        self.turns.handle_timeout(now);
        // What that wants comes first: a voice silences the reply before more of it is handed over.
        self.obey();
        self.give_up_recognizers(now);
        self.play(now)
    }

    fn play(&mut self, now: Instant) -> bool {
        match self.mouth.play() {
            Ok(None) => true,
            Ok(Some(progress)) => {
                self.turns.handle_heard(now, progress.epoch, progress.heard);
                if let Some(saying) = self.reply.as_ref().and_then(|reply| reply.saying.as_ref()) {
                    saying.tell(progress.heard, None);
                }
                if progress.is_over {
                    self.turns.handle_reply(now, progress.epoch, Step::Ended);
                    self.finish(false);
                }
                true
            }
            Err(WriteError::Closed | WriteError::NotPublished) => false,
            Err(error) => {
                tracing::warn!(%error, "a packet of the reply is lost");
                true
            }
        }
    }

    fn room_event(&mut self, event: &Event) -> bool {
        match event {
            Event::Room(
                RoomEvent::ParticipantJoined { .. }
                | RoomEvent::ParticipantLeft { .. }
                | RoomEvent::ParticipantHidden(_)
                | RoomEvent::StreamPublished(_)
                | RoomEvent::StreamUnpublished(_)
                | RoomEvent::AttributeChanged { .. },
            )
            | Event::Lagged { .. } => {
                if let Err(error) = self.look_around() {
                    tracing::warn!(%error, "a participant is not heard");
                }
            }
            Event::Room(RoomEvent::FloorChanged(holder)) => {
                let before = std::mem::replace(&mut self.floor, holder.clone());
                if let (Address::Floor, Some(before)) = (&self.address, before) {
                    let now = self.now();
                    self.turns.handle_left(now, &before);
                    self.turns.handle_release(now);
                }
            }
            _ => {}
        }
        true
    }

    /// Has an ear for each participant that may be heard.
    fn look_around(&mut self) -> Result<(), StartError> {
        let others = self.room.participants().into_iter().filter(|other| {
            other
                .streams
                .iter()
                .any(|stream| stream.kind == StreamKind::Audio)
                && !other.attributes.keys().any(|key| key.as_str() == MARK)
                && match &self.address {
                    Address::Only(who) => other.id == *who,
                    _ => true,
                }
        });
        let others: Vec<_> = others.map(|other| other.id).collect();
        let now = self.now();
        let gone = self.ears.extract_if(.., |who, _| !others.contains(who));
        for (who, _) in gone {
            self.turns.handle_left(now, &who);
        }
        for who in others {
            if !self.ears.contains_key(&who) {
                let ear = Ear::new(&self.room, &who)?;
                self.ears.insert(who, ear);
            }
        }
        Ok(())
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Say { text, answer } => {
                let answered = self.wait_to_say(&text);
                // Whoever asked may be gone; what was asked is said.
                let _ = answer.send(answered);
            }
            Command::Cancel(number) => {
                let is_it = |saying: &Saying| saying.number == number;
                let reply = self.reply.as_ref().and_then(|reply| reply.saying.as_ref());
                if reply.is_some_and(is_it) {
                    self.turns.cancel_reply(now);
                } else if let Some(at) = self.sayings.iter().position(is_it)
                    && let Some(saying) = self.sayings.remove(at)
                {
                    saying.tell(Duration::ZERO, Some(SpeechEnd::Broken));
                }
            }
            Command::CancelReply => self.turns.cancel_reply(now),
        }
    }

    fn wait_to_say(&mut self, text: &str) -> Result<(u64, watch::Receiver<Said>), SayError> {
        if text.trim().is_empty() {
            return Err(SayError::Empty);
        }
        if self.sayings.len() >= SAYINGS {
            return Err(SayError::Full { max: SAYINGS });
        }
        self.count += 1;
        let (progress, said) = watch::channel(Said::default());
        let text = text.to_owned();
        let number = self.count;
        self.sayings.push_back(Saying {
            number,
            text,
            progress,
        });
        Ok((number, said))
    }

    /// Does what the machine of turns wants.
    fn obey(&mut self) {
        while let Some(action) = self.turns.poll_action() {
            match action {
                Action::StartListening { who } => self.listen(who),
                Action::EndOfTurn { epoch, .. } => {
                    self.end_listening(Stage::Ended);
                    self.ended = Some(epoch);
                    self.answer();
                }
                Action::Speak { epoch } => {
                    self.mouth.begin(epoch);
                    let now = self.now();
                    let is_answer = self
                        .reply
                        .as_ref()
                        .is_some_and(|reply| reply.saying.is_none());
                    let after = self.voice.filter(|_| is_answer);
                    let after = after.map(|voice| now.saturating_duration_since(voice));
                    self.tell(AgentEvent::Speaking { after });
                }
                Action::Duck { .. } => {
                    self.mouth.hold();
                    self.tell(AgentEvent::Ducked);
                }
                Action::Resume { .. } => {
                    self.mouth.resume();
                    self.end_listening(Stage::Doubted);
                    self.tell(AgentEvent::Resumed);
                }
                Action::CancelReply { .. } => {
                    self.ended = None;
                    self.finish(true);
                }
            }
        }
        if self.turns.state() == State::Idle
            && let Some(saying) = self.sayings.pop_front()
            && let Some(epoch) = self.turns.begin_reply(self.now())
        {
            let task = Task::Say(saying.text.clone());
            self.begin(epoch, Vec::new(), Some(saying), task);
        }
    }

    /// Finds a reply once all is recognized that belongs to the turn.
    fn answer(&mut self) {
        let is_known = |listening: &Listening| listening.is_done || listening.stage != Stage::Ended;
        if !self.listenings.iter().all(is_known) {
            return;
        }
        let Some(epoch) = self.ended.take() else {
            return;
        };
        let over = self
            .listenings
            .extract_if(.., |listening| listening.stage == Stage::Ended);
        let over: Vec<_> = over
            .filter(|listening| !listening.text.is_empty())
            .collect();
        let mut asked = std::mem::take(&mut self.unanswered);
        for Listening {
            who, began, text, ..
        } in over
        {
            self.transcripts
                .send(who.clone(), began.as_micros() / 1_000, &text);
            self.tell(AgentEvent::Heard {
                who: who.clone(),
                text: text.clone(),
            });
            asked.push(Line {
                who: Some(who),
                text,
            });
        }
        let is_addressed = match &self.address {
            Address::Name(name) => asked.iter().any(|line| names(&line.text, name)),
            Address::Everybody | Address::Only(_) | Address::Floor => !asked.is_empty(),
        };
        if is_addressed {
            let history = self.history.iter().chain(&asked).cloned().collect();
            self.begin(epoch, asked, None, Task::Reply(history));
        } else {
            self.remember(asked);
            self.turns.handle_reply(self.now(), epoch, Step::Ended);
        }
    }
}
