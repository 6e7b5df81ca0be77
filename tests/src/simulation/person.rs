//! The record of one person: its actions, and their results.

use std::collections::{BTreeMap, VecDeque};

use parlour_core::room::{Grants, ParticipantId};
use parlour_core::signal::{RequestId, SubscribePolicy};
use parlour_core::time::{Duration, Instant};

use crate::device::Size;
use crate::party::{Handle, Options};

/// Values that a fact had, and since when, as far back as datagrams may be under way.
#[derive(Debug, Clone)]
pub(super) struct Timeline<T> {
    values: VecDeque<(Instant, T)>,
}

impl<T: Copy + PartialEq> Timeline<T> {
    /// Longer than two datagrams are kept by the hostile: the one that brought sound to the server, and the one that took it
    /// further.
    const KEPT: Duration = Duration::from_secs(130);

    pub(super) fn new(value: T) -> Self {
        Self {
            values: VecDeque::from([(Instant::from_micros(0), value)]),
        }
    }

    pub(super) fn set(&mut self, now: Instant, value: T) {
        if self.now() == value {
            return;
        }
        self.values.push_back((now, value));
        let old = |end: &(Instant, T)| now.saturating_duration_since(end.0) > Self::KEPT;
        while self.values.get(1).is_some_and(old) {
            self.values.pop_front();
        }
    }

    pub(super) fn now(&self) -> T {
        self.values.back().expect("it always has a value").1
    }

    pub(super) fn since(&self) -> Instant {
        self.values.back().expect("it always has a value").0
    }

    /// The values that it had at `at`: two, if it changed at that very moment.
    pub(super) fn at(&self, at: Instant) -> impl Iterator<Item = T> {
        self.within(at, at)
    }

    /// The values that it had from `first` to `last`.
    pub(super) fn within(&self, first: Instant, last: Instant) -> impl Iterator<Item = T> {
        let ends = self.values.iter().skip(1).map(|(end, _)| Some(*end));
        let ends = ends.chain([None]);
        let spans = self.values.iter().zip(ends);
        spans
            .filter(move |((since, _), end)| *since <= last && end.is_none_or(|end| first <= end))
            .map(|((_, value), _)| *value)
    }
}

/// A participant's state in the server's room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    pub(super) present: bool,
    pub(super) censored: bool,
    /// Its microphone is published, and not muted.
    pub(super) audible: bool,
    /// Its camera is published.
    pub(super) visible: bool,
}

/// The stream of everybody's camera.
pub(super) const CAMERA: &str = "camera";

/// The meaning of a request, where it matters later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Policy(SubscribePolicy),
    /// To hear somebody or not.
    Wish(usize, bool),
    /// To see somebody or not.
    Watch(usize, bool),
    Other,
}

/// The subscriptions that a participant wants.
#[derive(Debug, Clone)]
pub(super) struct Wants {
    /// The last policy it asked for, and when.
    pub(super) policy: Timeline<SubscribePolicy>,
    /// The time when it last asked for a policy, the same or another.
    pub(super) policy_asked: Instant,
    /// The time when the server confirmed that it hears only those it asked for.
    pub(super) none_since: Option<Instant>,
    /// The time of its last subscription to each participant.
    pub(super) wished: BTreeMap<usize, Instant>,
    /// The time when the server confirmed that a participant is not to be heard.
    pub(super) unwanted_since: BTreeMap<usize, Instant>,
    /// The last it said of each participant's camera, and when: that it wants to see it or not.
    pub(super) watched: BTreeMap<usize, (Instant, bool)>,
    /// The time when the server confirmed that a participant is not to be seen.
    pub(super) unwatched_since: BTreeMap<usize, Instant>,
    /// It has pinned somebody, for whom a slot is kept, talking or not.
    pub(super) has_pinned: bool,
    /// The server refused something: what is in force is not modelled until the next join.
    pub(super) is_unclear: bool,
}

impl Wants {
    fn new(policy: SubscribePolicy) -> Self {
        Self {
            policy: Timeline::new(policy),
            policy_asked: Instant::from_micros(0),
            none_since: None,
            wished: BTreeMap::new(),
            unwanted_since: BTreeMap::new(),
            watched: BTreeMap::new(),
            unwatched_since: BTreeMap::new(),
            has_pinned: false,
            is_unclear: false,
        }
    }
}

/// One person, through all its joins.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: ParticipantId,
    pub(super) options: Options,
    /// Its device of now, if it has one.
    pub(super) handle: Option<Handle>,
    /// The time when its device was last switched on.
    pub(super) started: Instant,
    /// The time when its device was last told that it is in the session; `None` if it is not.
    pub(super) joined: Option<Instant>,
    /// The time when its device was switched on, or last lost its connection.
    pub(super) out_since: Instant,
    pub(super) is_closed: bool,
    /// The end of its own or its network's trouble, by the plan.
    pub(super) troubled_until: Instant,
    /// How often it was switched on.
    pub(super) starts: u32,
    pub(super) has_left: bool,
    /// The time when a participant last wanted it removed, or turned away.
    pub(super) removed: Option<Instant>,
    pub(super) standing: Timeline<Standing>,
    pub(super) muted: Timeline<bool>,
    /// From when to when it talks.
    pub(super) talk: Option<(Instant, Instant)>,
    /// From when to when it films.
    pub(super) film: Option<(Instant, Instant)>,
    pub(super) wants: Wants,
    pub(super) asked: BTreeMap<RequestId, (Instant, Meaning)>,
    /// The time when it last heard each participant.
    pub(super) heard: BTreeMap<usize, Instant>,
    /// The time when it last saw each participant.
    pub(super) seen: BTreeMap<usize, Instant>,
}

impl Person {
    pub(super) fn new(number: usize, options: Options) -> Self {
        let origin = Instant::from_micros(0);
        Self {
            id: ParticipantId::new(&format!("p{number}")).expect("a participant id"),
            handle: None,
            started: origin,
            joined: None,
            out_since: origin,
            is_closed: false,
            troubled_until: origin,
            starts: 0,
            has_left: false,
            removed: None,
            standing: Timeline::new(Standing::default()),
            muted: Timeline::new(false),
            talk: None,
            film: None,
            wants: Wants::new(options.policy),
            asked: BTreeMap::new(),
            heard: BTreeMap::new(),
            seen: BTreeMap::new(),
            options,
        }
    }

    /// It switches on a device that knows nothing of earlier events.
    pub(super) fn start(&mut self, handle: Handle, now: Instant) {
        self.handle = Some(handle);
        self.started = now;
        self.joined = None;
        self.out_since = now;
        self.is_closed = false;
        self.has_left = false;
        self.starts += 1;
        self.muted.set(now, false);
        self.talk = None;
        self.film = None;
        self.wants = Wants::new(self.options.policy);
        self.asked.clear();
        self.heard.clear();
        self.seen.clear();
    }

    /// Something is wrong with it until then.
    pub(super) fn trouble(&mut self, until: Instant) {
        self.troubled_until = self.troubled_until.max(until);
    }

    /// Whether it has been in the session, without trouble, for `time`.
    pub(super) fn is_calm(&self, now: Instant, time: Duration) -> bool {
        let joined = self
            .joined
            .filter(|_| self.handle.is_some() && !self.is_closed);
        joined.is_some_and(|joined| joined.max(self.troubled_until) + time <= now)
    }

    /// Whether there is a device that is still running.
    pub(super) fn is_live(&self) -> bool {
        self.handle.is_some() && !self.is_closed
    }

    pub(super) fn may(&self, grant: Grants) -> bool {
        self.options.grants.contains(grant)
    }

    /// The number of voices it can hear at a time.
    pub(super) fn slots(&self) -> usize {
        let built: u8 = match self.options.size {
            Size::Small => 4,
            Size::Desktop => 32,
        };
        usize::from(self.options.slots.unwrap_or(built).min(built))
    }
}
