//! One participant as the server holds it: its association and its stay in a room.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::joins::Wish;
use super::limits::Allowance;
use super::machine::RoomKey;
use super::media::MediaQueue;
use super::messages::Messages;
use super::progress::Progress;
use super::slots::Slots;
use super::subscriptions::Subscriptions;
use super::tickets::Tickets;
use super::timers::Alarm;
use super::{Config, Path, RefreshId};
use crate::audio::Loudness;
use crate::link::Link;
use crate::room::{
    Codec, ConnectionState, DisplayName, Grants, ParticipantId, RoomUpdate, Stream, StreamKey,
    StreamKind, Version, View,
};
use crate::rtp::ReceptionStats;
use crate::signal::{MAX_MESSAGE, RequestId, ServerMessage, encode};
use crate::time::{Duration, Instant, earlier, micros};
use crate::wire::ConnectionId;

/// Control messages that wait for a participant. Requests are not taken while there are as many,
/// so replies always have a place.
const MAX_CONTROL: usize = 16;
/// Media packets that wait for an address which is not proven.
const MAX_UNPROVEN: usize = 4;

/// Where a participant is reached, and how much may be sent there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) path: Path,
    /// Whether what is sent there is known to arrive.
    pub(super) proven: bool,
    received: u64,
    sent: u64,
}

impl Reach {
    pub(super) fn new(path: Path) -> Self {
        Self {
            path,
            proven: path.is_proven(),
            received: 0,
            sent: 0,
        }
    }

    pub(super) fn received(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(bytes as u64);
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    /// Bytes that may be sent there now: without proof, three times what came from there.
    pub(super) fn budget(&self) -> usize {
        if self.proven {
            return usize::MAX;
        }
        let budget = self.received.saturating_mul(3).saturating_sub(self.sent);
        usize::try_from(budget).unwrap_or(usize::MAX)
    }
}

/// One stream that a participant publishes.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) key: StreamKey,
    pub(super) kind: StreamKind,
    pub(super) codec: Codec,
    pub(super) ssrc: u32,
    pub(super) muted: bool,
    pub(super) reception: ReceptionStats,
    pub(super) progress: Progress,
    /// Whether something came since the last report.
    pub(super) unreported: bool,
    pub(super) loudness: Loudness,
}

impl Published {
    pub(super) fn new(stream: &Stream) -> Self {
        Self {
            key: stream.key.clone(),
            kind: stream.kind,
            codec: stream.codec,
            ssrc: stream.ssrc,
            muted: stream.muted,
            reception: ReceptionStats::new(stream.ssrc, stream.codec.clock_rate()),
            progress: Progress::default(),
            unreported: false,
            loudness: Loudness::new(),
        }
    }
}

/// How far a participant has come.
#[derive(Debug)]
pub(super) enum Phase {
    /// In the lobby, with what it wants to do once it is in.
    Waiting(Box<Wish>),
    /// In the session.
    Present,
    /// Out, but not forgotten before it knows that, or this instant.
    Closing(Instant),
}

/// What a participant sends too much of.
#[derive(Debug)]
pub(super) struct Buckets {
    pub(super) requests: Allowance,
    pub(super) messages: Allowance,
    pub(super) media: Allowance,
    pub(super) control: Allowance,
}

impl Buckets {
    fn new(config: &Config, now: Instant) -> Self {
        Self {
            requests: Allowance::new(config.requests, now),
            messages: Allowance::new(config.messages, now),
            media: Allowance::new(config.media, now),
            control: Allowance::new(config.control, now),
        }
    }
}

/// A new token that the embedder looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refresh {
    pub(super) id: RefreshId,
    pub(super) request: RequestId,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: ParticipantId,
    pub(super) name: DisplayName,
    pub(super) room: RoomKey,
    pub(super) phase: Phase,

    // The association.
    pub(super) link: Link,
    /// The id that the former keys receive under, as the server's table has it.
    pub(super) former_id: Option<ConnectionId>,
    pub(super) reach: Reach,
    pub(super) connection: ConnectionState,
    /// When a silent participant is given up.
    pub(super) grace_end: Option<Instant>,
    /// The latest that a resume which is under way can put this off to.
    pub(super) grace_limit: Option<Instant>,
    pub(super) alarm: Alarm,
    /// Whether it stands in the queue of those with something to send.
    pub(super) ready: bool,
    /// Whether it stands in its room's list of those with frames that wait for others.
    pub(super) gathered: bool,
    pub(super) buckets: Buckets,

    // What it may do, and until when.
    pub(super) grants: Grants,
    pub(super) expires: Option<Instant>,
    pub(super) expiry_told: bool,
    pub(super) refresh: Option<Refresh>,
    pub(super) tickets: Option<Tickets>,

    // What it sends.
    pub(super) streams: Vec<Published>,
    pub(super) censored: bool,
    pub(super) report_at: Option<Instant>,
    /// An encoded report that waits to be sent.
    pub(super) report: Vec<u8>,
    pub(super) uplink_loss: u8,
    pub(super) downlink_loss: u8,
    pub(super) media_received: u64,
    pub(super) media_sent: u64,

    // What it receives.
    pub(super) subscriptions: Subscriptions,
    pub(super) slots: Slots,
    pub(super) media: MediaQueue,
    #[cfg(feature = "opus-fullband")]
    pub(super) mixed: super::mixing::Mixed,
    pub(super) view: Option<View>,
    /// It knows all that it should of the room at this version; `None`: it has to be looked at.
    pub(super) told: Option<Version>,
    /// Encoded replies and other messages that go before all others.
    pub(super) control: VecDeque<Box<[u8]>>,
    /// An encoded message that has left its queue and waits for room in the link.
    pub(super) pending: Option<Vec<u8>>,
    pub(super) messages: Messages,
    /// Of whom this moderator knows that they wait.
    pub(super) knocks: BTreeSet<ParticipantId>,
    /// The room's count of changes in its lobby that this moderator has heard of.
    pub(super) knocks_seen: u64,
}

/// What a new [`Member`] begins with.
pub(super) struct NewMember {
    pub(super) id: ParticipantId,
    pub(super) name: DisplayName,
    pub(super) grants: Grants,
    pub(super) expires: Option<Instant>,
    pub(super) room: RoomKey,
    pub(super) phase: Phase,
    pub(super) link: Link,
    pub(super) reach: Reach,
    pub(super) slots: Slots,
    pub(super) subscriptions: Subscriptions,
}

impl Member {
    pub(super) fn new(new: NewMember, config: &Config, now: Instant) -> Self {
        Self {
            id: new.id,
            name: new.name,
            room: new.room,
            phase: new.phase,
            link: new.link,
            former_id: None,
            reach: new.reach,
            connection: ConnectionState::Connected,
            grace_end: None,
            grace_limit: None,
            alarm: Alarm::default(),
            ready: false,
            gathered: false,
            buckets: Buckets::new(config, now),
            grants: new.grants,
            expires: new.expires,
            expiry_told: false,
            refresh: None,
            tickets: None,
            streams: Vec::new(),
            censored: false,
            report_at: None,
            report: Vec::new(),
            uplink_loss: 0,
            downlink_loss: 0,
            media_received: 0,
            media_sent: 0,
            subscriptions: new.subscriptions,
            slots: new.slots,
            media: MediaQueue::new(config.queued_media, config.queued_media_time),
            #[cfg(feature = "opus-fullband")]
            mixed: super::mixing::Mixed::default(),
            view: None,
            told: None,
            control: VecDeque::new(),
            pending: None,
            messages: Messages::new(config.queued_messages),
            knocks: BTreeSet::new(),
            knocks_seen: 0,
        }
    }

    pub(super) fn is_present(&self) -> bool {
        matches!(self.phase, Phase::Present)
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting(_))
    }

    /// Whether it is in the session and in touch, so that media for it is of use.
    pub(super) fn is_listening(&self) -> bool {
        self.is_present() && self.connection == ConnectionState::Connected
    }

    /// Whether as much waits for it as may wait for an address that is not proven: little, because
    /// little may be sent there, and the buffers are everybody's.
    pub(super) fn is_held_back(&self) -> bool {
        !self.reach.proven && self.media.len() >= MAX_UNPROVEN
    }

    pub(super) fn stream(&self, key: &StreamKey) -> Option<&Published> {
        self.streams.iter().find(|stream| stream.key == *key)
    }

    pub(super) fn stream_mut(&mut self, key: &StreamKey) -> Option<&mut Published> {
        self.streams.iter_mut().find(|stream| stream.key == *key)
    }

    /// Whether requests can be taken: there is room for their replies.
    pub(super) fn takes_requests(&self) -> bool {
        self.control.len() < MAX_CONTROL
    }

    /// Queues a message that goes before all others.
    pub(super) fn tell(&mut self, message: &ServerMessage<'_>) {
        if let Some(bytes) = encoded(message) {
            self.control.push_back(bytes.into_boxed_slice());
        }
    }

    /// What it asked for is different from now on.
    pub(super) fn wanted_changed(&mut self) {
        if let Some(view) = &mut self.view {
            view.wanted_changed();
            self.told = None;
        }
    }

    /// The token, as admitted anew.
    pub(super) fn renew(&mut self, grants: Grants, expires: Option<Instant>) {
        self.grants = grants;
        self.expires = expires;
        self.expiry_told = false;
    }

    /// When something is due, apart from what arrives.
    pub(super) fn next_timeout(&self, config: &Config) -> Option<Instant> {
        if let Phase::Closing(until) = self.phase {
            return earlier(Some(until), self.link.poll_timeout());
        }
        let presence = match self.connection {
            ConnectionState::Connected => earlier(
                Some(self.link.last_received() + config.silence),
                earlier(self.link.poll_timeout(), self.report_at),
            ),
            _ => self.grace_end,
        };
        let token = match self.expires {
            // Nothing can be told in the lobby.
            Some(expires) if self.expiry_told || self.is_waiting() => Some(expires),
            Some(expires) => Some(before(expires, config.expiry_notice)),
            None => None,
        };
        earlier(presence, token)
    }
}

/// `duration` before `instant`.
fn before(instant: Instant, duration: Duration) -> Instant {
    Instant::from_micros(instant.as_micros().saturating_sub(micros(duration)))
}

/// The encoding of a message. Every message that the server makes fits [`MAX_MESSAGE`]: bodies
/// were checked when they came in.
pub(super) fn encoded(message: &ServerMessage<'_>) -> Option<Vec<u8>> {
    let mut buffer = [0; MAX_MESSAGE];
    let len = encode(message, &mut buffer).ok()?;
    buffer.get(..len).map(Vec::from)
}

/// The encoding of a room update.
pub(super) fn encoded_update(version: Version, update: RoomUpdate) -> Option<Vec<u8>> {
    encoded(&ServerMessage::Update { version, update })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unproven_path_gets_three_times_what_it_sent() {
        let mut reach = Reach::new(Path::udp("192.0.2.1:9".parse().unwrap()));
        assert_eq!(reach.budget(), 0);
        reach.received(100);
        reach.sent(250);
        assert_eq!(reach.budget(), 50);
        reach.sent(60);
        assert_eq!(reach.budget(), 0);
        reach.proven = true;
        assert_eq!(reach.budget(), usize::MAX);
        let stream = Path::Stream {
            id: 1,
            from: core::net::Ipv4Addr::LOCALHOST.into(),
        };
        assert_eq!(Reach::new(stream).budget(), usize::MAX);
    }
}
