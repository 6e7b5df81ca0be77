//! Members' subscriptions.

use super::Session;
use crate::room::StreamKind;
use crate::server::context::Context;
use crate::server::keys::MemberKey;
use crate::server::room::permits::check_policy;
use crate::signal::{Outcome, Refusal, StreamRef, SubscribePolicy};

impl Session {
    /// The kind and SSRC of a member's stream.
    fn find_stream(&self, name: &StreamRef) -> Result<(StreamKind, u32), Refusal> {
        let publisher = self.find(&name.participant).and_then(|key| self.get(key));
        let publisher = publisher.ok_or(Refusal::UnknownParticipant)?;
        let stream = publisher.sends.stream(&name.key);
        let stream = stream.ok_or(Refusal::UnknownStream)?;
        Ok((stream.kind, stream.ssrc))
    }

    /// The SSRC of a stream about which there may be a wish: if it is not published now, only where there is one already.
    fn find_named(&self, who: MemberKey, name: &StreamRef) -> Result<Option<u32>, Refusal> {
        let member = self.get(who).ok_or(Refusal::NotPermitted)?;
        match self.find_stream(name) {
            Ok((_, ssrc)) => Ok(Some(ssrc)),
            Err(_) if member.receives.subscriptions.mentions(name) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        name: StreamRef,
    ) -> Result<Outcome, Refusal> {
        let ssrc = self.find_named(who, &name)?;
        let done = self.wish(cx, who, name, true, ssrc)?;
        // Nothing else may come for long: a screen may show the same for hours.
        if let Some(ssrc) = ssrc {
            self.want_key(cx, ssrc, 0);
        }
        Ok(done)
    }

    pub(crate) fn unsubscribe(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        name: StreamRef,
    ) -> Result<Outcome, Refusal> {
        let ssrc = self.find_named(who, &name)?;
        self.wish(cx, who, name, false, ssrc)?;
        if let Some(member) = self.get_mut(who) {
            member.receives.drop_unwanted(&mut cx.pool);
        }
        Ok(Outcome::Done)
    }

    fn wish(
        &mut self,
        cx: &Context,
        who: MemberKey,
        name: StreamRef,
        wanted: bool,
        ssrc: Option<u32>,
    ) -> Result<Outcome, Refusal> {
        let member = self.get_mut(who).ok_or(Refusal::NotPermitted)?;
        let subscriptions = &mut member.receives.subscriptions;
        subscriptions
            .wish(name, wanted, ssrc, cx.config.subscriptions)
            .map_err(|_| Refusal::TooManySubscriptions)?;
        member.receives.wanted_changed();
        Ok(Outcome::Done)
    }

    pub(crate) fn set_policy(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        policy: SubscribePolicy,
    ) -> Result<Outcome, Refusal> {
        let is_mixed = self.is_mixed();
        let member = self.get_mut(who).ok_or(Refusal::NotPermitted)?;
        check_policy(cx, is_mixed, policy, member.rights.grants)?;
        let receives = &mut member.receives;
        receives.subscriptions.set_policy(policy);
        if receives.subscriptions.mix().is_some() {
            receives.slots.clear();
        }
        receives.drop_unwanted(&mut cx.pool);
        self.start_or_end_mix(cx);
        Ok(Outcome::Done)
    }

    pub(crate) fn pin(
        &mut self,
        who: MemberKey,
        name: Option<StreamRef>,
    ) -> Result<Outcome, Refusal> {
        let ssrc = match &name {
            Some(name) => match self.find_stream(name)? {
                (StreamKind::Audio, ssrc) => Some(ssrc),
                // Only sound has slots.
                _ => return Err(Refusal::UnknownStream),
            },
            None => None,
        };
        let member = self.get_mut(who).ok_or(Refusal::NotPermitted)?;
        member.receives.subscriptions.pin(name);
        member.receives.slots.pin(ssrc);
        member.receives.wanted_changed();
        Ok(Outcome::Done)
    }
}
