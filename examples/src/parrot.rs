//! Repeats what it has heard, once the talker has finished, so that one device is enough to test sending and receiving.

use std::collections::VecDeque;

/// Quieter than this is silence: -40 dBFS.
const QUIET: u16 = 328;
/// Frames of silence after which the talker has finished: half a second.
const PAUSE: usize = 25;
/// The maximum number of remembered frames: half a minute.
const MEMORY: usize = 1_500;

/// Listens or talks, 20 ms at a time.
#[derive(Debug, Default)]
pub struct Parrot {
    heard: VecDeque<Vec<i16>>,
    silent: usize,
    talks: bool,
}

impl Parrot {
    /// Hears a frame, or says one.
    pub fn step(&mut self, frame: &[i16]) -> Option<Vec<i16>> {
        if self.talks {
            let said = self.heard.pop_front();
            self.talks = !self.heard.is_empty();
            return said;
        }
        let loud = frame.iter().any(|sample| sample.unsigned_abs() > QUIET);
        self.silent = if loud { 0 } else { self.silent + 1 };
        if loud || !self.heard.is_empty() {
            self.heard.push_back(frame.to_vec());
        }
        let finished = self.silent >= PAUSE || self.heard.len() >= MEMORY;
        self.talks = finished && !self.heard.is_empty();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(parrot: &mut Parrot, amplitude: i16, frames: usize) -> usize {
        let frame = [amplitude; 320];
        (0..frames)
            .filter_map(|_| parrot.step(&frame))
            .filter(|said| said[0] == 1_000)
            .count()
    }

    #[test]
    fn what_was_said_is_said_back_once_and_after_the_pause() {
        let mut parrot = Parrot::default();
        assert_eq!(said(&mut parrot, 10, 100), 0, "silence");
        assert_eq!(said(&mut parrot, 1_000, 50), 0, "it does not interrupt");
        assert_eq!(said(&mut parrot, 0, PAUSE), 0, "it waits");
        assert_eq!(said(&mut parrot, 0, 200), 50, "all of it");
        assert_eq!(said(&mut parrot, 0, 200), 0, "once");
    }

    #[test]
    fn it_does_not_listen_for_ever() {
        let mut parrot = Parrot::default();
        assert_eq!(said(&mut parrot, 1_000, MEMORY), 0);
        assert_eq!(said(&mut parrot, 1_000, MEMORY), MEMORY);
    }
}
