//! Replay protection: a window that slides over packet counters.
//!
//! ```text
//!            highest - 1023                    highest
//!  too old  |  one bit per counter, at counter % 1024  |  new
//! ```
//!
//! A ring of bits as in [RFC 6479](https://www.rfc-editor.org/rfc/rfc6479.html): sliding shifts nothing, it clears the
//! bits of the counters that it passes.

/// The number of remembered counters, including the newest: a packet this far behind the newest is too old.
pub(super) const REPLAY_WINDOW: u64 = 1024;

const WORDS: usize = (REPLAY_WINDOW / 32) as usize;

/// The counters seen among the last [`REPLAY_WINDOW`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReplayWindow {
    seen: [u32; WORDS],
    /// One above the highest counter seen: 0 if none was.
    next: u64,
}

impl ReplayWindow {
    /// A window without counters.
    pub(super) const fn new() -> Self {
        Self {
            seen: [0; WORDS],
            next: 0,
        }
    }

    /// One above the highest counter accepted; 0 if none was.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether a packet with this counter would be new. `u64::MAX` never is: Noise reserves it.
    pub(super) fn is_new(&self, counter: u64) -> bool {
        if counter >= self.next {
            return counter != u64::MAX;
        }
        let in_window = self.next - counter <= REPLAY_WINDOW;
        let (word, bit) = place(counter);
        in_window && self.seen.get(word).is_some_and(|word| word & bit == 0)
    }

    /// Marks a counter as seen, once its packet has proven authentic. Returns false, and changes nothing, unless
    /// [`ReplayWindow::is_new`].
    pub(super) fn accept(&mut self, counter: u64) -> bool {
        if !self.is_new(counter) {
            return false;
        }
        if counter >= self.next {
            if counter - self.next >= REPLAY_WINDOW {
                self.seen = [0; WORDS];
            } else {
                for passed in self.next..counter {
                    let (word, bit) = place(passed);
                    if let Some(word) = self.seen.get_mut(word) {
                        *word &= !bit;
                    }
                }
            }
            self.next = counter + 1;
        }
        let (word, bit) = place(counter);
        if let Some(word) = self.seen.get_mut(word) {
            *word |= bit;
        }
        true
    }
}

/// The word and the bit in it for a counter.
const fn place(counter: u64) -> (usize, u32) {
    let index = (counter % REPLAY_WINDOW) as usize;
    (index / 32, 1 << (index % 32))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The reference implementation of the window.
    #[derive(Default)]
    struct Model(BTreeSet<u64>);

    impl Model {
        fn accept(&mut self, counter: u64) -> bool {
            let too_old = self.0.last().is_some_and(|&highest| {
                highest
                    .checked_sub(REPLAY_WINDOW)
                    .is_some_and(|oldest| counter <= oldest)
            });
            counter != u64::MAX && !too_old && self.0.insert(counter)
        }
    }

    /// Counters that mostly walk forward, with repetitions, reordering, the edges of the window and leaps.
    fn counters() -> impl Strategy<Value = Vec<u64>> {
        let step = prop_oneof![
            6 => -3i64..=3,
            3 => -40i64..=80,
            2 => -1030i64..=-1018,
            2 => 1018i64..=1030,
            1 => -3000i64..=3000,
            1 => any::<i64>(),
        ];
        let start =
            prop_oneof![4 => 0u64..5000, 1 => any::<u64>(), 1 => u64::MAX - 2000..=u64::MAX];
        (start, prop::collection::vec(step, 0..300)).prop_map(|(start, steps)| {
            let walk = steps.into_iter().scan(start, |at, step| {
                *at = at.saturating_add_signed(step);
                Some(*at)
            });
            walk.collect()
        })
    }

    proptest! {
        #[test]
        fn accepts_what_a_set_of_all_counters_would(counters in counters()) {
            let mut window = ReplayWindow::new();
            let mut model = Model::default();
            for counter in counters {
                let before = window.clone();
                let is_new = window.is_new(counter);
                prop_assert_eq!(is_new, model.accept(counter), "counter {}", counter);
                prop_assert_eq!(window.accept(counter), is_new);
                prop_assert!(!window.is_new(counter));
                if !is_new {
                    prop_assert_eq!(&window, &before);
                }
                let highest = model.0.last().copied();
                prop_assert_eq!(window.next(), highest.map_or(0, |highest| highest + 1));
            }
        }
    }

    #[test]
    fn the_window_is_1024_packets_wide() {
        let mut window = ReplayWindow::new();
        assert!(window.accept(2000));
        assert!(!window.is_new(2000 - 1024));
        assert!(window.accept(2000 - 1023));
    }
}
