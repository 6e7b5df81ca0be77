//! Application messages, from one participant or the application to others.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::limits::Verdict;
use super::machine::{MemberKey, RoomKey, set_ready};
use super::media::Queued;
use super::member::encoded;
use super::requests::Result as Reply;
use super::{ModerateError, Server};
use crate::room::{CloseReason, Grants, ParticipantId, RoomId, Topic};
use crate::signal::{
    LossyDelivery, LossyRequest, MAX_BODY, MAX_MESSAGE, Outcome, Recipients, Refusal,
    ServerMessage, decode, encode,
};
use crate::time::Instant;
use crate::wire::{FRAME_HEADER, MAX_PLAINTEXT};

impl Server {
    /// Sends a message reliably, as a participant asked for.
    pub(super) fn send_from(
        &mut self,
        now: Instant,
        key: MemberKey,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Reply {
        let room = self.authorize(key, Grants::SEND_MESSAGES)?;
        let member = self.member_mut(key).ok_or(Refusal::NotPermitted)?;
        if member.buckets.messages.take(now) != Verdict::Granted {
            return Err(Refusal::RateLimited);
        }
        let from = member.id.clone();
        let recipients = self.recipients(room, Some(key), to);
        let recipients = recipients.ok_or(Refusal::UnknownParticipant)?;
        let recipients = self.deliver(&recipients, from, topic, body);
        Ok(Outcome::Sent { recipients })
    }

    /// Sends a message to participants, reliably and in order; returns to how many. They see
    /// `from` as the sender, which need not be anybody in the session.
    ///
    /// # Errors
    /// [`ModerateError`]; nobody gets it then.
    pub fn send(
        &mut self,
        now: Instant,
        room: &RoomId,
        from: &ParticipantId,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<u16, ModerateError> {
        self.now = now;
        if body.len() > MAX_BODY {
            return Err(ModerateError::MessageTooLong);
        }
        let key = self.rooms_by_id.get(room).copied();
        let key = key.ok_or(ModerateError::UnknownRoom)?;
        let session = (self.rooms.get(key.0)).and_then(|room| room.session.as_ref());
        if session.is_none() {
            return Err(ModerateError::UnknownRoom);
        }
        let recipients = self.recipients(key, None, to);
        let recipients = recipients.ok_or(ModerateError::UnknownParticipant)?;
        Ok(self.deliver(&recipients, from.clone(), topic, body))
    }

    /// Takes in a lossy message; what is wrong with it makes it one of those that get lost.
    pub(super) fn handle_lossy_message(&mut self, now: Instant, key: MemberKey, message: &[u8]) {
        let Ok(request) = decode::<LossyRequest<'_>>(message) else {
            return;
        };
        let Ok(room) = self.authorize(key, Grants::SEND_MESSAGES) else {
            return;
        };
        let Some(member) = self.member_mut(key) else {
            return;
        };
        match member.buckets.messages.take(now) {
            Verdict::Granted => {}
            verdict => {
                self.statistics.messages_overflowed += 1;
                if verdict == Verdict::Flooded {
                    self.close(now, key, CloseReason::ProtocolError);
                }
                return;
            }
        }
        let delivery = LossyDelivery {
            from: member.id.clone(),
            topic: request.topic,
            body: request.body,
        };
        let mut buffer = [0; MAX_MESSAGE];
        let Ok(len) = encode(&delivery, &mut buffer) else {
            return;
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        let Some(recipients) = self.recipients(room, Some(key), &request.to) else {
            return;
        };
        if FRAME_HEADER + len <= MAX_PLAINTEXT {
            self.deliver_lossy(&recipients, bytes);
        }
    }

    fn deliver_lossy(&mut self, recipients: &[MemberKey], bytes: &[u8]) {
        let Some(payload) = self.pool.insert(bytes) else {
            self.statistics.media_overflowed += recipients.len() as u64;
            return;
        };
        for key in recipients {
            let member = self.members.get_mut(key.0);
            let Some(member) = member.filter(|member| member.is_listening()) else {
                continue;
            };
            if member.is_held_back() {
                self.statistics.media_overflowed += 1;
                continue;
            }
            let queued = Queued {
                payload: self.pool.share(&payload),
                header: None,
                since: self.now,
            };
            if !member.media.push(queued, &mut self.pool) {
                self.statistics.media_overflowed += 1;
            }
            set_ready(&mut self.ready, *key, member);
        }
        self.pool.release(payload);
    }

    /// Those whom a message is for, each once; `None` if one of them is not in the session.
    fn recipients(
        &self,
        room: RoomKey,
        sender: Option<MemberKey>,
        to: &Recipients,
    ) -> Option<Vec<MemberKey>> {
        let session = self.rooms.get(room.0)?.session.as_ref()?;
        match to {
            Recipients::All => {
                let members = session.order.iter().copied();
                Some(members.filter(|key| Some(*key) != sender).collect())
            }
            Recipients::List(ids) => {
                let keys = ids.iter().map(|id| session.members.get(id).copied());
                let mut keys = keys.collect::<Option<Vec<_>>>()?;
                keys.sort_unstable();
                keys.dedup();
                Some(keys)
            }
        }
    }

    fn deliver(
        &mut self,
        recipients: &[MemberKey],
        from: ParticipantId,
        topic: &Topic,
        body: &[u8],
    ) -> u16 {
        let message = ServerMessage::Deliver {
            from,
            topic: topic.clone(),
            body,
        };
        let Some(bytes) = encoded(&message) else {
            return 0;
        };
        let bytes: Arc<[u8]> = bytes.into();
        for key in recipients {
            let Some(member) = self.members.get_mut(key.0) else {
                continue;
            };
            if !member.messages.push(&bytes) {
                self.statistics.messages_overflowed += 1;
            }
            set_ready(&mut self.ready, *key, member);
        }
        u16::try_from(recipients.len()).unwrap_or(u16::MAX)
    }
}
