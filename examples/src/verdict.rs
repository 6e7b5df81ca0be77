//! Expected and measured audio of each speaker and listener.

use std::time::Duration;

use serde::Serialize;

use crate::measure::{self, MAX_DELAY, dbov};
use crate::recording::{Recording, TICK};
use crate::speech::Turn;

/// Received audio must be at least this similar to the sent audio…
pub const HEARD: f64 = 0.6;
/// …and audio that must not be heard leaves the room quieter than this, in dBov.
pub const SILENT: i32 = -60;

/// Steps after a turn in which its last packets and its last audio still arrive.
const TAIL: usize = 25;

/// The expectation for one turn.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// The scene of this turn.
    pub scene: &'static str,
    /// The speakers with their sent audio; several speak at once.
    pub speakers: Vec<(&'static str, Recording)>,
    /// The listener with its received audio.
    pub hearer: (&'static str, Recording),
    /// The steps of the turn.
    pub turn: Turn,
    /// Whether the audio should be heard.
    pub heard: bool,
}

/// The measurement of one turn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The scene of this turn.
    pub scene: &'static str,
    /// The speakers.
    pub speaker: String,
    /// The listener.
    pub hearer: &'static str,
    /// Whether the audio should have been heard.
    pub should_be_heard: bool,
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Packets lost; none if they should not arrive.
    pub lost: Option<u64>,
    /// Concealed audio, in ms.
    pub concealed_ms: u64,
    /// Mouth-to-ear delay in ms. None if nothing was heard.
    pub delay_ms: Option<f64>,
    /// Similarity of received and sent audio, 0 to 1.
    pub similarity: f64,
    /// Level of the received audio, in dBov.
    pub level: i32,
    /// Whether the measurement meets the expectation.
    pub ok: bool,
}

impl Expectation {
    /// Measures the turn.
    pub fn judge(&self) -> Row {
        let Turn { start, end } = self.turn;
        let rate = measure::RATE;
        let (hearer, ear) = &self.hearer;
        // Expected silence is measured until the next turn, not beyond.
        let patience = match self.heard {
            true => (MAX_DELAY.as_micros() / TICK.as_micros()) as usize,
            false => TAIL,
        };
        let heard = ear.heard_in(start, end + patience, rate);
        let said: Vec<_> = self
            .speakers
            .iter()
            .map(|(_, mouth)| mouth.said_in(start, end, rate))
            .collect();
        let found = measure::find(&measure::mix(&said, &heard), &heard);
        let level = dbov(&ear.heard_in(start, end + TAIL, rate));
        let counted = ear.counted_in(start, end + TAIL);
        let sent = self
            .speakers
            .iter()
            .map(|(_, mouth)| mouth.counted_in(start, end).sent)
            .sum();
        // A microphone delivers a frame when it is complete: its first sample is older by a frame.
        let delay = found.delay + TICK;
        Row {
            scene: self.scene,
            speaker: self
                .speakers
                .iter()
                .map(|(who, _)| *who)
                .collect::<Vec<_>>()
                .join(" + "),
            hearer,
            should_be_heard: self.heard,
            sent,
            received: counted.received,
            lost: self
                .heard
                .then(|| u64::saturating_sub(sent, counted.received)),
            concealed_ms: counted.concealed / 48,
            delay_ms: self.heard.then(|| milliseconds(delay)),
            similarity: found.similarity,
            level,
            ok: match self.heard {
                true => found.similarity >= HEARD,
                false => level <= SILENT && found.similarity < HEARD,
            },
        }
    }
}

/// With one decimal.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recording::Counters;
    use crate::wav;

    fn speech() -> Vec<i16> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/device.wav");
        wav::read(&path, measure::RATE).unwrap()
    }

    /// 4 s in which the audio is heard three steps later, with every tenth packet lost.
    fn pair(heard: bool) -> Expectation {
        let (mouth, ear) = (Recording::new(measure::RATE), Recording::new(measure::RATE));
        let speech = speech();
        let frames: Vec<&[i16]> = speech.chunks_exact(320).collect();
        for tick in 0..200_usize {
            let (number, late) = (tick as u64 + 1, tick.saturating_sub(3));
            let said = frames[tick];
            mouth.note(
                tick,
                said,
                &[0; 320],
                Counters {
                    sent: number,
                    ..Counters::default()
                },
            );
            let received = number - number / 10;
            let silence = [0; 320];
            let played = if heard && tick >= 3 {
                frames[late]
            } else {
                &silence
            };
            ear.note(
                tick,
                &[0; 320],
                played,
                Counters {
                    received,
                    concealed: 960 * (number / 10),
                    sent: 0,
                },
            );
        }
        Expectation {
            scene: "turn",
            speakers: vec![("device", mouth)],
            hearer: ("host", ear),
            turn: 0..150,
            heard: true,
        }
    }

    #[test]
    fn what_should_be_heard_is_measured() {
        let row = pair(true).judge();
        assert!(row.ok && row.similarity > 0.9, "{row:?}");
        assert_eq!(row.delay_ms, Some(80.0));
        // In the half second after the turn, more arrives here.
        assert_eq!((row.sent, row.received), (150, 158));
        assert_eq!(row.concealed_ms, 17 * 20);
    }

    #[test]
    fn what_should_be_heard_and_is_not_is_found_and_the_other_way_round() {
        assert!(!pair(false).judge().ok);
        let silent = |heard| Expectation {
            heard: false,
            ..pair(heard)
        };
        assert!(silent(false).judge().ok);
        assert!(!silent(true).judge().ok);
    }
}
