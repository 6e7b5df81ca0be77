//! What is known about a file beside its contents, in bounded lists.

use std::time::Duration;

/// As many of each are kept.
pub(super) const MOST: usize = 64;
/// What is shorter is no gap that is worth a note.
const GAP: Duration = Duration::from_millis(500);
const BETWEEN_ANCHORS: Duration = Duration::from_secs(10);

/// A stretch of a file in which nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Where it begins in the file.
    pub place: Duration,
    /// How long it is.
    pub length: Duration,
}

/// A place in a file and the time at which it was recorded. The publisher's clock and that of the recorder drift apart;
/// files are not corrected for that, and whoever mixes them uses the anchors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Where in the file.
    pub place: Duration,
    /// When, since the beginning of the file.
    pub at: Duration,
}

/// The notes of a file.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) gaps: Vec<Gap>,
    pub(super) anchors: Vec<Anchor>,
    between: Duration,
}

impl Notes {
    pub(super) fn new() -> Self {
        Self {
            gaps: Vec::new(),
            anchors: Vec::new(),
            between: BETWEEN_ANCHORS,
        }
    }

    /// Notes a gap. Of too many the shortest is dropped.
    pub(super) fn gap(&mut self, gap: Gap) {
        if gap.length < GAP {
            return;
        }
        if self.gaps.len() == MOST {
            let lengths = self.gaps.iter().enumerate();
            let shortest = lengths.min_by_key(|(_, kept)| kept.length);
            match shortest {
                Some((shortest, kept)) if kept.length < gap.length => self.gaps.remove(shortest),
                _ => return,
            };
        }
        self.gaps.push(gap);
    }

    /// Notes an anchor, if the last one is long enough ago. Of too many every other is dropped, and from then on they are
    /// noted half as often.
    pub(super) fn anchor(&mut self, anchor: Anchor) {
        let last = self.anchors.last();
        if last.is_some_and(|last| anchor.at.saturating_sub(last.at) < self.between) {
            return;
        }
        if self.anchors.len() == MOST {
            let mut is_kept = false;
            self.anchors.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.between = self.between.saturating_mul(2);
        }
        self.anchors.push(anchor);
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.gaps.capacity() * size_of::<Gap>() + self.anchors.capacity() * size_of::<Anchor>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_gaps_the_longest_are_kept() {
        let mut notes = Notes::new();
        for length in 1..=300 {
            let length = Duration::from_secs(length);
            let place = length;
            notes.gap(Gap { place, length });
        }
        let kept: Vec<_> = notes.gaps.iter().map(|gap| gap.length.as_secs()).collect();
        assert_eq!(kept, (237..=300).collect::<Vec<_>>());
        let length = Duration::from_millis(499);
        let before = notes.gaps.clone();
        notes.gap(Gap {
            place: length,
            length,
        });
        assert_eq!(notes.gaps, before);
    }

    #[test]
    fn anchors_span_the_file_however_long_it_is() {
        let mut notes = Notes::new();
        for second in 0..100_000 {
            let at = Duration::from_secs(second);
            notes.anchor(Anchor { place: at, at });
            assert!(notes.anchors.len() <= MOST);
            if second == 600 {
                assert_eq!(notes.anchors.len(), 61);
            }
        }
        let first = notes.anchors.first().unwrap();
        let last = notes.anchors.last().unwrap();
        assert_eq!(first.at, Duration::ZERO);
        let pauses = notes.anchors.windows(2);
        let longest = pauses.map(|pair| pair[1].at - pair[0].at).max().unwrap();
        assert!(longest <= Duration::from_secs(10 << 11), "{longest:?}");
        assert!(last.at >= Duration::from_secs(100_000) - longest);
    }
}
