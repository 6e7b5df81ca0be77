//! One room: its lobby, its session, and what goes from one to the other.

mod application;
mod grants;
mod inspect;
mod lasting;
pub(super) mod leaving;
mod lobby;
mod moderation;
mod offer;
mod permits;
mod places;
mod receive;
mod requests;
mod rooms;
mod session;

pub use inspect::RoomView;
pub(super) use rooms::Rooms;
#[cfg(feature = "opus-fullband")]
pub use session::{MixConfig, MixOpus};

use alloc::boxed::Box;
use alloc::vec::Vec;

use lobby::Lobby;
use places::Places;
use session::Session;

use super::context::Context;
use super::keys::{MemberKey, PeerKey, RoomKey};
use super::member::slots::Slots;
use super::member::{Association, Member, Receives, Rights, Sends, Tickets};
use super::promise::Offer;
use super::{Event, Gather, RoomLimits};
use crate::room::{
    AttributeKey, AttributeValue, Authority, CloseReason, DisplayName, Participant, ParticipantId,
    RoomId, SessionId,
};

/// A room with a session, a lobby, or a join under way; else the server has forgotten it.
#[derive(Debug)]
pub(super) struct Room {
    key: RoomKey,
    pub(super) id: RoomId,
    session: Option<Session>,
    lobby: Lobby,
    /// How long frames wait here, if not as the configuration says.
    pub(super) gather: Option<Gather>,
    limits: RoomLimits,
    /// How often it was closed: what was promised before is void.
    closings: u32,
    /// What the next session will be called: joins under way are promised to it.
    next_session: SessionId,
    /// Places kept for joins under way.
    reserved: Places,
}

impl Room {
    fn new(key: RoomKey, id: RoomId, next_session: SessionId) -> Self {
        Self {
            key,
            id,
            session: None,
            lobby: Lobby::default(),
            gather: None,
            limits: RoomLimits::default(),
            closings: 0,
            next_session,
            reserved: Places::default(),
        }
    }

    /// The session that goes on.
    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    pub(super) fn lobby(&self) -> &Lobby {
        &self.lobby
    }

    /// The session that a join now would be in.
    fn session_id(&self) -> SessionId {
        let session = self.session.as_ref();
        session.map_or(self.next_session, |session| session.id)
    }

    /// Places taken: by participants, and by joins under way of others. Who asks for itself has
    /// its own place.
    fn places_taken_by_others(&self, participant: &ParticipantId) -> usize {
        let session = self.session.as_ref();
        let is_there = |id: &ParticipantId| session.is_some_and(|session| session.has(id));
        let there = session.map_or(0, Session::len);
        self.reserved.taken_by_others(there, is_there, participant)
    }

    /// Whether nobody else may be in the session beside those who are, or are on their way.
    fn is_full_for(&self, cx: &Context, participant: &ParticipantId) -> bool {
        let most = cx.config.participants_per_room;
        let most = self
            .limits
            .max_participants
            .map_or(most, |max| max.min(most));
        self.places_taken_by_others(participant) >= most
    }

    /// Whether nothing keeps the room.
    fn is_idle(&self) -> bool {
        self.session.is_none() && self.lobby.is_idle() && self.reserved.is_empty()
    }

    fn was_kicked(&self, participant: &ParticipantId) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.was_kicked(participant))
    }

    /// Brings somebody with an association into the session.
    fn join_session(
        &mut self,
        cx: &mut Context,
        association: Association,
        (name, attributes): (DisplayName, Vec<(AttributeKey, AttributeValue)>),
        rights: Rights,
        slots: Slots,
        offer: Offer,
    ) {
        let former = self.session.as_mut().and_then(|session| {
            let former = session.find(&association.id)?;
            session.leave(cx, former, CloseReason::Replaced)
        });
        // The session lasts, even if that was the only one in it.
        if let Some(former) = former {
            former.say_goodbye(cx, CloseReason::Replaced);
        }
        let session = self.start_session(cx);
        let id = association.id.clone();
        let mut participant = Participant::new(id.clone(), name.clone());
        for stream in &offer.streams {
            // The offer was limited to as many as fit.
            let _ = participant.streams.push(stream.clone());
        }
        let Some(view) = session.announce(participant, offer.participants) else {
            leaving::say_goodbye(cx, association, rights.refresh, CloseReason::RoomFull);
            self.end_in_time(cx);
            return;
        };
        let mut member = Box::new(Member {
            association,
            rights,
            sends: Sends::new(&cx.config, cx.now),
            receives: Receives::new(offer.policy, slots, view, &cx.config),
        });
        let waited = member.association.tickets.is_some();
        let tickets = match member.association.tickets.take() {
            Some(of_lobby) => of_lobby.admit(offer.ticket),
            None => Tickets::new(offer.ticket),
        };
        for handle in tickets.handles() {
            (cx.directory.tickets).insert(handle, member.association.key);
        }
        member.association.tickets = Some(tickets);
        session.enter(cx, member, (name, waited), offer.streams);
        for (key, value) in attributes {
            // There are no more of them than one participant may have.
            let _ = session.set_attribute(cx, id.clone(), key, value);
        }
        self.end_in_time(cx);
    }

    fn start_session(&mut self, cx: &mut Context) -> &mut Session {
        let next = cx.random_session_id();
        let Self {
            key,
            id: room,
            session,
            next_session,
            ..
        } = self;
        session.get_or_insert_with(|| {
            let id = core::mem::replace(next_session, next);
            let config = &cx.config;
            let authority = Authority::new(config.participants_per_room, config.room_log);
            cx.events.push(Event::SessionStarted {
                room: room.clone(),
                session: id,
            });
            Session::new(
                (*key, room.clone(), id),
                authority,
                config.speaker_hold,
                cx.now,
            )
        })
    }

    /// Ends a member's stay, and tells it why. The session ends with the last one.
    fn close_member(&mut self, cx: &mut Context, who: MemberKey, reason: CloseReason) {
        let Some(session) = self.session.as_mut() else {
            return;
        };
        let Some(member) = session.leave(cx, who, reason) else {
            return;
        };
        self.end_in_time(cx);
        member.say_goodbye(cx, reason);
    }

    /// Ends the stay in the lobby of one who waits, and tells it why.
    fn close_guest(&mut self, cx: &mut Context, who: PeerKey, reason: CloseReason) {
        let Some(guest) = self.lobby.remove(who) else {
            return;
        };
        self.wake_session(cx);
        cx.events.push(Event::ParticipantGaveUp {
            room: self.id.clone(),
            participant: guest.association.id.clone(),
            reason,
        });
        leaving::say_goodbye(cx, guest.association, guest.rights.refresh, reason);
    }

    /// Ends the session for all who are in it. The lobby stays.
    pub(super) fn end_session(&mut self, cx: &mut Context, reason: CloseReason) {
        if let Some(session) = &mut self.session {
            session.send_all_away(cx, reason);
        }
        if let Some(session) = self.session.take() {
            session.end(cx, reason);
        }
    }

    /// Has the media of the session tapped, or no more. Gives the session, if there is one.
    pub(super) fn set_tapped(&mut self, tapped: bool) -> Option<SessionId> {
        let session = self.session.as_mut()?;
        session.set_tapped(tapped);
        Some(session.id)
    }

    /// Turns all away who wait.
    pub(super) fn close_lobby(&mut self, cx: &mut Context, reason: CloseReason) {
        while let Some(guest) = self.lobby.first() {
            self.close_guest(cx, guest, reason);
        }
    }

    /// Has all who are in the session asked for what they have to be told.
    fn wake_session(&mut self, cx: &mut Context) {
        if let Some(session) = &mut self.session {
            session.wake_all(cx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Duration, Instant};

    fn id(name: &str) -> ParticipantId {
        ParticipantId::new(name).unwrap()
    }

    #[test]
    fn the_longest_kept_out_is_forgotten_first() {
        let mut room = Room::new(RoomKey(0), RoomId::new("r").unwrap(), SessionId([0; 16]));
        let authority = Authority::new(9, 9);
        let names = (room.key, room.id.clone(), room.next_session);
        let now = Instant::from_micros(0);
        let mut session = Session::new(names, authority, Duration::ZERO, now);
        for name in ["a", "b", "b", "c"] {
            session.keep_out(id(name), 2);
        }
        room.session = Some(session);
        assert!(!room.was_kicked(&id("a")));
        assert!(room.was_kicked(&id("b")) && room.was_kicked(&id("c")));
    }
}
