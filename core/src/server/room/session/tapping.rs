//! The embedder's tap of a session.

use super::Session;
use super::forward::Live;
use crate::room::{ParticipantId, RoomUpdate};
use crate::server::context::Context;
use crate::server::keys::MemberKey;
use crate::server::member::Publication;
use crate::server::{Tapped, TappedStream};

impl Session {
    pub(in crate::server::room) fn set_tapped(&mut self, tapped: bool) {
        self.tapped = tapped;
    }

    pub(in crate::server::room) fn set_recorded(&mut self, cx: &mut Context, recorded: bool) {
        self.change(cx, RoomUpdate::Recorded { recorded });
    }

    fn tapped_stream(&self, participant: &ParticipantId, stream: &Publication) -> TappedStream {
        TappedStream {
            session: self.id,
            participant: participant.clone(),
            key: stream.key.clone(),
            kind: stream.kind,
            codec: stream.codec,
            ssrc: stream.ssrc,
        }
    }

    /// Gives a packet that may be heard or seen to the embedder.
    #[cold]
    pub(super) fn tap(&self, cx: &mut Context, publisher: MemberKey, live: &Live<'_>) {
        let Some(member) = self.get(publisher) else {
            return;
        };
        let arriving = &live.arriving;
        let mut streams = member.sends.streams.iter();
        let Some(stream) = streams.find(|stream| stream.ssrc == arriving.ssrc) else {
            return;
        };
        cx.taps.push(Tapped::Packet {
            stream: self.tapped_stream(member.id(), stream),
            received: cx.now,
            sequence: arriving.sequence,
            timestamp: arriving.timestamp,
            marker: arriving.marker,
            level: live.audio_level,
            payload: live.payload.into(),
        });
    }

    /// Tells the embedder that a stream has ended, if it taps the session.
    pub(super) fn tap_ends(
        &self,
        cx: &mut Context,
        participant: &ParticipantId,
        stream: &Publication,
    ) {
        if self.tapped {
            let ended = self.tapped_stream(participant, stream);
            cx.taps.push(Tapped::Ended(ended));
        }
    }
}
