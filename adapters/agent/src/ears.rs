//! Hears one participant: its sound, whether it is a voice, and the recognizer that gets it.

use std::collections::VecDeque;

use parlour_tokio::{ParticipantId, ParticipantReader, Room};
use parlour_voice::{Detector, RateError};
use tokio::sync::mpsc;

use crate::engine::STT_RATE;

/// 20 ms.
pub(crate) const PIECE: usize = STT_RATE.samples(20);
/// A recognizer hears so much from before a voice was found.
const BEFORE: usize = STT_RATE.samples(400);
/// Pieces of silence after which the detector has nothing to find any more: 200 ms.
const QUIET: u32 = 10;

#[derive(Debug)]
pub(crate) struct Ear {
    reader: ParticipantReader,
    detector: Detector,
    recent: VecDeque<i16>,
    quiet: u32,
    recognizer: Option<mpsc::Sender<Vec<i16>>>,
    /// Pieces that the recognizer was too slow for.
    missed: u64,
}

impl Ear {
    pub(crate) fn new(room: &Room, who: &ParticipantId) -> Result<Self, RateError> {
        Ok(Self {
            reader: room.audio_of(who, STT_RATE),
            detector: Detector::new(STT_RATE.hz())?,
            recent: VecDeque::with_capacity(BEFORE),
            quiet: QUIET,
            recognizer: None,
            missed: 0,
        })
    }

    /// Hears the next 20 ms; gives whether they are a voice.
    pub(crate) fn hear(&mut self) -> bool {
        let mut pcm = [0; PIECE];
        let is_heard = self.reader.read(&mut pcm).is_some();
        self.quiet = if is_heard {
            0
        } else {
            self.quiet.saturating_add(1)
        };
        if let Some(recognizer) = &self.recognizer {
            self.missed += u64::from(recognizer.try_send(pcm.to_vec()).is_err());
        } else {
            let excess = (self.recent.len() + PIECE).saturating_sub(BEFORE);
            self.recent.drain(..excess);
            self.recent.extend(pcm);
        }
        self.quiet < QUIET && self.detector.hear(&pcm)
    }

    /// Gives the sound to a recognizer, from a little before now.
    pub(crate) fn listen(&mut self, recognizer: mpsc::Sender<Vec<i16>>) {
        let before = self.recent.drain(..).collect();
        self.missed = u64::from(recognizer.try_send(before).is_err());
        self.recognizer = Some(recognizer);
    }

    /// The recognizer gets no more; gives the number of pieces that were lost to it.
    pub(crate) fn stop(&mut self) -> u64 {
        self.recognizer = None;
        std::mem::take(&mut self.missed)
    }
}
