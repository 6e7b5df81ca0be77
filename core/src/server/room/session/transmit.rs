//! What goes out to a member: one datagram, with all that waits for it.

use alloc::vec::Vec;

use super::Session;
use crate::room::{Grants, Told};
use crate::secure::SealError;
use crate::server::Transmit;
use crate::server::context::Context;
use crate::server::keys::MemberKey;
use crate::server::member::encoded;
use crate::server::member::messages::Waiting;
use crate::server::room::lobby::Lobby;
use crate::signal::ServerMessage;
use crate::wire::Frame;

impl Session {
    /// Writes a datagram for a member, if there is anything to send.
    ///
    /// # Errors
    /// If its keys are used up.
    pub(crate) fn transmit(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        lobby: &Lobby,
        out: &mut [u8],
    ) -> Result<Option<Transmit>, SealError> {
        let Some(member) = self.members.get_mut(&who) else {
            return Ok(None);
        };
        member.association.ready = false;
        let Some(limit) = member.association.limit() else {
            return Ok(None);
        };
        member.drop_late(cx);
        self.refill(who, lobby);
        let Some(member) = self.members.get_mut(&who) else {
            return Ok(None);
        };
        let signals = member.association.link.wants_transmit();
        let (sends, receives) = (&mut member.sends, &mut member.receives);
        let pool = &mut cx.pool;
        let composed = member.association.compose(cx.now, out, limit, |writer| {
            let report = &mut sends.report;
            if !report.is_empty() && writer.push(&Frame::Report(report)).is_ok() {
                report.clear();
            }
            receives.packets += receives.media.drain_into(writer, pool);
        })?;
        let Some(len) = composed else {
            return Ok(None);
        };
        let to = member.association.reach.path;
        if member.has_more() {
            cx.wake(&mut member.association);
        }
        // Media alone is followed by nothing that has to be waited for.
        if signals {
            let at = member.next_timeout(&cx.config);
            cx.rearm_sooner(&mut member.association, at);
        }
        Ok(Some(Transmit { to, len }))
    }

    /// Moves signalling from where it waits into the link, as far as its window goes: first what was
    /// taken out already, then replies, then who knocks, then the room's changes, then messages. What
    /// the room's changes are is found now and not before, so that they are current.
    fn refill(&mut self, who: MemberKey, lobby: &Lobby) {
        while let Some(member) = self.members.get_mut(&who) {
            let (association, receives) = (&mut member.association, &mut member.receives);
            if association.link.free_window() == 0 {
                return;
            }
            if let Some(pending) = &receives.pending {
                if association.link.send(pending).is_err() {
                    return;
                }
                receives.pending = None;
            }
            if !association.refill() {
                return;
            }
            let knock = match member.rights.grants.contains(Grants::ADMIT) {
                true => lobby.poll_knock(receives),
                false => None,
            };
            let next = knock
                .or_else(|| self.poll_told(who))
                .or_else(|| self.poll_message(who));
            let Some(next) = next else {
                return;
            };
            if let Some(member) = self.members.get_mut(&who) {
                member.receives.pending = Some(next);
            }
        }
    }

    /// The next that a member must hear of the room.
    fn poll_told(&mut self, who: MemberKey) -> Option<Vec<u8>> {
        let Self {
            members,
            authority,
            publishers,
            telling,
            ..
        } = self;
        let member = members.get_mut(&who)?;
        let receives = &mut member.receives;
        // What others say comes after that they are here.
        if receives.messages.is_empty() && telling.is_done(receives.told) {
            return None;
        }
        let heard = receives.slots.sources();
        #[cfg(feature = "opus-fullband")]
        let heard = heard.chain(
            self.mix
                .as_ref()
                .filter(|_| receives.subscriptions.mix().is_some())
                .into_iter()
                .flat_map(|mix| mix.speakers()),
        );
        let heard = heard.filter_map(|ssrc| publishers.get(&ssrc).map(|other| &other.id));
        let wanted = receives.subscriptions.participants().chain(heard);
        let me = &member.association.id;
        let told = receives.view.poll(authority, me, wanted);
        if told.is_none() {
            receives.told = Some(authority.state().version());
        }
        encoded(&match told? {
            Told::SnapshotBegin { version } => ServerMessage::SnapshotBegin { version },
            Told::Update { version, update } => ServerMessage::Update { version, update },
            Told::SnapshotEnd { version } => ServerMessage::SnapshotEnd { version },
        })
    }

    fn poll_message(&mut self, who: MemberKey) -> Option<Vec<u8>> {
        let member = self.members.get_mut(&who)?;
        match member.receives.messages.pop()? {
            Waiting::Message(bytes) => Some(bytes.to_vec()),
            Waiting::Missed(messages) => encoded(&ServerMessage::Missed { messages }),
        }
    }
}
