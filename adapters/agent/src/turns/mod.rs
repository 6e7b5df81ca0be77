//! Whose turn it is: a state machine without IO, clock and randomness.
//!
//! [`TurnTaking`] is told of voices, words and the reply's progress, and answers with [`Action`]s. It needs `alloc`, and no
//! `std`. All times are integers.
//!
//! ```text
//!            voice                silence of `pause*`              first sound
//!  Idle ───────────► Listening ──────────────────► Thinking ─────────────────► Speaking ──► Idle
//!   ▲                 ▲      ▲       voice              │                       │      ▲      all heard
//!   │                 │      └──── CancelReply ─────────┤               voice: Duck    │
//!   │                 │                                 │                       ▼      │ Resume
//!   │                 └── CancelReply: longer than ─────┼────────────── Interrupted ───┘ it was short,
//!   │                     `backchannel`, or words       │                                and nobody said a word
//!   └──────────────── CancelReply: nothing for `patience`
//! ```
//!
//! ```
//! use parlour_agent::turns::{Action, Config, Reply, TurnTaking};
//! use parlour_agent::parlour_core::{room::ParticipantId, time::Instant};
//!
//! let at = |ms: u64| Instant::from_micros(ms * 1_000);
//! let anna = ParticipantId::new("anna")?;
//! let mut turns = TurnTaking::new(Config::default());
//! turns.handle_voice(at(0), &anna, true);
//! assert_eq!(turns.poll_action(), Some(Action::StartListening { who: anna.clone() }));
//! turns.handle_voice(at(20), &anna, true);
//! turns.handle_voice(at(40), &anna, false);
//! let end = turns.poll_timeout().expect("the turn ends by itself");
//! turns.handle_timeout(end);
//! let Some(Action::EndOfTurn { who, epoch }) = turns.poll_action() else { panic!() };
//! assert_eq!(who, anna);
//! turns.handle_reply(at(1_500), epoch, Reply::Ready);
//! assert_eq!(turns.poll_action(), Some(Action::Speak { epoch }));
//! # Ok::<(), parlour_agent::parlour_core::room::IdError>(())
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use parlour_core::room::ParticipantId;
use parlour_core::time::{Duration, Instant, earlier};

/// A voice that is not told of again for so long has ended.
pub const STALE: Duration = Duration::from_millis(200);
/// Participants of one turn. Whoever comes later is heard in the next one. It is as many as a client has slots.
pub const MAX_SPEAKERS: usize = 32;

/// The lengths of silences and voices that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The silence that ends a turn after final words.
    pub pause_after_final: Duration,
    /// The silence that ends a turn of which no words are known, as the recognizer gives them at the end only.
    pub pause: Duration,
    /// The silence that ends a turn whose last words are not final: the sentence may go on.
    pub pause_open: Duration,
    /// A voice of at most this length, while the agent speaks, is a backchannel such as "mhm", unless it has final words.
    /// It counts what a detector adds to the end of a voice; for [`parlour_voice::Detector`] that is 128 ms.
    pub backchannel: Duration,
    /// The silence after a backchannel before the agent goes on.
    pub settle: Duration,
    /// The time without progress after which a reply is given up.
    pub patience: Duration,
}

impl Default for Config {
    /// 0.5 s, 0.8 s and 3 s of silence; backchannels of 0.5 s and the 0.13 s of the detector; 0.2 s to settle; 15 s of patience.
    fn default() -> Self {
        Self {
            pause_after_final: Duration::from_millis(500),
            pause: Duration::from_millis(800),
            pause_open: Duration::from_secs(3),
            backchannel: Duration::from_millis(630),
            settle: Duration::from_millis(200),
            patience: Duration::from_secs(15),
        }
    }
}

/// One reply of the agent. What belongs to an epoch that is over is to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A voice began: give the participant's sound to a recognizer, from a little before now.
    StartListening {
        /// The participant.
        who: ParticipantId,
    },
    /// The turn is over: end the recognizers, and find a reply.
    EndOfTurn {
        /// The participant who began the turn.
        who: ParticipantId,
        /// The epoch of the reply.
        epoch: Epoch,
    },
    /// Play the reply, of which there is sound.
    Speak {
        /// The reply's epoch.
        epoch: Epoch,
    },
    /// Somebody has begun to speak: be silent at once, but keep the rest of the reply.
    Duck {
        /// The reply's epoch.
        epoch: Epoch,
    },
    /// It was a backchannel: go on where the reply stopped, and end the recognizers. If they turn out to have heard words, tell
    /// [`TurnTaking::handle_transcript`].
    Resume {
        /// The reply's epoch.
        epoch: Epoch,
    },
    /// Be silent at once, and drop the rest of the reply and all that its engines still make.
    CancelReply {
        /// The reply's epoch.
        epoch: Epoch,
        /// The length of what was heard of it, as [told](TurnTaking::handle_heard) last.
        heard: Duration,
    },
}

/// How a reply goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// There is sound to play.
    Ready,
    /// All is heard; or there is nothing to say; or the engines failed.
    Ended,
}

/// What the agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Idle,
    /// It hears somebody.
    Listening,
    /// A reply is made.
    Thinking,
    /// It speaks.
    Speaking,
    /// It has stopped in mid-reply, for somebody who may want to say something.
    Interrupted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Listening,
    Thinking(Current),
    Speaking(Current),
    Interrupted { reply: Current, since: Instant },
}

/// The reply under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Current {
    epoch: Epoch,
    heard: Duration,
    /// When it made progress last.
    alive: Instant,
}

/// What is known of somebody's words since the last voice began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    None,
    Open,
    Final,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Speaker {
    who: ParticipantId,
    /// When its voice was heard last.
    voice: Instant,
    is_voice: bool,
    words: Words,
}

/// Decides when the agent listens, speaks, falls silent and goes on.
///
/// Poll [actions](Self::poll_action) after each input, and call [`handle_timeout`](Self::handle_timeout) when
/// [`poll_timeout`](Self::poll_timeout) says. Any order of inputs is fine.
#[derive(Debug)]
pub struct TurnTaking {
    config: Config,
    phase: Phase,
    /// In the order in which they began.
    speakers: Vec<Speaker>,
    last: Epoch,
    actions: VecDeque<Action>,
}

impl TurnTaking {
    /// An idle one.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            phase: Phase::Idle,
            speakers: Vec::new(),
            last: Epoch(0),
            actions: VecDeque::new(),
        }
    }

    /// What the agent does now.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::Listening => State::Listening,
            Phase::Thinking(_) => State::Thinking,
            Phase::Speaking(_) => State::Speaking,
            Phase::Interrupted { .. } => State::Interrupted,
        }
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether a participant's sound is a voice now, as a detector says. Tell it every 20 ms or so: a voice that is not told
    /// of for [`STALE`] has ended.
    pub fn handle_voice(&mut self, now: Instant, who: &ParticipantId, is_voice: bool) {
        self.handle_timeout(now);
        if is_voice {
            if !self.begin_voice(now, who) {
                return;
            }
        } else if let Some(speaker) = self.speaker(who) {
            speaker.is_voice = false;
        }
        self.advance(now);
    }

    /// Words of a participant were recognized. Leave words out that answer nothing, such as "mhm" while the agent speaks.
    ///
    /// Final words end the agent's reply, also those of a voice that was taken for a backchannel.
    pub fn handle_transcript(&mut self, now: Instant, who: &ParticipantId, is_final: bool) {
        self.handle_timeout(now);
        let words = if is_final { Words::Final } else { Words::Open };
        let is_known = self
            .speaker(who)
            .map(|speaker| speaker.words = words)
            .is_some();
        match self.phase {
            Phase::Interrupted { reply, .. } if is_final && is_known => self.interrupt(reply),
            Phase::Interrupted { reply, .. } | Phase::Speaking(reply) if is_final => {
                self.cancelled(reply);
                self.think(now, who.clone());
            }
            Phase::Idle if is_final => self.think(now, who.clone()),
            _ => {}
        }
        self.advance(now);
    }

    /// A participant is gone, or may not be heard any more: its voice has ended.
    pub fn handle_left(&mut self, now: Instant, who: &ParticipantId) {
        self.handle_voice(now, who, false);
    }

    /// Whoever speaks has ended its turn by hand: with push-to-talk, it released the floor.
    pub fn handle_release(&mut self, now: Instant) {
        self.handle_timeout(now);
        if let Phase::Interrupted { reply, .. } = self.phase {
            self.interrupt(reply);
        }
        if self.phase == Phase::Listening {
            self.end_turn(now);
        }
    }

    /// How the reply goes on. What is said of another epoch than the present one counts for nothing.
    pub fn handle_reply(&mut self, now: Instant, epoch: Epoch, reply: Reply) {
        self.handle_timeout(now);
        match (self.phase, reply) {
            (Phase::Thinking(current), Reply::Ready) if current.epoch == epoch => {
                let alive = now;
                self.phase = Phase::Speaking(Current { alive, ..current });
                self.actions.push_back(Action::Speak { epoch });
            }
            (Phase::Thinking(current) | Phase::Speaking(current), Reply::Ended)
                if current.epoch == epoch =>
            {
                self.phase = Phase::Idle;
            }
            (Phase::Interrupted { reply, .. }, Reply::Ended) if reply.epoch == epoch => {
                self.phase = Phase::Listening;
            }
            _ => {}
        }
        self.advance(now);
    }

    /// How much of the reply has been heard. While it grows, the reply is not given up.
    pub fn handle_heard(&mut self, now: Instant, epoch: Epoch, heard: Duration) {
        if let Phase::Speaking(reply) | Phase::Interrupted { reply, .. } = &mut self.phase
            && reply.epoch == epoch
            && heard > reply.heard
        {
            (reply.heard, reply.alive) = (heard, now);
        }
        self.handle_timeout(now);
    }

    /// The agent wants to say something by itself: gives the epoch, or `None` unless it is [idle](State::Idle).
    pub fn begin_reply(&mut self, now: Instant) -> Option<Epoch> {
        self.handle_timeout(now);
        (self.phase == Phase::Idle).then(|| self.next_reply(now))
    }

    /// Ends the reply under way, if any.
    pub fn cancel_reply(&mut self, now: Instant) {
        self.handle_timeout(now);
        match self.phase {
            Phase::Thinking(reply) | Phase::Speaking(reply) => {
                self.cancelled(reply);
                self.phase = Phase::Idle;
            }
            Phase::Interrupted { reply, .. } => self.interrupt(reply),
            Phase::Idle | Phase::Listening => {}
        }
        self.advance(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for speaker in &mut self.speakers {
            speaker.is_voice &= now < speaker.voice + STALE;
        }
        self.advance(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` means never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let voices = self.speakers.iter().filter(|speaker| speaker.is_voice);
        let stale = voices.map(|speaker| speaker.voice + STALE).min();
        earlier(stale, self.deadline())
    }

    /// When the phase ends if nothing happens.
    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle => None,
            Phase::Listening => (!self.is_voice()).then(|| self.last_voice() + self.pause()),
            Phase::Thinking(reply) | Phase::Speaking(reply) => {
                Some(reply.alive + self.config.patience)
            }
            Phase::Interrupted { since, .. } => Some(if self.is_voice() {
                since + self.config.backchannel
            } else {
                self.last_voice() + self.config.settle
            }),
        }
    }

    fn advance(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::Idle => {}
            Phase::Listening => self.end_turn(now),
            Phase::Thinking(reply) | Phase::Speaking(reply) => {
                self.cancelled(reply);
                self.phase = Phase::Idle;
            }
            Phase::Interrupted { reply, since } => {
                let length = self.last_voice().saturating_duration_since(since);
                if self.is_voice() || length > self.config.backchannel {
                    self.interrupt(reply);
                } else {
                    self.speakers.clear();
                    let alive = now;
                    self.phase = Phase::Speaking(Current { alive, ..reply });
                    let epoch = reply.epoch;
                    self.actions.push_back(Action::Resume { epoch });
                }
            }
        }
    }

    /// `false` if there is no place for one more.
    fn begin_voice(&mut self, now: Instant, who: &ParticipantId) -> bool {
        if let Some(speaker) = self.speaker(who) {
            if !speaker.is_voice && speaker.words == Words::Final {
                // More words are to come.
                speaker.words = Words::None;
            }
            (speaker.voice, speaker.is_voice) = (now, true);
        } else {
            if self.speakers.len() >= MAX_SPEAKERS {
                return false;
            }
            self.speakers.push(Speaker {
                who: who.clone(),
                voice: now,
                is_voice: true,
                words: Words::None,
            });
            let who = who.clone();
            self.actions.push_back(Action::StartListening { who });
        }
        match self.phase {
            Phase::Idle => self.phase = Phase::Listening,
            Phase::Thinking(reply) => self.interrupt(reply),
            Phase::Speaking(reply) => {
                self.phase = Phase::Interrupted { reply, since: now };
                let epoch = reply.epoch;
                self.actions.push_back(Action::Duck { epoch });
            }
            Phase::Listening | Phase::Interrupted { .. } => {}
        }
        true
    }

    /// Whoever speaks has the turn.
    fn interrupt(&mut self, reply: Current) {
        self.cancelled(reply);
        self.phase = Phase::Listening;
    }

    fn cancelled(&mut self, reply: Current) {
        let Current { epoch, heard, .. } = reply;
        self.actions.push_back(Action::CancelReply { epoch, heard });
    }

    fn end_turn(&mut self, now: Instant) {
        match self.speakers.first() {
            Some(first) => self.think(now, first.who.clone()),
            None => self.phase = Phase::Idle,
        }
    }

    fn think(&mut self, now: Instant, who: ParticipantId) {
        let epoch = self.next_reply(now);
        self.actions.push_back(Action::EndOfTurn { who, epoch });
    }

    fn next_reply(&mut self, now: Instant) -> Epoch {
        self.last = Epoch(self.last.0 + 1);
        self.speakers.clear();
        self.phase = Phase::Thinking(Current {
            epoch: self.last,
            heard: Duration::ZERO,
            alive: now,
        });
        self.last
    }

    fn speaker(&mut self, who: &ParticipantId) -> Option<&mut Speaker> {
        self.speakers.iter_mut().find(|speaker| speaker.who == *who)
    }

    fn is_voice(&self) -> bool {
        self.speakers.iter().any(|speaker| speaker.is_voice)
    }

    fn last_voice(&self) -> Instant {
        let voices = self.speakers.iter().map(|speaker| speaker.voice);
        voices.max().unwrap_or(Instant::from_micros(0))
    }

    /// The silence that ends this turn.
    fn pause(&self) -> Duration {
        let has = |words| self.speakers.iter().any(|speaker| speaker.words == words);
        if has(Words::Open) {
            self.config.pause_open
        } else if has(Words::Final) {
            self.config.pause_after_final
        } else {
            self.config.pause
        }
    }
}

#[cfg(test)]
mod tests;
