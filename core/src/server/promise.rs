//! What a join asks for, and what it is promised until its first Data packet comes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::OnDuplicate;
use super::keys::{PeerKey, RoomKey};
use crate::link::Ids;
use crate::room::{
    AttributeKey, AttributeValue, DisplayName, Grants, MAX_STREAMS, ParticipantId, SessionId,
    Stream, Version,
};
use crate::secure::{ResumeTicket, Transport};
use crate::signal::{Join, Publish, Resume, SubscribePolicy};
use crate::time::Instant;

/// What a join asks for.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) participants: u16,
    pub(super) slots: u8,
    pub(super) policy: SubscribePolicy,
    pub(super) publish: heapless::Vec<Publish, MAX_STREAMS, u8>,
    pub(super) resume: Option<Resume>,
}

impl Wish {
    pub(super) fn new(join: &Join<'_>) -> Self {
        Self {
            participants: join.participants,
            slots: join.slots,
            policy: join.policy,
            publish: join.publish.clone(),
            resume: join.resume.clone(),
        }
    }
}

/// What waits for the first Data packet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) transport: Transport,
    pub(super) ids: Ids,
    pub(super) room: RoomKey,
    /// How often the room had been closed when this was promised.
    pub(super) closings: u32,
    pub(super) participant: ParticipantId,
    pub(super) name: DisplayName,
    pub(super) grants: Grants,
    pub(super) expires: Option<Instant>,
    pub(super) on_duplicate: OnDuplicate,
    pub(super) attributes: Vec<(AttributeKey, AttributeValue)>,
    /// The handle of a ticket that was shown and continues nothing.
    pub(super) stale: Option<u64>,
    pub(super) entry: Entry,
}

/// How a join enters.
#[derive(Debug)]
pub(super) enum Entry {
    /// Into the session, as somebody new.
    New(Offer),
    /// Into the lobby, with a ticket by which it is known again.
    Lobby(Box<Wish>, ResumeTicket),
    /// As the participant that it was, who last applied the version.
    Resume {
        peer: PeerKey,
        handle: u64,
        ticket: ResumeTicket,
        version: Option<Version>,
    },
}

/// What a new participant was promised.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) session: SessionId,
    pub(super) slot_ssrc: u32,
    pub(super) slots: u8,
    pub(super) participants: u16,
    pub(super) policy: SubscribePolicy,
    pub(super) streams: Vec<Stream>,
    pub(super) ticket: ResumeTicket,
}
