//! What can go wrong with what the embedder hands in, and what is done with datagrams.

use thiserror::Error;

use crate::signal::JoinRefusal;

/// Why a datagram was dropped. Nothing has changed, except that it was counted.
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
    #[error("what the join was for is gone")]
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

/// Why a join was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AdmitError {
    /// The join was answered before, or its time is over: nothing has changed.
    #[error("no such join is waiting: it was answered before or has timed out")]
    UnknownJoin,
    /// The session has as many participants as it may have. The one who asked is told.
    #[error("the room is full; the participant is told so")]
    RoomFull,
    /// The server has as many rooms or participants as it may have. The one who asked is told.
    #[error("the server is full; the participant is told so")]
    ServerFull,
    /// The participant joins more often than it may. The one who asked is told.
    #[error("the participant joins too often; it is told so")]
    TooOften,
    /// The participant is there already, and the room wants it once. The one who asked is told.
    #[error("the participant is there already; the new one is told so")]
    DuplicateParticipant,
    /// [`Admission::attributes`](super::Admission::attributes) has more than
    /// [`MAX_ATTRIBUTES`](crate::room::MAX_ATTRIBUTES). The one who asked is told that there are no joins now.
    #[error("the admission has more than 8 attributes; the participant is told to try again later")]
    TooManyAttributes,
    /// A moderator removed this participant from the session. The one who asked is told.
    #[error("a moderator removed this participant from the session; it is told so")]
    Kicked,
    /// It wants to go on with a stay that was ended, and does not know that. The one who asked is
    /// told why; it may join anew if its user wants that.
    #[error("the participant goes on with a stay that was ended: {0}; it is told so")]
    Ended(JoinRefusal),
    /// The server is shutting down. The one who asked is told.
    #[error("the server is shutting down; the participant is told so")]
    ShuttingDown,
}

/// Why a join was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("no such join is waiting: it was answered before or has timed out")]
pub struct UnknownJoin;

/// Why a new token was not taken.
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

/// Why the application's moderation or message had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ModerateError {
    /// There is no session in that room, nor anybody waiting for one.
    #[error("no session is going on in that room")]
    UnknownRoom,
    /// Nobody in the session, or in its lobby, has that id.
    #[error("no such participant there")]
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
