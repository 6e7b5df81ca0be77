//! Attributes of participants: set, and read.

use std::collections::BTreeMap;

use parlour_core::room::{AttributeKey, AttributeValue, ParticipantId};
use parlour_core::signal::Operation;

use super::Room;
use super::participants::attributes_of;
use crate::client::RequestError;

impl Room {
    /// Gives one of one's own attributes (a key of 1 to 16 printable ASCII characters, such as `hand`) a value of at most
    /// 64 bytes, which all others see; an empty value removes it. It lasts as long as the stay in the session: after
    /// [`Joined`](crate::RoomEvent::Joined) without `resumed`, set it again. [`attributes`](Self::attributes) reads it.
    ///
    /// ```no_run
    /// # use parlour_tokio::{Room, RequestError, core::room::{AttributeKey, ParticipantId}};
    /// # async fn raise(room: Room) -> Result<Vec<ParticipantId>, RequestError> {
    /// room.set_attribute("hand", "up").await?;
    /// // Whose hands are up, as every participant sees it:
    /// let hand = AttributeKey::new("hand")?;
    /// let raised = room.with_state(|state| {
    ///     let ids = state.participants().map(|participant| &participant.id);
    ///     ids.filter(|id| state.attribute(id, &hand).is_some()).cloned().collect()
    /// });
    /// # Ok(raised)
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn set_attribute(
        &self,
        key: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<(), RequestError> {
        self.ask_attribute(None, key, value.as_ref()).await
    }

    /// The same of somebody else, for whom this participant needs
    /// [`Grants::SET_ATTRIBUTES`](parlour_core::room::Grants::SET_ATTRIBUTES).
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn set_attribute_of(
        &self,
        participant: &ParticipantId,
        key: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<(), RequestError> {
        let participant = Some(participant.clone());
        self.ask_attribute(participant, key, value.as_ref()).await
    }

    async fn ask_attribute(
        &self,
        participant: Option<ParticipantId>,
        key: &str,
        value: &[u8],
    ) -> Result<(), RequestError> {
        self.ask(Operation::SetAttribute {
            participant,
            key: AttributeKey::new(key)?,
            value: AttributeValue::new(value)?,
        })
        .await
    }

    /// The attributes of a participant, in the order of their keys.
    pub fn attributes(
        &self,
        participant: &ParticipantId,
    ) -> BTreeMap<AttributeKey, AttributeValue> {
        attributes_of(self.shared.lock().client.state(), participant)
    }
}
