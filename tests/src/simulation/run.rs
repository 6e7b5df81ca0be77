//! A plan, carried out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

use parlour_core::server::{Config, MixConfig};
use parlour_core::time::{Duration, Instant};

use super::checks::{Checks, Invariant, Violation};
use super::panics;
use super::person::Person;
use super::plan::{Op, Plan};
use super::trouble::{Impairment, Later};
use crate::party::Handle;
use crate::world::World;

/// How often all is looked at.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// The time after the last step by which all replicas are correct again.
const HEALING: Duration = Duration::from_secs(90);
/// The time for which the server remembers people after all have left: crashed ones have to be given up.
const FORGETTING: Duration = Duration::from_secs(90);

/// The result of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The first thing that must not be.
    pub violation: Option<Violation>,
    /// A checksum of all that anybody was told and heard.
    pub digest: u64,
    /// The duration, in the world's time.
    pub duration: Duration,
    /// Frames that somebody heard.
    pub heard: u64,
    /// Pictures that somebody saw.
    pub shown: u64,
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
    let checks = Checks::new(limits, people.collect());
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
        deferred: 0,
        links: vec![Impairment::default(); plan.people.len()],
        cut: [None; 2],
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
        shown: checks.count_shown,
        joined: checks.count_joined,
        datagrams: checks.count_sent,
        largest_room: checks.largest_room,
    }
}

/// A plan on its way: [`act`](super::act) has what people do, [`trouble`](super::trouble) what befalls them.
pub(super) struct Run<'p> {
    pub(super) world: World,
    pub(super) checks: Rc<RefCell<Checks>>,
    pub(super) plan: &'p Plan,
    pub(super) later: BTreeMap<(Instant, usize), Later>,
    /// The number of operations put off so far.
    pub(super) deferred: usize,
    pub(super) links: Vec<Impairment>,
    /// The end of each cut of a server's address.
    pub(super) cut: [Option<Instant>; 2],
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

    /// From now on nothing goes wrong any more.
    fn heal(&mut self) {
        for (_, later) in std::mem::take(&mut self.later) {
            self.do_later(later);
        }
        for which in 0..self.cut.len() {
            self.mend(which);
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

    /// All people leave.
    fn end(&mut self) {
        for one in 0..self.links.len() {
            self.act(0, &Op::Leave(one));
        }
    }

    /// A person's running device, if any.
    pub(super) fn live(&self, one: usize) -> Option<Handle> {
        let checks = self.checks.borrow();
        checks.people[one]
            .handle
            .filter(|_| checks.people[one].is_live())
    }

    /// The same, unless it sleeps.
    pub(super) fn awake(&self, one: usize) -> Option<Handle> {
        self.live(one).filter(|handle| self.world.is_on(*handle))
    }

    pub(super) fn with<T>(&self, one: usize, what: impl FnOnce(&mut Person) -> T) -> T {
        what(&mut self.checks.borrow_mut().people[one])
    }
}
