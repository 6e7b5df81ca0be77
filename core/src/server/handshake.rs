//! Hello and the answers to it.

use alloc::boxed::Box;
use alloc::string::ToString;

use zeroize::Zeroizing;

use super::joins::{Entry, HelloId, Pending, Stage, Wish};
use super::machine::{Admission, JoinKey, Owner, RoomKey, Wake};
use super::member::Reach;
use super::room::Room;
use super::{AdmitError, Dropped, Event, JoinId, Path, Server, UnknownJoin};
use crate::link::Ids;
use crate::room::RoomId;
use crate::secure::{
    MAX_HELLO_PAYLOAD, ResponderHandshake, ResumeTicket, Transport, ephemeral_key,
};
use crate::signal::{
    Answer, Join, JoinRefusal, MAX_MESSAGE, MAX_SLOTS, Redirect, Resume, Secret, decode, encode,
};
use crate::time::{Duration, Instant};
use crate::wire::{ConnectionId, MAX_DATAGRAM, Packet};

impl Server {
    pub(super) fn handle_hello(
        &mut self,
        now: Instant,
        from: Path,
        client_id: ConnectionId,
        cookie: Option<&[u8; 16]>,
        noise: &[u8],
        len: usize,
    ) -> Result<(), Dropped> {
        if self.shutting_down {
            return Err(Dropped::ShuttingDown);
        }
        let ephemeral = ephemeral_key(noise).ok_or(Dropped::Malformed)?;
        let hello: HelloId = (from, client_id, ephemeral.0);
        if let Some(key) = self.joins.find(&hello) {
            return self.repeat_welcome(key, len);
        }
        let (source, address) = (from.source(), from.to_bytes());
        self.cookies.handle_timeout(now, &mut self.rng);
        let is_proven = from.is_proven()
            || cookie.is_some_and(|cookie| self.cookies.verify(&address, client_id, cookie));
        let per_address = self.config.half_open_per_address;
        if is_proven {
            if self.joins.count_proven_from(source) >= per_address {
                return Err(Dropped::HalfOpenFull);
            }
            if !self.proven_hellos.take(now, source) {
                return Err(Dropped::TooManyHellos);
            }
        } else if self.joins.len() >= self.config.retry_threshold
            || self.joins.count_from(source) >= per_address
            || !self.hellos.take(now)
        {
            let cookie = self.cookies.issue(&address, client_id);
            let retry = Packet::Retry {
                client_id,
                cookie: &cookie,
            };
            self.send_stateless(from, &retry)?;
            self.statistics.retries += 1;
            return Ok(());
        }
        if self.joins.len() >= self.config.half_open {
            // Who was turned away is kept only to be told again: others come first.
            let refused = self.joins.oldest_refused().ok_or(Dropped::HalfOpenFull)?;
            self.forget_join(refused);
        }

        let mut payload = Zeroizing::new([0; MAX_HELLO_PAYLOAD]);
        let (handshake, payload) =
            ResponderHandshake::read(&self.keys, client_id, noise, payload.as_mut_slice())
                .map_err(|_| Dropped::BadHandshake)?;
        self.statistics.handshakes += 1;
        let join = decode::<Join<'_>>(payload)
            .ok()
            .filter(|join| join.participants > 0 && usize::from(join.slots) <= MAX_SLOTS);

        let mut reach = Reach::new(from);
        reach.received(len);
        let expires = now + self.config.join_timeout;
        let wish = Box::new(join.as_ref().map(Wish::new).unwrap_or_default());
        let stage = Stage::Asked {
            handshake: Box::new(handshake),
            wish,
        };
        let (key, id) = self.joins.insert(hello, reach, is_proven, stage);
        if let Some(half_open) = self.joins.get_mut(key) {
            self.timers
                .set(Wake::Join(key), &mut half_open.alarm, Some(expires));
        }
        match join {
            Some(join) => self.events.push(Event::JoinRequested {
                join: id,
                token: Secret(join.token.to_string()),
                from,
            }),
            None => self.answer_refused(key, JoinRefusal::Malformed),
        }
        Ok(())
    }

    fn repeat_welcome(&mut self, key: JoinKey, len: usize) -> Result<(), Dropped> {
        let join = self.joins.get_mut(key).ok_or(Dropped::Repeated)?;
        if matches!(join.stage, Stage::Asked { .. }) {
            return Err(Dropped::Repeated);
        }
        join.reach.received(len);
        self.joins.set_ready(key);
        Ok(())
    }

    /// Lets a join in. What it then says and publishes takes effect when its first packet under
    /// the new keys arrives; a place is kept for it until then.
    ///
    /// # Errors
    /// [`AdmitError`]. Unless the join is unknown, the one who asked is told the reason.
    pub fn admit(
        &mut self,
        now: Instant,
        join: JoinId,
        admission: Admission,
    ) -> Result<(), AdmitError> {
        self.now = now;
        let key = self.joins.asked(join).ok_or(AdmitError::UnknownJoin)?;
        let admitted = self.try_admit(now, key, admission);
        if let Err(error) = admitted {
            self.answer_refused(
                key,
                match error {
                    AdmitError::RoomFull => JoinRefusal::RoomFull,
                    AdmitError::Kicked => JoinRefusal::Kicked,
                    AdmitError::Ended(refusal) => refusal,
                    _ => JoinRefusal::Unavailable,
                },
            );
        }
        admitted
    }

    fn try_admit(
        &mut self,
        now: Instant,
        key: JoinKey,
        admission: Admission,
    ) -> Result<(), AdmitError> {
        if self.shutting_down {
            return Err(AdmitError::ShuttingDown);
        }
        let Admission {
            room,
            participant,
            name,
            grants,
            expires_in,
            lobby,
        } = admission;
        let known = self.rooms_by_id.get(&room).copied();
        let resume = self.resume_of(key);
        let handle =
            (resume.as_ref()).map(|resume| ResumeTicket::from_bytes(*resume.ticket).handle());
        if let Some(refusal) = handle.and_then(|handle| self.ended.refusal(handle)) {
            return Err(AdmitError::Ended(refusal));
        }
        let resumed = resume
            .as_ref()
            .and_then(|resume| self.resumable(resume, known?, &participant));
        if resumed.is_none() {
            self.check_capacity(known, &participant, lobby)?;
        }
        let room = match known {
            Some(room) => room,
            None => self.create_room(room)?,
        };

        let (handshake, wish) = self.take_question(key).ok_or(AdmitError::UnknownJoin)?;
        let local = self.random_connection_id();
        let (answer, entry) = match resumed {
            Some(member) => {
                let version = resume.and_then(|resume| resume.version);
                let offer = self.offer_resume(now, member, local, grants, version);
                offer.ok_or(AdmitError::UnknownJoin)?
            }
            None if lobby => {
                let ticket = self.new_ticket();
                let answer = Answer::Waiting {
                    reset_token: self.reset_token(local),
                    keepalive: seconds(self.config.keepalive),
                    resume_ticket: Secret(*ticket.expose_bytes()),
                };
                (answer, Entry::Lobby(wish, ticket))
            }
            None => {
                let (offer, joined) = self.offer(room, &participant, &wish, grants, local);
                (Answer::Joined(joined), Entry::New(offer))
            }
        };
        if let Some(entry_room) = self.rooms.get_mut(room.0) {
            match &entry {
                Entry::Lobby(..) => entry_room.reserve_waiting(&participant),
                _ => entry_room.reserve(&participant),
            }
        }
        if !matches!(entry, Entry::Resume { .. }) {
            self.promised += 1;
        }
        let Some((welcome, transport, ids)) = self.make_welcome(key, &handshake, local, &answer)
        else {
            return Err(AdmitError::UnknownJoin);
        };
        let pending = Pending {
            transport,
            ids,
            room,
            participant,
            name,
            grants,
            expires: expires_in.map(|expires_in| now + expires_in),
            entry,
        };
        self.ids.insert(local, Owner::Join(key));
        self.set_answered(key, welcome, Some(Box::new(pending)));
        Ok(())
    }

    /// Turns a join away.
    ///
    /// # Errors
    /// If it was answered before or has timed out.
    pub fn refuse(
        &mut self,
        now: Instant,
        join: JoinId,
        refusal: JoinRefusal,
    ) -> Result<(), UnknownJoin> {
        self.now = now;
        let key = self.joins.asked(join).ok_or(UnknownJoin)?;
        self.answer_refused(key, refusal);
        Ok(())
    }

    /// Sends a join to another server, or another worker of this one, which has the same key and takes the same tokens.
    ///
    /// # Errors
    /// If it was answered before or has timed out.
    pub fn redirect(
        &mut self,
        now: Instant,
        join: JoinId,
        to: Redirect,
    ) -> Result<(), UnknownJoin> {
        self.now = now;
        let key = self.joins.asked(join).ok_or(UnknownJoin)?;
        self.answer_without_connection(key, &Answer::from(to));
        Ok(())
    }

    fn answer_refused(&mut self, key: JoinKey, refusal: JoinRefusal) {
        self.answer_without_connection(key, &Answer::Refused(refusal));
    }

    fn answer_without_connection(&mut self, key: JoinKey, answer: &Answer) {
        let Some((handshake, _)) = self.take_question(key) else {
            return;
        };
        let local = self.random_connection_id();
        if let Some((welcome, ..)) = self.make_welcome(key, &handshake, local, answer) {
            self.set_answered(key, welcome, None);
        }
    }

    /// What is needed to answer a join: it can be answered once.
    fn take_question(&mut self, key: JoinKey) -> Option<(Box<ResponderHandshake>, Box<Wish>)> {
        let join = self.joins.get_mut(key)?;
        let answered = Stage::Answered {
            welcome: Box::default(),
            pending: None,
        };
        match core::mem::replace(&mut join.stage, answered) {
            Stage::Asked { handshake, wish } => Some((handshake, wish)),
            stage @ Stage::Answered { .. } => {
                join.stage = stage;
                None
            }
        }
    }

    fn make_welcome(
        &mut self,
        key: JoinKey,
        handshake: &ResponderHandshake,
        local: ConnectionId,
        answer: &Answer,
    ) -> Option<(Box<[u8]>, Transport, Ids)> {
        let peer = self.joins.get_mut(key)?.client_id();
        let mut payload = Zeroizing::new([0; MAX_MESSAGE]);
        let len = encode(answer, payload.as_mut_slice()).ok()?;
        let payload = payload.get(..len)?;
        let mut noise = [0; MAX_DATAGRAM];
        let (len, transport) = handshake
            .answer(&mut self.rng, local, payload, &mut noise)
            .ok()?;
        let packet = Packet::Welcome {
            client_id: peer,
            noise: noise.get(..len)?,
        };
        let mut welcome = alloc::vec![0; packet.encoded_len()];
        packet.encode(&mut welcome).ok()?;
        Some((welcome.into_boxed_slice(), transport, Ids { local, peer }))
    }

    fn set_answered(&mut self, key: JoinKey, welcome: Box<[u8]>, pending: Option<Box<Pending>>) {
        if let Some(join) = self.joins.get_mut(key) {
            join.stage = Stage::Answered { welcome, pending };
            self.joins.set_ready(key);
        }
    }

    fn resume_of(&mut self, key: JoinKey) -> Option<Resume> {
        match &self.joins.get_mut(key)?.stage {
            Stage::Asked { wish, .. } => wish.resume.clone(),
            Stage::Answered { .. } => None,
        }
    }

    fn create_room(&mut self, id: RoomId) -> Result<RoomKey, AdmitError> {
        if self.rooms.len() >= self.config.rooms {
            return Err(AdmitError::ServerFull);
        }
        let session = self.random_session_id();
        let key = RoomKey(self.rooms.insert(Room::new(id.clone(), session)));
        self.rooms_by_id.insert(id, key);
        Ok(key)
    }

    /// Forgets a room that nothing keeps.
    pub(super) fn drop_idle_room(&mut self, key: RoomKey) {
        if self.rooms.get(key.0).is_some_and(Room::is_idle)
            && let Some(room) = self.rooms.try_remove(key.0)
        {
            self.rooms_by_id.remove(&room.id);
        }
    }

    /// Turns away a join that is not answered, or takes back what it was promised.
    pub(super) fn refuse_or_forget(&mut self, key: JoinKey) {
        let is_asked = self
            .joins
            .get_mut(key)
            .is_some_and(|join| matches!(join.stage, Stage::Asked { .. }));
        if is_asked {
            self.answer_refused(key, JoinRefusal::Unavailable);
        } else {
            self.forget_join(key);
        }
    }

    /// Gives up a join under way, and what was kept for it.
    pub(super) fn forget_join(&mut self, key: JoinKey) {
        let Some(mut join) = self.joins.remove(key) else {
            return;
        };
        self.timers.set(Wake::Join(key), &mut join.alarm, None);
        match join.stage {
            Stage::Asked { .. } => {
                let id = join.id;
                self.events.retract(
                    |event| matches!(event, Event::JoinRequested { join, .. } if *join == id),
                );
            }
            Stage::Answered { pending, .. } => {
                if let Some(pending) = pending {
                    self.ids.remove(&pending.ids.local);
                    self.release_place(&pending);
                    self.drop_idle_room(pending.room);
                }
            }
        }
    }

    /// Gives back the place that was kept for a join. The room stays, for who takes the place.
    pub(super) fn release_place(&mut self, pending: &Pending) {
        if !matches!(pending.entry, Entry::Resume { .. }) {
            self.promised = self.promised.saturating_sub(1);
        }
        if let Some(room) = self.rooms.get_mut(pending.room.0) {
            match pending.entry {
                Entry::Lobby(..) => room.unreserve_waiting(&pending.participant),
                _ => room.unreserve(&pending.participant),
            }
        }
    }
}

/// Whole seconds, as many as a byte holds, and not none.
pub(super) fn seconds(duration: Duration) -> u8 {
    u8::try_from(duration.as_secs()).unwrap_or(u8::MAX).max(1)
}
