//! Sets of talkers.

/// Some of the talkers that have a voice, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Talkers(u8);

impl Talkers {
    pub(super) fn set(&mut self, place: usize, is_one: bool) {
        self.0 |= u8::from(is_one) << place;
    }

    pub(super) fn are_among(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    pub(super) fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}
