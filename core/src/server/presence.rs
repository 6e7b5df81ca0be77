//! Staying, falling silent, leaving.

use alloc::vec::Vec;

use rand_core::RngCore;

use super::machine::{MemberKey, Owner, RoomKey, Wake, set_ready};
use super::member::Phase;
use super::{Event, Server};
use crate::link::Liveness;
use crate::room::{CloseReason, ConnectionState, RoomId, RoomUpdate};
use crate::signal::ServerMessage;
use crate::time::Instant;

impl Server {
    pub(super) fn handle_member_timeout(&mut self, now: Instant, key: MemberKey) {
        let nonce = || self.rng.next_u32();
        let Some(member) = self.members.get_mut(key.0) else {
            return;
        };
        if let Phase::Closing(until) = member.phase {
            if now >= until || member.link.handle_timeout(now, nonce) == Liveness::Lost {
                self.drop_member(key);
                return;
            }
        } else if member.connection == ConnectionState::Connected {
            let silent = now >= member.link.last_received() + self.config.silence;
            if silent || member.link.handle_timeout(now, nonce) == Liveness::Lost {
                self.fall_silent(now, key);
            } else {
                self.make_report(now, key);
            }
        } else if member.grace_end.is_some_and(|end| now >= end) {
            self.close(now, key, CloseReason::ConnectionLost);
            return;
        }
        self.check_token(now, key);
        self.forget_former_id(key);
        self.wake(key);
        self.rearm(key);
    }

    /// Tells that the token runs out, and ends the stay when it has.
    fn check_token(&mut self, now: Instant, key: MemberKey) {
        let notice = self.config.expiry_notice;
        let Some(member) = self.members.get_mut(key.0) else {
            return;
        };
        let Some(expires) = member.expires else {
            return;
        };
        if matches!(member.phase, Phase::Closing(_)) {
            return;
        }
        if now >= expires {
            self.close(now, key, CloseReason::TokenExpired);
        } else if !member.is_waiting() && !member.expiry_told && now + notice >= expires {
            member.expiry_told = true;
            let left = expires.saturating_duration_since(now);
            let seconds = u16::try_from(left.as_secs()).unwrap_or(u16::MAX);
            member.tell(&ServerMessage::TokenExpiring { seconds });
        }
    }

    /// Former keys open nothing any more: their id is free.
    fn forget_former_id(&mut self, key: MemberKey) {
        if let Some(member) = self.members.get_mut(key.0)
            && member.link.former_id().is_none()
            && let Some(former) = member.former_id.take()
        {
            self.ids.remove(&former);
        }
    }

    fn fall_silent(&mut self, now: Instant, key: MemberKey) {
        let Some(member) = self.members.get_mut(key.0) else {
            return;
        };
        member.connection = ConnectionState::Reconnecting;
        let end = now + self.config.grace;
        member.grace_end = Some(end);
        member.grace_limit = Some(end + self.config.join_timeout);
        member.slots.clear();
        member.media.clear(&mut self.pool);
        member.report.clear();
        member.report_at = None;
        self.tell_connection(key);
    }

    /// Tells the others, and the embedder, whether a participant is in touch.
    pub(super) fn tell_connection(&mut self, key: MemberKey) {
        let Some(member) = self.member(key) else {
            return;
        };
        if !member.is_present() {
            return;
        }
        let (room, participant, state) = (member.room, member.id.clone(), member.connection);
        self.change(
            room,
            RoomUpdate::Connection {
                participant: participant.clone(),
                state,
            },
        );
        self.emit(room, |room| Event::ParticipantConnection {
            room,
            participant,
            state,
        });
    }

    /// Ends a participant's stay, wherever it is, and tells it why.
    pub(super) fn close(&mut self, now: Instant, key: MemberKey, reason: CloseReason) {
        let Some(member) = self.member(key) else {
            return;
        };
        let (room, participant) = (member.room, member.id.clone());
        if member.is_present() {
            self.leave_session(now, key, reason);
            self.end_empty_session(room, reason);
        } else if member.is_waiting() {
            self.leave_lobby(key);
            self.emit(room, |room| Event::ParticipantGaveUp {
                room,
                participant,
                reason,
            });
        }
        self.say_goodbye(now, key, reason);
        self.drop_idle_room(room);
    }

    /// Takes a participant out of the lobby. What becomes of it is the caller's matter.
    pub(super) fn leave_lobby(&mut self, key: MemberKey) {
        let Some(member) = self.members.get(key.0) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(member.room.0) else {
            return;
        };
        if room.waiting.get(&member.id) == Some(&key) {
            room.waiting.remove(&member.id);
            room.waiting_version += 1;
        }
        self.wake_session(member.room);
    }

    /// Takes a participant out of the session. The session goes on even if it is empty now.
    pub(super) fn leave_session(&mut self, now: Instant, key: MemberKey, reason: CloseReason) {
        let Some(member) = self.member(key) else {
            return;
        };
        let (room_key, participant) = (member.room, member.id.clone());
        self.change(
            room_key,
            RoomUpdate::Left {
                participant: participant.clone(),
                reason,
            },
        );
        let Some(session) = self
            .rooms
            .get_mut(room_key.0)
            .and_then(|room| room.session.as_mut())
        else {
            return;
        };
        session.exit(&participant);
        let member = self.members.get(key.0);
        let streams = member.into_iter().flat_map(|member| &member.streams);
        let ssrcs: Vec<u32> = streams.map(|stream| stream.ssrc).collect();
        for ssrc in &ssrcs {
            session.publishers.remove(ssrc);
        }
        for other in &session.order {
            let Some(other) = self.members.get_mut(other.0) else {
                continue;
            };
            other.subscriptions.forget(&participant);
            for ssrc in &ssrcs {
                other.slots.forget(*ssrc);
            }
        }
        for ssrc in ssrcs {
            self.silence_in_mix(room_key, ssrc);
        }
        self.start_or_end_mix(now, room_key);
        self.emit(room_key, |room| Event::ParticipantLeft {
            room,
            participant,
            reason,
        });
        self.decide_speaker(now, room_key);
    }

    /// Ends a session that nobody is in.
    pub(super) fn end_empty_session(&mut self, key: RoomKey, reason: CloseReason) {
        let is_empty = self
            .rooms
            .get(key.0)
            .and_then(|room| room.session.as_ref())
            .is_some_and(|session| session.order.is_empty());
        if is_empty {
            self.drop_session(key, reason);
        }
    }

    fn drop_session(&mut self, key: RoomKey, reason: CloseReason) {
        let Some(mut session) = self
            .rooms
            .get_mut(key.0)
            .and_then(|room| room.session.take())
        else {
            return;
        };
        self.timers
            .set(Wake::Speaker(key), &mut session.alarm, None);
        self.timers
            .set(Wake::Gather(key), &mut session.window, None);
        self.timers
            .set(Wake::Tell(key), &mut session.telling.alarm, None);
        #[cfg(feature = "opus-fullband")]
        self.forget_mix(key, session.mix.take());
        let session = session.id;
        self.emit(key, |room| Event::SessionEnded {
            room,
            session,
            reason,
        });
    }

    /// Ends a session for all who are in it. The lobby stays.
    pub(super) fn end_session_of(&mut self, now: Instant, key: RoomKey, reason: CloseReason) {
        let Some(session) = self.session_mut(key) else {
            return;
        };
        session.members.clear();
        for member in core::mem::take(&mut session.order) {
            if let Some(participant) = self.member(member).map(|member| member.id.clone()) {
                self.emit(key, |room| Event::ParticipantLeft {
                    room,
                    participant,
                    reason,
                });
            }
            self.say_goodbye(now, member, reason);
        }
        self.drop_session(key, reason);
        self.drop_idle_room(key);
    }

    /// Tells somebody who is in no room any more that it is closed. It is kept until it has
    /// acknowledged that, but not for long; one that is silent already is dropped at once.
    pub(super) fn say_goodbye(&mut self, now: Instant, key: MemberKey, reason: CloseReason) {
        let Some(member) = self.members.get_mut(key.0) else {
            return;
        };
        if let Some(tickets) = &member.tickets {
            self.tickets.remove(&tickets.handle());
            self.ended.note(tickets.handle(), reason);
        }
        if let Some(refresh) = member.refresh.take() {
            self.refreshes.remove(&refresh.id);
            self.events.retract(|event| {
                matches!(event, Event::RefreshRequested { refresh: asked, .. } if *asked == refresh.id)
            });
        }
        if member.connection != ConnectionState::Connected {
            self.drop_member(key);
            return;
        }
        member.phase = Phase::Closing(now + self.config.linger);
        member.view = None;
        member.pending = None;
        member.messages.clear();
        member.media.clear(&mut self.pool);
        member.report.clear();
        member.report_at = None;
        member.streams.clear();
        member.tell(&ServerMessage::Closed { reason });
        set_ready(&mut self.ready, key, member);
        self.rearm(key);
    }

    /// Forgets somebody who is in no room any more.
    pub(super) fn drop_member(&mut self, key: MemberKey) {
        let Some(mut member) = self.members.try_remove(key.0) else {
            return;
        };
        self.timers.set(Wake::Member(key), &mut member.alarm, None);
        member.media.clear(&mut self.pool);
        if member.ready {
            self.ready.retain(|ready| *ready != key);
        }
        for id in [Some(member.link.ids().local), member.former_id] {
            if let Some(id) = id
                && self.ids.get(&id) == Some(&Owner::Member(key))
            {
                self.ids.remove(&id);
            }
        }
    }

    /// Tells the embedder what happened in a room.
    pub(super) fn emit(&mut self, key: RoomKey, event: impl FnOnce(RoomId) -> Event) {
        if let Some(room) = self.rooms.get(key.0) {
            self.events.push(event(room.id.clone()));
        }
    }

    /// Sends everybody away: all sessions end, and nobody can join any more. Go on polling what
    /// there is to transmit, for [`Config::linger`](super::Config::linger) at most, so that they
    /// learn of it.
    pub fn shutdown(&mut self, now: Instant) {
        self.now = now;
        self.shutting_down = true;
        for key in self.joins.keys() {
            self.refuse_or_forget(key);
        }
        let rooms: Vec<RoomKey> = self.rooms_by_id.values().copied().collect();
        for key in rooms {
            self.end_session_of(now, key, CloseReason::ServerShutdown);
            while let Some(waiting) = self
                .rooms
                .get(key.0)
                .and_then(|room| room.waiting.values().next().copied())
            {
                self.close(now, waiting, CloseReason::ServerShutdown);
            }
        }
    }
}
