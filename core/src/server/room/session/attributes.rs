//! Attributes of participants: permissions and limits.

use super::Session;
use crate::room::{
    AttributeKey, AttributeValue, Grants, MAX_ATTRIBUTES, ParticipantId, RoomUpdate,
};
use crate::server::ModerateError;
use crate::server::context::Context;
use crate::server::keys::MemberKey;
use crate::server::room::requests::Reply;
use crate::signal::{Outcome, Refusal};

impl Session {
    /// A member sets an attribute of its own, or, with the grant for it, of another.
    pub(in crate::server::room) fn set_attribute_from(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        participant: Option<ParticipantId>,
        key: AttributeKey,
        value: AttributeValue,
    ) -> Reply {
        let member = self.get(who).ok_or(Refusal::UnknownParticipant)?;
        let participant = participant.unwrap_or_else(|| member.id().clone());
        let may_set =
            participant == *member.id() || member.rights.grants.contains(Grants::SET_ATTRIBUTES);
        if !may_set {
            return Err(Refusal::NotPermitted);
        }
        let set = self.set_attribute(cx, participant, key, value);
        set.map_err(|error| match error {
            ModerateError::TooManyAttributes => Refusal::TooManyAttributes,
            _ => Refusal::UnknownParticipant,
        })?;
        Ok(Outcome::Done)
    }

    /// Sets an attribute of a participant; an empty value removes it.
    pub(in crate::server::room) fn set_attribute(
        &mut self,
        cx: &mut Context,
        participant: ParticipantId,
        key: AttributeKey,
        value: AttributeValue,
    ) -> Result<(), ModerateError> {
        let state = self.state();
        if state.participant(&participant).is_none() {
            return Err(ModerateError::UnknownParticipant);
        }
        let is_new = state.attribute(&participant, &key).is_none() && !value.is_empty();
        if is_new && state.attributes(&participant).len() >= MAX_ATTRIBUTES {
            return Err(ModerateError::TooManyAttributes);
        }
        let update = RoomUpdate::Attribute {
            participant,
            key,
            value,
        };
        self.change(cx, update);
        Ok(())
    }
}
