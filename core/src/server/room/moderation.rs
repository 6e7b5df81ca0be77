//! Kicking, censoring, letting in: by moderators among the participants and by the application.

use alloc::collections::BTreeSet;

use super::Room;
use super::requests::Reply;
use crate::room::{CloseReason, Grants, ParticipantId};
use crate::server::context::Context;
use crate::server::keys::{MemberKey, PeerKey};
use crate::server::member::Guest;
use crate::server::member::slots::Slots;
use crate::server::moderation::Effect;
use crate::server::{Act, Moderated, Selection};
use crate::signal::{Moderation, Outcome, Refusal, ServerMessage, Targets};

impl Room {
    /// Does what the application asks for.
    pub(crate) fn moderate(
        &mut self,
        cx: &mut Context,
        act: Act,
        selection: &Selection,
    ) -> Moderated {
        let mut done = Moderated::default();
        let targets: BTreeSet<ParticipantId> = match selection {
            Selection::All { except } => {
                let except: BTreeSet<_> = except.iter().collect();
                self.those_there(act, |id| !except.contains(id))
            }
            Selection::Only(ids) => ids.iter().cloned().collect(),
        };
        for target in targets {
            let effect = self.act(cx, act, &target);
            done.note(target, effect);
        }
        done
    }

    /// Does what a moderator among the participants asks for: never to itself, and to all who are named or to none.
    pub(super) fn moderate_from(
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
        let act = Act::from(action);
        let session = self.session.as_ref();
        let moderator = session.and_then(|session| Some(session.get(moderator)?.id()));
        let is_other = |id: &ParticipantId| act.is_for_lobby() || Some(id) != moderator;
        let targets = match targets {
            Targets::All { except } => {
                self.those_there(act, |id| !except.contains(id) && is_other(id))
            }
            Targets::List(ids) => {
                let is_there = |id: &ParticipantId| self.is_there(act, id) && is_other(id);
                if !ids.iter().all(is_there) {
                    return Err(Refusal::UnknownParticipant);
                }
                ids.iter().cloned().collect()
            }
        };
        let mut participants = 0u16;
        for target in targets {
            let is_affected = self.act(cx, act, &target) == Effect::Affected;
            participants = participants.saturating_add(u16::from(is_affected));
        }
        Ok(Outcome::Moderated { participants })
    }

    /// Those whom this can concern, of the ones that `is_meant` holds for.
    fn those_there(
        &self,
        act: Act,
        is_meant: impl Fn(&ParticipantId) -> bool,
    ) -> BTreeSet<ParticipantId> {
        let session = self.session.as_ref().filter(|_| !act.is_for_lobby());
        let members = session.into_iter().flat_map(|session| session.ids());
        let guests = self.lobby.ids().filter(|_| act.is_for_lobby());
        let all = members.chain(guests);
        all.filter(|id| is_meant(id)).cloned().collect()
    }

    fn is_there(&self, act: Act, id: &ParticipantId) -> bool {
        match act.is_for_lobby() {
            true => self.lobby.find(id).is_some(),
            false => (self.session.as_ref()).is_some_and(|session| session.has(id)),
        }
    }

    fn act(&mut self, cx: &mut Context, act: Act, id: &ParticipantId) -> Effect {
        match act {
            Act::Admit => match self.lobby.find(id) {
                Some(guest) => self.admit_guest(cx, guest),
                None => Effect::Unknown,
            },
            Act::Deny => match self.lobby.find(id) {
                Some(guest) => {
                    self.close_guest(cx, guest, CloseReason::Denied);
                    Effect::Affected
                }
                None => Effect::Unknown,
            },
            Act::Kick { keep_out } => self.kick(cx, id, keep_out),
            Act::Censor => self.censor(cx, id, true),
            Act::Uncensor => self.censor(cx, id, false),
        }
    }

    fn censor(&mut self, cx: &mut Context, id: &ParticipantId, censored: bool) -> Effect {
        let Some(session) = &mut self.session else {
            return Effect::Unknown;
        };
        let Some(who) = session.find(id) else {
            return Effect::Unknown;
        };
        match session.censor(cx, who, censored) {
            true => Effect::Affected,
            false => Effect::Unchanged,
        }
    }

    fn kick(&mut self, cx: &mut Context, id: &ParticipantId, keep_out: bool) -> Effect {
        let Some(session) = &mut self.session else {
            return Effect::Unknown;
        };
        let Some(who) = session.find(id) else {
            return Effect::Unknown;
        };
        if keep_out {
            session.keep_out(id.clone(), cx.config.kicked);
        }
        self.close_member(cx, who, CloseReason::Kicked);
        Effect::Affected
    }

    pub(super) fn admit_guest(&mut self, cx: &mut Context, who: PeerKey) -> Effect {
        let Some(guest) = self.lobby.get(who) else {
            return Effect::Unknown;
        };
        let id = &guest.association.id;
        if self.was_kicked(id) {
            self.close_guest(cx, who, CloseReason::Kicked);
            return Effect::Unknown;
        }
        if self.is_full_for(cx, id) {
            return Effect::Unchanged;
        }
        let Some(guest) = self.lobby.remove(who) else {
            return Effect::Unknown;
        };
        self.wake_session(cx);
        let Guest {
            mut association,
            name,
            rights,
            attributes,
            wish,
        } = guest;
        let local = association.link.ids().local;
        let ticket = cx.new_ticket();
        let id = &association.id;
        let (offer, joined) = self.offer(cx, id, &wish, rights.grants, local, ticket);
        let hold = cx.config.slot_hold;
        let slots = Slots::new(offer.slot_ssrc, offer.slots, hold, &mut cx.rng);
        association.tell(&ServerMessage::Admitted(joined));
        self.join_session(cx, association, (name, attributes), rights, slots, offer);
        Effect::Affected
    }
}
