//! The reply under way, from the end of a turn to what is remembered of it.

use super::*;

impl Run {
    pub(super) fn begin(
        &mut self,
        epoch: Epoch,
        asked: Vec<Line>,
        saying: Option<Saying>,
        task: Task,
    ) {
        let (made, work) = make(self.engines.clone(), task);
        self.reply = Some(Reply {
            epoch,
            asked,
            saying,
            made: Some(made),
            _work: work,
            script: Script::default(),
            began_ms: None,
        });
    }

    /// Takes what the engines made of the reply. `false` if the agent has no voice any more.
    pub(super) fn made(&mut self, made: Option<Made>) -> bool {
        let now = self.now();
        let Some(reply) = &mut self.reply else {
            return true;
        };
        match made {
            Some(Made::Sentence(text)) => {
                reply.script.sentence(text);
                return true;
            }
            Some(Made::Sound(pcm)) => {
                let epoch = reply.epoch;
                reply.script.sound(pcm.len());
                if reply.began_ms.is_none() {
                    reply.began_ms = Some(now.as_micros() / 1_000);
                    self.turns.handle_reply(now, epoch, Step::Ready);
                    self.obey();
                }
                self.mouth.push(&pcm);
                return self.play(now);
            }
            Some(Made::End) => {}
            Some(Made::Failed(kind, error)) => self.failed(kind, error),
            // It ends with `End`, or with a panic.
            None => self.failed(EngineKind::Llm, EngineError::Panicked),
        }
        let Some(reply) = &mut self.reply else {
            return true;
        };
        reply.made = None;
        self.mouth.complete();
        if reply.began_ms.is_none() {
            let epoch = reply.epoch;
            self.turns.handle_reply(now, epoch, Step::Ended);
            self.finish(false);
        }
        true
    }

    /// The reply is over: remembers what was heard of it.
    pub(super) fn finish(&mut self, interrupted: bool) {
        let Some(Reply {
            asked,
            saying,
            script,
            began_ms,
            ..
        }) = self.reply.take()
        else {
            return;
        };
        let samples = if began_ms.is_some() {
            self.mouth.stop()
        } else {
            0
        };
        let (heard, text) = (self.mouth.length(samples), script.heard(samples));
        if let Some(saying) = saying {
            let is_whole = !interrupted && samples > 0;
            let end = if is_whole {
                SpeechEnd::Whole
            } else {
                SpeechEnd::Broken
            };
            saying.tell(heard, Some(end));
        }
        if interrupted && samples == 0 && self.turns.state() == State::Listening {
            // The turn goes on, and the answer will be to all of it.
            self.unanswered = asked;
            return;
        }
        self.remember(asked);
        if samples == 0 {
            return;
        }
        if let (Some(me), Some(began_ms)) = (self.room.me(), began_ms) {
            self.transcripts.send(me, began_ms, &text);
        }
        self.remember([Line {
            who: None,
            text: text.clone(),
        }]);
        self.tell(AgentEvent::Said {
            text,
            heard,
            interrupted,
        });
    }

    pub(super) fn remember(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.history.extend(lines);
        let excess = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..excess);
    }
}
