//! What somebody says, and when.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::recording::{Scale, TICK};

/// PCM that is spoken piece by piece, and starts over at its end.
#[derive(Debug, Clone)]
pub struct Speech {
    pcm: Vec<i16>,
    position: usize,
}

impl Speech {
    /// From its beginning.
    pub fn new(pcm: Vec<i16>) -> Self {
        Self { pcm, position: 0 }
    }

    /// Fills `frame` with what comes next.
    pub fn next(&mut self, frame: &mut [i16]) {
        for sample in frame {
            *sample = self.pcm.get(self.position).copied().unwrap_or_default();
            self.position = (self.position + 1) % self.pcm.len().max(1);
        }
    }
}

/// Steps of the time scale in which somebody speaks.
pub type Turn = Range<usize>;

/// Tells somebody when to speak. Clones are the same mouth.
#[derive(Debug, Clone, Default)]
pub struct Mouth(Arc<Mutex<Turn>>);

impl Mouth {
    /// Speaks from the next step on, for so long.
    pub fn speak(&self, scale: Scale, duration: Duration) -> Turn {
        let from = scale.tick() + 1;
        let turn = from..from + (duration.as_micros() / TICK.as_micros()) as usize;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = turn.clone();
        turn
    }

    /// Whether it speaks in that step.
    pub fn speaks_at(&self, tick: usize) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_starts_over() {
        let mut speech = Speech::new(vec![1, 2, 3]);
        let mut frame = [0; 5];
        speech.next(&mut frame);
        assert_eq!(frame, [1, 2, 3, 1, 2]);
        speech.next(&mut frame);
        assert_eq!(frame, [3, 1, 2, 3, 1]);
    }

    #[tokio::test]
    async fn a_turn_has_a_beginning_and_an_end() {
        let mouth = Mouth::default();
        assert!(!mouth.speaks_at(0));
        let turn = mouth.clone().speak(Scale::start(), Duration::from_secs(1));
        assert_eq!(turn.len(), 50);
        assert!(mouth.speaks_at(turn.start) && mouth.speaks_at(turn.end - 1));
        assert!(!mouth.speaks_at(turn.start - 1) && !mouth.speaks_at(turn.end));
    }
}
