//! What must hold in every meeting, whatever happens in it.

mod amplification;
mod bounds;
mod hearing;
mod history;
mod mixing;
mod replicas;
mod requests;
mod stays;

use std::collections::BTreeMap;
use std::fmt;

use parlour_core::client::Event;
use parlour_core::server::{self, Server};
use parlour_core::time::Instant;

use super::person::Person;
use super::trouble::server_addresses;
use crate::network::Datagram;
use crate::party::{Handle, Heard, Mixed};
use crate::world::{Observer, World};

/// What can be violated. Each has times in which the network may recover; they are constants beside the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Nothing panics, also no check of the world itself: whom a frame is from, how long a datagram is, that all comes to rest.
    NoPanic,
    /// Every queue and table of the server is within its configured bound, and its bytes are accounted for.
    Bounded,
    /// A room has no more participants than it may.
    RoomLimit,
    /// A replica with the authority's version says what the authority says, and none lags for long.
    ReplicaAgrees,
    /// Nobody hears whom it may not: muted, censored, unsubscribed, in another room, gone; nor without being admitted.
    MayHear,
    /// Who should hear somebody does.
    ShouldHear,
    /// Sound is in order, and comes once.
    InOrder,
    /// Nobody leaves, is closed or reconnects for anything but what concerns itself.
    OwnTrouble,
    /// Whoever reaches the server is back in the session soon.
    Back,
    /// Every request is answered once.
    AnsweredOnce,
    /// An address that is not proven gets at most three times what came from it.
    Amplification,
    /// When all have left, the server has forgotten all of them.
    NothingRemains,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::NoPanic => "nothing panics",
            Self::Bounded => "queues and tables are bounded",
            Self::RoomLimit => "no room is over its limit",
            Self::ReplicaAgrees => "replicas agree with the authority",
            Self::MayHear => "nobody hears whom it may not",
            Self::ShouldHear => "everybody hears whom it should",
            Self::InOrder => "sound is in order and comes once",
            Self::OwnTrouble => "nobody leaves because of another's trouble",
            Self::Back => "whoever reaches the server is back soon",
            Self::AnsweredOnce => "every request is answered once",
            Self::Amplification => "unproven addresses get at most three times what they sent",
            Self::NothingRemains => "who has left is forgotten",
        };
        f.write_str(name)
    }
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What does not hold.
    pub invariant: Invariant,
    /// When that was seen.
    pub at: Instant,
    /// How it shows.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_micros() as f64 / 1e6;
        write!(f, "at {at} s, not so: {}: {}", self.invariant, self.text)
    }
}

/// All checks of one run, and what they have to know.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) people: Vec<Person>,
    /// The first violation.
    pub(super) violation: Option<Violation>,
    /// A checksum of all that was heard and told.
    pub(super) digest: u64,
    /// The time of the last thing that was told.
    pub(super) now: Instant,
    /// Frames that somebody heard.
    pub(super) count_heard: u64,
    /// Joins, anew or resumed.
    pub(super) count_joined: u64,
    /// Datagrams sent, by anybody.
    pub(super) count_sent: u64,
    /// Most participants that a room had.
    pub(super) largest_room: usize,
    /// Until when the server was away.
    pub(super) server_back: Instant,
    /// When somebody last ended a session.
    pub(super) session_ended: Option<Instant>,
    limits: server::Config,
    /// Whose device a handle is, by its number.
    owners: Vec<usize>,
    amplification: amplification::Ledger,
    hearing: hearing::Flows,
    /// Whose microphone an SSRC is.
    microphones: BTreeMap<u32, usize>,
    replicas: replicas::Rooms,
}

impl Checks {
    pub(super) fn new(limits: server::Config, people: Vec<Person>) -> Self {
        Self {
            people,
            violation: None,
            digest: 0xcbf2_9ce4_8422_2325,
            now: Instant::from_micros(0),
            count_heard: 0,
            count_joined: 0,
            count_sent: 0,
            largest_room: 0,
            server_back: Instant::from_micros(0),
            session_ended: None,
            limits,
            owners: Vec::new(),
            amplification: amplification::Ledger::new(server_addresses()),
            hearing: hearing::Flows::default(),
            microphones: BTreeMap::new(),
            replicas: replicas::Rooms::default(),
        }
    }

    /// Somebody has a new device.
    pub(super) fn started(&mut self, one: usize, handle: Handle, now: Instant) {
        assert_eq!(handle.0, self.owners.len(), "handles are counted up");
        self.owners.push(one);
        self.people[one].start(handle, now);
    }

    /// What has to be looked at now and then.
    pub(super) fn tick(&mut self, world: &World) {
        let now = world.now();
        self.now = now;
        if let Some(server) = world.running_server() {
            self.check_bounds(now, server);
            self.check_replicas(now, world);
        }
        self.check_back(now, world);
        self.check_unanswered(now);
        self.check_unheard(now);
    }

    fn owner(&self, handle: Handle) -> usize {
        self.owners[handle.0]
    }

    fn fail(&mut self, invariant: Invariant, at: Instant, text: String) {
        self.violation.get_or_insert(Violation {
            invariant,
            at,
            text,
        });
    }

    /// FNV-1a.
    fn note(&mut self, what: &str) {
        self.digest = what.bytes().fold(self.digest, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    }
}

impl Observer for Checks {
    fn sent(&mut self, now: Instant, datagram: &Datagram) {
        self.count_sent += 1;
        self.check_sent(now, datagram);
    }

    fn arrived(&mut self, _now: Instant, datagram: &Datagram) {
        self.amplification.arrived(datagram);
    }

    fn served(&mut self, now: Instant, server: &Server) {
        self.now = now;
        self.look_at_rooms(now, server);
    }

    fn served_event(&mut self, now: Instant, event: &server::Event) {
        self.check_departure(now, event);
    }

    fn told(&mut self, handle: Handle, now: Instant, event: &Event) {
        self.note(&format!("{handle:?} {now:?} {event:?}"));
        let one = self.owner(handle);
        if self.people[one].handle != Some(handle) {
            return;
        }
        match event {
            Event::Joined { resumed } => self.has_joined(one, now, *resumed),
            Event::Replied { request, result } => self.has_reply(one, now, *request, *result),
            Event::Reconnecting(cause) => self.check_reconnecting(one, now, *cause),
            Event::Closed(cause) => {
                self.check_closed(one, now, *cause);
                self.check_all_answered(one, now);
                self.people[one].is_closed = true;
            }
            _ => {}
        }
    }

    fn heard(&mut self, handle: Handle, sent_at: Instant, frame: &Heard) {
        self.count_heard += 1;
        self.note(&format!("{handle:?} {frame:?}"));
        self.check_heard(handle, sent_at, frame);
    }

    fn heard_mix(&mut self, handle: Handle, sent_at: Instant, frame: &Mixed) {
        self.count_heard += 1;
        self.note(&format!("{handle:?} {frame:?}"));
        self.check_mixed(handle, sent_at, frame);
    }
}
