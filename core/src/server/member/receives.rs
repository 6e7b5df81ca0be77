//! A participant's input: the streams it hears, its queues, and its version of the room.

use alloc::vec::Vec;

use super::media::MediaQueue;
use super::messages::Messages;
use super::slots::Slots;
use super::subscriptions::Subscriptions;
use super::watching::Watching;
use crate::room::{LobbyView, ParticipantId, StreamKind, Version, View};
use crate::server::Config;
use crate::server::pool::Pool;
use crate::signal::{StreamRef, SubscribePolicy};
#[cfg(feature = "opus-fullband")]
use crate::time::Instant;

/// So many changes of the room are told before one of the messages that wait.
const TOLD_FIRST: u8 = 4;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Receives {
    pub(crate) subscriptions: Subscriptions,
    pub(crate) slots: Slots,
    pub(crate) media: MediaQueue,
    pub(crate) watching: Watching,
    /// Whether it is in its session's list of members whose frames wait to be gathered.
    pub(crate) gathered: bool,
    #[cfg(feature = "opus-fullband")]
    pub(crate) mixed: Mixed,
    pub(crate) view: View,
    /// It knows all that it should of the room at this version; `None`: it has to be looked at.
    pub(crate) told: Option<Version>,
    /// An encoded message that has left its queue and waits for room in the link.
    pub(crate) pending: Option<Vec<u8>>,
    pub(crate) messages: Messages,
    /// Changes of the room that were told while the first of the messages waited.
    pub(crate) told_first: u8,
    pub(crate) lobby: LobbyView,
    pub(crate) loss: u8,
    /// Packets of media that were sent to it.
    pub(crate) packets: u64,
}

/// A receiver's place in the flow of its mix.
#[cfg(feature = "opus-fullband")]
#[derive(Debug, Default)]
pub(crate) struct Mixed {
    pub(crate) sequence: u16,
    /// The time when the sound of the last packet began.
    pub(crate) last: Option<Instant>,
}

impl Receives {
    pub(crate) fn new(policy: SubscribePolicy, slots: Slots, view: View, config: &Config) -> Self {
        Self {
            subscriptions: Subscriptions::new(policy),
            slots,
            media: MediaQueue::new(config.queued_media, config.queued_media_time),
            watching: Watching::new(config),
            gathered: false,
            #[cfg(feature = "opus-fullband")]
            mixed: Mixed::default(),
            view,
            told: None,
            pending: None,
            messages: Messages::new(config.queued_messages),
            told_first: 0,
            lobby: LobbyView::default(),
            loss: 0,
            packets: 0,
        }
    }

    /// Whether a message goes before the remaining changes of the room.
    pub(crate) fn is_message_due(&self) -> bool {
        !self.messages.is_empty() && self.told_first >= TOLD_FIRST
    }

    /// Applies changed subscriptions.
    pub(crate) fn wanted_changed(&mut self) {
        self.view.wanted_changed();
        self.told = None;
    }

    /// Frees the slots of unwanted streams, and removes their waiting packets.
    pub(crate) fn drop_unwanted(&mut self, pool: &mut Pool) {
        let subscriptions = &self.subscriptions;
        // A mix replaces all audio streams, whatever the subscriptions to single streams.
        let is_mixed = subscriptions.mix().is_some();
        let wanted =
            |ssrc, kind| subscriptions.want(ssrc, kind) || (is_mixed && kind == StreamKind::Audio);
        self.slots.retain(|ssrc| wanted(ssrc, StreamKind::Audio));
        self.media.retain(pool, wanted);
        self.watching
            .retain(pool, |ssrc| subscriptions.want(ssrc, StreamKind::Video));
    }

    /// Gives up all media that waits.
    pub(crate) fn clear_media(&mut self, pool: &mut Pool) {
        self.media.clear(pool);
        self.watching.clear(pool);
    }

    /// Frames that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.media.len() + self.watching.len()
    }

    /// Gives up all subscriptions and all waiting media.
    pub(crate) fn unsubscribe_all(&mut self, pool: &mut Pool) {
        self.subscriptions = Subscriptions::new(SubscribePolicy::None);
        self.slots.pin(None);
        self.slots.clear();
        self.media.clear(pool);
        self.watching.retain(pool, |_| false);
        self.wanted_changed();
    }

    /// A stream appeared under this name, or disappeared.
    pub(crate) fn resolve(&mut self, stream: &StreamRef, ssrc: Option<u32>) {
        self.subscriptions.resolve(stream, ssrc);
        self.forget_watched();
        let is_pinned = self.subscriptions.is_pinned(stream);
        if is_pinned {
            self.slots.pin(ssrc);
        }
        // Its publisher may have come back.
        if is_pinned || self.subscriptions.mentions(stream) {
            self.wanted_changed();
        }
    }

    /// Forgets the streams of pictures that are not published any more.
    fn forget_watched(&mut self) {
        let subscriptions = &self.subscriptions;
        self.watching
            .forget(|ssrc| subscriptions.want(ssrc, StreamKind::Video));
    }

    /// Another participant left, and its streams with it.
    pub(crate) fn left(&mut self, participant: &ParticipantId, ssrcs: &[u32]) {
        self.subscriptions.left(participant);
        self.forget_watched();
        for ssrc in ssrcs {
            self.slots.forget(*ssrc);
        }
    }
}
