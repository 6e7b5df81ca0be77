//! What goes out: one datagram at a time, for one receiver, with all that waits for it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use slab::Slab;

use super::joins::{Stage, Welcomed};
use super::machine::{MemberKey, set_ready};
use super::member::{Member, Phase, encoded, encoded_update};
use super::messages::Waiting;
use super::room::Room;
use super::{BufferTooSmall, Path, Server};
use crate::link::ComposeError;
use crate::room::{CloseReason, ConnectionState, Grants, Told};
use crate::signal::ServerMessage;
use crate::time::Instant;
use crate::wire::{Frame, MAX_DATAGRAM};

/// Bytes that a packet with no more than a pong, a ping and an acknowledgement takes: less is not
/// worth sending.
const LEAST_PACKET: usize = 44;

/// Where to send what [`Server::poll_transmit`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub to: Path,
    /// Bytes, from the front of the lent buffer.
    pub len: usize,
}

impl Server {
    /// Writes the next datagram to `out`, which must have 1200 bytes; `None` if there is nothing
    /// to send. Call it until then, after each batch of what came in: frames for the same receiver
    /// that came in one batch share one datagram.
    ///
    /// # Errors
    /// If `out` is too small. Nothing is lost then.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<Transmit>, BufferTooSmall> {
        BufferTooSmall::check(out)?;
        self.now = now;
        let sent = match self.transmit_to_stranger(now, out) {
            Some(sent) => Some(sent),
            None => self.transmit_to_member(now, out),
        };
        if let Some(sent) = &sent {
            self.statistics.datagrams_sent += 1;
            self.statistics.bytes_sent += sent.len as u64;
        }
        Ok(sent)
    }

    fn transmit_to_stranger(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        if let Some((to, bytes)) = self.stateless.pop_front() {
            let len = bytes.len();
            out.get_mut(..len)?.copy_from_slice(&bytes);
            return Some(Transmit { to, len });
        }
        while let Some(join) = self.joins.pop_ready() {
            let Stage::Answered { welcome, .. } = &join.stage else {
                continue;
            };
            let len = welcome.len();
            // Withheld until the Hello is repeated, which allows for more.
            if len <= join.reach.budget()
                && let Some(place) = out.get_mut(..len)
            {
                place.copy_from_slice(welcome);
                join.reach.sent(len);
                join.welcomed = match join.welcomed {
                    Welcomed::Never => Welcomed::Once(now),
                    _ => Welcomed::Repeatedly,
                };
                let to = join.reach.path;
                return Some(Transmit { to, len });
            }
        }
        None
    }

    fn transmit_to_member(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        while let Some(key) = self.ready.pop_front() {
            let Some(member) = self.members.get_mut(key.0) else {
                continue;
            };
            member.ready = false;
            if let Some(len) = self.compose(now, key, out) {
                let member = self.members.get_mut(key.0)?;
                member.reach.sent(len);
                if member.has_more() {
                    set_ready(&mut self.ready, key, member);
                }
                let to = member.reach.path;
                self.rearm_sooner(key);
                return Some(Transmit { to, len });
            }
        }
        None
    }

    fn compose(&mut self, now: Instant, key: MemberKey, out: &mut [u8]) -> Option<usize> {
        let member = self.members.get(key.0)?;
        // Who is silent would not get it: it stays until they are back.
        if member.connection != ConnectionState::Connected {
            return None;
        }
        let budget = member.reach.budget();
        if budget < LEAST_PACKET {
            return None;
        }
        self.drop_late(key);
        let member = self.members.get(key.0)?;
        let room = self.rooms.get(member.room.0);
        refill(&mut self.members, room, key);
        let member = self.members.get_mut(key.0)?;
        let Member {
            link,
            report,
            media,
            media_sent,
            ..
        } = &mut **member;
        let pool = &mut self.pool;
        let limit = budget.min(MAX_DATAGRAM);
        let composed = link.compose_within(now, out, limit, |writer| {
            if !report.is_empty() && writer.push(&Frame::Report(report)).is_ok() {
                report.clear();
            }
            *media_sent += media.drain_into(writer, pool);
        });
        match composed {
            Ok(len) => len,
            // The buffer was looked at before.
            Err(ComposeError::Buffer(_)) => None,
            Err(ComposeError::Seal(_)) => {
                self.close(now, key, CloseReason::ConnectionLost);
                self.drop_member(key);
                None
            }
        }
    }
}

impl Member {
    /// Whether another datagram could be filled now.
    fn has_more(&self) -> bool {
        let can_signal = self.link.free_window() > 0;
        self.link.wants_transmit()
            || !self.media.is_empty()
            || !self.report.is_empty()
            || can_signal && (!self.control.is_empty() || !self.messages.is_empty())
    }
}

/// Moves signalling from where it waits into the link, as far as its window goes: first what was
/// taken out already, then replies, then who knocks, then the room's changes, then messages. What
/// the room's changes are is found now and not before, so that they are current.
fn refill(members: &mut Slab<Box<Member>>, room: Option<&Room>, key: MemberKey) {
    while let Some(member) = members.get_mut(key.0) {
        if member.link.free_window() == 0 {
            return;
        }
        if let Some(pending) = &member.pending {
            if member.link.send(pending).is_err() {
                return;
            }
            member.pending = None;
            continue;
        }
        if let Some(message) = member.control.front() {
            if member.link.send(message).is_err() {
                return;
            }
            member.control.pop_front();
            continue;
        }
        if matches!(member.phase, Phase::Closing(_)) {
            return;
        }
        let next = knock(members, room, key)
            .or_else(|| tell(members, room, key))
            .or_else(|| take_message(members, key));
        let Some(next) = next else {
            return;
        };
        if let Some(member) = members.get_mut(key.0) {
            member.pending = Some(next);
        }
    }
}

/// The next that a moderator must hear of the lobby.
fn knock(members: &mut Slab<Box<Member>>, room: Option<&Room>, key: MemberKey) -> Option<Vec<u8>> {
    let room = room?;
    let member = members.get_mut(key.0)?;
    if !member.is_present() || member.knocks_seen == room.waiting_version {
        return None;
    }
    if !member.grants.contains(Grants::ADMIT) {
        return None;
    }
    let gone = member
        .knocks
        .iter()
        .find(|id| !room.waiting.contains_key(id))
        .cloned();
    if let Some(participant) = gone {
        member.knocks.remove(&participant);
        return encoded(&ServerMessage::KnockEnded { participant });
    }
    let mut waiting = room.waiting.iter();
    let Some((participant, key)) = waiting.find(|(id, _)| !member.knocks.contains(id)) else {
        member.knocks_seen = room.waiting_version;
        return None;
    };
    member.knocks.insert(participant.clone());
    let name = members.get(key.0)?.name.clone();
    encoded(&ServerMessage::Knock {
        participant: participant.clone(),
        name,
    })
}

/// The next that a participant must hear of the room.
fn tell(members: &mut Slab<Box<Member>>, room: Option<&Room>, key: MemberKey) -> Option<Vec<u8>> {
    let session = room?.session.as_ref()?;
    let member = members.get_mut(key.0)?;
    // What others say comes after that they are here.
    if member.messages.is_empty() && session.telling.is_done(member.told) {
        return None;
    }
    let mut view = member.view.take()?;
    let told = members.get(key.0).and_then(|member| {
        let heard = member.slots.sources();
        #[cfg(feature = "opus-fullband")]
        let heard = heard.chain(session.heard_in_mix(&member.subscriptions));
        let heard = heard.filter_map(|ssrc| {
            let publisher = session.publishers.get(&ssrc)?;
            members.get(publisher.0).map(|other| &other.id)
        });
        let wanted = member.subscriptions.participants().chain(heard);
        view.poll(&session.authority, &member.id, wanted)
    });
    let member = members.get_mut(key.0)?;
    member.view = Some(view);
    if told.is_none() {
        member.told = Some(session.authority.state().version());
    }
    match told? {
        Told::SnapshotBegin { version } => encoded(&ServerMessage::SnapshotBegin { version }),
        Told::Update { version, update } => encoded_update(version, update),
        Told::SnapshotEnd { version } => encoded(&ServerMessage::SnapshotEnd { version }),
    }
}

fn take_message(members: &mut Slab<Box<Member>>, key: MemberKey) -> Option<Vec<u8>> {
    match members.get_mut(key.0)?.messages.pop()? {
        Waiting::Message(bytes) => Some(bytes.to_vec()),
        Waiting::Missed(messages) => encoded(&ServerMessage::Missed { messages }),
    }
}
