//! Errors of the embedder's input, and the outcomes of datagrams.

use thiserror::Error;

use crate::signal::JoinRefusal;

/// The reason that a datagram was dropped. Nothing has changed, except that it was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Dropped {
    /// Its first byte is not that of a Parlour packet: another protocol's, perhaps.
    #[error("the datagram belongs to another protocol")]
    NotParlour,
    /// It is too short, too long or inconsistent.
    #[error("the datagram is not a well-formed packet")]
    Malformed,
    /// It is a packet that only a server sends.
    #[error("the packet is one that only a server sends")]
    Misdirected,
    /// So many answers to strangers wait to be sent that this one gets none.
    #[error("too many answers to strangers are waiting: poll what there is to transmit")]
    OutboxFull,
    /// The server is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// As many joins as allowed are under way, altogether or from there.
    #[error("too many joins are under way")]
    HalfOpenFull,
    /// More Hellos come, all of them or from there, than the server looks into.
    #[error("too many Hellos: more than the server looks into")]
    TooManyHellos,
    /// The Hello repeats one that still waits for the embedder's answer.
    #[error("the Hello repeats one that is being answered")]
    Repeated,
    /// The Hello was made for another server's key, or was altered.
    #[error("the Hello is forged, damaged or meant for another key")]
    BadHandshake,
    /// No such connection, and the sender was not told: the packet was too short, or too many were
    /// told already.
    #[error("no such connection")]
    UnknownConnection,
    /// The packet has been received before, or is too old to tell.
    #[error("the packet is a repetition, or too old to tell")]
    Replayed,
    /// The packet was not sealed with the connection's keys.
    #[error("the packet is forged or damaged")]
    Forged,
    /// The session or the participant that the join was for is gone.
    #[error("the join's session or participant is gone")]
    Superseded,
}

impl Dropped {
    /// All reasons, in the order of [`Statistics::dropped`](super::Statistics::dropped).
    pub const ALL: [Self; 13] = [
        Self::NotParlour,
        Self::Malformed,
        Self::Misdirected,
        Self::OutboxFull,
        Self::ShuttingDown,
        Self::HalfOpenFull,
        Self::TooManyHellos,
        Self::Repeated,
        Self::BadHandshake,
        Self::UnknownConnection,
        Self::Replayed,
        Self::Forged,
        Self::Superseded,
    ];
}

/// The reason that a join was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AdmitError {
    /// The join was answered before, or its time is over: nothing has changed.
    #[error("no such join is waiting: it was answered before or has timed out")]
    UnknownJoin,
    /// The session has reached its limit of participants. The participant is told.
    #[error("the room is full; the participant is told so")]
    RoomFull,
    /// The server has reached its limit of rooms or participants. The participant is told.
    #[error("the server is full; the participant is told so")]
    ServerFull,
    /// The participant joins more often than it may. The participant is told.
    #[error("the participant joins too often; it is told so")]
    TooOften,
    /// The participant is already present, and the room allows it once. The new one is told.
    #[error("the participant is already present; the new one is told so")]
    DuplicateParticipant,
    /// [`Admission::attributes`](super::Admission::attributes) has more than
    /// [`MAX_ATTRIBUTES`](crate::room::MAX_ATTRIBUTES). The participant is told that the server accepts no joins now.
    #[error("the admission has more than 8 attributes; the participant is told to try again later")]
    TooManyAttributes,
    /// A moderator removed this participant from the session. The participant is told.
    #[error("a moderator removed this participant from the session; it is told so")]
    Kicked,
    /// The participant tries to continue a stay that was ended, without knowing that. It is told the reason; it may
    /// join anew if its user wants that.
    #[error("the participant's stay was ended: {0}; it is told so")]
    Ended(JoinRefusal),
    /// The server is shutting down. The participant is told.
    #[error("the server is shutting down; the participant is told so")]
    ShuttingDown,
}

/// The reason that a join was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("no such join is waiting: it was answered before or has timed out")]
pub struct UnknownJoin;

/// The reason that a new token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RefreshError {
    /// It was answered before, or the participant is gone: nothing has changed.
    #[error("no such token is waiting: it was answered before or its participant is gone")]
    UnknownRefresh,
    /// The token is for another room or participant. The participant is told.
    #[error("the token is for another room or participant; the participant is told so")]
    Mismatch,
}

/// The reason that the application's moderation or message had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ModerateError {
    /// The room has neither a session nor waiting participants.
    #[error("the room has no session")]
    UnknownRoom,
    /// No participant in the session, or in its lobby, has that id.
    #[error("no such participant in the room")]
    UnknownParticipant,
    /// The participant publishes nothing under that key.
    #[error("the participant publishes no stream with that key")]
    UnknownStream,
    /// The message is longer than [`MAX_BODY`](crate::signal::MAX_BODY).
    #[error("the message is too long: at most 640 bytes")]
    MessageTooLong,
    /// The participant has [`MAX_ATTRIBUTES`](crate::room::MAX_ATTRIBUTES) already.
    #[error("the participant has 8 attributes, as many as it may: remove one first")]
    TooManyAttributes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        for (index, reason) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
