//! The floor: one member has it, or none.

use super::Session;
use crate::room::{ParticipantId, RoomUpdate};
use crate::server::context::Context;
use crate::server::keys::MemberKey;
use crate::signal::{Outcome, Refusal};

impl Session {
    pub(crate) fn request_floor(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
    ) -> Result<Outcome, Refusal> {
        let me = self.participant(who)?.clone();
        if (self.authority.state().floor()).is_some_and(|holder| *holder != me) {
            return Err(Refusal::FloorTaken);
        }
        self.change(cx, RoomUpdate::Floor { holder: Some(me) });
        Ok(Outcome::Done)
    }

    pub(crate) fn release_floor(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
    ) -> Result<Outcome, Refusal> {
        if self.authority.state().floor() != Some(self.participant(who)?) {
            return Err(Refusal::FloorNotHeld);
        }
        self.change(cx, RoomUpdate::Floor { holder: None });
        Ok(Outcome::Done)
    }

    fn participant(&self, who: MemberKey) -> Result<&ParticipantId, Refusal> {
        let member = self.get(who).ok_or(Refusal::NotPermitted)?;
        Ok(member.id())
    }
}
