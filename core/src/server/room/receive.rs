//! Datagrams of participants in a room, and their timers.

use rand_core::RngCore;

use super::Room;
use crate::link::Received;
use crate::room::CloseReason;
use crate::server::context::Context;
use crate::server::keys::{MemberKey, PeerKey};
use crate::server::member::{Association, Expiry};
use crate::server::{Dropped, Path, Transmit};
use crate::signal::ServerMessage;
use crate::wire::{Frame, Frames};

impl Room {
    /// Takes in a datagram of a member.
    pub(super) fn handle_member_data<'d>(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        from: Path,
        datagram: &'d mut [u8],
    ) -> Result<Frames<'d>, Dropped> {
        let now = cx.now;
        let session = self.session.as_mut().ok_or(Dropped::UnknownConnection)?;
        let member = session.get_mut(who).ok_or(Dropped::UnknownConnection)?;
        let heard = member.association.open(now, from, datagram)?;
        if heard.has_roamed {
            member.receives.clear_media(&mut cx.pool);
            cx.roamed(&mut member.association);
        }
        let is_back = member.association.is_back();
        if heard.has_roamed {
            session.want_lost_keys(cx, who);
        }
        if is_back {
            session.is_back(cx, who);
        }
        Ok(Frames::new(heard.plaintext))
    }

    /// Processes a datagram of a guest.
    pub(super) fn handle_guest_data<'d>(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
        from: Path,
        datagram: &'d mut [u8],
    ) -> Result<Frames<'d>, Dropped> {
        let guest = self.lobby.get_mut(who).ok_or(Dropped::UnknownConnection)?;
        let heard = guest.association.open(cx.now, from, datagram)?;
        if heard.has_roamed {
            cx.roamed(&mut guest.association);
        }
        if guest.association.is_back() {
            let at = guest.next_timeout(&cx.config);
            cx.rearm(&mut guest.association, at);
        }
        Ok(Frames::new(heard.plaintext))
    }

    /// Processes the frames of a member, as long as it is one: frames after its exit do not concern the room.
    pub(super) fn receive(&mut self, cx: &mut Context, who: MemberKey, frames: &mut Frames<'_>) {
        loop {
            let Some(session) = self.session.as_mut() else {
                return;
            };
            let Some(member) = session.get_mut(who) else {
                return;
            };
            let received = match next_frame(cx, &mut member.association, frames) {
                Next::Received(received) => received,
                Next::Violation => {
                    self.close_member(cx, who, CloseReason::ProtocolError);
                    *frames = Frames::new(&[]);
                    return;
                }
                Next::End => break,
            };
            let done = match received {
                Received::Handled | Received::Redundant | Received::Pong(_) => Ok(()),
                Received::Signal(sequence, message) => {
                    if !member.association.takes_requests() {
                        member.association.take_control(cx.now);
                        continue;
                    }
                    member.association.link.accept(sequence);
                    self.handle_request(cx, who, message)
                }
                Received::Media(packet) => session.forward(cx, who, self.gather, packet),
                Received::Report(report) => {
                    member.handle_report(cx.now, report);
                    Ok(())
                }
                Received::Message(message) => session.handle_lossy_message(cx, who, message),
                Received::Feedback(ssrc, feedback) => {
                    session.handle_feedback(cx, who, ssrc, feedback)
                }
            };
            if let Err(reason) = done {
                self.close_member(cx, who, reason);
                return;
            }
        }
        // There may be something to send, and another time to wake.
        let session = self.session.as_mut();
        if let Some(member) = session.and_then(|session| session.get_mut(who)) {
            if let Some(handle) = member.association.learns_of_admission() {
                cx.directory.tickets.remove(&handle);
            }
            cx.wake(&mut member.association);
            let at = member.next_timeout(&cx.config);
            cx.rearm_sooner(&mut member.association, at);
        }
    }

    /// The same for a guest.
    pub(super) fn receive_from_guest(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
        frames: &mut Frames<'_>,
    ) {
        loop {
            let Some(guest) = self.lobby.get_mut(who) else {
                return;
            };
            let received = match next_frame(cx, &mut guest.association, frames) {
                Next::Received(received) => received,
                Next::Violation => {
                    self.close_guest(cx, who, CloseReason::ProtocolError);
                    *frames = Frames::new(&[]);
                    return;
                }
                Next::End => break,
            };
            let association = &mut guest.association;
            match received {
                Received::Handled | Received::Redundant | Received::Pong(_) => {}
                Received::Signal(sequence, message) if association.takes_requests() => {
                    association.link.accept(sequence);
                    if let Err(reason) = self.handle_guest_request(cx, who, message) {
                        self.close_guest(cx, who, reason);
                        return;
                    }
                }
                // Nothing of that is heard in the lobby.
                Received::Signal(..)
                | Received::Media(_)
                | Received::Report(_)
                | Received::Message(_)
                | Received::Feedback(..) => {
                    association.take_control(cx.now);
                }
            }
        }
        if let Some(guest) = self.lobby.get_mut(who) {
            cx.wake(&mut guest.association);
            let at = guest.next_timeout(&cx.config);
            cx.rearm_sooner(&mut guest.association, at);
        }
    }

    /// Handles a member's expired timers.
    pub(super) fn handle_member_timeout(&mut self, cx: &mut Context, who: MemberKey) {
        let now = cx.now;
        let Some(session) = self.session.as_mut() else {
            return;
        };
        let Some(member) = session.get_mut(who) else {
            return;
        };
        if member.association.is_lost(now) {
            self.close_member(cx, who, CloseReason::ConnectionLost);
            return;
        }
        if member.association.is_connected() {
            let nonce = || cx.rng.next_u32();
            if member.association.falls_silent(now, &cx.config, nonce) {
                session.falls_silent(cx, who);
            } else {
                member.make_report(now, cx.config.report_interval);
                member.tend_pictures(cx);
                member.receives.watching.unblock(now);
                if member.receives.watching.take_plan_due(now) {
                    session.plan_pictures(cx, who);
                }
            }
        }
        let Some(member) = session.get_mut(who) else {
            return;
        };
        cx.forget_former_id(&mut member.association);
        match member.rights.check(now, Some(cx.config.expiry_notice)) {
            Expiry::Over => {
                self.close_member(cx, who, CloseReason::TokenExpired);
                return;
            }
            Expiry::Soon(left) => {
                let seconds = u16::try_from(left.as_secs()).unwrap_or(u16::MAX);
                let message = ServerMessage::TokenExpiring { seconds };
                member.association.tell(&message);
            }
            Expiry::None => {}
        }
        cx.wake(&mut member.association);
        let at = member.next_timeout(&cx.config);
        cx.rearm(&mut member.association, at);
    }

    /// The same for a guest.
    pub(super) fn handle_guest_timeout(&mut self, cx: &mut Context, who: PeerKey) {
        let now = cx.now;
        let Some(guest) = self.lobby.get_mut(who) else {
            return;
        };
        if guest.association.is_lost(now) {
            self.close_guest(cx, who, CloseReason::ConnectionLost);
            return;
        }
        if guest.association.is_connected() {
            let nonce = || cx.rng.next_u32();
            guest.association.falls_silent(now, &cx.config, nonce);
        }
        cx.forget_former_id(&mut guest.association);
        if guest.rights.check(now, None) == Expiry::Over {
            self.close_guest(cx, who, CloseReason::TokenExpired);
            return;
        }
        cx.wake(&mut guest.association);
        let at = guest.next_timeout(&cx.config);
        cx.rearm(&mut guest.association, at);
    }

    /// Writes a datagram for a member.
    #[inline(always)]
    pub(super) fn transmit(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        out: &mut [u8],
    ) -> Option<Transmit> {
        let Self { session, lobby, .. } = self;
        match session.as_mut()?.transmit(cx, who, lobby, out) {
            Ok(sent) => sent,
            Err(_) => {
                // Its keys are used up: it cannot be told anything any more.
                let key = self.session.as_mut()?.get_mut(who)?.association.key;
                self.close_member(cx, who, CloseReason::ConnectionLost);
                if let Some(departing) = cx.leaving.remove(&key) {
                    cx.forget(departing.association);
                }
                None
            }
        }
    }

    /// Writes a datagram for a guest.
    pub(super) fn transmit_to_guest(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
        out: &mut [u8],
    ) -> Option<Transmit> {
        let guest = self.lobby.get_mut(who)?;
        let association = &mut guest.association;
        association.ready = false;
        let limit = association.limit()?;
        association.refill();
        let signals = association.link.wants_transmit();
        let Ok(len) = association.compose(cx.now, out, limit, signals, |_| {}) else {
            self.close_guest(cx, who, CloseReason::ConnectionLost);
            if let Some(departing) = cx.leaving.remove(&who) {
                cx.forget(departing.association);
            }
            return None;
        };
        let len = len?;
        let to = association.reach.path;
        if association.has_more() {
            cx.wake(association);
        }
        let at = guest.next_timeout(&cx.config);
        cx.rearm_sooner(&mut guest.association, at);
        Some(Transmit { to, len })
    }
}

/// The outcome of the next frame of a packet.
enum Next<'f> {
    Received(Received<'f>),
    /// There is nothing more, or nothing that can be read: it may be a later version's.
    End,
    /// The sender broke the protocol, or floods.
    Violation,
}

fn next_frame<'f>(
    cx: &Context,
    association: &mut Association,
    frames: &mut Frames<'f>,
) -> Next<'f> {
    for frame in frames {
        let Ok(frame) = frame else {
            break;
        };
        let is_control = matches!(frame, Frame::Ping { .. } | Frame::Report(_));
        if is_control && !association.take_control(cx.now) {
            continue;
        }
        let Ok(received) = association.link.receive(cx.now, frame) else {
            return Next::Violation;
        };
        match received {
            Received::Pong(_) => association.reach.proven = true,
            Received::Redundant => {
                association.take_control(cx.now);
            }
            _ => {}
        }
        return Next::Received(received);
    }
    match association.floods {
        true => Next::Violation,
        false => Next::End,
    }
}
