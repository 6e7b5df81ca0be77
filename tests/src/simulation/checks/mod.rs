//! The invariants of every meeting, in any trouble.

mod amplification;
mod bounds;
mod hearing;
mod history;
mod mixing;
mod replicas;
mod requests;
mod seeing;
mod stays;

use std::collections::BTreeMap;
use std::fmt;

use parlour_core::client::Event;
use parlour_core::server::{self, Server};
use parlour_core::time::Instant;

use super::person::Person;
use super::trouble::server_addresses;
use crate::camera::Shown;
use crate::network::Datagram;
use crate::party::{Handle, Heard, Mixed};
use crate::world::{Observer, World};

/// The invariants. Each has times in which the network may recover; they are constants beside the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Nothing panics, also no check of the world itself: whom a frame is from, that no picture comes without those that it needs,
    /// how long a datagram is, that all comes to rest.
    NoPanic,
    /// Every queue and table of the server is within its configured bound, and its bytes are accounted for.
    Bounded,
    /// A room has no more participants than it may.
    RoomLimit,
    /// A replica with the authority's version says what the authority says, and none lags for long.
    ReplicaAgrees,
    /// No participant hears another that it may not: muted, censored, unsubscribed, in another room, gone; nor any
    /// without being admitted.
    MayHear,
    /// A participant that should hear another does.
    ShouldHear,
    /// No participant gets pictures of another that it may not see, or did not ask for.
    MaySee,
    /// A participant that should see another does.
    ShouldSee,
    /// Sound is in order, and comes once.
    InOrder,
    /// No participant leaves, is closed or reconnects, except for trouble of its own.
    OwnTrouble,
    /// A participant that reaches the server is back in the session soon.
    Back,
    /// Every request is answered once.
    AnsweredOnce,
    /// An address that is not proven gets at most three times what came from it.
    Amplification,
    /// When all people have left, the server has forgotten all of them.
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
            Self::MaySee => "nobody sees whom it may not",
            Self::ShouldSee => "everybody sees whom it should",
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
    /// The violated invariant.
    pub invariant: Invariant,
    /// The time of the violation.
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

/// All checks of one run, and their data.
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
    /// Pictures that somebody saw.
    pub(super) count_shown: u64,
    /// Joins, anew or resumed.
    pub(super) count_joined: u64,
    /// Datagrams sent, by anybody.
    pub(super) count_sent: u64,
    /// Most participants that a room had.
    pub(super) largest_room: usize,
    /// The end of the server's last absence.
    pub(super) server_back: Instant,
    /// The time when a participant last ended a session.
    pub(super) session_ended: Option<Instant>,
    limits: server::Config,
    /// The owners of the devices, by the handles' numbers.
    owners: Vec<usize>,
    amplification: amplification::Ledger,
    hearing: hearing::Flows,
    /// The owner of the microphone, by SSRC.
    microphones: BTreeMap<u32, usize>,
    /// The owner of the camera, by SSRC.
    cameras: BTreeMap<u32, usize>,
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
            count_shown: 0,
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
            cameras: BTreeMap::new(),
            replicas: replicas::Rooms::default(),
        }
    }

    /// A participant has a new device.
    pub(super) fn started(&mut self, one: usize, handle: Handle, now: Instant) {
        assert_eq!(handle.0, self.owners.len(), "handles are counted up");
        self.owners.push(one);
        self.people[one].start(handle, now);
    }

    /// The periodic checks.
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
        self.check_unseen(now);
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

    fn seen(&mut self, handle: Handle, now: Instant, sent_at: Instant, ssrc: u32) {
        self.note(&format!("{handle:?} {now:?} {ssrc}"));
        self.check_seen(handle, now, sent_at, ssrc);
    }

    fn shown(&mut self, handle: Handle, ssrc: u32, shown: &Shown) {
        self.count_shown += 1;
        self.note(&format!("{handle:?} {ssrc} {shown:?}"));
        self.has_seen(handle, ssrc, shown);
    }
}
