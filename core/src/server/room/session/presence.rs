//! Falling silent, coming back, going on over another association.

use super::Session;
use crate::link::Ids;
use crate::room::{RoomUpdate, Version};
use crate::secure::{ResumeTicket, Transport};
use crate::server::Event;
use crate::server::context::Context;
use crate::server::keys::{MemberKey, Owner};
use crate::server::member::Reach;

impl Session {
    /// A member's association says that it has fallen silent.
    pub(crate) fn falls_silent(&mut self, cx: &mut Context, who: MemberKey) {
        if let Some(member) = self.get_mut(who) {
            member.receives.slots.clear();
            member.receives.clear_media(&mut cx.pool);
            member.sends.report.clear();
            member.sends.questions.clear();
            member.sends.clear_pictures(cx);
            member.sends.report_at = None;
            self.tell_connection(cx, who);
            // A silent holder would keep the floor from all others until the grace time is over.
            let _ = self.release_floor(cx, who);
        }
    }

    /// A member's association says that it is back.
    pub(crate) fn is_back(&mut self, cx: &mut Context, who: MemberKey) {
        self.tell_connection(cx, who);
        self.want_lost_keys(cx, who);
        self.rearm(cx, who);
    }

    /// Tells whether a member is in touch.
    fn tell_connection(&mut self, cx: &mut Context, who: MemberKey) {
        let Some(member) = self.get(who) else {
            return;
        };
        let (participant, state) = (member.id().clone(), member.association.connection);
        self.change(cx, RoomUpdate::Connection { participant, state });
    }

    /// Moves a member to a new association, which the others do not notice.
    pub(crate) fn resume(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        (transport, ids): (Transport, Ids),
        reach: Reach,
        ticket: ResumeTicket,
        version: Option<Version>,
    ) {
        let Some(member) = self.members.get_mut(who) else {
            return;
        };
        let association = &mut member.association;
        if let Some(oldest) = association.former_id.take() {
            cx.directory.ids.remove(&oldest);
        }
        association.link.rekey(transport, ids, cx.now);
        association.former_id = association.link.former_id();
        association.reach = reach;
        if let Some(tickets) = &mut association.tickets {
            tickets.take_effect(ticket);
            if let Some(handle) = tickets.forget_lobby() {
                cx.directory.tickets.remove(&handle);
            }
        }
        let owner = Owner::Peer(association.key);
        cx.directory.ids.insert(ids.local, owner);
        // The signalling goes on where it was, so nothing of it is lost. Only a replica that has
        // no version to go on from needs to be told all again.
        if version.is_none() {
            member.receives.view.resume(None);
            member.receives.told = None;
        }
        cx.statistics.resumes += 1;
        let (participant, path) = (association.id.clone(), reach.path);
        let was_away = association.is_back();
        self.tell_embedder(cx, |room, session| Event::ParticipantResumed {
            room,
            session,
            participant,
            path,
        });
        if was_away {
            self.is_back(cx, who);
        }
        self.rearm(cx, who);
    }
}
