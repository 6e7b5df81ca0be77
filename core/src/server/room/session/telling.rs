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

use super::Session;
use crate::room::RoomUpdate;
use crate::server::Event;
use crate::server::context::Context;
use crate::server::keys::Wake;
use crate::server::overload::FEW;

impl Session {
    /// Changes the state of the room, and has all who are in it told.
    pub(super) fn change(&mut self, cx: &mut Context, update: RoomUpdate) {
        let fact = self.fact_of(&update);
        let is_of_roster = matches!(update, RoomUpdate::Joined(_) | RoomUpdate::Left { .. });
        let before = self.authority.state().version();
        // Whatever cannot be so has been refused before; what is so already changes nothing.
        let after = self.authority.change(update).unwrap_or(before);
        if after == before {
            return;
        }
        if let Some(fact) = fact {
            cx.events.push(fact);
        }
        if is_of_roster {
            self.roster_changed(cx);
        } else {
            self.tell_all(cx);
        }
    }

    /// What a change means to the embedder. It is told of participants and streams that come and go where that happens, and
    /// of the speaker where that is decided.
    fn fact_of(&self, update: &RoomUpdate) -> Option<Event> {
        let (room, session) = (self.room.clone(), self.id);
        Some(match update.clone() {
            RoomUpdate::Connection { participant, state } => Event::ParticipantConnection {
                room,
                session,
                participant,
                state,
            },
            RoomUpdate::Muted {
                participant,
                key,
                muted,
            } => Event::StreamMuted {
                room,
                session,
                participant,
                key,
                muted,
            },
            RoomUpdate::Censored {
                participant,
                censored,
            } => Event::ParticipantCensored {
                room,
                session,
                participant,
                censored,
            },
            RoomUpdate::Attribute {
                participant,
                key,
                value,
            } => Event::AttributeChanged {
                room,
                session,
                participant,
                key,
                value,
            },
            RoomUpdate::Floor { holder } => Event::FloorChanged {
                room,
                session,
                holder,
            },
            _ => return None,
        })
    }

    /// Somebody came or went: has the others told, now or soon.
    pub(super) fn roster_changed(&mut self, cx: &mut Context) {
        let is_large = self.members.len() > FEW;
        let next = self.telling.at.map(|at| at + cx.config.roster_interval);
        match next.filter(|next| is_large && *next > cx.now) {
            None => self.tell_all(cx),
            Some(_) => {
                let wake = Wake::Tell(self.room_key);
                cx.timers.set_sooner(wake, &mut self.telling.alarm, next);
            }
        }
    }

    /// Has all who are in the session told what is so now.
    pub(crate) fn tell_all(&mut self, cx: &mut Context) {
        self.telling.through = self.authority.state().version();
        self.telling.at = Some(cx.now);
        let wake = Wake::Tell(self.room_key);
        cx.timers.set(wake, &mut self.telling.alarm, None);
        self.wake_all(cx);
    }

    /// Has all who are in the session asked for what they have to be told.
    pub(crate) fn wake_all(&mut self, cx: &mut Context) {
        self.members
            .for_each(|_, member| cx.wake(&mut member.association));
    }
}
