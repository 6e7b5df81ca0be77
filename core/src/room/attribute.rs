//! Attributes: small facts about a participant that the protocol keeps and shows, and the application gives a meaning.
//!
//! A raised hand, a battery, a volume, a role: each is a key of up to 16 bytes with a value of up to 64. A participant has
//! at most [`MAX_ATTRIBUTES`]. It sets its own; those of others are set by who has
//! [`Grants::SET_ATTRIBUTES`](super::Grants::SET_ATTRIBUTES), and any by the application at the server. They last as long
//! as the participant is in the session.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::roster::Roster;
use super::state::Gone;
use super::{AttributeKey, ParticipantId};

/// Most attributes that one participant may have at a time.
pub const MAX_ATTRIBUTES: usize = 8;

/// Why bytes cannot be the value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the value is too long: at most 64 bytes")]
pub struct ValueTooLong;

/// The value of an attribute: at most 64 bytes. An empty one stands for no attribute.
///
/// ```
/// use parlour_core::room::AttributeValue;
/// let battery = AttributeValue::new("87 %")?;
/// assert_eq!(battery.as_str(), Some("87 %"));
/// assert!(AttributeValue::new([0; 65]).is_err());
/// # Ok::<(), parlour_core::room::ValueTooLong>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(not(target_pointer_width = "64"), repr(align(4)))]
pub struct AttributeValue(heapless::Vec<u8, 64, u8>);

impl AttributeValue {
    /// Most bytes that it may have.
    pub const MAX_LEN: usize = 64;

    /// Copies `value`, which may be text or any other bytes.
    ///
    /// # Errors
    /// [`ValueTooLong`]
    pub fn new(value: impl AsRef<[u8]>) -> Result<Self, ValueTooLong> {
        let copied = heapless::Vec::from_slice(value.as_ref());
        copied.map(Self).map_err(|_| ValueTooLong)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text; `None` if the bytes are not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(&self.0).ok()
    }

    /// Whether it has no bytes, and stands for no attribute.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => fmt::Debug::fmt(text, f),
            None => fmt::Debug::fmt(self.as_bytes(), f),
        }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for AttributeValue {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::Format::format(self.as_bytes(), f);
    }
}

/// One attribute's place in a [`Roster`](super::Roster).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub(super) participant: ParticipantId,
    pub(super) key: AttributeKey,
    pub(super) value: AttributeValue,
    /// False only during a snapshot that has not told it so far.
    pub(super) mentioned: bool,
}

/// All of one participant, in the order of their keys.
pub(super) fn of<'a>(attributes: &'a [Attribute], participant: &ParticipantId) -> &'a [Attribute] {
    let start = attributes.partition_point(|known| known.participant < *participant);
    let rest = attributes.get(start..).unwrap_or_default();
    let len = rest.partition_point(|known| known.participant == *participant);
    rest.get(..len).unwrap_or_default()
}

/// How setting an attribute ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Changed,
    /// It was so before, or there is no place for one more here.
    Unchanged,
    /// The participant has as many as it may have.
    TooMany,
}

/// Sets an attribute of a participant that is in the roster.
pub(super) fn set(
    roster: &mut dyn Roster,
    participant: &ParticipantId,
    key: &AttributeKey,
    value: &AttributeValue,
) -> Set {
    let sought = (participant, key);
    let place = (roster.attributes())
        .binary_search_by(|known| (&known.participant, &known.key).cmp(&sought));
    match place {
        Ok(place) if value.is_empty() => {
            roster.remove_attribute(place);
            Set::Changed
        }
        Ok(place) => {
            let Some(known) = roster.attributes_mut().get_mut(place) else {
                return Set::Unchanged;
            };
            known.mentioned = true;
            if known.value == *value {
                return Set::Unchanged;
            }
            known.value.clone_from(value);
            Set::Changed
        }
        Err(_) if value.is_empty() => Set::Unchanged,
        Err(_) if of(roster.attributes(), participant).len() >= MAX_ATTRIBUTES => Set::TooMany,
        Err(place) => {
            let attribute = || Attribute {
                participant: participant.clone(),
                key: key.clone(),
                value: value.clone(),
                mentioned: true,
            };
            if roster.insert_attribute(place, attribute()) {
                return Set::Changed;
            }
            // One that the snapshot under way has yet to tell makes room: it may be gone.
            let unmentioned = roster
                .attributes()
                .iter()
                .position(|known| !known.mentioned);
            let Some(unmentioned) = unmentioned else {
                return Set::Unchanged;
            };
            roster.remove_attribute(unmentioned);
            let place = place - usize::from(unmentioned < place);
            match roster.insert_attribute(place, attribute()) {
                true => Set::Changed,
                false => Set::Unchanged,
            }
        }
    }
}

/// Forgets all of one participant.
pub(super) fn forget(roster: &mut dyn Roster, participant: &ParticipantId) {
    let is_its = |known: &Attribute| known.participant == *participant;
    while let Some(place) = roster.attributes().iter().position(is_its) {
        roster.remove_attribute(place);
    }
}

/// Forgets what a snapshot that ends has not told, and names it.
pub(super) fn sweep(roster: &mut dyn Roster, gone: &mut dyn FnMut(Gone)) {
    while let Some(place) = roster
        .attributes()
        .iter()
        .position(|known| !known.mentioned)
    {
        if let Some(Attribute {
            participant, key, ..
        }) = roster.attributes().get(place)
        {
            gone(Gone::Attribute(participant.clone(), key.clone()));
        }
        roster.remove_attribute(place);
    }
}

#[cfg(test)]
mod tests;
