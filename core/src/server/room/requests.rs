//! What participants ask for. Each request gets exactly one reply: the link hands each over once,
//! and does not while there is no room for the reply.

use alloc::string::ToString;

use super::Room;
use crate::room::{CloseReason, Grants, RoomId};
use crate::server::Event;
use crate::server::context::Context;
use crate::server::keys::{MemberKey, PeerKey};
use crate::server::limits::{Allowance, Verdict};
use crate::server::member::{Association, Refresh, Rights};
use crate::signal::{Moderation, Operation, Outcome, Refusal, Request, RequestId, Secret, decode};

/// What a request comes to.
pub(super) type Reply<T = Outcome> = Result<T, Refusal>;

impl Room {
    /// Takes in a member's request.
    ///
    /// # Errors
    /// Why its stay ends.
    pub(super) fn handle_request(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        message: &[u8],
    ) -> Result<(), CloseReason> {
        let Some(member) = self
            .session
            .as_mut()
            .and_then(|session| session.get_mut(who))
        else {
            return Ok(());
        };
        let messages = Some(&mut member.sends.messages);
        let Some(request) = take_request(cx, &mut member.association, messages, message)? else {
            return Ok(());
        };
        let id = request.id;
        let grants = member.rights.grants;
        let result = match request.operation {
            Operation::Leave => {
                reply(cx, &mut member.association, id, Ok(Outcome::Done));
                return Err(CloseReason::Left);
            }
            Operation::EndSession if grants.contains(Grants::END_SESSION) => {
                reply(cx, &mut member.association, id, Ok(Outcome::Done));
                self.end_session(cx, CloseReason::SessionEnded);
                return Ok(());
            }
            Operation::EndSession => Err(Refusal::NotPermitted),
            Operation::RefreshToken { token } => {
                let (association, rights) = (&mut member.association, &mut member.rights);
                match ask_refresh(cx, &self.id, association, rights, id, &token) {
                    Ok(()) => return Ok(()),
                    Err(refusal) => Err(refusal),
                }
            }
            operation => self.perform(cx, who, grants, operation),
        };
        let session = self.session.as_mut();
        if let Some(member) = session.and_then(|session| session.get_mut(who)) {
            reply(cx, &mut member.association, id, result);
        }
        Ok(())
    }

    /// The same of one who waits, who may do little.
    ///
    /// # Errors
    /// Why its stay ends.
    pub(super) fn handle_guest_request(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
        message: &[u8],
    ) -> Result<(), CloseReason> {
        let Some(guest) = self.lobby.get_mut(who) else {
            return Ok(());
        };
        let Some(request) = take_request(cx, &mut guest.association, None, message)? else {
            return Ok(());
        };
        let (association, id) = (&mut guest.association, request.id);
        match request.operation {
            Operation::Leave => {
                reply(cx, association, id, Ok(Outcome::Done));
                return Err(CloseReason::Left);
            }
            Operation::RefreshToken { token } => {
                let rights = &mut guest.rights;
                if let Err(refusal) = ask_refresh(cx, &self.id, association, rights, id, &token) {
                    reply(cx, association, id, Err(refusal));
                }
            }
            _ => reply(cx, association, id, Err(Refusal::NotPermitted)),
        }
        Ok(())
    }

    fn perform(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        grants: Grants,
        operation: Operation<'_>,
    ) -> Reply {
        let require = |needed| match grants.contains(needed) {
            true => Ok(()),
            false => Err(Refusal::NotPermitted),
        };
        match &operation {
            Operation::Subscribe(_) | Operation::Pin(Some(_)) => require(Grants::SUBSCRIBE)?,
            Operation::Send { .. } => require(Grants::SEND_MESSAGES)?,
            Operation::RequestFloor => require(Grants::REQUEST_FLOOR)?,
            _ => {}
        }
        let member = (self.session.as_mut()).and_then(|session| session.get_mut(who));
        if is_change(&operation) && member.is_some_and(|member| !member.sends.changes.take(cx.now))
        {
            return Err(Refusal::RateLimited);
        }
        if let Operation::Moderate { action, targets } = &operation {
            return self.moderate_from(cx, who, grants, *action, targets);
        }
        let session = self.session.as_mut().ok_or(Refusal::NotPermitted)?;
        match operation {
            Operation::Publish(publish) => session.publish(cx, who, &publish),
            Operation::Unpublish { key } => session.unpublish(cx, who, &key),
            Operation::SetMuted { key, muted } => session.set_muted(cx, who, &key, muted),
            Operation::Subscribe(stream) => session.subscribe(cx, who, stream),
            Operation::Unsubscribe(stream) => session.unsubscribe(cx, who, stream),
            Operation::SetSubscribePolicy(policy) => session.set_policy(cx, who, policy),
            Operation::Pin(stream) => session.pin(who, stream),
            Operation::Send { to, topic, body } => session.send_from(cx, who, &to, &topic, body),
            Operation::RequestFloor => session.request_floor(cx, who),
            Operation::ReleaseFloor => session.release_floor(cx, who),
            Operation::SetAttribute {
                participant,
                key,
                value,
            } => session.set_attribute_from(cx, who, participant, key, value),
            Operation::Moderate { .. }
            | Operation::Leave
            | Operation::EndSession
            | Operation::RefreshToken { .. } => Err(Refusal::NotPermitted),
        }
    }
}

/// Whether an operation has all others told of something. Those that end what one of these began are not counted: they can
/// be no more, and to fall silent must not be refused.
fn is_change(operation: &Operation<'_>) -> bool {
    match operation {
        Operation::Publish(_)
        | Operation::SetMuted { muted: false, .. }
        | Operation::RequestFloor
        | Operation::SetAttribute { .. } => true,
        Operation::Moderate { action, .. } => *action == Moderation::Uncensor,
        _ => false,
    }
}

/// Answers a request.
pub(super) fn reply(
    cx: &mut Context,
    association: &mut Association,
    request: RequestId,
    result: Reply,
) {
    association.reply(request, result);
    cx.wake(association);
}

/// Reads a request, and refuses it if there are too many. Messages are counted apart from all others, by one who may send
/// some.
fn take_request<'m>(
    cx: &mut Context,
    association: &mut Association,
    messages: Option<&mut Allowance>,
    message: &'m [u8],
) -> Result<Option<Request<'m>>, CloseReason> {
    let request = decode::<Request<'_>>(message).map_err(|_| CloseReason::ProtocolError)?;
    let allowance = match (&request.operation, messages) {
        (Operation::Send { .. }, Some(messages)) => messages,
        _ => &mut association.requests,
    };
    match allowance.take(cx.now) {
        Verdict::Granted => Ok(Some(request)),
        Verdict::Limited => {
            reply(cx, association, request.id, Err(Refusal::RateLimited));
            Ok(None)
        }
        Verdict::Flooded => Err(CloseReason::ProtocolError),
    }
}

/// Asks the embedder about a new token: one at a time.
fn ask_refresh(
    cx: &mut Context,
    room: &RoomId,
    association: &Association,
    rights: &mut Rights,
    request: RequestId,
    token: &str,
) -> Reply<()> {
    if rights.refresh.is_some() {
        return Err(Refusal::RateLimited);
    }
    let id = cx.directory.ask_refresh(association.key);
    rights.refresh = Some(Refresh { id, request });
    cx.events.push(Event::RefreshRequested {
        refresh: id,
        room: room.clone(),
        participant: association.id.clone(),
        token: Secret(token.to_string()),
    });
    Ok(())
}
