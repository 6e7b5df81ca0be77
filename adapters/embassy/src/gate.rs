//! Gates of the microphone: push-to-talk, and one that opens by itself at the sound of a voice.

use core::sync::atomic::{AtomicBool, Ordering};

use parlour_core::audio::level::level;

/// Decides, frame by frame, whether the microphone is heard.
pub trait TalkGate {
    /// Whether this frame of 20 ms is to be sent.
    fn is_open(&mut self, microphone: &[i16]) -> bool;
}

/// Everything is sent: for a line that is never quiet, or where the encoder has DTX.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlwaysOpen;

impl TalkGate for AlwaysOpen {
    fn is_open(&mut self, _microphone: &[i16]) -> bool {
        true
    }
}

/// A button: what is said while it is held is sent.
///
/// ```
/// use parlour_embassy::{PushToTalk, TalkGate};
/// static BUTTON: PushToTalk = PushToTalk::new();
/// BUTTON.set_pressed(true); // in the task, or the interrupt, that watches the pin
/// assert!((&BUTTON).is_open(&[0; 320]));
/// ```
#[derive(Debug, Default)]
pub struct PushToTalk(AtomicBool);

impl PushToTalk {
    /// A button that is not pressed.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Says where the button is.
    pub fn set_pressed(&self, pressed: bool) {
        self.0.store(pressed, Ordering::Relaxed);
    }

    /// Whether it is pressed.
    pub fn is_pressed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl TalkGate for &PushToTalk {
    fn is_open(&mut self, _microphone: &[i16]) -> bool {
        self.is_pressed()
    }
}

/// Opens when the microphone is clearly louder than the room has been, and stays open for 300 ms after that.
///
/// It tracks the noise floor: down at once, up by a decibel in 200 ms while it is closed and in a second while it
/// is open, so that a fan that starts does not hold it open for ever. It knows loudness and nothing of speech: a door
/// that slams opens it, too. Integer arithmetic only.
///
/// ```
/// use parlour_embassy::{TalkGate, VoiceGate};
/// let mut gate = VoiceGate::default();
/// assert!(!gate.is_open(&[3; 320])); // the room
/// assert!(gate.is_open(&[1_000; 320])); // a voice
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceGate {
    /// -dBov in 1/50 dB; a smaller number is louder.
    floor: i32,
    hangover: u8,
}

/// Of a decibel: the floor moves by such steps.
const STEP: i32 = 50;
/// The margin of a voice above the noise floor, dB.
const MARGIN: i32 = 9;
/// The quietest voice, in -dBov, at any noise floor.
const QUIETEST: i32 = 55;
/// Frames that the gate stays open for: the quiet ends of words.
const HANGOVER: u8 = 15;

impl Default for VoiceGate {
    /// A closed gate in a room of -60 dBov.
    fn default() -> Self {
        Self {
            floor: 60 * STEP,
            hangover: 0,
        }
    }
}

impl TalkGate for VoiceGate {
    fn is_open(&mut self, microphone: &[i16]) -> bool {
        let level = i32::from(level(microphone));
        let voice = level <= QUIETEST && level * STEP + MARGIN * STEP <= self.floor;
        if voice {
            self.hangover = HANGOVER;
        }
        let open = self.hangover > 0;
        self.hangover = self.hangover.saturating_sub(1);
        // A louder room is a smaller number.
        let rise = if open { STEP / 50 } else { STEP / 10 };
        self.floor = (self.floor - rise).max(level * STEP).min(127 * STEP);
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of `frames` frames of amplitude `amplitude` that pass.
    fn passed(gate: &mut VoiceGate, amplitude: i16, frames: usize) -> usize {
        (0..frames)
            .filter(|_| gate.is_open(&[amplitude; 320]))
            .count()
    }

    #[test]
    fn opens_at_a_voice_and_closes_after_it() {
        let mut gate = VoiceGate::default();
        assert_eq!(passed(&mut gate, 20, 100), 0);
        assert_eq!(passed(&mut gate, 2_000, 50), 50);
        assert_eq!(passed(&mut gate, 20, 100), usize::from(HANGOVER) - 1);
    }

    #[test]
    fn lasting_noise_closes_it_again_and_a_louder_voice_opens_it() {
        let mut gate = VoiceGate::default();
        passed(&mut gate, 20, 100);
        let minute = 60 * 50;
        assert!(passed(&mut gate, 600, minute) < minute);
        assert_eq!(passed(&mut gate, 600, 50), 0, "a fan");
        assert_eq!(passed(&mut gate, 6_000, 50), 50);
    }

    #[test]
    fn after_noise_ends_the_floor_is_low_at_once() {
        let mut gate = VoiceGate::default();
        passed(&mut gate, 600, 60 * 50);
        passed(&mut gate, 20, 1);
        assert_eq!(passed(&mut gate, 600, 1), 1);
    }

    #[test]
    fn whispers_of_a_silent_room_are_no_voice() {
        let mut gate = VoiceGate::default();
        assert_eq!(passed(&mut gate, 0, 10), 0);
        assert_eq!(passed(&mut gate, 30, 50), 0, "-61 dBov");
    }
}
