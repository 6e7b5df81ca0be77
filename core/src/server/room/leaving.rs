//! Participants that have left their room, until they know that.

use rand_core::RngCore;

use crate::link::{Liveness, Received};
use crate::room::CloseReason;
use crate::server::context::Context;
use crate::server::keys::{PeerKey, Place, Wake};
use crate::server::member::{Association, Departing, Member, Refresh, Tickets};
use crate::server::{Dropped, Path, Transmit};
use crate::signal::ServerMessage;
use crate::wire::Frames;

/// Tells a participant that has left its room that the connection is closed. It is kept until it has acknowledged
/// that, but not for long; a participant that is silent already is forgotten at once.
pub(crate) fn say_goodbye(
    cx: &mut Context,
    mut association: Association,
    refresh: Option<Refresh>,
    reason: CloseReason,
) {
    for handle in association.tickets.iter().flat_map(Tickets::handles) {
        cx.directory.tickets.remove(&handle);
        cx.ended.note(handle, reason);
    }
    if let Some(refresh) = refresh {
        cx.retract_refresh(&refresh);
    }
    if !association.is_connected() {
        cx.forget(association);
        return;
    }
    association.tell(&ServerMessage::Closed { reason });
    cx.wake(&mut association);
    let mut departing = Departing {
        association,
        until: cx.now + cx.config.linger,
    };
    let at = departing.next_timeout();
    cx.rearm(&mut departing.association, at);
    let key = departing.association.key;
    cx.directory.set_place(key, Place::Leaving);
    cx.leaving.insert(key, departing);
}

impl Member {
    /// It is in no session any more, and is told so.
    pub(crate) fn say_goodbye(mut self, cx: &mut Context, reason: CloseReason) {
        self.receives.clear_media(&mut cx.pool);
        self.sends.clear_pictures(cx);
        say_goodbye(cx, self.association, self.rights.refresh, reason);
    }
}

/// Opens a datagram from a leaving participant, and processes its frames.
pub(crate) fn handle_data(
    cx: &mut Context,
    key: PeerKey,
    from: Path,
    datagram: &mut [u8],
) -> Result<(), Dropped> {
    let now = cx.now;
    let mut departing = cx.leaving.remove(&key).ok_or(Dropped::UnknownConnection)?;
    let heard = departing.association.open(now, from, datagram);
    if let Ok(heard) = &heard
        && heard.has_roamed
    {
        cx.roamed(&mut departing.association);
    }
    cx.leaving.insert(key, departing);
    receive(cx, key, &mut Frames::new(heard?.plaintext));
    Ok(())
}

/// Processes the rest of a datagram from a leaving participant: only acknowledgements and pongs count.
pub(crate) fn receive(cx: &mut Context, key: PeerKey, frames: &mut Frames<'_>) {
    let now = cx.now;
    let Some(mut departing) = cx.leaving.remove(&key) else {
        return;
    };
    let association = &mut departing.association;
    for frame in frames {
        let Ok(frame) = frame else {
            break;
        };
        match association.link.receive(now, frame) {
            Ok(Received::Pong(_)) => association.reach.proven = true,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    if departing.is_settled() {
        let tickets = departing.association.tickets.iter();
        for handle in tickets.flat_map(Tickets::handles) {
            cx.ended.forget(handle);
        }
        cx.forget(departing.association);
        return;
    }
    // It is there and has not heard it: there is no reason to wait for long.
    departing.association.link.hurry(now);
    cx.wake(&mut departing.association);
    let at = departing.next_timeout();
    cx.rearm_sooner(&mut departing.association, at);
    cx.leaving.insert(key, departing);
}

/// Handles expired timers.
pub(crate) fn handle_timeout(cx: &mut Context, key: PeerKey) {
    let now = cx.now;
    let Some(mut departing) = cx.leaving.remove(&key) else {
        return;
    };
    let association = &mut departing.association;
    let nonce = || cx.rng.next_u32();
    if now >= departing.until || association.link.handle_timeout(now, nonce) == Liveness::Lost {
        cx.forget(departing.association);
        return;
    }
    cx.forget_former_id(association);
    cx.wake(association);
    let at = departing.next_timeout();
    cx.rearm(&mut departing.association, at);
    cx.leaving.insert(key, departing);
}

/// Writes a datagram for a leaving participant.
pub(crate) fn transmit(cx: &mut Context, key: PeerKey, out: &mut [u8]) -> Option<Transmit> {
    let now = cx.now;
    let departing = cx.leaving.get_mut(&key)?;
    let association = &mut departing.association;
    association.ready = false;
    let limit = association.limit()?;
    association.refill();
    let signals = association.link.wants_transmit();
    let Ok(len) = association.compose(now, out, limit, signals, |_| {}) else {
        let departing = cx.leaving.remove(&key)?;
        cx.forget(departing.association);
        return None;
    };
    let to = association.reach.path;
    if association.has_more() && len.is_some() && !association.ready {
        association.ready = true;
        cx.ready.push_back(key);
    }
    let at = departing.next_timeout();
    let wake = Wake::Peer(key);
    let len = len?;
    cx.timers
        .set_sooner(wake, &mut departing.association.alarm, at);
    Some(Transmit { to, len })
}
