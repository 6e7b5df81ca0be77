//! Which packets have arrived before: a window that slides over their counters.
//!
//! ```text
//!            highest - 1023                    highest
//!  too old  |  one bit per counter, at counter % 1024  |  new
//! ```
//!
//! A ring of bits as in [RFC 6479](https://www.rfc-editor.org/rfc/rfc6479.html): sliding shifts nothing, it clears the bits
//! of the counters that it passes.

/// How far a packet may lag behind the newest one, in packets, and still be accepted.
pub const REPLAY_WINDOW: u64 = 1024;

const WORDS: usize = (REPLAY_WINDOW / 32) as usize;

/// The counters seen among the last [`REPLAY_WINDOW`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayWindow {
    seen: [u32; WORDS],
    /// One above the highest counter seen: 0 if none was.
    next: u64,
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplayWindow {
    /// Nothing seen.
    pub const fn new() -> Self {
        Self {
            seen: [0; WORDS],
            next: 0,
        }
    }

    /// One above the highest counter accepted; 0 if none was.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Whether a packet with this counter would be new. `u64::MAX` never is: Noise reserves it.
    pub fn is_new(&self, counter: u64) -> bool {
        if counter >= self.next {
            return counter != u64::MAX;
        }
        let in_window = self.next - counter <= REPLAY_WINDOW;
        let (word, bit) = place(counter);
        in_window && self.seen.get(word).is_some_and(|word| word & bit == 0)
    }

    /// Marks a counter as seen, once its packet has proven authentic. Returns false, and changes nothing, unless
    /// [`ReplayWindow::is_new`].
    pub fn accept(&mut self, counter: u64) -> bool {
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
