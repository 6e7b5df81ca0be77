//! All rooms, and the way to their participants.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use slab::Slab;

use super::{Room, Session, leaving};
use crate::link::Link;
use crate::room::{CloseReason, RoomId, Waiting};
use crate::server::context::Context;
use crate::server::keys::{Owner, PeerKey, Place, RoomKey};
use crate::server::member::slots::Slots;
use crate::server::member::{Association, Departing, Guest, Reach, Rights, Tickets};
use crate::server::promise::{Entry, Pending};
use crate::server::{
    Accounting, Admission, AdmitError, Dropped, Event, ModerateError, OnDuplicate, Path,
    RefreshError, RefreshId, Refused, RoomLimits, Transmit,
};
use crate::signal::JoinRefusal;
use crate::time::Duration;
use crate::wire::Frames;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Rooms {
    slab: Slab<Room>,
    by_id: BTreeMap<RoomId, RoomKey>,
    /// Joins under way that will each become a participant of their own.
    pub(crate) promised: usize,
}

impl Rooms {
    pub(crate) const fn new() -> Self {
        Self {
            slab: Slab::new(),
            by_id: BTreeMap::new(),
            promised: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// All rooms, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Room> {
        let keys = self.by_id.values();
        keys.filter_map(|key| self.get(*key))
    }

    pub(crate) fn find(&self, id: &RoomId) -> Option<&Room> {
        self.get(self.key(id)?)
    }

    pub(super) fn key(&self, id: &RoomId) -> Option<RoomKey> {
        self.by_id.get(id).copied()
    }

    /// The name of a room, if it is there.
    pub(in crate::server) fn name_of(&self, key: RoomKey) -> Option<&RoomId> {
        self.get(key).map(|room| &room.id)
    }

    pub(super) fn get(&self, key: RoomKey) -> Option<&Room> {
        self.slab.get(key.0)
    }

    pub(super) fn get_mut(&mut self, key: RoomKey) -> Option<&mut Room> {
        self.slab.get_mut(key.0)
    }

    /// The room with this name, for its application to change. Say [`drop_if_idle`](Self::drop_if_idle) after that.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn find_mut(&mut self, id: &RoomId) -> Result<&mut Room, ModerateError> {
        let key = self.key(id).ok_or(ModerateError::UnknownRoom)?;
        self.get_mut(key).ok_or(ModerateError::UnknownRoom)
    }

    /// The room with this name, made if there is none.
    pub(crate) fn find_or_create(
        &mut self,
        cx: &mut Context,
        id: RoomId,
    ) -> Result<RoomKey, AdmitError> {
        if let Some(key) = self.key(&id) {
            return Ok(key);
        }
        if self.slab.len() >= cx.config.rooms {
            return Err(AdmitError::ServerFull);
        }
        let session = cx.random_session_id();
        let entry = self.slab.vacant_entry();
        let key = RoomKey(entry.key());
        entry.insert(Room::new(key, id.clone(), session));
        self.by_id.insert(id, key);
        Ok(key)
    }

    /// Sets the limits of a room.
    pub(crate) fn set_limits(&mut self, cx: &mut Context, key: RoomKey, limits: RoomLimits) {
        if let Some(room) = self.get_mut(key) {
            room.set_limits(cx, limits);
        }
    }

    /// How often a room was closed.
    pub(crate) fn closings(&self, key: RoomKey) -> u32 {
        self.get(key).map_or(0, |room| room.closings)
    }

    /// Ends the session of a room if its time is over.
    pub(crate) fn end_in_time(&mut self, cx: &mut Context, key: RoomKey) {
        if let Some(room) = self.get_mut(key) {
            room.end_in_time(cx);
        }
        self.drop_idle(key);
    }

    fn drop_idle(&mut self, key: RoomKey) {
        if self.get(key).is_some_and(Room::is_idle)
            && let Some(room) = self.slab.try_remove(key.0)
        {
            self.by_id.remove(&room.id);
        }
    }

    /// Forgets the room with this name if nothing keeps it.
    pub(crate) fn drop_if_idle(&mut self, id: &RoomId) {
        if let Some(key) = self.key(id) {
            self.drop_idle(key);
        }
    }

    /// Processes a datagram of a participant with an association.
    pub(crate) fn handle_data(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
        from: Path,
        datagram: &mut [u8],
    ) -> Result<(), Dropped> {
        let place = cx.directory.place(who).ok_or(Dropped::UnknownConnection)?;
        let mut frames = match place {
            Place::Session(key, member) => {
                let room = self.get_mut(key).ok_or(Dropped::UnknownConnection)?;
                room.handle_member_data(cx, member, from, datagram)?
            }
            Place::Lobby(key) => {
                let room = self.get_mut(key).ok_or(Dropped::UnknownConnection)?;
                room.handle_guest_data(cx, who, from, datagram)?
            }
            Place::Leaving => return leaving::handle_data(cx, who, from, datagram),
        };
        self.receive(cx, who, &mut frames);
        Ok(())
    }

    /// Processes the contents of an authentic packet. If one frame makes the participant leave, the rest is processed
    /// as from a leaving participant.
    pub(crate) fn receive(&mut self, cx: &mut Context, who: PeerKey, frames: &mut Frames<'_>) {
        let Some(before) = cx.directory.place(who) else {
            return;
        };
        match before {
            Place::Session(key, member) => {
                if let Some(room) = self.get_mut(key) {
                    room.receive(cx, member, frames);
                }
            }
            Place::Lobby(key) => {
                if let Some(room) = self.get_mut(key) {
                    room.receive_from_guest(cx, who, frames);
                }
            }
            Place::Leaving => leaving::receive(cx, who, frames),
        }
        if let Place::Session(key, _) | Place::Lobby(key) = before
            && cx.directory.place(who) != Some(before)
        {
            self.drop_idle(key);
            leaving::receive(cx, who, frames);
        }
    }

    /// Handles a participant's expired timers.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context, who: PeerKey) {
        let key = match cx.directory.place(who) {
            Some(Place::Session(key, member)) => {
                if let Some(room) = self.get_mut(key) {
                    room.handle_member_timeout(cx, member);
                }
                key
            }
            Some(Place::Lobby(key)) => {
                if let Some(room) = self.get_mut(key) {
                    room.handle_guest_timeout(cx, who);
                }
                key
            }
            Some(Place::Leaving) => return leaving::handle_timeout(cx, who),
            None => return,
        };
        self.drop_idle(key);
    }

    /// Ends all sessions, and turns away all lobbies.
    pub(crate) fn close_all(&mut self, cx: &mut Context, reason: CloseReason) {
        let keys: Vec<RoomKey> = self.by_id.values().copied().collect();
        for key in keys {
            if let Some(room) = self.get_mut(key) {
                room.end_session(cx, reason);
                room.close_lobby(cx, reason);
            }
            self.drop_idle(key);
        }
    }

    /// Handles expired timers of a room's session.
    pub(crate) fn with_session(&mut self, key: RoomKey, then: impl FnOnce(&mut Session)) {
        if let Some(session) = self.get_mut(key).and_then(|room| room.session.as_mut()) {
            then(session);
        }
    }

    /// Writes a datagram for a participant, if there is anything to send.
    pub(crate) fn transmit(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
        out: &mut [u8],
    ) -> Option<Transmit> {
        match cx.directory.place(who)? {
            Place::Session(key, member) => {
                let sent = self.get_mut(key)?.transmit(cx, member, out);
                if sent.is_none() {
                    self.drop_idle(key);
                }
                sent
            }
            Place::Lobby(key) => {
                let sent = self.get_mut(key)?.transmit_to_guest(cx, who, out);
                if sent.is_none() {
                    self.drop_idle(key);
                }
                sent
            }
            Place::Leaving => leaving::transmit(cx, who, out),
        }
    }

    /// The part of [`Accounting`] for rooms and leaving participants.
    pub(crate) fn accounting(&self, leaving: &BTreeMap<PeerKey, Departing>) -> Accounting {
        let mut sum = Accounting::default();
        for room in self.iter() {
            for member in room.session().into_iter().flat_map(Session::members) {
                let media = member.receives.media.len();
                sum.queued_media += member.receives.waiting();
                sum.longest_media_queue = sum.longest_media_queue.max(media);
                let messages = member.receives.messages.len();
                sum.queued_messages += messages;
                sum.longest_message_queue = sum.longest_message_queue.max(messages);
            }
            #[cfg(feature = "opus-fullband")]
            if let Some(session) = room.session() {
                let size = session.mix_size();
                sum.mix_decoders += size.voices;
                sum.mix_encoders += size.encoders;
                sum.mix_bytes += size.bytes();
            }
        }
        let rooms = self.iter();
        let members = rooms
            .flat_map(|room| room.session())
            .flat_map(Session::members);
        let members = members.map(|member| &member.association);
        let guests = self.iter().flat_map(|room| room.lobby().guests());
        let guests = guests.map(|guest| &guest.association);
        let leaving = leaving.values().map(|departing| &departing.association);
        let associations = members.chain(guests).chain(leaving);
        let longest = associations.map(Association::control_len).max();
        sum.longest_control_queue = longest.unwrap_or(0);
        sum
    }

    /// Gives back the place that was kept for a join.
    fn unreserve(&mut self, pending: &Pending) {
        if !matches!(pending.entry, Entry::Resume { .. }) {
            self.promised = self.promised.saturating_sub(1);
        }
        if let Some(room) = self.get_mut(pending.room) {
            match pending.entry {
                Entry::Lobby(..) => room.lobby.reserved.unreserve(&pending.participant),
                _ => room.reserved.unreserve(&pending.participant),
            }
        }
    }

    /// Releases the promises to a join.
    pub(crate) fn release(&mut self, pending: &Pending) {
        self.unreserve(pending);
        self.drop_idle(pending.room);
    }

    /// A join takes effect. `None`: its session or participant is gone.
    pub(crate) fn enter(
        &mut self,
        cx: &mut Context,
        pending: Pending,
        reach: Reach,
    ) -> Option<PeerKey> {
        self.unreserve(&pending);
        let key = pending.room;
        let entered = self.enter_room(cx, pending, reach);
        self.drop_idle(key);
        entered
    }

    fn enter_room(&mut self, cx: &mut Context, pending: Pending, reach: Reach) -> Option<PeerKey> {
        let Pending {
            transport,
            ids,
            room: room_key,
            closings,
            participant,
            name,
            grants,
            expires,
            on_duplicate,
            attributes,
            stale,
            entry,
        } = pending;
        let is_let_in = match &entry {
            Entry::Lobby(wish, _) => wish.resume.as_ref().is_some_and(|resume| {
                let room = self.get(room_key).map(|room| &room.id);
                room.is_some_and(|room| self.resumable(cx, resume, room, &participant).is_some())
            }),
            _ => false,
        };
        let room = self.get_mut(room_key)?;
        let is_new = !matches!(entry, Entry::Resume { .. });
        // Another participant may have joined, or the room been closed, while this join was under way.
        if room.closings != closings
            || room.is_elsewhere(&participant, stale)
            || is_new
                && on_duplicate == OnDuplicate::Refuse
                && room.is_in_touch(&participant, stale)
        {
            return None;
        }
        let (offer, waiting) = match entry {
            Entry::Resume {
                peer,
                handle,
                ticket,
                version,
            } => {
                let (known, _, member) = cx.directory.member_by_ticket(handle)?;
                if known != peer {
                    return None;
                }
                let session = room.session.as_mut()?;
                session.resume(cx, member, (transport, ids), reach, ticket, version);
                session.renew_rights(cx, member, grants, expires);
                return Some(peer);
            }
            Entry::New(offer) if offer.session != room.session_id() => return None,
            Entry::New(offer) => (Some(offer), None),
            Entry::Lobby(wish, ticket) => (None, Some((wish, ticket))),
        };
        let hold = cx.config.slot_hold;
        let slots = offer
            .as_ref()
            .map(|offer| Slots::new(offer.slot_ssrc, offer.slots, hold, &mut cx.rng));
        // Silence is noticed by its length; pinging idle participants is up to them.
        let link = Link::new(transport, ids, Duration::MAX, cx.now);
        let peer = cx.directory.insert();
        let mut association = Association::new(peer, participant, link, reach, &cx.config, cx.now);
        cx.directory.ids.insert(ids.local, Owner::Peer(peer));
        let rights = Rights::new(grants, expires);
        if room.was_kicked(&association.id) {
            let refused = Refused {
                refusal: JoinRefusal::Kicked,
                room: Some(room.id.clone()),
                participant: Some(association.id.clone()),
            };
            cx.join_refused(association.reach.path, refused);
            leaving::say_goodbye(cx, association, None, CloseReason::Kicked);
        } else if let (Some(offer), Some(slots)) = (offer, slots) {
            room.join_session(cx, association, (name, attributes), rights, slots, offer);
        } else if let Some((wish, ticket)) = waiting {
            association.tickets = Some(Tickets::new(ticket));
            let guest = Guest {
                association,
                name,
                rights,
                attributes,
                wish,
            };
            room.wait_in_lobby(cx, guest);
            if is_let_in {
                // While it was on its way back to the lobby. If there is no place any more, it waits.
                let _ = room.admit_guest(cx, peer);
            }
        }
        Some(peer)
    }

    /// Takes in how long the handshake took, and has an unproven path proven.
    pub(crate) fn established(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
        round_trip: Option<Duration>,
        nonce: u32,
    ) {
        if let Some(association) = self.association_mut(cx, who) {
            if let Some(round_trip) = round_trip {
                association.link.handle_rtt(round_trip);
            }
            association.validate_path(nonce);
        }
    }

    fn association_mut<'a>(
        &'a mut self,
        cx: &'a mut Context,
        who: PeerKey,
    ) -> Option<&'a mut Association> {
        match cx.directory.place(who)? {
            Place::Session(key, member) => {
                let session = self.get_mut(key)?.session.as_mut()?;
                Some(&mut session.get_mut(member)?.association)
            }
            Place::Lobby(key) => Some(&mut self.get_mut(key)?.lobby.get_mut(who)?.association),
            Place::Leaving => Some(&mut cx.leaving.get_mut(&who)?.association),
        }
    }

    /// Applies the embedder's answer to a new token.
    pub(crate) fn refresh(
        &mut self,
        cx: &mut Context,
        refresh: RefreshId,
        answer: Result<Admission, ()>,
    ) -> Result<(), RefreshError> {
        let unknown = RefreshError::UnknownRefresh;
        let who = cx.directory.refreshes.remove(&refresh).ok_or(unknown)?;
        let (key, member) = match cx.directory.place(who).ok_or(unknown)? {
            Place::Session(key, member) => (key, Some(member)),
            Place::Lobby(key) => (key, None),
            Place::Leaving => return Err(unknown),
        };
        let room = self.get_mut(key).ok_or(unknown)?;
        room.refresh(cx, who, member, answer)
    }
}

impl Room {
    fn wait_in_lobby(&mut self, cx: &mut Context, mut guest: Guest) {
        let place = Place::Lobby(self.key);
        cx.directory.set_place(guest.association.key, place);
        let waiting = Waiting {
            participant: guest.association.id.clone(),
            name: guest.name.clone(),
        };
        if !self.lobby.waiting().iter().any(|known| *known == waiting) {
            cx.events.push(Event::ParticipantWaiting {
                room: self.id.clone(),
                participant: waiting.participant,
                name: waiting.name,
            });
        }
        let at = guest.next_timeout(&cx.config);
        cx.rearm(&mut guest.association, at);
        if let Some(former) = self.lobby.insert(guest) {
            let refresh = former.rights.refresh;
            leaving::say_goodbye(cx, former.association, refresh, CloseReason::Replaced);
        }
        self.wake_session(cx);
    }
}
