//! Plans from seeds.

use parlour_core::room::{Codec, Grants};
use parlour_core::signal::SubscribePolicy;
use parlour_core::time::Duration;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::plan::{Op, Plan, Step};
use super::trouble::server_addresses;
use crate::device::Size;
use crate::network::{Bottleneck, Burst, LinkConfig};
use crate::party::{Options, microphone_in};

/// One person's habits, and how often they occur on average, in s.
const HABITS: [(u64, Habit); 25] = [
    (45, Habit::Talk),
    (90, Habit::Join),
    (400, Habit::Leave),
    (600, Habit::Crash),
    (150, Habit::Mute),
    (300, Habit::Publish),
    (600, Habit::Unpublish),
    (300, Habit::Screen),
    (200, Habit::Subscribe),
    (300, Habit::Policy),
    (200, Habit::Pin),
    (60, Habit::Message),
    (200, Habit::Floor),
    (1_500, Habit::Kick),
    (300, Habit::Censor),
    (100, Habit::Admit),
    (12_000, Habit::EndSession),
    (400, Habit::Refresh),
    (250, Habit::Partition),
    (800, Habit::NarrowPath),
    (300, Habit::Link),
    (250, Habit::Rebind),
    (250, Habit::NewSocket),
    (400, Habit::BusyRadio),
    (400, Habit::Sleep),
];

/// The events for all, and how often they occur on average, in s.
const EVENTS: [(u64, Event); 9] = [
    (400, Event::Restart),
    (1_000, Event::Storm),
    (500, Event::CutAddress),
    (60, Event::Replay),
    (60, Event::Release),
    (90, Event::Spoof),
    (60, Event::Flip),
    (200, Event::Hellos),
    (120, Event::Record),
];

/// The same of people with cameras.
const CAMERA_HABITS: [(u64, CameraHabit); 3] = [
    (60, CameraHabit::Film),
    (600, CameraHabit::Off),
    (30, CameraHabit::Watch),
];

/// In how many of 100 meetings people have cameras.
const FILMED: u64 = 25;
/// In how many of 100 of these somebody's way is narrow.
const NARROW: u64 = 30;
/// In how many of 100 meetings the server mixes.
const MIXING: u64 = 25;

/// Makes another seed of one.
const CAMERAS: u64 = 0x6361_6d65_7261;

#[derive(Debug, Clone, Copy)]
enum Habit {
    Talk,
    Join,
    Leave,
    Crash,
    Mute,
    Publish,
    Unpublish,
    Screen,
    Subscribe,
    Policy,
    Pin,
    Message,
    Floor,
    Kick,
    Censor,
    Admit,
    EndSession,
    Refresh,
    Partition,
    NarrowPath,
    Link,
    Rebind,
    NewSocket,
    BusyRadio,
    Sleep,
}

#[derive(Debug, Clone, Copy)]
enum CameraHabit {
    Film,
    Off,
    Watch,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Restart,
    Storm,
    CutAddress,
    Replay,
    Release,
    Spoof,
    Flip,
    Hellos,
    Record,
}

impl Plan {
    /// The plan of `seed` for this many people and this length.
    pub fn new(seed: u64, people: usize, length: Duration) -> Self {
        let mut plan = Dice::new(seed).plan(seed, people, length);
        // From dice of their own, so that the rest of the plan is the same with them.
        Dice::new(seed ^ CAMERAS).add_cameras(&mut plan);
        plan
    }
}

struct Dice {
    rng: ChaCha8Rng,
    /// See [`Plan`].
    mixes: bool,
    codec: Codec,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            mixes: false,
            codec: Codec::Opus,
        }
    }

    /// In some plans, people film and watch, over ways that may be narrow.
    fn add_cameras(mut self, plan: &mut Plan) {
        if !self.percent(FILMED) {
            return;
        }
        plan.films = true;
        let count = plan.people.len();
        for one in 0..count {
            if self.percent(NARROW) {
                plan.people[one].link.bottleneck = Some(self.bottleneck());
            }
            for (mean, habit) in CAMERA_HABITS {
                for at in self.times(mean, plan.length) {
                    let op = self.use_camera(habit, one, count);
                    plan.steps.push(Step { number: 0, at, op });
                }
            }
        }
        plan.steps.sort_by_key(|step| step.at);
        for (number, step) in plan.steps.iter_mut().enumerate() {
            step.number = number;
        }
    }

    /// A way that sound fits on, of all who talk at once, and some pictures.
    fn bottleneck(&mut self) -> Bottleneck {
        Bottleneck {
            bits_per_second: self.number(600_000, 3_000_000) as u32,
            queue: self.millis(100, 500),
        }
    }

    fn use_camera(&mut self, habit: CameraHabit, one: usize, count: usize) -> Op {
        match habit {
            CameraHabit::Film => Op::Film(one, self.millis(1_000, 30_000)),
            CameraHabit::Off => Op::CameraOff(one),
            CameraHabit::Watch => {
                let other = self.number(0, count as u64) as usize;
                Op::Watch(one, other, self.percent(75))
            }
        }
    }

    /// A number from `from` up to, but without, `to`.
    fn number(&mut self, from: u64, to: u64) -> u64 {
        from + self.rng.next_u64() % (to - from)
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.number(from, to))
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.number(0, 100) < chance
    }

    fn plan(mut self, seed: u64, count: usize, length: Duration) -> Plan {
        self.mixes = self.percent(MIXING);
        // A mix has to be decoded: with Opus, that takes longer than all the rest of a meeting.
        if self.mixes && self.percent(90) {
            self.codec = Codec::Pcmu;
        }
        let people: Vec<_> = (0..count).map(|one| self.person(one)).collect();
        let mut timed = Vec::new();
        for one in 0..count {
            timed.push((self.millis(0, 10_000), Op::Join(one)));
            for (mean, habit) in HABITS {
                for at in self.times(mean, length) {
                    timed.push((at, self.act(habit, one, count)));
                }
            }
        }
        for (mean, event) in EVENTS {
            for at in self.times(mean, length) {
                timed.push((at, self.happen(event)));
            }
        }
        timed.sort_by_key(|(at, _)| *at);
        let steps = timed.into_iter().enumerate();
        let steps = steps.map(|(number, (at, op))| Step { number, at, op });
        let room_limit = match self.percent(25) {
            true => self.number(2, count.max(3) as u64 + 1) as usize,
            // Desktops track all of a room that takes at most 128.
            false if count > 100 => 1_000,
            false => 100,
        };
        Plan {
            seed,
            length,
            room_limit,
            mixes: self.mixes,
            codec: self.codec,
            films: false,
            server_drift: self.number(0, 200) as u32,
            people,
            steps: steps.collect(),
        }
    }

    /// The times of a memoryless event, every `mean` seconds on average.
    fn times(&mut self, mean: u64, length: Duration) -> Vec<Duration> {
        let mut times = Vec::new();
        let mut at = Duration::ZERO;
        loop {
            // Evenly distributed pauses are as good as any, and need no floating point, which may differ.
            at += self.millis(0, 2_000 * mean);
            if at >= length {
                return times;
            }
            times.push(at);
        }
    }

    fn person(&mut self, one: usize) -> Options {
        // At least one participant must be able to admit and to censor.
        let grants = match self.number(0, 10) {
            _ if one == 0 => Grants::all(),
            0 => Grants::all(),
            1 => Grants::PARTICIPANT - Grants::SUBSCRIBE,
            2 => Grants::PARTICIPANT - Grants::PUBLISH_AUDIO,
            _ => Grants::PARTICIPANT,
        };
        let (size, slots) = match self.number(0, 4) {
            0 => (Size::Small, None),
            1 => (Size::Small, Some(self.number(1, 4) as u8)),
            _ => (Size::Desktop, None),
        };
        Options {
            room: if one > 0 && self.percent(15) {
                "blue"
            } else {
                "green"
            }
            .to_owned(),
            grants,
            lobby: one > 0 && self.percent(15),
            expires_in: self
                .percent(10)
                .then(|| Duration::from_secs(self.number(60, 300))),
            link: self.link(),
            size,
            slots,
            policy: if self.percent(20) {
                SubscribePolicy::None
            } else {
                self.hearing()
            },
            publish: if self.percent(80) {
                vec![microphone_in(self.codec, "mic")]
            } else {
                Vec::new()
            },
            drift: self.number(0, 200) as u32,
            addresses: match self.number(0, 4) {
                0 => server_addresses().to_vec(),
                1 => server_addresses().into_iter().rev().collect(),
                _ => Vec::new(),
            },
            ..Options::default()
        }
    }

    /// A way to hear everybody.
    fn hearing(&mut self) -> SubscribePolicy {
        match self.mixes && self.percent(50) {
            // An encoder of Opus takes as long as a decoder of it.
            true if self.codec == Codec::Opus => SubscribePolicy::Mix,
            true => SubscribePolicy::MixPcmu,
            false => SubscribePolicy::All,
        }
    }

    fn link(&mut self) -> LinkConfig {
        let burst = self.percent(30).then(|| Burst {
            good: self.millis(2_000, 20_000),
            bad: self.millis(20, 300),
        });
        LinkConfig {
            loss: if self.percent(50) {
                0
            } else {
                self.number(1, 11) as u8
            },
            duplication: self.number(0, 3) as u8,
            reordering: self.number(0, 4) as u8,
            delay: self.millis(1, 120),
            jitter: self.millis(0, 60),
            burst,
            // From the UDP payload of an Ethernet frame down to that of every IPv6 network.
            bottleneck: None,
            mtu: self.number(1_232, 1_473) as usize,
            partitioned: false,
        }
    }

    fn act(&mut self, habit: Habit, one: usize, count: usize) -> Op {
        let other = self.number(0, count as u64) as usize;
        let yes = self.percent(50);
        match habit {
            Habit::Talk => Op::Talk(one, self.millis(1_000, 9_000), self.number(10, 60) as u8),
            Habit::Join => Op::Join(one),
            Habit::Leave => Op::Leave(one),
            Habit::Crash => Op::Crash(one),
            Habit::Mute => Op::Mute(one, yes),
            Habit::Publish => Op::Publish(one),
            Habit::Unpublish => Op::Unpublish(one),
            Habit::Screen => Op::Screen(one, yes),
            Habit::Subscribe => Op::Subscribe(one, other, yes),
            Habit::Policy if yes => Op::Policy(one, self.hearing()),
            Habit::Policy => Op::Policy(one, SubscribePolicy::None),
            Habit::Pin => Op::Pin(one, yes.then_some(other)),
            Habit::Message => Op::Message(one, yes),
            Habit::Floor => Op::Floor(one, yes),
            Habit::Kick => Op::Kick(one, other),
            Habit::Censor => Op::Censor(one, other, yes),
            Habit::Admit => Op::Admit(one, other, self.percent(80)),
            Habit::EndSession => Op::EndSession(one),
            Habit::Refresh => Op::Refresh(one),
            Habit::Partition => Op::Partition(one, self.millis(200, 40_000)),
            Habit::NarrowPath => Op::NarrowPath(
                one,
                self.millis(500, 10_000),
                self.number(60, 1_200) as usize,
            ),
            Habit::Link => Op::Link(one, Box::new(self.link())),
            Habit::Rebind => Op::Rebind(one),
            Habit::NewSocket => Op::NewSocket(one),
            Habit::BusyRadio => Op::BusyRadio(one, self.millis(100, 15_000)),
            Habit::Sleep => Op::Sleep(one, self.millis(500, 60_000), yes),
        }
    }

    fn happen(&mut self, event: Event) -> Op {
        match event {
            Event::Restart => Op::Restart(self.millis(0, 20_000)),
            Event::Storm => Op::Storm(self.millis(5_000, 40_000)),
            Event::CutAddress => {
                let which = self.number(0, 2) as usize;
                Op::CutAddress(which, self.millis(1_000, 120_000))
            }
            Event::Replay => Op::Replay(self.number(1, 100) as u32),
            Event::Release => Op::Release(self.number(1, 100) as u32),
            Event::Spoof => Op::Spoof(self.number(1, 100) as u32),
            Event::Flip => Op::Flip(self.number(1, 100) as u32),
            Event::Hellos => Op::Hellos(self.number(1, 150) as u32),
            Event::Record => Op::Record(self.percent(50)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_plan_and_another_seed_another() {
        let plan = |seed| format!("{:?}", Plan::new(seed, 8, Duration::from_secs(600)));
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn every_kind_of_step_occurs_in_some_plan() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..50 {
            for step in Plan::new(seed, 8, Duration::from_secs(600)).steps {
                let name = format!("{:?}", step.op);
                kinds.insert(name.split('(').next().unwrap_or_default().to_owned());
            }
        }
        let all = HABITS.len() + CAMERA_HABITS.len() + EVENTS.len();
        assert_eq!(kinds.len(), all, "{kinds:?}");
    }
}
