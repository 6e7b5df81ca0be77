//! Application messages, from one participant or the application to others.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Session;
use crate::room::{CloseReason, Grants, ParticipantId, Topic};
use crate::server::context::Context;
use crate::server::keys::MemberKey;
use crate::server::limits::Verdict;
use crate::server::member::encoded;
use crate::server::member::media::Queued;
use crate::signal::{
    LossyDelivery, LossyRequest, MAX_MESSAGE, Outcome, Recipients, Refusal, ServerMessage, decode,
    encode,
};
use crate::wire::{FRAME_HEADER, MAX_PLAINTEXT};

impl Session {
    /// Sends a message reliably, as a member asked for.
    pub(crate) fn send_from(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<Outcome, Refusal> {
        let member = self.get(who).ok_or(Refusal::NotPermitted)?;
        let from = member.id().clone();
        let recipients = self.send(cx, Some(who), from, to, topic, body);
        let recipients = recipients.ok_or(Refusal::UnknownParticipant)?;
        Ok(Outcome::Sent { recipients })
    }

    /// Sends a message reliably; gives to how many, or `None` if one of those named is not here.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context,
        sender: Option<MemberKey>,
        from: ParticipantId,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Option<u16> {
        let recipients = self.recipients(sender, to)?;
        let message = ServerMessage::Deliver {
            from,
            topic: topic.clone(),
            body,
        };
        let Some(bytes) = encoded(&message) else {
            return Some(0);
        };
        let bytes: Arc<[u8]> = bytes.into();
        for key in &recipients {
            let Some(member) = self.members.get_mut(*key) else {
                continue;
            };
            if !member.receives.messages.push(&bytes) {
                cx.statistics.messages_overflowed += 1;
            }
            cx.wake(&mut member.association);
        }
        Some(u16::try_from(recipients.len()).unwrap_or(u16::MAX))
    }

    /// Processes a lossy message; an invalid one is dropped.
    ///
    /// # Errors
    /// The reason that its sender's stay ends.
    pub(crate) fn handle_lossy_message(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        message: &[u8],
    ) -> Result<(), CloseReason> {
        let Ok(request) = decode::<LossyRequest<'_>>(message) else {
            return Ok(());
        };
        let Some(member) = self.members.get_mut(who) else {
            return Ok(());
        };
        if !member.rights.grants.contains(Grants::SEND_MESSAGES) {
            return Ok(());
        }
        let verdict = member.sends.messages.take(cx.now);
        if verdict != Verdict::Granted {
            cx.statistics.messages_overflowed += 1;
        }
        match verdict {
            Verdict::Granted => {}
            Verdict::Limited => return Ok(()),
            Verdict::Flooded => return Err(CloseReason::ProtocolError),
        }
        let delivery = LossyDelivery {
            from: member.id().clone(),
            topic: request.topic,
            body: request.body,
        };
        let mut buffer = [0; MAX_MESSAGE];
        let Ok(len) = encode(&delivery, &mut buffer) else {
            return Ok(());
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        if let Some(recipients) = self.recipients(Some(who), &request.to)
            && FRAME_HEADER + len <= MAX_PLAINTEXT
        {
            self.deliver_lossy(cx, &recipients, bytes);
        }
        Ok(())
    }

    fn deliver_lossy(&mut self, cx: &mut Context, recipients: &[MemberKey], bytes: &[u8]) {
        let Some(payload) = cx.pool.insert(bytes) else {
            cx.statistics.media_overflowed += recipients.len() as u64;
            return;
        };
        for key in recipients {
            let member = self.members.get_mut(*key);
            let Some(member) = member.filter(|member| member.is_listening()) else {
                continue;
            };
            if member.is_held_back() {
                cx.statistics.media_overflowed += 1;
                continue;
            }
            let queued = Queued {
                payload: cx.pool.share(&payload),
                stamp: None,
                since: cx.now,
            };
            if !member.receives.media.push(queued, &mut cx.pool) {
                cx.statistics.media_overflowed += 1;
            }
            cx.wake(&mut member.association);
        }
        cx.pool.release(payload);
    }

    /// Those whom a message is for, each once; `None` if one of them is not in the session.
    fn recipients(&self, sender: Option<MemberKey>, to: &Recipients) -> Option<Vec<MemberKey>> {
        match to {
            Recipients::All => {
                let members = self.members.keys();
                Some(members.filter(|key| Some(*key) != sender).collect())
            }
            Recipients::List(ids) => {
                let keys = ids.iter().map(|id| self.find(id));
                let mut keys = keys.collect::<Option<Vec<_>>>()?;
                keys.sort_unstable();
                keys.dedup();
                Some(keys)
            }
        }
    }
}
