//! Participants and what they publish, as the room shows them to each other.

use serde::{Deserialize, Serialize};

use super::{Codec, DisplayName, ParticipantId, StreamKey, StreamKind};

/// Most streams that one participant may publish at a time: a microphone, a camera, a screen and
/// the screen's sound. It bounds what every replica reserves per tracked participant.
pub const MAX_STREAMS: usize = 4;

/// One published flow of media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stream {
    /// Its name among its publisher's streams.
    pub key: StreamKey,
    /// The kind of media.
    pub kind: StreamKind,
    /// The codec of its payload.
    pub codec: Codec,
    /// The RTP SSRC that the server gave it. In a slot's packets it stands in the CSRC list, which
    /// tells a receiver who is speaking.
    pub ssrc: u32,
    /// Silenced by its publisher.
    pub muted: bool,
}

/// Whether a participant's end is in touch with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConnectionState {
    /// Packets are arriving.
    Connected,
    /// Silent for a while, and within its grace time: it keeps its place.
    Reconnecting,
}

/// One party of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Participant {
    /// The participant's id.
    pub id: ParticipantId,
    /// The display name.
    pub name: DisplayName,
    /// Whether its end is in touch.
    pub connection: ConnectionState,
    /// Silenced by a moderator: none of its audio streams is heard, whatever it publishes.
    pub censored: bool,
    /// The published streams, in the order of publishing.
    pub streams: heapless::Vec<Stream, MAX_STREAMS, u8>,
}

impl Participant {
    /// A participant that publishes nothing yet.
    pub fn new(id: ParticipantId, name: DisplayName) -> Self {
        Self {
            id,
            name,
            connection: ConnectionState::Connected,
            censored: false,
            streams: heapless::Vec::new(),
        }
    }

    /// The stream called `key`, if it is published.
    pub fn stream(&self, key: &StreamKey) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.key == *key)
    }

    /// Whether `stream`, one of this participant's, may be heard or seen now: not muted, and if it
    /// is audio, not censored.
    pub fn is_live(&self, stream: &Stream) -> bool {
        !(stream.muted || self.censored && stream.kind == StreamKind::Audio)
    }
}
