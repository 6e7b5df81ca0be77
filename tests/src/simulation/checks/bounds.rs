//! The server's memory.

use parlour_core::server::{Accounting, Server};
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;

use super::{Checks, Invariant};

/// Answers to strangers that wait.
const MAX_STATELESS: usize = 64;
/// Replies and notices that wait for one participant: the client has at most 16 requests under way, and the server tells
/// of knocks and the like. The server closes a connection beyond.
const MAX_CONTROL: usize = 256;

impl Checks {
    pub(super) fn check_bounds(&mut self, now: Instant, server: &Server) {
        let is = server.accounting();
        let may = &self.limits;
        let mix = may.mix;
        // Those being sent away are kept for a few seconds beyond the limit.
        let ids = 2 * is.participants + is.half_open;
        let tables = [
            ("rooms", is.rooms, may.rooms),
            (
                "participants",
                is.participants,
                may.participants + is.connection_ids,
            ),
            ("half-open joins", is.half_open, may.half_open),
            ("ended stays", is.ended, may.ended),
            ("connection ids", is.connection_ids, ids),
            ("answers to strangers", is.stateless, MAX_STATELESS),
            (
                "events",
                is.events,
                may.events + may.half_open + is.participants,
            ),
            ("a media queue", is.longest_media_queue, may.queued_media),
            // And a place that says how many are lost.
            (
                "a message queue",
                is.longest_message_queue,
                may.queued_messages + 1,
            ),
            ("a control queue", is.longest_control_queue, MAX_CONTROL),
            ("media buffers", is.media_buffers, may.media_buffers),
            (
                "bytes of media",
                is.media_bytes,
                may.media_buffers * MAX_DATAGRAM,
            ),
            // One for each participant, join and mix, and those of a session: its speaker, its window, who came and went.
            (
                "timers",
                is.timers,
                is.participants + is.half_open + 3 * is.rooms + is.mixes,
            ),
            ("mixes", is.mixes, mix.map_or(0, |mix| mix.sessions)),
            (
                "decoders of mixes",
                is.mix_decoders,
                is.mixes * mix.map_or(0, |mix| mix.talkers.into()),
            ),
            (
                "encoders of mixes",
                is.mix_encoders,
                is.mixes * mix.map_or(0, |mix| mix.encoders),
            ),
        ];
        let over = tables.into_iter().find(|(_, is, may)| is > may);
        if let Some((what, is, may)) = over {
            let text = format!("{is} of at most {may}: {what}");
            self.fail(Invariant::Bounded, now, text);
        }
    }

    /// A room has changed.
    pub(super) fn check_room_limit(&mut self, now: Instant, present: usize, waiting: usize) {
        let may = (
            self.limits.participants_per_room,
            self.limits.waiting_per_room,
        );
        self.largest_room = self.largest_room.max(present);
        if present > may.0 || waiting > may.1 {
            let text = format!("{present} present and {waiting} waiting, of {may:?}");
            self.fail(Invariant::RoomLimit, now, text);
        }
    }

    /// All people have left, and all times are over.
    pub(in crate::simulation) fn check_nothing_remains(&mut self, now: Instant, server: &Server) {
        let is = server.accounting();
        let kept = Accounting {
            // Buffers are used again, and participants that missed their end may still ask for it.
            media_bytes: is.media_bytes,
            ended: is.ended,
            ..Accounting::default()
        };
        if is != kept {
            self.fail(Invariant::NothingRemains, now, format!("{is:?}"));
        }
    }
}
