//! Plays a reply, falls silent within a packet, and knows what was heard.

use std::collections::VecDeque;
use std::time::Duration;

use parlour_tokio::{AudioWriter, SampleRate, WriteError};

use crate::turns::Epoch;

/// The most that is handed over ahead of what is heard, for a machine that is late by tens of milliseconds.
const AHEAD_MS: u16 = 100;
/// As much sound of a reply waits here; more stays with the engine.
const WAITING_MS: u16 = 1_000;
/// The silence behind a reply that stops. Without it, listeners would take what does not come for lost, and conceal it by
/// more of the same voice.
const FADE_MS: u16 = 40;

/// The voice of an agent.
#[derive(Debug)]
pub(crate) struct Mouth {
    writer: AudioWriter,
    rate: SampleRate,
    reply: Option<Playing>,
}

#[derive(Debug)]
struct Playing {
    epoch: Epoch,
    /// What the writer had played before.
    base: Duration,
    /// Samples that are not handed over yet.
    waiting: VecDeque<i16>,
    /// Samples that are handed over and not heard yet, and the number of those heard.
    sent: VecDeque<i16>,
    heard: usize,
    is_held: bool,
    is_complete: bool,
}

/// How far the playing reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) epoch: Epoch,
    pub(crate) heard: Duration,
    /// All of it is heard.
    pub(crate) is_over: bool,
}

impl Mouth {
    pub(crate) fn new(writer: AudioWriter, rate: SampleRate) -> Self {
        Self {
            writer,
            rate,
            reply: None,
        }
    }

    /// Begins a reply. It takes the place of the one before.
    pub(crate) fn begin(&mut self, epoch: Epoch) {
        self.stop();
        self.writer.clear();
        self.reply = Some(Playing {
            epoch,
            base: self.sent(),
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            heard: 0,
            is_held: false,
            is_complete: false,
        });
    }

    /// Whether there is a place for more sound of the reply.
    pub(crate) fn wants(&self) -> bool {
        let most = self.rate.samples(WAITING_MS);
        (self.reply.as_ref()).is_some_and(|reply| reply.waiting.len() < most)
    }

    /// Appends sound to the reply.
    pub(crate) fn push(&mut self, pcm: &[i16]) {
        if let Some(reply) = &mut self.reply {
            reply.waiting.extend(pcm);
        }
    }

    /// No more sound comes.
    pub(crate) fn complete(&mut self) {
        if let Some(reply) = &mut self.reply {
            reply.is_complete = true;
        }
    }

    /// Hands over what is due.
    pub(crate) fn play(&mut self) -> Result<Option<Progress>, WriteError> {
        self.take_note(self.writer.played());
        let (frame, ahead) = (self.rate.samples(20), self.rate.samples(AHEAD_MS));
        let Some(reply) = &mut self.reply else {
            return Ok(None);
        };
        while !reply.is_held && reply.sent.len() < ahead {
            let len = reply.waiting.len().min(frame);
            if len == 0 || len < frame && !reply.is_complete {
                break;
            }
            let mut piece: Vec<i16> = reply.waiting.drain(..len).collect();
            piece.resize(frame, 0);
            self.writer.write(&piece)?;
            reply.sent.extend(piece);
        }
        let is_over = reply.is_complete && reply.waiting.is_empty() && reply.sent.is_empty();
        let (epoch, heard) = (reply.epoch, reply.heard);
        Ok(Some(Progress {
            epoch,
            heard: self.length(heard),
            is_over,
        }))
    }

    /// Falls silent, and keeps what was not heard.
    pub(crate) fn hold(&mut self) {
        self.writer.clear();
        let sent = self.sent();
        self.take_note(sent);
        let Some(reply) = &mut self.reply else {
            return;
        };
        let was_held = std::mem::replace(&mut reply.is_held, true);
        std::mem::swap(&mut reply.sent, &mut reply.waiting);
        reply.waiting.append(&mut reply.sent);
        if was_held {
            return;
        }
        let silence = vec![0; self.rate.samples(FADE_MS)];
        // If it fails, there is nobody who could hear it.
        if self.writer.write(&silence).is_ok() {
            reply.base += Duration::from_millis(FADE_MS.into());
        }
    }

    /// Goes on where it stopped.
    pub(crate) fn resume(&mut self) {
        if let Some(reply) = &mut self.reply {
            reply.is_held = false;
        }
    }

    /// Falls silent, and drops the rest; gives how many samples were heard.
    pub(crate) fn stop(&mut self) -> usize {
        self.hold();
        self.reply.take().map_or(0, |reply| reply.heard)
    }

    /// The length of so many samples.
    pub(crate) fn length(&self, samples: usize) -> Duration {
        Duration::from_micros(samples as u64 * 1_000_000 / u64::from(self.rate.hz()))
    }

    /// What has gone out once the rest is cleared: whole packets, as the one that is heard now is heard to its end.
    fn sent(&self) -> Duration {
        let packets = self.writer.played().as_micros().div_ceil(20_000);
        Duration::from_millis(20) * packets as u32
    }

    /// Moves what has been heard of all that was `played`.
    fn take_note(&mut self, played: Duration) {
        if let Some(reply) = &mut self.reply {
            let micros = played.saturating_sub(reply.base).as_micros() as u64;
            let samples = (micros * u64::from(self.rate.hz()) / 1_000_000) as usize;
            let more = samples.saturating_sub(reply.heard).min(reply.sent.len());
            reply.sent.drain(..more);
            reply.heard += more;
        }
    }
}
