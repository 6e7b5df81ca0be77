//! When those in a session are told what has changed there.
//!
//! Most changes are told at once. Who comes to a large room or goes is told together with others who do so soon after, because
//! each of them concerns everybody, if only by the count.
//!
//! ```text
//!  joins        |           | |  ||  |          |
//!  told at once ▼                               ▼
//!  together                 ·········▼    (the second one within the interval waits for its end)
//! ```

use super::Server;
use super::machine::{RoomKey, Wake, set_ready};
use super::timers::Alarm;
use crate::room::{RoomUpdate, Version};
use crate::time::Instant;

/// In a session of so many, all is told at once.
pub(super) const FEW: usize = 16;

/// What of a session's changes is being told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// What is so at this version is told to who does not know it; what came later waits.
    through: Version,
    /// When that was last moved on.
    at: Option<Instant>,
    /// When it is to be, next.
    pub(super) alarm: Alarm,
}

impl Telling {
    /// Whether who knows all that it should at `told` has nothing to be told now.
    pub(super) fn is_done(&self, told: Option<Version>) -> bool {
        told.is_some_and(|told| told >= self.through)
    }
}

impl Server {
    /// Changes the state of a room, and has all who are in it told.
    pub(super) fn change(&mut self, key: RoomKey, update: RoomUpdate) {
        let Some(session) = self.session_mut(key) else {
            return;
        };
        let is_of_roster = matches!(update, RoomUpdate::Joined(_) | RoomUpdate::Left { .. });
        let before = session.authority.state().version();
        // Whatever cannot be so has been refused before; what is so already changes nothing.
        let after = session.authority.change(update).unwrap_or(before);
        if after == before {
            return;
        }
        if is_of_roster {
            self.roster_changed(key);
        } else {
            self.tell_session(key);
        }
    }

    /// Somebody came or went: has the others told, now or soon.
    pub(super) fn roster_changed(&mut self, key: RoomKey) {
        let (now, interval) = (self.now, self.config.roster_interval);
        let room = self.rooms.get_mut(key.0);
        let Some(session) = room.and_then(|room| room.session.as_mut()) else {
            return;
        };
        let is_large = session.order.len() > FEW;
        let next = session.telling.at.map(|at| at + interval);
        match next.filter(|next| is_large && *next > now) {
            None => self.tell_session(key),
            Some(_) => self
                .timers
                .set_sooner(Wake::Tell(key), &mut session.telling.alarm, next),
        }
    }

    /// Has all who are in a session told what is so now.
    pub(super) fn tell_session(&mut self, key: RoomKey) {
        let room = self.rooms.get_mut(key.0);
        let Some(session) = room.and_then(|room| room.session.as_mut()) else {
            return;
        };
        session.telling.through = session.authority.state().version();
        session.telling.at = Some(self.now);
        self.timers
            .set(Wake::Tell(key), &mut session.telling.alarm, None);
        self.wake_session(key);
    }

    /// Has all who are in a session asked for what they have to be told.
    pub(super) fn wake_session(&mut self, key: RoomKey) {
        let session = self.rooms.get(key.0).and_then(|room| room.session.as_ref());
        for key in session.iter().flat_map(|session| &session.order) {
            if let Some(member) = self.members.get_mut(key.0) {
                set_ready(&mut self.ready, *key, member);
            }
        }
    }
}
