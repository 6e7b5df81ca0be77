//! Output to a member: one datagram, with everything that waits for it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

#[cfg(feature = "opus-fullband")]
use super::mix::Mix;
use super::pace::Pace;
use super::{Publisher, Session};
use crate::room::{Authority, Grants, LobbyTold, Told, Waiting as Guest, WaitingList};
use crate::secure::SealError;
use crate::server::Transmit;
use crate::server::context::Context;
use crate::server::keys::MemberKey;
use crate::server::member::messages::Waiting;
use crate::server::member::{Member, encoded};
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
        if let Some(member) = self.members.get_mut(who) {
            member.drop_late_pictures(cx);
            self.want_late_keys(cx, who);
        }
        let Some(member) = self.members.get_mut(who) else {
            return Ok(None);
        };
        member.association.ready = false;
        let Some(limit) = member.association.limit() else {
            return Ok(None);
        };
        member.drop_late(cx);
        let facts = Facts {
            authority: &self.authority,
            publishers: &self.publishers,
            pace: &self.telling,
            lobby,
            #[cfg(feature = "opus-fullband")]
            mix: self.mix.as_deref(),
        };
        if member.has_news(&facts) {
            member.refill(&facts);
        }
        let signals = member.association.link.wants_transmit();
        let (sends, receives) = (&mut member.sends, &mut member.receives);
        let (now, pool) = (cx.now, &mut cx.pool);
        let counter = member.association.link.next_counter();
        let arrival = sends.take_arrival(now);
        let arrived = arrival.map(|at| member.association.link.arrived(at));
        let mut pictures = 0;
        let composed = member
            .association
            .compose(cx.now, out, limit, signals, |writer| {
                let report = &mut sends.report;
                if !report.is_empty() && writer.push(&Frame::Report(report)).is_ok() {
                    report.clear();
                }
                receives.packets += receives.media.drain_into(writer, pool, |_, _| {});
                if let Some(arrived) = arrived {
                    // Another will come.
                    let _ = writer.push(&Frame::Arrived(arrived));
                }
                sends.write_questions(writer);
                let (packets, bytes) = receives.watching.drain_into(now, writer, pool);
                receives.packets += packets;
                pictures = bytes;
            })?;
        let Some(len) = composed else {
            let at = member.next_timeout(&cx.config);
            cx.rearm_sooner(&mut member.association, at);
            return Ok(None);
        };
        receives.watching.sent(now, counter, len, pictures);
        let to = member.association.reach.path;
        // Media alone leaves no signalling to send, and is followed by nothing that has to be waited for.
        let has_more = match signals {
            true => member.has_more(now),
            false => member.has_frames(now),
        };
        if has_more {
            cx.wake(&mut member.association);
        }
        if signals || pictures > 0 {
            let at = member.next_timeout(&cx.config);
            cx.rearm_sooner(&mut member.association, at);
        }
        Ok(Some(Transmit { to, len }))
    }
}

/// The pending news.
struct Facts<'s> {
    authority: &'s Authority,
    publishers: &'s BTreeMap<u32, Publisher>,
    pace: &'s Pace,
    lobby: &'s Lobby,
    #[cfg(feature = "opus-fullband")]
    mix: Option<&'s Mix>,
}

impl Member {
    /// Whether there is any news, which for most packets there is not.
    fn has_news(&self, facts: &Facts<'_>) -> bool {
        let receives = &self.receives;
        receives.pending.is_some()
            || self.association.has_control()
            || !receives.messages.is_empty()
            || !facts.pace.is_done(receives.told)
            || receives.lobby.has_news(self.lobby(facts))
    }

    /// Moves signalling from its queues into the link, as far as its window goes: first the messages taken out
    /// already, then replies, then the lobby, then the room's changes, then messages, which get their share if
    /// changes do not end. The room's changes are computed only now, so that they are current.
    fn refill(&mut self, facts: &Facts<'_>) {
        while self.association.link.free_window() > 0 {
            if let Some(pending) = &self.receives.pending {
                if self.association.link.send(pending).is_err() {
                    return;
                }
                self.receives.pending = None;
                continue;
            }
            if self.association.has_control() && !self.association.refill() {
                return;
            }
            let next = self.poll_lobby(facts).or_else(|| {
                if self.receives.is_message_due() {
                    return self.poll_message();
                }
                self.poll_told(facts).or_else(|| self.poll_message())
            });
            if next.is_none() {
                return;
            }
            self.receives.pending = next;
        }
    }

    /// The lobby, if it may know of that.
    fn lobby<'l>(&self, facts: &Facts<'l>) -> Option<&'l WaitingList> {
        let may_admit = self.rights.grants.contains(Grants::ADMIT);
        may_admit.then(|| facts.lobby.waiting())
    }

    /// The next that it must hear of the lobby.
    fn poll_lobby(&mut self, facts: &Facts<'_>) -> Option<Vec<u8>> {
        let lobby = self.lobby(facts);
        encoded(&match self.receives.lobby.poll(lobby)? {
            LobbyTold::Waits(Guest { participant, name }) => {
                ServerMessage::Knock { participant, name }
            }
            LobbyTold::Gone(participant) => ServerMessage::KnockEnded { participant },
            LobbyTold::Whole { version, waiting } => ServerMessage::Lobby { version, waiting },
        })
    }

    /// The next that it must hear of the room.
    fn poll_told(&mut self, facts: &Facts<'_>) -> Option<Vec<u8>> {
        let receives = &mut self.receives;
        // A message is delivered only after its sender's `Joined` update.
        if receives.messages.is_empty() && facts.pace.is_done(receives.told) {
            return None;
        }
        let heard = receives.slots.sources();
        #[cfg(feature = "opus-fullband")]
        let heard = {
            let is_mixed = receives.subscriptions.mix().is_some();
            let mix = facts.mix.filter(|_| is_mixed);
            heard.chain(mix.into_iter().flat_map(Mix::speakers))
        };
        let heard = heard.filter_map(|ssrc| facts.publishers.get(&ssrc).map(|other| &other.id));
        let wanted = receives.subscriptions.participants().chain(heard);
        let me = &self.association.id;
        let told = receives.view.poll(facts.authority, me, wanted);
        if told.is_none() {
            receives.told = Some(facts.authority.state().version());
        } else if !receives.messages.is_empty() {
            receives.told_first = receives.told_first.saturating_add(1);
        }
        encoded(&match told? {
            Told::SnapshotBegin { version } => ServerMessage::SnapshotBegin { version },
            Told::Update { version, update } => ServerMessage::Update { version, update },
            Told::SnapshotEnd { version } => ServerMessage::SnapshotEnd { version },
        })
    }

    fn poll_message(&mut self) -> Option<Vec<u8>> {
        self.receives.told_first = 0;
        match self.receives.messages.pop()? {
            Waiting::Message(bytes) => Some(bytes.to_vec()),
            Waiting::Missed(messages) => encoded(&ServerMessage::Missed { messages }),
        }
    }
}
