//! More to send than is sent: the oldest is dropped, receiver by receiver, and the embedder hears of it.
//!
//! Receivers take turns, a datagram each, whatever their rooms: who is in a small room gets as many as who is in a large one.
//! As frames that wait share datagrams, a server that sends but a tenth of the datagrams may still send all that is said.
//!
//! More may come, too, than there is time to queue for all receivers. Then the embedder says so, and large rooms lose some.

use super::machine::MemberKey;
use super::telling::FEW;
use super::{Event, Server};
use crate::time::{Duration, Instant};

/// How often the embedder is told, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was dropped, until the embedder is told.
#[derive(Debug, Default)]
pub(super) struct Overload {
    late: u64,
    told: Option<Instant>,
}

impl Server {
    /// Drops what has waited for a receiver for too long.
    pub(super) fn drop_late(&mut self, key: MemberKey) {
        let Some(member) = self.members.get_mut(key.0) else {
            return;
        };
        let late = member.media.drop_late(self.now, &mut self.pool);
        if late == 0 {
            return;
        }
        // What waits for an address that has yet to be proven is not the embedder's fault.
        if member.reach.proven {
            self.count_late(late);
        } else {
            self.statistics.media_late += late;
        }
    }

    /// Says whether the embedder is behind with taking in: more has come than it has time for. While it is, media of rooms with
    /// more than 16 participants is dropped, because each packet of it is work for all of them. All else is taken in: small
    /// rooms hear each other, and signalling gets through.
    pub fn set_behind(&mut self, behind: bool) {
        self.behind = behind;
    }

    /// Whether there is no time for a packet that so many would receive; it is dropped then.
    pub(super) fn is_shed(&mut self, receivers: usize) -> bool {
        let is_shed = self.behind && receivers > FEW;
        if is_shed {
            self.count_late(receivers as u64);
        }
        is_shed
    }

    fn count_late(&mut self, late: u64) {
        self.statistics.media_late += late;
        let overload = &mut self.overload;
        overload.late += late;
        if overload.told.is_none_or(|told| told + INTERVAL <= self.now) {
            overload.told = Some(self.now);
            let late = core::mem::take(&mut overload.late);
            self.events.push(Event::Overloaded { late });
        }
    }
}
