//! Whether one participant speaks, as a receiver finds by the audio levels of its packets.
//!
//! ```text
//!   sound     ▁▁█▁▁▁▁▁▁▁▁▁▁▁▁▁████████████▁▁▁▁██████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
//!              click          ┊  ┊                    ┊         ┊
//!   speaking  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████████████████████████████████▁▁▁
//!                            60 ms                     400 ms
//! ```
//!
//! Sound is what the server takes for sound when it ranks streams: louder than −60 dBov, and by 6 dB than the
//! sender's noise floor. Unlike the active speaker of [`Dominance`](super::Dominance), several participants may speak
//! at once.

use super::speaker::{NoiseFloor, micros_between};
use crate::rtp::AudioLevel;
use crate::time::{Duration, Instant};

/// This many ms of sound are speech: three frames of 20 ms, so that a click is none.
const ONSET: u32 = 60;
/// Silence for up to this many µs is a pause within speech.
const HANGOVER: u64 = 400_000;

/// The voice of one participant.
///
/// ```
/// use parlour_core::audio::Activity;
/// use parlour_core::rtp::AudioLevel;
/// use parlour_core::time::{Duration, Instant};
///
/// let mut now = Instant::from_micros(0);
/// let mut voice = Activity::new(now);
/// for _ in 0..3 {
///     voice.hear(now, 20, Some(AudioLevel { voice: true, level: 30 }));
///     now += Duration::from_millis(20);
/// }
/// assert!(voice.is_speaking());
/// assert_eq!(voice.level(now), Some(30));
/// assert!(voice.ends().unwrap() > now);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// The time of the last frame, and of the last one with sound.
    heard: Instant,
    sound: Instant,
    /// ms of sound since the last silence, up to [`ONSET`].
    talk_time: u32,
    /// Of the last frame, −dBov.
    level: u8,
    speaking: bool,
    floor: NoiseFloor,
}

impl Activity {
    /// A participant that was never heard.
    pub const fn new(now: Instant) -> Self {
        Self {
            heard: now,
            sound: now,
            talk_time: 0,
            level: AudioLevel::SILENCE.level,
            speaking: false,
            floor: NoiseFloor::UNKNOWN,
        }
    }

    /// Hears a frame of so many ms that came at `now`. Without a level, and without the voice bit, it is no sound. Gives
    /// whether speech has begun with it.
    pub fn hear(&mut self, now: Instant, ms: u32, level: Option<AudioLevel>) -> bool {
        let AudioLevel { voice, level } = level.unwrap_or(AudioLevel::SILENCE);
        let is_sound = self.floor.hear(level, ms.saturating_mul(1_000)) && voice;
        (self.heard, self.level) = (now, level);
        if !is_sound {
            return false;
        }
        if micros_between(self.sound, now) > HANGOVER {
            self.talk_time = 0;
        }
        self.sound = now;
        self.talk_time = self.talk_time.saturating_add(ms).min(ONSET);
        let speaks = self.talk_time == ONSET;
        speaks && !core::mem::replace(&mut self.speaking, speaks)
    }

    /// Whether speech has begun and not ended.
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// When speech ends if nothing more is heard; `None` if there is none.
    pub fn ends(&self) -> Option<Instant> {
        (self.speaking).then(|| self.sound + Duration::from_micros(HANGOVER))
    }

    /// Ends speech, whatever was heard. Gives whether there was any.
    pub fn end(&mut self) -> bool {
        self.talk_time = 0;
        core::mem::take(&mut self.speaking)
    }

    /// How loud the last frame was, in −dBov: 0 is the loudest, 127 is silence. `None` if none has come for 400 ms.
    pub fn level(&self, now: Instant) -> Option<u8> {
        (micros_between(self.heard, now) <= HANGOVER).then_some(self.level)
    }

    /// When the last frame came.
    pub fn heard(&self) -> Instant {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: u32 = 20;
    const LOUD: Option<AudioLevel> = Some(AudioLevel {
        voice: true,
        level: 30,
    });

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn speech_begins_after_60_ms_and_ends_after_400_ms() {
        let mut voice = Activity::new(at(0));
        assert!(!voice.hear(at(0), FRAME, LOUD));
        assert!(!voice.hear(at(20), FRAME, LOUD));
        assert!(voice.hear(at(40), FRAME, LOUD));
        assert!(!voice.hear(at(60), FRAME, LOUD), "it has begun already");
        assert_eq!(voice.ends(), Some(at(460)));
        // A frame of silence does not end it, nor the pause between two words.
        voice.hear(at(80), FRAME, Some(AudioLevel::SILENCE));
        assert_eq!(voice.ends(), Some(at(460)));
        voice.hear(at(400), FRAME, LOUD);
        assert_eq!(voice.ends(), Some(at(800)));
        assert!(voice.end() && !voice.end());
    }

    #[test]
    fn a_long_frame_is_speech_at_once_and_clicks_are_none() {
        let mut voice = Activity::new(at(0));
        assert!(voice.hear(at(0), ONSET, LOUD));
        let mut voice = Activity::new(at(0));
        for click in 0..20 {
            assert!(!voice.hear(at(click * 500), FRAME, LOUD), "{click}");
        }
    }

    #[test]
    fn neither_noise_nor_sound_without_voice_is_speech() {
        let whistle = Some(AudioLevel {
            voice: false,
            level: 10,
        });
        let fan = Some(AudioLevel {
            voice: true,
            level: 57,
        });
        for level in [whistle, fan, None] {
            let mut voice = Activity::new(at(0));
            for frame in 0..500 {
                assert!(!voice.hear(at(frame * 20), FRAME, level), "{level:?}");
            }
        }
    }

    #[test]
    fn a_level_is_known_while_frames_come() {
        let mut voice = Activity::new(at(0));
        voice.hear(at(0), FRAME, LOUD);
        assert_eq!(voice.level(at(400)), Some(30));
        assert_eq!(voice.level(at(401)), None);
    }

    proptest! {
        #[test]
        fn it_begins_once_before_each_end(
            steps in proptest::collection::vec((0_u64..700, 0_u8..=127, any::<bool>(), 0_u32..120), 1..200),
        ) {
            let (mut now, mut voice, mut speaks) = (at(0), Activity::new(at(0)), false);
            for (pause, level, is_voice, length) in steps {
                now += Duration::from_millis(pause);
                if voice.ends().is_some_and(|end| end <= now) {
                    prop_assert!(voice.end());
                    prop_assert!(core::mem::take(&mut speaks));
                }
                let level = Some(AudioLevel { voice: is_voice, level });
                if voice.hear(now, length, level) {
                    prop_assert!(!core::mem::replace(&mut speaks, true));
                }
                prop_assert_eq!(voice.is_speaking(), speaks);
                prop_assert_eq!(voice.ends().is_some(), speaks);
            }
        }
    }
}
