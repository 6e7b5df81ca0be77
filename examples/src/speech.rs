//! The speech of a participant, and its times.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::recording::{Scale, TICK};

/// PCM that is played piece by piece, and starts over at its end.
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

    /// The same a third faster and higher, from its middle on: another, squeaky voice.
    pub fn squeaky(&self) -> Self {
        let at = |index: usize| self.pcm.get(index).copied().map_or(0, i32::from);
        let between = |n: usize| {
            let (whole, thirds) = (n * 4 / 3, (n * 4 % 3) as i32);
            // Interpolated between two samples, so within their range.
            ((at(whole) * (3 - thirds) + at(whole + 1) * thirds) / 3) as i16
        };
        let pcm: Vec<i16> = (0..self.pcm.len() * 3 / 4).map(between).collect();
        let position = pcm.len() / 2;
        Self { pcm, position }
    }

    /// Fills `frame` with the next samples.
    pub fn next(&mut self, frame: &mut [i16]) {
        for sample in frame {
            *sample = self.pcm.get(self.position).copied().unwrap_or_default();
            self.position = (self.position + 1) % self.pcm.len().max(1);
        }
    }
}

/// Steps of the time scale in which a participant speaks.
pub type Turn = Range<usize>;

/// Controls when a participant speaks. Clones are the same mouth.
#[derive(Debug, Clone, Default)]
pub struct Mouth(Arc<Mutex<Turn>>);

impl Mouth {
    /// Speaks from the next step on, for this duration.
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

    #[test]
    fn a_squeaky_voice_is_a_third_faster() {
        let ramp = Speech::new((0..120).collect());
        let squeaky = ramp.squeaky();
        assert_eq!(squeaky.pcm[..7], [0, 1, 2, 4, 5, 6, 8]);
        assert_eq!((squeaky.pcm.len(), squeaky.position), (90, 45));
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
