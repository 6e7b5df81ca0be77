//! The recognizers at work.

use super::*;

/// What a recognizer's words are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Of somebody who speaks.
    Open,
    /// Of a turn that is over.
    Ended,
    /// Of a voice that was taken for a backchannel, which they may show to be wrong.
    Doubted,
}

/// One recognizer: what one participant says in one turn.
#[derive(Debug)]
pub(super) struct Listening {
    number: u64,
    pub(super) who: ParticipantId,
    pub(super) began: Instant,
    pub(super) stage: Stage,
    /// All final words.
    pub(super) text: String,
    pub(super) is_done: bool,
    /// When it is given up: it has all sound, and is to say what it was.
    deadline: Option<Instant>,
    _work: Work<()>,
}

impl Run {
    /// Begins to recognize what a participant says.
    pub(super) fn listen(&mut self, who: ParticipantId) {
        let Some(ear) = self.ears.get_mut(&who) else {
            return;
        };
        if self.listenings.len() >= LISTENINGS {
            tracing::warn!(%who, "too many recognizers are at work, and some words are lost");
            return;
        }
        self.count += 1;
        let number = self.count;
        let out = self.recognized.0.clone();
        let (sound, work) = recognize(&self.engines, number, out);
        ear.listen(sound);
        self.listenings.push(Listening {
            number,
            who,
            began: self.now(),
            stage: Stage::Open,
            text: String::new(),
            is_done: false,
            deadline: None,
            _work: work,
        });
    }

    /// The recognizers at work have all sound.
    pub(super) fn end_listening(&mut self, stage: Stage) {
        for (who, ear) in &mut self.ears {
            let missed = ear.stop();
            if missed > 0 {
                tracing::warn!(%who, missed, "the recognizer is too slow, and 20 ms pieces are lost");
            }
        }
        let deadline = self.now() + self.engines.patience;
        for listening in &mut self.listenings {
            if listening.stage == Stage::Open {
                listening.deadline = Some(deadline);
                listening.stage = stage;
            } else if stage == Stage::Ended {
                listening.stage = stage;
            }
        }
        self.forget_backchannels();
    }

    /// Takes what a recognizer gives; of one that was given up, nothing.
    pub(super) fn recognized(&mut self, recognized: Recognized) {
        let now = self.now();
        let number = recognized.listening;
        let mut listenings = self.listenings.iter_mut();
        let Some(listening) = listenings.find(|listening| listening.number == number) else {
            return;
        };
        match recognized.what {
            Ok(words) => {
                let text = cleaned(&words.text, MAX_TEXT);
                let who = listening.who.clone();
                if words.is_final && listening.text.len() + text.len() < MAX_TEXT {
                    if !listening.text.is_empty() && !text.is_empty() {
                        listening.text.push(' ');
                    }
                    listening.text.push_str(&text);
                }
                // The words of a turn that is over are waited for; they do not change whose turn it is.
                let speaks = matches!(self.turns.state(), State::Speaking | State::Interrupted);
                let says_nothing = text.is_empty() || speaks && is_backchannel(&text);
                if listening.stage != Stage::Ended && !says_nothing {
                    self.turns.handle_transcript(now, &who, words.is_final);
                    self.obey();
                }
            }
            Err(error) => {
                listening.is_done = true;
                if let Some(error) = error {
                    self.failed(EngineKind::Stt, error);
                }
            }
        }
        self.forget_backchannels();
        self.answer();
    }

    /// Gives up recognizers that have had time enough. What they gave so far counts.
    pub(super) fn give_up_recognizers(&mut self, now: Instant) {
        let mut given_up = 0;
        for listening in &mut self.listenings {
            let is_late = listening.deadline.is_some_and(|deadline| now >= deadline);
            if is_late && !listening.is_done {
                listening.is_done = true;
                given_up += 1;
            }
        }
        for _ in 0..given_up {
            let error = EngineError::Silent(self.engines.patience);
            self.failed(EngineKind::Stt, error);
        }
        if given_up > 0 {
            self.forget_backchannels();
            self.answer();
        }
    }

    fn forget_backchannels(&mut self) {
        let is_backchannel =
            |listening: &Listening| listening.stage == Stage::Doubted && listening.is_done;
        self.listenings
            .retain(|listening| !is_backchannel(listening));
    }
}
