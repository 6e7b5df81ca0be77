//! Those who were put out and may not know it yet.

use alloc::collections::BTreeMap;

use crate::room::CloseReason;
use crate::signal::JoinRefusal;

/// Why those whose stay was ended may not simply go on, by the handles of their resume tickets:
/// `Closed` may get lost, and whoever missed it comes back as one that lost touch. It shows its
/// ticket then, and is told what it missed; a join without a ticket is somebody's decision and is none
/// of this table's business.
#[derive(Debug)]
pub(super) struct Ended {
    refusals: BTreeMap<u64, (u64, JoinRefusal)>,
    /// The handles, in the order of their coming.
    order: BTreeMap<u64, u64>,
    next: u64,
    limit: usize,
}

impl Ended {
    /// Keeps at most `limit`, the latest.
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            refusals: BTreeMap::new(),
            order: BTreeMap::new(),
            next: 0,
            limit,
        }
    }

    /// Notes that a stay is over, if that is a reason not to come back by oneself.
    pub(super) fn note(&mut self, handle: u64, reason: CloseReason) {
        let refusal = match reason {
            CloseReason::Kicked => JoinRefusal::Kicked,
            CloseReason::SessionEnded | CloseReason::AloneTooLong | CloseReason::SessionTooLong => {
                JoinRefusal::SessionEnded
            }
            CloseReason::Replaced => JoinRefusal::Replaced,
            CloseReason::Denied => JoinRefusal::Denied,
            _ => return,
        };
        self.forget(handle);
        self.refusals.insert(handle, (self.next, refusal));
        self.order.insert(self.next, handle);
        self.next += 1;
        while self.refusals.len() > self.limit
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.refusals.remove(&oldest);
        }
    }

    /// The participant knows.
    pub(super) fn forget(&mut self, handle: u64) {
        if let Some((place, _)) = self.refusals.remove(&handle) {
            self.order.remove(&place);
        }
    }

    /// What to answer to who shows a ticket with this handle.
    pub(super) fn refusal(&self, handle: u64) -> Option<JoinRefusal> {
        self.refusals.get(&handle).map(|(_, refusal)| *refusal)
    }

    pub(super) fn len(&self) -> usize {
        self.refusals.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_who_knows_is_forgotten() {
        let mut ended = Ended::new(2);
        ended.note(7, CloseReason::Kicked);
        ended.note(8, CloseReason::SessionEnded);
        ended.note(9, CloseReason::Replaced);
        assert_eq!(ended.refusal(7), None);
        assert_eq!(ended.refusal(8), Some(JoinRefusal::SessionEnded));
        ended.forget(8);
        ended.forget(8);
        ended.note(7, CloseReason::Kicked);
        assert_eq!(ended.refusal(9), Some(JoinRefusal::Replaced));
        assert_eq!(ended.refusal(7), Some(JoinRefusal::Kicked));
        assert_eq!((ended.len(), ended.order.len()), (2, 2));
    }

    #[test]
    fn whoever_lost_touch_may_come_back() {
        let mut ended = Ended::new(2);
        for reason in [CloseReason::ConnectionLost, CloseReason::ServerShutdown] {
            ended.note(7, reason);
        }
        assert_eq!((ended.refusal(7), ended.len()), (None, 0));
    }
}
