//! One participant as the server holds it: its association, its rights, and its stay in a session.

mod allotment;
mod association;
mod delivery;
pub(super) mod media;
pub(super) mod messages;
mod numbers;
mod pictures;
mod progress;
mod rate;
mod reach;
mod receives;
mod rights;
mod sends;
pub(super) mod slots;
mod subscriptions;
mod thinning;
mod tickets;
mod watching;
mod way;

use alloc::boxed::Box;
use alloc::vec::Vec;

pub(super) use allotment::Taker;
pub(super) use association::{Association, encoded};
pub(super) use reach::Reach;
#[cfg(feature = "opus-fullband")]
pub(super) use receives::Mixed;
pub(super) use receives::Receives;
pub(super) use rights::{Expiry, Refresh, Rights};
pub(super) use sends::{Publication, Sends};
pub(super) use tickets::Tickets;
pub(super) use watching::Taken;

use super::Config;
use super::promise::Wish;
use crate::room::{AttributeKey, AttributeValue, DisplayName, ParticipantId};
use crate::time::{Instant, earlier};

/// Media packets that wait for an address which is not proven.
const MAX_UNPROVEN: usize = 4;

/// One that is in a session.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) association: Association,
    pub(super) rights: Rights,
    pub(super) sends: Sends,
    pub(super) receives: Receives,
}

impl Member {
    pub(super) fn id(&self) -> &ParticipantId {
        &self.association.id
    }

    /// Whether it can use media.
    pub(super) fn is_listening(&self) -> bool {
        self.association.is_connected()
    }

    /// Whether its queues are as long as they may be for an unproven address. The limit is small: little may be sent
    /// there, and the buffers are shared by all.
    pub(super) fn is_held_back(&self) -> bool {
        !self.association.reach.proven && self.receives.waiting() >= MAX_UNPROVEN
    }

    /// Whether another datagram could be filled now.
    pub(super) fn has_more(&self, now: Instant) -> bool {
        let association = &self.association;
        self.has_frames(now)
            || association.has_more()
            || !self.receives.messages.is_empty() && association.link.free_window() > 0
    }

    /// Whether anything but signalling waits.
    pub(super) fn has_frames(&self, now: Instant) -> bool {
        !self.receives.media.is_empty()
            || self.receives.watching.is_due(now)
            || !self.sends.report.is_empty()
            || !self.sends.questions.is_empty()
    }

    /// The next timeout.
    pub(super) fn next_timeout(&self, config: &Config) -> Option<Instant> {
        let sends = earlier(self.sends.report_at, self.sends.pictures_timeout());
        let media = earlier(sends, self.receives.watching.poll_timeout());
        let presence = self.association.next_timeout(config, media);
        earlier(
            presence,
            self.rights.next_timeout(Some(config.expiry_notice)),
        )
    }
}

/// One that waits in a lobby.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) association: Association,
    pub(super) name: DisplayName,
    pub(super) rights: Rights,
    /// Those that it has once it is in.
    pub(super) attributes: Vec<(AttributeKey, AttributeValue)>,
    /// The requests of its join, for when it is let in.
    pub(super) wish: Box<Wish>,
}

impl Guest {
    pub(super) fn next_timeout(&self, config: &Config) -> Option<Instant> {
        let presence = self.association.next_timeout(config, None);
        // Nothing can be told in the lobby.
        earlier(presence, self.rights.next_timeout(None))
    }
}

/// One that is out, but not forgotten before it knows that, or this instant.
#[derive(Debug)]
pub(super) struct Departing {
    pub(super) association: Association,
    pub(super) until: Instant,
}

impl Departing {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        earlier(Some(self.until), self.association.link.poll_timeout())
    }

    /// Whether it has acknowledged the close.
    pub(super) fn is_settled(&self) -> bool {
        !self.association.has_control() && self.association.link.is_settled()
    }
}
