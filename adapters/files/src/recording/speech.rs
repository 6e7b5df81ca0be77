//! Where somebody speaks in a file, by the levels of its packets.
//!
//! ```text
//!   sound   ▁▁█▁▁▁▁▁▁▁▁▁▁▁▁▁██████▁███▁▁▁████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█████▁▁▁▁▁
//!             click          word     word     600 ms or more   word
//!   speech  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█████▁▁▁▁▁
//! ```

use std::time::Duration;

use parlour_tokio::core::audio::NoiseFloor;
use parlour_tokio::core::rtp::AudioLevel;

/// Stretches that are kept.
pub(super) const MOST: usize = 2_048;
/// A shorter pause is none, in ms.
pub(super) const PAUSE: u32 = 600;
/// A word goes on through silence of so long, in ms: there is some between syllables.
const SYLLABLES: u32 = 200;
/// Less sound is no word but a click, in ms.
const CLICK: u32 = 60;
/// A word's loudest frame is by so much louder than the noise after it, in dB.
const ABOVE: u64 = 6;

/// A stretch of a file in which its publisher speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speech {
    /// Where it begins in the file.
    pub from: Duration,
    /// Where it ends in the file.
    pub to: Duration,
}

/// A stretch in ms: a file of 4 GiB of them is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    from: u32,
    to: u32,
}

/// Sound that may be a word.
#[derive(Debug, Clone, Copy)]
struct Word {
    place: Stretch,
    /// Of its sound, in ms.
    sound: u32,
    /// Its loudest frame, in −dBov.
    loudest: u8,
    noise: Noise,
}

/// What came with the voice bit after the last sound of a word: the ms of it, and the sum of their levels.
#[derive(Debug, Clone, Copy, Default)]
struct Noise {
    ms: u64,
    levels: u64,
}

impl Word {
    /// A click is none, and neither is noise that the noise floor has only now risen to: that goes on as loud as it was.
    fn is_spoken(self) -> bool {
        let noise = self.noise.levels.checked_div(self.noise.ms);
        self.sound >= CLICK && noise.is_none_or(|noise| u64::from(self.loudest) + ABOVE <= noise)
    }
}

/// The speech of a file so far.
#[derive(Debug)]
pub(super) struct SpeechNotes {
    floor: NoiseFloor,
    word: Option<Word>,
    /// In their order, with [`PAUSE`] or more between them.
    kept: Vec<Stretch>,
}

impl SpeechNotes {
    pub(super) fn new() -> Self {
        Self {
            floor: NoiseFloor::UNKNOWN,
            word: None,
            kept: Vec::new(),
        }
    }

    /// Hears a packet from one place in the file to another. One without a level is silence.
    pub(super) fn hear(&mut self, from: Duration, to: Duration, level: Option<AudioLevel>) {
        let place = Stretch {
            from: millis(from),
            to: millis(to),
        };
        let ms = place.to.saturating_sub(place.from);
        let AudioLevel { voice, level } = level.unwrap_or(AudioLevel::SILENCE);
        let is_sound = self.floor.hear(level, ms.saturating_mul(1_000)) && voice;
        let is_over = |word: &mut Word| place.from.saturating_sub(word.place.to) > SYLLABLES;
        if let Some(word) = self.word.take_if(is_over) {
            self.keep(word);
        }
        if is_sound {
            let word = self.word.get_or_insert(Word {
                place,
                sound: 0,
                loudest: level,
                noise: Noise::default(),
            });
            word.place.to = place.to;
            word.sound = word.sound.saturating_add(ms);
            word.loudest = word.loudest.min(level);
            word.noise = Noise::default();
        } else if let Some(word) = self.word.as_mut().filter(|_| voice) {
            word.noise.ms += u64::from(ms);
            word.noise.levels += u64::from(ms) * u64::from(level);
        }
    }

    /// All of it, once nothing more is heard.
    pub(super) fn finish(mut self) -> Vec<Speech> {
        if let Some(word) = self.word.take() {
            self.keep(word);
        }
        let speech = self.kept.iter().map(|stretch| Speech {
            from: Duration::from_millis(stretch.from.into()),
            to: Duration::from_millis(stretch.to.into()),
        });
        speech.collect()
    }

    fn keep(&mut self, word: Word) {
        if !word.is_spoken() {
            return;
        }
        match self.kept.last_mut() {
            Some(last) if word.place.from.saturating_sub(last.to) < PAUSE => {
                last.to = word.place.to;
            }
            _ => {
                if self.kept.len() == MOST {
                    self.join_nearest();
                }
                self.kept.push(word.place);
            }
        }
    }

    /// Makes the two stretches one that have the shortest pause between them.
    fn join_nearest(&mut self) {
        let pauses = self.kept.windows(2).enumerate();
        let pauses = pauses.filter_map(|(n, pair)| match pair {
            [one, next] => Some((next.from.saturating_sub(one.to), n)),
            _ => None,
        });
        if let Some((_, shortest)) = pauses.min() {
            let next = self.kept.remove(shortest + 1);
            if let Some(one) = self.kept.get_mut(shortest) {
                one.to = next.to;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.kept.capacity() * size_of::<Stretch>()
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: u32 = 20;

    /// Frames of 20 ms: how many, how loud, and whether with the voice bit; nothing comes for those without a level.
    type Frames = (u32, Option<u8>, bool);

    /// The speech in frames, in ms.
    fn speech(frames: &[Frames]) -> Vec<(u32, u32)> {
        let (mut notes, mut at) = (SpeechNotes::new(), Duration::ZERO);
        for (count, level, voice) in frames {
            for _ in 0..*count {
                let end = at + Duration::from_millis(FRAME.into());
                if let Some(level) = *level {
                    let voice = *voice;
                    notes.hear(at, end, Some(AudioLevel { voice, level }));
                }
                at = end;
            }
        }
        let found = notes.finish();
        let ms = |one: Speech| (millis(one.from), millis(one.to));
        found.into_iter().map(ms).collect()
    }

    #[test]
    fn it_is_from_the_first_sound_to_the_last_and_short_pauses_are_in_it() {
        let (word, hush) = ((20, Some(30), true), Some(90));
        let just_below = (29, hush, true);
        let pause = (30, hush, true);
        assert_eq!(
            speech(&[(5, hush, true), word, just_below, word, pause, word]),
            [(100, 1_480), (2_080, 2_480)]
        );
        // The same if nothing is sent in a pause.
        assert_eq!(
            speech(&[word, (29, None, false), word, (30, None, false), word]),
            [(0, 1_380), (1_980, 2_380)]
        );
    }

    #[test]
    fn clicks_are_none_however_many() {
        let click = [(2, Some(20), true), (18, Some(90), true)];
        assert_eq!(speech(&click.repeat(50)), []);
    }

    #[test]
    fn noise_is_none_at_any_level_that_the_floor_rises_to() {
        for level in 46..=127 {
            for before in [0, 3_000] {
                // Digital silence makes the floor faint; noise is not even.
                let noise = [(1, Some(level), true), (1, Some(level - 1), true)];
                let mut frames = vec![(before, Some(127), true)];
                frames.extend(noise.repeat(1_500));
                assert_eq!(speech(&frames), [], "{level}");
            }
        }
    }

    #[test]
    fn a_voice_above_a_fan_is_found_where_it_is() {
        let fan = (1_500, Some(48), true);
        let frames = [fan, (50, Some(28), true), fan];
        assert_eq!(speech(&frames), [(30_000, 31_000)]);
    }

    #[test]
    fn what_has_no_voice_bit_and_what_has_no_level_is_none() {
        assert_eq!(speech(&[(500, Some(10), false)]), []);
        let mut notes = SpeechNotes::new();
        notes.hear(Duration::ZERO, Duration::from_secs(1), None);
        assert_eq!(notes.finish(), []);
    }

    #[test]
    fn of_too_many_the_nearest_become_one() {
        let word = (5, Some(30), true);
        let mut frames = Vec::new();
        // One pause is the shortest.
        for n in 0..=MOST {
            frames.extend([word, (if n == 7 { 31 } else { 40 }, Some(90), true)]);
        }
        let found = speech(&frames);
        assert_eq!(found.len(), MOST);
        let (from, to) = found[7];
        assert_eq!((from, to - from), (7 * 900, 820));
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(n, (from, to))| n == 7 || to - from == 100)
        );
    }

    proptest! {
        #[test]
        fn stretches_are_in_order_apart_and_have_all_words(
            frames in proptest::collection::vec((1_u32..80, proptest::option::of(0_u8..=127), any::<bool>()), 0..300),
        ) {
            let found = speech(&frames);
            prop_assert!(found.len() <= MOST);
            let end = frames.iter().map(|(count, ..)| count * FRAME).sum::<u32>();
            for (from, to) in &found {
                prop_assert!(from + CLICK <= *to && *to <= end);
            }
            for pair in found.windows(2) {
                prop_assert!(pair[0].1 + PAUSE <= pair[1].0);
            }
            // All that is loud enough in any noise, and long enough, is in them; nothing that is faint is.
            let mut at = 0;
            for (n, (count, level, voice)) in frames.iter().enumerate() {
                let next = at + count * FRAME;
                let is_followed_by_less = frames.get(n + 1).is_none_or(|(_, after, _)| after.is_none_or(|after| after > 60));
                if *voice && level.is_some_and(|level| level < 30) && *count >= 30 && is_followed_by_less {
                    prop_assert!(found.iter().any(|(from, to)| *from <= at && next <= *to), "{at} {next} {found:?}");
                }
                if *count * FRAME >= PAUSE && !(*voice && level.is_some_and(|level| level <= 60)) {
                    prop_assert!(found.iter().all(|(from, to)| *to <= at || next <= *from), "{at} {next} {found:?}");
                }
                at = next;
            }
        }
    }
}
