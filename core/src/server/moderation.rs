//! Kicking, censoring, the lobby: by moderators among the participants and by the application.

use alloc::vec::Vec;

use super::machine::{Admission, MemberKey, RoomKey};
use super::member::Phase;
use super::requests::Result as Reply;
use super::slots::Slots;
use super::subscriptions::Subscriptions;
use super::{ModerateError, RefreshError, RefreshId, Server};
use crate::room::{CloseReason, Grants, ParticipantId, RoomId, RoomUpdate, StreamKind};
use crate::signal::{Moderation, Outcome, Refusal, ServerMessage, Targets};
use crate::time::Instant;

impl Server {
    /// Does what a moderator among the participants asks for.
    pub(super) fn moderate(
        &mut self,
        now: Instant,
        moderator: MemberKey,
        action: Moderation,
        targets: &Targets,
    ) -> Reply {
        let grant = match action {
            Moderation::Kick => Grants::KICK,
            Moderation::Censor | Moderation::Uncensor => Grants::CENSOR,
            Moderation::Admit | Moderation::Deny => Grants::ADMIT,
        };
        let room = self.authorize(moderator, grant)?;
        let in_lobby = matches!(action, Moderation::Admit | Moderation::Deny);
        let targets = self.targets(room, moderator, in_lobby, targets)?;
        let mut participants = 0u16;
        for target in targets {
            let done = match action {
                Moderation::Kick => self.kick_member(now, target),
                Moderation::Censor => self.censor_member(now, target, true),
                Moderation::Uncensor => self.censor_member(now, target, false),
                Moderation::Admit => self.admit_member(now, target).is_ok(),
                Moderation::Deny => self.deny_member(now, target),
            };
            participants = participants.saturating_add(u16::from(done));
        }
        Ok(Outcome::Moderated { participants })
    }

    /// Those whom a moderation concerns: never the moderator.
    fn targets(
        &self,
        room: RoomKey,
        moderator: MemberKey,
        in_lobby: bool,
        targets: &Targets,
    ) -> Result<Vec<MemberKey>, Refusal> {
        let room = self.rooms.get(room.0).ok_or(Refusal::UnknownParticipant)?;
        let session = room.session.as_ref().map(|session| &session.members);
        let candidates = if in_lobby {
            Some(&room.waiting)
        } else {
            session
        };
        let candidates = candidates.ok_or(Refusal::UnknownParticipant)?;
        match targets {
            Targets::All { except } => Ok(candidates
                .iter()
                .filter(|(id, key)| **key != moderator && !except.contains(id))
                .map(|(_, key)| *key)
                .collect()),
            Targets::List(ids) => ids
                .iter()
                .map(|id| candidates.get(id).copied().filter(|key| *key != moderator))
                .map(|key| key.ok_or(Refusal::UnknownParticipant))
                .collect(),
        }
    }

    fn kick_member(&mut self, now: Instant, key: MemberKey) -> bool {
        let limit = self.config.kicked;
        let Some(member) = self.members.get(key.0).filter(|member| member.is_present()) else {
            return false;
        };
        let (room, participant) = (member.room, member.id.clone());
        if let Some(session) = self.session_mut(room) {
            session.keep_out(participant, limit);
        }
        self.close(now, key, CloseReason::Kicked);
        true
    }

    /// Gives whether that changed anything.
    fn censor_member(&mut self, now: Instant, key: MemberKey, censored: bool) -> bool {
        let Some(member) = self.member_mut(key) else {
            return false;
        };
        if member.censored == censored {
            return false;
        }
        member.censored = censored;
        let (room, participant) = (member.room, member.id.clone());
        let limit = self.config.kicked;
        if let Some(session) = self.session_mut(room) {
            session.keep_silent(participant.clone(), censored, limit);
        }
        let Some(member) = self.member(key) else {
            return false;
        };
        let audio = |kind| kind == StreamKind::Audio;
        let streams = member.streams.iter().filter(|stream| audio(stream.kind));
        let silenced: Vec<u32> = streams.map(|stream| stream.ssrc).collect();
        self.change(
            room,
            RoomUpdate::Censored {
                participant,
                censored,
            },
        );
        if censored {
            for ssrc in silenced {
                self.release_slots(room, ssrc);
                self.take_back(room, ssrc);
            }
            self.decide_speaker(now, room);
        }
        true
    }

    fn admit_member(&mut self, now: Instant, key: MemberKey) -> Result<(), ModerateError> {
        let member = self.member(key).ok_or(ModerateError::UnknownParticipant)?;
        let (room_key, id, grants) = (member.room, member.id.clone(), member.grants);
        let local = member.link.ids().local;
        let room = self
            .rooms
            .get(room_key.0)
            .ok_or(ModerateError::UnknownRoom)?;
        if room.was_kicked(&id) {
            self.close(now, key, CloseReason::Kicked);
            return Err(ModerateError::UnknownParticipant);
        }
        if room.places_taken_by_others(&id) >= self.config.participants_per_room {
            return Err(ModerateError::RoomFull);
        }
        let member = self
            .member_mut(key)
            .ok_or(ModerateError::UnknownParticipant)?;
        let Phase::Waiting(wish) = &mut member.phase else {
            return Err(ModerateError::UnknownParticipant);
        };
        let wish = core::mem::take(wish);
        self.leave_lobby(key);
        let (offer, joined) = self.offer(room_key, &id, &wish, grants, local);
        let hold = self.config.slot_hold;
        let slots = Slots::new(offer.slot_ssrc, offer.slots, hold, &mut self.rng);
        if let Some(member) = self.member_mut(key) {
            member.slots = slots;
            member.subscriptions = Subscriptions::new(offer.policy);
            member.tell(&ServerMessage::Admitted(joined));
        }
        self.join_session(now, key, offer);
        self.rearm(key);
        Ok(())
    }

    fn deny_member(&mut self, now: Instant, key: MemberKey) -> bool {
        let is_waiting = self.member(key).is_some_and(|member| member.is_waiting());
        if is_waiting {
            self.close(now, key, CloseReason::Denied);
        }
        is_waiting
    }

    fn find_room(&self, room: &RoomId) -> Result<RoomKey, ModerateError> {
        let key = self.rooms_by_id.get(room).copied();
        key.ok_or(ModerateError::UnknownRoom)
    }

    fn find_present(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<MemberKey, ModerateError> {
        let room = self.find_room(room)?;
        self.find_member(room, participant)
            .ok_or(ModerateError::UnknownParticipant)
    }

    fn find_waiting(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<MemberKey, ModerateError> {
        let key = self.find_room(room)?;
        let room = self.rooms.get(key.0).ok_or(ModerateError::UnknownRoom)?;
        let waiting = room.waiting.get(participant).copied();
        waiting.ok_or(ModerateError::UnknownParticipant)
    }

    /// Lets somebody in from the lobby.
    ///
    /// # Errors
    /// [`ModerateError`]; nothing has changed.
    pub fn admit_waiting(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        self.now = now;
        let key = self.find_waiting(room, participant)?;
        self.admit_member(now, key)
    }

    /// Turns somebody in the lobby away.
    ///
    /// # Errors
    /// [`ModerateError`]; nothing has changed.
    pub fn deny_waiting(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        self.now = now;
        let key = self.find_waiting(room, participant)?;
        self.deny_member(now, key);
        Ok(())
    }

    /// Removes a participant, and keeps it out of this session whatever token it brings.
    ///
    /// # Errors
    /// [`ModerateError`]; nothing has changed.
    pub fn kick(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        self.now = now;
        let key = self.find_present(room, participant)?;
        self.kick_member(now, key);
        Ok(())
    }

    /// Silences a participant, or lifts that.
    ///
    /// # Errors
    /// [`ModerateError`]; nothing has changed.
    pub fn censor(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
        censored: bool,
    ) -> Result<(), ModerateError> {
        self.now = now;
        let key = self.find_present(room, participant)?;
        self.censor_member(now, key, censored);
        Ok(())
    }

    /// Ends the session that goes on in a room, for all who are in it. Those in the lobby go on
    /// waiting.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`] if there is none.
    pub fn end_session(&mut self, now: Instant, room: &RoomId) -> Result<(), ModerateError> {
        self.now = now;
        let key = self.find_room(room)?;
        let room = self.rooms.get(key.0).ok_or(ModerateError::UnknownRoom)?;
        if room.session.is_none() {
            return Err(ModerateError::UnknownRoom);
        }
        self.end_session_of(now, key, CloseReason::SessionEnded);
        Ok(())
    }

    /// Answers [`Event::RefreshRequested`](super::Event::RefreshRequested): what the new token says, or `Err` if it is not valid.
    /// Its name and lobby are not looked at: who is in stays who it is. What it does and may not do
    /// any more ends: streams are unpublished, subscriptions given up, the floor is free.
    ///
    /// # Errors
    /// [`RefreshError`].
    #[allow(clippy::result_unit_err)]
    pub fn refresh(
        &mut self,
        now: Instant,
        refresh: RefreshId,
        answer: Result<Admission, ()>,
    ) -> Result<(), RefreshError> {
        self.now = now;
        let key = self
            .refreshes
            .remove(&refresh)
            .ok_or(RefreshError::UnknownRefresh)?;
        let member = self
            .members
            .get_mut(key.0)
            .ok_or(RefreshError::UnknownRefresh)?;
        let asked = member.refresh.take();
        let request = asked.ok_or(RefreshError::UnknownRefresh)?.request;
        let room = self.rooms.get(member.room.0).map(|room| &room.id);
        let (result, done) = match answer {
            Ok(new) if Some(&new.room) == room && new.participant == member.id => {
                let grants = new.grants;
                if member.is_present() && member.grants != grants {
                    member.tell(&ServerMessage::GrantsChanged { grants });
                }
                member.renew(grants, new.expires_in.map(|expires_in| now + expires_in));
                (Ok(Outcome::Done), Ok(()))
            }
            Ok(_) => (Err(Refusal::InvalidToken), Err(RefreshError::Mismatch)),
            Err(()) => (Err(Refusal::InvalidToken), Ok(())),
        };
        self.reply(key, request, result);
        self.enforce_grants(now, key);
        self.rearm(key);
        done
    }
}
