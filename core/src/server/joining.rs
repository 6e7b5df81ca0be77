//! Joins, from the embedder's answer to the first Data packet, with which they take effect: the front's part and the
//! rooms' part together.

use alloc::boxed::Box;
use alloc::vec::Vec;

use rand_core::RngCore;

use super::context::Context;
use super::front::{Front, HalfOpen, Stage, Welcomed};
use super::keys::{JoinKey, Owner};
use super::member::Reach;
use super::promise::{Entry, Pending};
use super::room::Rooms;
use super::{Admission, AdmitError, Dropped, Path, Refused};
use crate::room::{CloseReason, MAX_ATTRIBUTES};
use crate::secure::ResumeTicket;
use crate::signal::JoinRefusal;
use crate::time::{Duration, Instant};
use crate::wire::Frames;

/// Lets a join in. The join takes effect when the participant's first packet under the new keys arrives; a place is
/// reserved for it until then.
pub(super) fn admit(
    front: &mut Front,
    rooms: &mut Rooms,
    cx: &mut Context,
    key: JoinKey,
    admission: Admission,
) -> Result<(), AdmitError> {
    let (room, participant) = (admission.room.clone(), admission.participant.clone());
    let admitted = try_admit(front, rooms, cx, key, admission);
    rooms.drop_if_idle(&room);
    if let Err(error) = admitted
        && error != AdmitError::UnknownJoin
    {
        let refusal = match error {
            AdmitError::RoomFull => JoinRefusal::RoomFull,
            AdmitError::TooOften => JoinRefusal::TooOften,
            AdmitError::Kicked => JoinRefusal::Kicked,
            AdmitError::DuplicateParticipant => JoinRefusal::DuplicateParticipant,
            AdmitError::Ended(refusal) => refusal,
            _ => JoinRefusal::Unavailable,
        };
        let refused = Refused {
            refusal,
            room: Some(room),
            participant: Some(participant),
        };
        front.answer_refused(cx, key, refused);
    }
    admitted
}

fn try_admit(
    front: &mut Front,
    rooms: &mut Rooms,
    cx: &mut Context,
    key: JoinKey,
    admission: Admission,
) -> Result<(), AdmitError> {
    let id = front.join_mut(key).ok_or(AdmitError::UnknownJoin)?.id;
    if front.shutting_down {
        return Err(AdmitError::ShuttingDown);
    }
    let Admission {
        room,
        participant,
        name,
        grants,
        expires_in,
        lobby,
        on_duplicate,
        attributes,
        limits,
    } = admission;
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(AdmitError::TooManyAttributes);
    }
    let name_of_room = room.clone();
    let room = rooms.find_or_create(cx, room)?;
    // Before all else: the limits may end the session that the join would continue.
    if let Some(limits) = limits {
        rooms.set_limits(cx, room, limits);
    }
    let resume = front.resume_of(key);
    let ticket = resume.as_ref().map(|resume| *resume.ticket);
    let handle = ticket.map(|ticket| ResumeTicket::from_bytes(ticket).handle());
    if let Some(refusal) = handle.and_then(|handle| cx.ended.refusal(handle)) {
        return Err(AdmitError::Ended(refusal));
    }
    let resumed =
        resume.and_then(|resume| rooms.resumable(cx, &resume, &name_of_room, &participant));
    let stale = handle.filter(|_| resumed.is_none());
    if resumed.is_none() {
        rooms.check_entry(cx, room, &participant, lobby, stale, on_duplicate)?;
        if !front.may_join(cx.now, &name_of_room, &participant) {
            return Err(AdmitError::TooOften);
        }
    }

    let (handshake, wish) = front.take_question(key).ok_or(AdmitError::UnknownJoin)?;
    let local = cx.random_connection_id();
    let promised = match resumed {
        Some(resumed) => rooms.promise_resume(cx, resumed, local, grants),
        None if lobby => rooms.promise_waiting(cx, room, &participant, wish, local),
        None => rooms.promise_place(cx, room, &participant, &wish, grants, local),
    };
    let (answer, entry) = promised.ok_or(AdmitError::UnknownJoin)?;
    let welcome = front
        .make_welcome(cx, key, &handshake, local, &answer)
        .ok_or(AdmitError::UnknownJoin)?;
    let pending = Pending {
        transport: welcome.transport,
        ids: welcome.ids,
        room,
        closings: rooms.closings(room),
        participant,
        name,
        grants,
        on_duplicate,
        attributes,
        expires: expires_in.map(|expires_in| cx.now + expires_in),
        stale,
        entry,
    };
    cx.directory.ids.insert(local, Owner::Join(key));
    let superseded = front.superseded(cx, id, room, &pending.participant);
    front.set_answered(key, welcome.bytes, Some(Box::new(pending)));
    for older in superseded {
        forget(front, rooms, cx, older);
    }
    Ok(())
}

/// Takes in a Data packet for a join under way. If it opens, its sender holds the keys: the
/// join takes effect.
pub(super) fn handle_first_data(
    front: &mut Front,
    rooms: &mut Rooms,
    cx: &mut Context,
    key: JoinKey,
    from: Path,
    datagram: &mut [u8],
) -> Result<(), Dropped> {
    let len = datagram.len();
    let unknown = Dropped::UnknownConnection;
    let join = front.join_mut(key).ok_or(unknown)?;
    let Stage::Answered {
        pending: Some(pending),
        ..
    } = &mut join.stage
    else {
        return Err(unknown);
    };
    let opened = pending.transport.open(datagram)?;
    let plaintext = &*opened.plaintext;
    let join = front.remove(cx, key).ok_or(unknown)?;
    let id = join.id;
    let Arrival {
        pending,
        reach,
        round_trip,
    } = arrival(cx.now, join, from, len).ok_or(unknown)?;
    let local = pending.ids.local;
    cx.directory.ids.remove(&local);
    // What was offered before and not taken must not take over later.
    let older = match &pending.entry {
        Entry::Resume { peer, handle, .. } if cx.directory.tickets.get(handle) == Some(peer) => {
            front.resumes_before(id, *peer)
        }
        Entry::Resume { .. } => Vec::new(),
        Entry::New(_) | Entry::Lobby(..) => front.older_of(id, pending.room, &pending.participant),
    };
    for older in older {
        forget(front, rooms, cx, older);
    }
    let is_new = !matches!(pending.entry, Entry::Resume { .. });
    let room = rooms.name_of(pending.room).filter(|_| is_new);
    let is_in_time = room.is_none_or(|room| front.take_join(cx.now, room, &pending.participant));
    let entered = if is_in_time {
        rooms.enter(cx, *pending, reach)
    } else {
        rooms.release(&pending);
        None
    };
    let Some(peer) = entered else {
        // The sender cannot know that its promise is gone: have it join anew.
        return front
            .send_reset(cx, from, local, len)
            .and(Err(Dropped::Superseded));
    };
    let nonce = cx.rng.next_u32();
    rooms.established(cx, peer, round_trip, nonce);
    rooms.receive(cx, peer, &mut Frames::new(plaintext));
    Ok(())
}

/// Gives up a join under way, and releases its reserved place.
pub(super) fn forget(front: &mut Front, rooms: &mut Rooms, cx: &mut Context, key: JoinKey) {
    if let Some(pending) = front.forget(cx, key) {
        rooms.release(&pending);
    }
}

/// Turns away all joins under way, and closes all connections.
pub(super) fn shut_down(front: &mut Front, rooms: &mut Rooms, cx: &mut Context) {
    front.shutting_down = true;
    for key in front.keys() {
        if let Some(pending) = front.refuse_or_forget(cx, key) {
            rooms.release(&pending);
        }
    }
    rooms.close_all(cx, CloseReason::ServerShutdown);
}

/// The association of a participant that arrives, and its address.
struct Arrival {
    pending: Box<Pending>,
    reach: Reach,
    round_trip: Option<Duration>,
}

fn arrival(now: Instant, join: HalfOpen, from: Path, len: usize) -> Option<Arrival> {
    let Stage::Answered {
        pending: Some(pending),
        ..
    } = join.stage
    else {
        return None;
    };
    // The keys are known only to the receiver of the Welcome, at the Hello's address.
    let mut reach = Reach::new(from);
    reach.proven |= from.has_same_remote(&join.reach.path);
    reach.received(len);
    let round_trip = match join.welcomed {
        Welcomed::Once(sent) => Some(now.saturating_duration_since(sent)),
        _ => None,
    };
    Some(Arrival {
        pending,
        reach,
        round_trip,
    })
}
