//! Kicking, censoring, letting in: by moderators among the participants and by the application.

use alloc::vec::Vec;

use super::Room;
use super::requests::{Reply, reply};
use crate::room::{AttributeKey, AttributeValue, CloseReason, Grants, ParticipantId};
use crate::server::context::Context;
use crate::server::keys::{MemberKey, PeerKey};
use crate::server::member::Guest;
use crate::server::member::slots::Slots;
use crate::server::{Admission, ModerateError, RefreshError};
use crate::signal::{Moderation, Outcome, Refusal, ServerMessage, Targets};

impl Room {
    /// Does what a moderator among the participants asks for.
    pub(super) fn moderate(
        &mut self,
        cx: &mut Context,
        moderator: MemberKey,
        grants: Grants,
        action: Moderation,
        targets: &Targets,
    ) -> Reply {
        let grant = match action {
            Moderation::Kick => Grants::KICK,
            Moderation::Censor | Moderation::Uncensor => Grants::CENSOR,
            Moderation::Admit | Moderation::Deny => Grants::ADMIT,
        };
        if !grants.contains(grant) {
            return Err(Refusal::NotPermitted);
        }
        let mut done = 0u16;
        match action {
            Moderation::Kick | Moderation::Censor | Moderation::Uncensor => {
                for target in self.targets(moderator, targets)? {
                    done = done.saturating_add(u16::from(match action {
                        Moderation::Kick => self.kick(cx, target),
                        _ => self.censor(cx, target, action == Moderation::Censor),
                    }));
                }
            }
            Moderation::Admit | Moderation::Deny => {
                for target in self.waiting_targets(targets)? {
                    done = done.saturating_add(u16::from(match action {
                        Moderation::Admit => self.admit_guest(cx, target).is_ok(),
                        _ => self.deny_guest(cx, target),
                    }));
                }
            }
        }
        Ok(Outcome::Moderated { participants: done })
    }

    /// The members whom a moderation concerns: never the moderator.
    fn targets(&self, moderator: MemberKey, targets: &Targets) -> Reply<Vec<MemberKey>> {
        let session = self.session.as_ref().ok_or(Refusal::UnknownParticipant)?;
        match targets {
            Targets::All { except } => {
                let is_meant = |id: &ParticipantId| !except.contains(id);
                let all = session.keys(is_meant);
                Ok(all.into_iter().filter(|key| *key != moderator).collect())
            }
            Targets::List(ids) => {
                let found = ids
                    .iter()
                    .map(|id| session.find(id).filter(|key| *key != moderator));
                let found: Option<Vec<_>> = found.collect();
                found.ok_or(Refusal::UnknownParticipant)
            }
        }
    }

    /// Those who wait and whom a moderation concerns.
    fn waiting_targets(&self, targets: &Targets) -> Reply<Vec<PeerKey>> {
        match targets {
            Targets::All { except } => Ok(self.lobby.keys(|id| !except.contains(id))),
            Targets::List(ids) => {
                let found: Option<Vec<_>> = ids.iter().map(|id| self.lobby.find(id)).collect();
                found.ok_or(Refusal::UnknownParticipant)
            }
        }
    }

    fn kick(&mut self, cx: &mut Context, who: MemberKey) -> bool {
        let limit = cx.config.kicked;
        let Some(session) = &mut self.session else {
            return false;
        };
        let Some(id) = session.get(who).map(|member| member.id().clone()) else {
            return false;
        };
        session.keep_out(id, limit);
        self.close_member(cx, who, CloseReason::Kicked);
        true
    }

    /// Gives whether that changed anything.
    fn censor(&mut self, cx: &mut Context, who: MemberKey, censored: bool) -> bool {
        let session = self.session.as_mut();
        session.is_some_and(|session| session.censor(cx, who, censored))
    }

    pub(super) fn admit_guest(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
    ) -> Result<(), ModerateError> {
        let unknown = ModerateError::UnknownParticipant;
        let guest = self.lobby.get(who).ok_or(unknown)?;
        let id = &guest.association.id;
        if self.was_kicked(id) {
            self.close_guest(cx, who, CloseReason::Kicked);
            return Err(unknown);
        }
        if self.places_taken_by_others(id) >= cx.config.participants_per_room {
            return Err(ModerateError::RoomFull);
        }
        let guest = self.lobby.remove(who).ok_or(unknown)?;
        self.wake_session(cx);
        let Guest {
            mut association,
            name,
            rights,
            wish,
        } = guest;
        let local = association.link.ids().local;
        let ticket = cx.new_ticket();
        let id = &association.id;
        let (offer, joined) = self.offer(cx, id, &wish, rights.grants, local, ticket);
        let hold = cx.config.slot_hold;
        let slots = Slots::new(offer.slot_ssrc, offer.slots, hold, &mut cx.rng);
        association.tell(&ServerMessage::Admitted(joined));
        self.join_session(cx, association, name, rights, slots, offer);
        Ok(())
    }

    fn deny_guest(&mut self, cx: &mut Context, who: PeerKey) -> bool {
        let is_waiting = self.lobby.get(who).is_some();
        self.close_guest(cx, who, CloseReason::Denied);
        is_waiting
    }

    fn find_guest(&self, participant: &ParticipantId) -> Result<PeerKey, ModerateError> {
        let guest = self.lobby.find(participant);
        guest.ok_or(ModerateError::UnknownParticipant)
    }

    fn find_member(&self, participant: &ParticipantId) -> Result<MemberKey, ModerateError> {
        let session = self.session.as_ref();
        let member = session.and_then(|session| session.find(participant));
        member.ok_or(ModerateError::UnknownParticipant)
    }

    /// The application lets somebody in.
    pub(crate) fn admit_waiting(
        &mut self,
        cx: &mut Context,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        let guest = self.find_guest(participant)?;
        self.admit_guest(cx, guest)
    }

    /// The application turns somebody away.
    pub(crate) fn deny_waiting(
        &mut self,
        cx: &mut Context,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        let guest = self.find_guest(participant)?;
        self.deny_guest(cx, guest);
        Ok(())
    }

    /// The application removes somebody.
    pub(crate) fn kick_participant(
        &mut self,
        cx: &mut Context,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        let member = self.find_member(participant)?;
        self.kick(cx, member);
        Ok(())
    }

    /// The application silences somebody, or lifts that.
    pub(crate) fn censor_participant(
        &mut self,
        cx: &mut Context,
        participant: &ParticipantId,
        censored: bool,
    ) -> Result<(), ModerateError> {
        let member = self.find_member(participant)?;
        self.censor(cx, member, censored);
        Ok(())
    }

    /// The application sets an attribute of a participant.
    pub(crate) fn set_attribute(
        &mut self,
        cx: &mut Context,
        participant: &ParticipantId,
        key: &AttributeKey,
        value: Option<&AttributeValue>,
    ) -> Result<(), ModerateError> {
        let session = self.session.as_mut().ok_or(ModerateError::UnknownRoom)?;
        let value = value.cloned().unwrap_or_default();
        session.set_attribute(cx, participant.clone(), key.clone(), value)
    }

    /// Takes in what the embedder says of the new token of one who is in the session, or else waits.
    pub(super) fn refresh(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
        member: Option<MemberKey>,
        answer: Result<Admission, ()>,
    ) -> Result<(), RefreshError> {
        let unknown = RefreshError::UnknownRefresh;
        let (association, rights) = match member {
            Some(member) => {
                let session = self.session.as_mut().ok_or(unknown)?;
                let member = session.get_mut(member).ok_or(unknown)?;
                (&mut member.association, &mut member.rights)
            }
            None => {
                let guest = self.lobby.get_mut(who).ok_or(unknown)?;
                (&mut guest.association, &mut guest.rights)
            }
        };
        let request = rights.refresh.take().ok_or(unknown)?.request;
        let (result, done) = match answer {
            Ok(new) if new.room == self.id && new.participant == association.id => {
                let grants = new.grants;
                if member.is_some() && rights.grants != grants {
                    association.tell(&ServerMessage::GrantsChanged { grants });
                }
                let expires = new.expires_in.map(|expires_in| cx.now + expires_in);
                rights.renew(grants, expires);
                (Ok(Outcome::Done), Ok(()))
            }
            Ok(_) => (Err(Refusal::InvalidToken), Err(RefreshError::Mismatch)),
            Err(()) => (Err(Refusal::InvalidToken), Ok(())),
        };
        reply(cx, association, request, result);
        match member {
            Some(key) => {
                if let Some(session) = &mut self.session {
                    session.enforce_grants(cx, key);
                    session.rearm(cx, key);
                }
            }
            None => {
                if let Some(guest) = self.lobby.get_mut(who) {
                    let at = guest.next_timeout(&cx.config);
                    cx.rearm(&mut guest.association, at);
                }
            }
        }
        done
    }
}
