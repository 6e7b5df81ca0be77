//! A plan, carried out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

use parlour_core::client::{CommandError, Commands as _};
use parlour_core::room::{StreamKey, Topic};
use parlour_core::server::{Config, MixConfig};
use parlour_core::signal::{
    Moderation, Recipients, RequestId, StreamRef, SubscribePolicy, Targets,
};
use parlour_core::time::{Duration, Instant};

use super::checks::{Checks, Invariant, Violation};
use super::person::{Meaning, Person};
use super::plan::{Op, Plan};
use super::{hostile, panics};
use crate::device::Device;
use crate::party::{Handle, microphone_in, screen};
use crate::world::World;

/// How often all is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long after the last step everybody has found back to what is true.
const HEALING: Duration = Duration::from_secs(90);
/// How long after everybody has left the server remembers anything of them: those who crashed have to be given up.
const FORGETTING: Duration = Duration::from_secs(90);

/// How long an address that changed unnoticed is a trouble where datagrams get lost. Somebody who says nothing shows its address
/// once in 10 s, by a ping, and is told nothing more until its answer to the server's ping has got through: each time, one
/// datagram that may be lost.
const UNNOTICED: Duration = Duration::from_secs(30);

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The first thing that must not be.
    pub violation: Option<Violation>,
    /// A checksum of all that anybody was told and heard.
    pub digest: u64,
    /// How long it lasted, in the world's time.
    pub duration: Duration,
    /// Frames that somebody heard.
    pub heard: u64,
    /// Joins, anew or resumed.
    pub joined: u64,
    /// Datagrams sent, by anybody.
    pub datagrams: u64,
    /// Most participants that a room had.
    pub largest_room: usize,
}

/// Carries out a plan; the input logs of all machines go to `logs`.
pub fn run(plan: &Plan, logs: Option<&Path>) -> Outcome {
    let limits = Config {
        participants_per_room: plan.room_limit,
        mix: plan.mixes.then(MixConfig::default),
        ..Config::default()
    };
    let mut world = World::with_seed("simulation", limits.clone(), plan.seed);
    let people = plan.people.iter().cloned().enumerate();
    let people = people.map(|(number, options)| Person::new(number, options));
    let checks = Checks::new(world.server_address(), limits, people.collect());
    let checks = Rc::new(RefCell::new(checks));
    world.observe(checks.clone());
    if let Some(folder) = logs {
        world.record_to(folder.to_owned());
    }
    world.set_server_drift(plan.server_drift);
    world.restart_server();
    let mut run = Run {
        world,
        checks: checks.clone(),
        plan,
        later: BTreeMap::new(),
        links: vec![Impairment::default(); plan.people.len()],
        tick: Instant::from_micros(0),
    };
    let panicked = panics::caught(|| catch_unwind(AssertUnwindSafe(|| run.carry_out())));
    let mut checks = checks.borrow_mut();
    if let Err(text) = panicked {
        checks.violation = Some(Violation {
            invariant: Invariant::NoPanic,
            at: checks.now,
            text,
        });
    }
    Outcome {
        violation: checks.violation.take(),
        digest: checks.digest,
        duration: checks
            .now
            .saturating_duration_since(Instant::from_micros(0)),
        heard: checks.count_heard,
        joined: checks.count_joined,
        datagrams: checks.count_sent,
        largest_room: checks.largest_room,
    }
}

/// What is wrong with somebody's link for a while.
#[derive(Debug, Clone, Copy, Default)]
struct Impairment {
    cut_until: Option<Instant>,
    narrow_until: Option<(Instant, usize)>,
}

/// What a step leaves to be done later.
#[derive(Debug, Clone, Copy)]
enum Later {
    Relink(usize),
    FreeRadio(Handle),
    StartServer,
}

struct Run<'p> {
    world: World,
    checks: Rc<RefCell<Checks>>,
    plan: &'p Plan,
    later: BTreeMap<(Instant, usize), Later>,
    links: Vec<Impairment>,
    tick: Instant,
}

impl Run<'_> {
    fn carry_out(&mut self) {
        let plan = self.plan;
        let origin = Instant::from_micros(0);
        for step in &plan.steps {
            if !self.pass_until(origin + step.at) {
                return;
            }
            self.act(step.number, &step.op);
        }
        if !self.pass_until(origin + plan.length) {
            return;
        }
        self.heal();
        if !self.pass_until(origin + plan.length + HEALING) {
            return;
        }
        let now = self.world.now();
        self.checks.borrow_mut().check_all_agree(now, &self.world);
        self.end();
        if self.pass_until(origin + plan.length + HEALING + FORGETTING) {
            let server = self.world.running_server().expect("it was started");
            self.checks
                .borrow_mut()
                .check_nothing_remains(self.world.now(), server);
        }
    }

    /// Lets time pass, and does what is due; false if something must not be.
    fn pass_until(&mut self, end: Instant) -> bool {
        loop {
            let later = self.later.first_key_value().map(|((at, _), _)| *at);
            let next = later
                .into_iter()
                .chain([self.tick, end])
                .min()
                .unwrap_or(end);
            self.world
                .run_for(next.saturating_duration_since(self.world.now()));
            while let Some(entry) = self.later.first_entry()
                && entry.key().0 <= next
            {
                let later = entry.remove();
                self.do_later(later);
            }
            if self.tick <= next {
                self.tick += TICK;
                self.checks.borrow_mut().tick(&self.world);
                self.world.forget_messages();
            }
            if self.checks.borrow().violation.is_some() {
                return false;
            }
            if next == end {
                return true;
            }
        }
    }

    fn defer(&mut self, at: Instant, later: Later) {
        let number = self
            .later
            .last_key_value()
            .map_or(0, |((_, number), _)| number + 1);
        let number = number.max(self.later.len());
        self.later.insert((at, number), later);
    }

    fn do_later(&mut self, later: Later) {
        match later {
            Later::Relink(one) => self.relink(one),
            Later::FreeRadio(handle) => self.world.party(handle).is_radio_busy = false,
            Later::StartServer => {
                // It may have been started since.
                if self.world.running_server().is_none() {
                    self.world.start_server();
                }
            }
        }
    }

    /// From now on nothing goes wrong any more.
    fn heal(&mut self) {
        for (_, later) in std::mem::take(&mut self.later) {
            self.do_later(later);
        }
        let now = self.world.now();
        for one in 0..self.links.len() {
            self.links[one] = Impairment::default();
            self.relink(one);
            self.with(one, |person| person.trouble(now));
            if let Some(handle) = self.live(one) {
                self.world.hush(handle);
            }
            self.with(one, |person| person.talk = None);
        }
        let mut checks = self.checks.borrow_mut();
        checks.server_back = checks.server_back.min(now);
    }

    /// Everybody leaves.
    fn end(&mut self) {
        for one in 0..self.links.len() {
            self.act(0, &Op::Leave(one));
        }
    }

    fn act(&mut self, number: usize, op: &Op) {
        let now = self.world.now();
        match op {
            Op::Join(one) => self.join(*one),
            Op::Leave(one) => {
                if let Some(handle) = self.live(*one) {
                    let clock = self.world.clock(handle);
                    // An error means that it is leaving already.
                    let _ = self.world.device(handle).leave(clock);
                    self.with(*one, |person| {
                        person.has_left = true;
                        person.talk = None;
                    });
                }
            }
            Op::Crash(one) => {
                if let Some(handle) = self.live(*one) {
                    self.world.retire(handle);
                    self.with(*one, |person| {
                        person.handle = None;
                        person.trouble(now);
                    });
                }
            }
            Op::Talk(one, time, level) => {
                let is_talking = self.with(*one, |person| {
                    person.talk.is_some_and(|(_, until)| until + TICK > now)
                });
                if let Some(handle) = self.live(*one).filter(|_| !is_talking) {
                    let codec = self.plan.codec;
                    self.world.talk_in(codec, handle, "mic", *level, *time);
                    self.with(*one, |person| person.talk = Some((now, now + *time)));
                }
            }
            Op::Mute(one, muted) => {
                let done = self.ask(*one, Meaning::Other, |device| {
                    device.set_muted(&mic(), *muted)
                });
                if done {
                    self.with(*one, |person| person.muted.set(now, *muted));
                }
            }
            Op::Publish(one) => {
                let microphone = microphone_in(self.plan.codec, "mic");
                if self.ask(*one, Meaning::Other, |device| {
                    device.publish(microphone.clone())
                }) {
                    self.with(*one, |person| person.muted.set(now, false));
                }
            }
            Op::Unpublish(one) => {
                self.ask(*one, Meaning::Other, |device| device.unpublish(&mic()));
            }
            Op::Screen(one, true) => {
                self.ask(*one, Meaning::Other, |device| {
                    device.publish(screen("screen"))
                });
            }
            Op::Screen(one, false) => {
                let key = StreamKey::new("screen").expect("a stream key");
                self.ask(*one, Meaning::Other, |device| device.unpublish(&key));
            }
            Op::Subscribe(one, other, wanted) => self.subscribe(*one, *other, *wanted),
            Op::Policy(one, policy) => self.set_policy(*one, *policy),
            Op::Pin(one, other) => {
                let stream = other.map(|other| self.mic_of(other));
                if self.ask(*one, Meaning::Other, |device| device.pin(stream.as_ref())) {
                    self.with(*one, |person| person.wants.has_pinned = true);
                }
            }
            Op::Message(one, reliable) => {
                let topic = Topic::new("chat").expect("a topic");
                let body = [0x55; 40];
                if *reliable {
                    self.ask(*one, Meaning::Other, |device| {
                        device.send_message(&Recipients::All, &topic, &body)
                    });
                } else if let Some(handle) = self.live(*one) {
                    let device = self.world.device(handle);
                    // An error means that there is no session now.
                    let _ = device.send_lossy_message(&Recipients::All, &topic, &body);
                }
            }
            Op::Floor(one, true) => {
                self.ask(*one, Meaning::Other, Device::request_floor);
            }
            Op::Floor(one, false) => {
                self.ask(*one, Meaning::Other, Device::release_floor);
            }
            Op::Kick(one, other) => {
                self.moderate(*one, *other, Moderation::Kick);
            }
            Op::Censor(one, other, true) => {
                self.moderate(*one, *other, Moderation::Censor);
            }
            Op::Censor(one, other, false) => {
                self.moderate(*one, *other, Moderation::Uncensor);
            }
            Op::Admit(one, other, true) => {
                self.moderate(*one, *other, Moderation::Admit);
            }
            Op::Admit(one, other, false) => {
                self.moderate(*one, *other, Moderation::Deny);
            }
            Op::EndSession(one) => {
                if self.ask(*one, Meaning::Other, Device::end_session) {
                    self.checks.borrow_mut().session_ended = Some(now);
                }
            }
            Op::Refresh(one) => {
                let (options, id) =
                    self.with(*one, |person| (person.options.clone(), person.id.clone()));
                let token = options.token(id.as_str()).to_string();
                self.ask(*one, Meaning::Other, |device| device.refresh_token(&token));
            }
            Op::Partition(one, time) => {
                let until = self.links[*one].cut_until.max(Some(now + *time));
                self.links[*one].cut_until = until;
                self.impair(*one, now + *time);
            }
            Op::NarrowPath(one, time, mtu) => {
                self.links[*one].narrow_until = Some((now + *time, *mtu));
                self.impair(*one, now + *time);
            }
            Op::Link(one, link) => {
                self.with(*one, |person| person.options.link = **link);
                self.impair(*one, now);
            }
            Op::Rebind(one) => {
                if let Some(handle) = self.live(*one) {
                    self.world.rebind(handle);
                    self.with(*one, |person| {
                        let link = person.options.link;
                        let is_lossy = link.loss > 0 || link.burst.is_some();
                        person.trouble(if is_lossy { now + UNNOTICED } else { now });
                    });
                }
            }
            Op::NewSocket(one) => {
                if let Some(handle) = self.live(*one) {
                    self.world.new_socket(handle);
                    self.with(*one, |person| person.trouble(now));
                }
            }
            Op::BusyRadio(one, time) => {
                if let Some(handle) = self.live(*one) {
                    self.world.party(handle).is_radio_busy = true;
                    self.with(*one, |person| person.trouble(now + *time));
                    self.defer(now + *time, Later::FreeRadio(handle));
                }
            }
            Op::Restart(time) => {
                self.world.crash_server();
                let mut checks = self.checks.borrow_mut();
                checks.server_crashed(now);
                checks.server_back = checks.server_back.max(now + *time);
                drop(checks);
                self.defer(now + *time, Later::StartServer);
            }
            Op::Replay(count) => hostile::replay(&mut self.world, self.plan.seed, number, *count),
            Op::Release(count) => {
                hostile::release(&mut self.world, self.plan.seed, number, *count);
            }
            Op::Spoof(count) => hostile::spoof(&mut self.world, self.plan.seed, number, *count),
            Op::Flip(count) => hostile::flip(&mut self.world, self.plan.seed, number, *count),
            Op::Hellos(count) => hostile::hellos(&mut self.world, self.plan.seed, number, *count),
        }
    }

    fn join(&mut self, one: usize) {
        if self.live(one).is_some() {
            return;
        }
        let (former, id, options) = self.with(one, |person| {
            (person.handle, person.id.clone(), person.options.clone())
        });
        if let Some(former) = former {
            self.world.retire(former);
        }
        let handle = self.world.join(id.as_str(), options);
        let now = self.world.now();
        self.checks.borrow_mut().started(one, handle, now);
        self.relink(one);
    }

    fn subscribe(&mut self, one: usize, other: usize, wanted: bool) {
        let now = self.world.now();
        let stream = self.mic_of(other);
        let done = self.ask(one, Meaning::Wish(other, wanted), |device| match wanted {
            true => device.subscribe(&stream),
            false => device.unsubscribe(&stream),
        });
        if done {
            self.with(one, |person| {
                person.wants.wished.insert(other, now);
                person.wants.unwanted_since.remove(&other);
            });
        }
    }

    fn set_policy(&mut self, one: usize, policy: SubscribePolicy) {
        let now = self.world.now();
        let meaning = Meaning::Policy(policy);
        if self.ask(one, meaning, |device| device.set_subscribe_policy(policy)) {
            self.with(one, |person| {
                person.wants.policy.set(now, policy);
                person.wants.policy_asked = now;
                person.wants.none_since = None;
            });
        }
    }

    fn moderate(&mut self, one: usize, other: usize, action: Moderation) {
        let now = self.world.now();
        let targets = Targets::from(self.with(other, |person| person.id.clone()));
        let asked = self.ask(one, Meaning::Other, |device| {
            device.moderate(action, &targets)
        });
        if asked && matches!(action, Moderation::Kick | Moderation::Deny) {
            self.with(other, |person| person.removed = Some(now));
        }
    }

    /// Gives a command; false if the device did not take it, which is its right.
    fn ask<R: Into<Option<RequestId>>>(
        &mut self,
        one: usize,
        meaning: Meaning,
        command: impl FnOnce(&mut Device) -> Result<R, CommandError>,
    ) -> bool {
        let Some(handle) = self.live(one) else {
            return false;
        };
        let taken = command(self.world.device(handle));
        let now = self.world.now();
        if let Ok(request) = taken {
            if let Some(request) = request.into() {
                self.checks.borrow_mut().asked(one, now, request, meaning);
            }
            return true;
        }
        false
    }

    fn impair(&mut self, one: usize, until: Instant) {
        self.with(one, |person| person.trouble(until));
        self.relink(one);
        self.defer(until, Later::Relink(one));
    }

    /// Gives somebody the link that it has now.
    fn relink(&mut self, one: usize) {
        let now = self.world.now();
        let Some(handle) = self.live(one) else {
            return;
        };
        let impairment = self.links[one];
        let mut link = self.with(one, |person| person.options.link);
        link.partitioned = impairment.cut_until.is_some_and(|until| now < until);
        if let Some((until, mtu)) = impairment.narrow_until
            && now < until
        {
            link.mtu = mtu;
        }
        self.world.set_link(handle, link);
    }

    /// The device of somebody who has one that is not over.
    fn live(&self, one: usize) -> Option<Handle> {
        let checks = self.checks.borrow();
        checks.people[one]
            .handle
            .filter(|_| checks.people[one].is_live())
    }

    fn mic_of(&self, one: usize) -> StreamRef {
        StreamRef {
            participant: self.with(one, |person| person.id.clone()),
            key: mic(),
        }
    }

    fn with<T>(&self, one: usize, what: impl FnOnce(&mut Person) -> T) -> T {
        what(&mut self.checks.borrow_mut().people[one])
    }
}

fn mic() -> StreamKey {
    StreamKey::new("mic").expect("a stream key")
}
