//! Half duplex: while a loudspeaker can be heard, the microphone is open only for a voice that is well above its echo.
//!
//! ```text
//!   played   ▁▁████████████████▁▁▁▁▁▁▁▁▁▁▁
//!   echo     ▁▁▁▁▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▂▁▁▁▁▁▁▁▁▁
//!   near     ▁▁▁▁▁▁▁▁▁▁▁████▁▁▁▁▁▁▁▁████▁▁
//!   open     ██▁▁▁▁▁▁▁▁▁███████▁▁▁█████████
//!                        └ well above └ nothing is heard any more
//! ```
//!
//! What echo to expect is learned from the moments in which the loudspeaker plays: how much quieter than it the
//! microphone is. At first it is taken to be as loud.

/// Levels are in 1/100 dB.
const STEP: i32 = 100;
/// The echo below which nobody hears it, in −dBov.
const INAUDIBLE: i32 = 60 * STEP;
/// What is played below this level tells nothing of the echo, in −dBov.
const FAINT: i32 = 45 * STEP;
/// By how much a voice has to be above the echo.
const MARGIN: i32 = 9 * STEP;
/// The microphone stays open for so many frames after a voice: 200 ms.
const HANGOVER: u8 = 10;
/// How fast an echo is taken to die away after a sound, in each frame: 50 dB a second.
const DECAY: i32 = STEP;
/// How fast what is expected changes in each frame: down, up, and up while a voice may be the cause. The first two
/// have a relation of one to eight, so that nine frames in ten are below.
const DOWN: i32 = 6;
const UP: i32 = 48;
const UP_IN_VOICE: i32 = 4;
/// The bounds of what is learned: an echo 20 dB louder than what is played, to one that is 60 dB quieter.
const LOSSES: core::ops::RangeInclusive<i32> = -20 * STEP..=60 * STEP;

/// Decides for each 20 ms whether a microphone is open, by its level and by that of what the loudspeaker was given.
///
/// Use it behind an [`EchoFilter`](super::EchoFilter), whose rest of an echo is quiet, or alone on a chip that cannot
/// afford one. It needs a few instructions, and knows nothing of speech: what a voice is after that, a voice detector
/// says.
///
/// ```
/// use parlour_core::audio::HalfDuplex;
/// use parlour_core::audio::level::level;
///
/// let (voice, silence) = (level(&[3_000; 160]), level(&[0; 160]));
/// assert!(HalfDuplex::new().hear(voice, silence)); // nobody else talks
/// assert!(!HalfDuplex::new().hear(voice, voice)); // that may be an echo
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HalfDuplex {
    /// The level of what was played, dying away after it, in −dBov.
    played: i32,
    /// By how much the echo is quieter.
    loss: i32,
    /// Frames for which the microphone stays open.
    left: u8,
}

impl Default for HalfDuplex {
    fn default() -> Self {
        Self::new()
    }
}

impl HalfDuplex {
    /// Nothing was played yet, and an echo is taken to be as loud as what is played.
    pub const fn new() -> Self {
        Self {
            played: 127 * STEP,
            loss: 0,
            left: 0,
        }
    }

    /// Hears 20 ms: `microphone` and `played` are their [levels](super::level::level), in −dBov. Gives whether the
    /// microphone is open for them.
    pub fn hear(&mut self, microphone: u8, played: u8) -> bool {
        let [microphone, now] = [microphone, played].map(|level| i32::from(level.min(127)) * STEP);
        self.played = (self.played + DECAY).min(now);
        let echo = self.played + self.loss;
        let is_voice = microphone + MARGIN <= echo;
        self.left = if is_voice {
            HANGOVER
        } else {
            self.left.saturating_sub(1)
        };
        if self.played <= FAINT {
            // Louder than expected is a smaller loss.
            let change = match microphone < echo {
                true if self.left > 0 => -UP_IN_VOICE,
                true => -UP,
                false => DOWN,
            };
            self.loss = (self.loss + change).clamp(*LOSSES.start(), *LOSSES.end());
        }
        self.left > 0 || echo > INAUDIBLE
    }

    /// By how many dB the echo is expected to be quieter than what is played.
    pub fn expected_loss(&self) -> i8 {
        i8::try_from(self.loss / STEP).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The frames of so many that are open.
    fn open(duplex: &mut HalfDuplex, frames: usize, microphone: u8, played: u8) -> usize {
        (0..frames)
            .filter(|_| duplex.hear(microphone, played))
            .count()
    }

    #[test]
    fn who_speaks_alone_is_heard() {
        let mut duplex = HalfDuplex::new();
        assert_eq!(open(&mut duplex, 100, 30, 127), 100);
        assert_eq!(open(&mut duplex, 100, 90, 127), 100);
        assert_eq!(open(&mut duplex, 100, 30, 70), 100, "noise of the far end");
    }

    #[test]
    fn an_echo_is_not_heard_and_a_voice_above_it_is() {
        for (echo, voice) in [(25, 10), (45, 25), (57, 40)] {
            let mut duplex = HalfDuplex::new();
            assert_eq!(open(&mut duplex, 1_500, echo, 20), 0, "{echo}");
            assert!(
                open(&mut duplex, 100, voice, 20) > 95,
                "{voice} over {echo}"
            );
            assert!(
                open(&mut duplex, 100, echo, 20) <= 10,
                "{echo} after a voice"
            );
        }
    }

    #[test]
    fn an_echo_that_becomes_louder_is_learned() {
        let mut duplex = HalfDuplex::new();
        open(&mut duplex, 1_500, 55, 20);
        assert!((34..=35).contains(&duplex.expected_loss()));
        // Somebody turns the volume up by 20 dB: that might be a voice, but not for long.
        let passed = open(&mut duplex, 500, 35, 20);
        assert!((100..300).contains(&passed), "{passed}");
        assert_eq!(open(&mut duplex, 500, 35, 20), 0);
    }

    #[test]
    fn an_echo_dies_away() {
        let mut duplex = HalfDuplex::new();
        assert_eq!(open(&mut duplex, 10, 127, 20), 0);
        // As loud as it may be, it takes 0.8 s until it is inaudible.
        let closed = 100 - open(&mut duplex, 100, 127, 127);
        assert!((35..45).contains(&closed), "{closed}");
    }

    proptest! {
        #[test]
        fn it_opens_at_once_for_what_is_louder_and_closes_in_time(
            frames in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..400),
            louder in 0_u8..=127,
        ) {
            let mut duplex = HalfDuplex::new();
            for (microphone, played) in frames {
                let mut other = duplex;
                let is_open = duplex.hear(microphone, played);
                prop_assert!(LOSSES.contains(&duplex.loss));
                // What is louder is heard whenever what is quieter is.
                prop_assert!(other.hear(microphone.min(louder), played) || !is_open);
            }
            // A loud far end and a silent microphone close any gate.
            open(&mut duplex, usize::from(HANGOVER), 127, 0);
            prop_assert!(!duplex.hear(127, 0));
            // Silence opens any.
            open(&mut duplex, 150, 127, 127);
            prop_assert!(duplex.hear(127, 127));
        }
    }
}
