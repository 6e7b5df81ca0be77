//! The latest changes of a room: of each fact, the last.
//!
//! ```text
//!  changes   A joins   A mutes   B joins   A unmutes   B leaves
//!  log         v1        —         —          v4          v5: undoes v3, so nothing to who was told less than that
//! ```

use alloc::collections::VecDeque;

use super::{RoomUpdate, Version};

/// One change that no later one has overtaken.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) version: Version,
    pub(super) update: RoomUpdate,
    /// The change that brought what this one is about, if whoever was told all before that, and nothing since, cannot know of it.
    brought: Option<Version>,
}

impl Logged {
    /// Whether the change takes away what was not there for a receiver that knows nothing that is later than `known`.
    pub(super) fn is_moot(&self, known: Version) -> bool {
        is_removal(&self.update) && self.brought.is_some_and(|brought| brought > known)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Log {
    /// In the order of their versions.
    changes: VecDeque<Logged>,
    capacity: usize,
    /// The latest change that was forgotten for want of space.
    forgotten: Version,
}

impl Log {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            changes: VecDeque::new(),
            capacity,
            forgotten: Version::default(),
        }
    }

    /// Remembers a change, instead of those that it overtakes. `is_new`: it brings what was not there.
    ///
    /// A removal stays in the log when its subject comes back: a full receiver needs the space meanwhile.
    pub(super) fn push(&mut self, version: Version, update: RoomUpdate, is_new: bool) {
        let mut brought = is_new.then_some(version);
        self.changes.retain(|earlier| {
            let is_over = overtakes(&update, &earlier.update);
            if is_over && !is_new && brings_the_same(&update, &earlier.update) {
                brought = brought.or(earlier.brought);
            }
            !is_over
        });
        self.changes.push_back(Logged {
            version,
            update,
            brought,
        });
        while self.changes.len() > self.capacity {
            if let Some(forgotten) = self.changes.pop_front() {
                self.forgotten = forgotten.version;
            }
        }
    }

    /// The remaining changes after `version`, up to `head`, the latest; `None` if some of them are forgotten.
    pub(super) fn since(
        &self,
        version: Version,
        head: Version,
    ) -> Option<impl ExactSizeIterator<Item = &Logged>> {
        let is_remembered = self.forgotten <= version && version <= head;
        is_remembered.then(|| {
            let first = (self.changes).partition_point(|change| change.version <= version);
            self.changes.range(first..)
        })
    }
}

fn is_removal(update: &RoomUpdate) -> bool {
    match update {
        RoomUpdate::Left { .. } | RoomUpdate::Unpublished { .. } => true,
        RoomUpdate::Attribute { value, .. } => value.is_empty(),
        _ => false,
    }
}

/// Whether who is told `later` need not be told `earlier`, and has no less space without it.
fn overtakes(later: &RoomUpdate, earlier: &RoomUpdate) -> bool {
    use RoomUpdate as U;
    match (later, earlier) {
        (U::Speaker { .. }, U::Speaker { .. })
        | (U::Floor { .. }, U::Floor { .. })
        | (U::Recorded { .. }, U::Recorded { .. }) => return true,
        _ => {}
    }
    if later.participant().is_none() || later.participant() != earlier.participant() {
        return false;
    }
    match (later, earlier) {
        (U::Left { .. }, U::Left { .. }) => false,
        // It makes room in a table that others share.
        (U::Left { .. }, U::Attribute { .. }) if is_removal(earlier) => false,
        (U::Left { .. }, _)
        | (U::Connection { .. }, U::Connection { .. })
        | (U::Censored { .. }, U::Censored { .. }) => true,
        (U::Unpublished { key, .. }, U::Published { stream, .. }) => stream.key == *key,
        (U::Unpublished { key, .. } | U::Muted { key, .. }, U::Muted { key: other, .. }) => {
            key == other
        }
        (U::Attribute { key, .. }, U::Attribute { key: other, .. }) => {
            key == other && !is_removal(earlier)
        }
        _ => false,
    }
}

/// Whether `earlier`, which `later` overtakes, brought what `later` is about, or a later state of it.
fn brings_the_same(later: &RoomUpdate, earlier: &RoomUpdate) -> bool {
    use RoomUpdate as U;
    matches!(
        (later, earlier),
        (U::Left { .. }, U::Joined(_))
            | (U::Unpublished { .. }, U::Published { .. })
            | (U::Attribute { .. }, U::Attribute { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{AttributeKey, AttributeValue, CloseReason, ParticipantId};

    #[test]
    fn what_made_room_for_others_is_told_though_its_participant_left() {
        let participant = ParticipantId::new("anna").unwrap();
        let key = AttributeKey::new("hand").unwrap();
        let attribute = |value: &[u8]| RoomUpdate::Attribute {
            participant: participant.clone(),
            key: key.clone(),
            value: AttributeValue::new(value).unwrap(),
        };
        let left = RoomUpdate::Left {
            participant: participant.clone(),
            reason: CloseReason::Left,
        };
        let mut log = Log::new(8);
        let changes = [
            (attribute(b"up"), true),
            (attribute(b""), false),
            (left.clone(), false),
        ];
        for (version, (update, is_new)) in (1..).zip(changes) {
            log.push(Version(version), update, is_new);
        }
        let told = log.since(Version(0), Version(3)).unwrap();
        let told: alloc::vec::Vec<_> = told.map(|change| &change.update).collect();
        assert_eq!(told, [&attribute(b""), &left]);
    }
}
