//! One load: join, leave alone, talk to server and floor in turn, compare.

use std::collections::BTreeMap;
use std::time::Duration;

use parlour_core::ticket::Ticket;
use parlour_core::wire::ConnectionId;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde::Serialize;

use crate::Failure;
use crate::floor::{Floor, keys};
use crate::kernel::{cpu_time, pin, resident, thread_times};
use crate::network::{Clock, Crowd, Speech};
use crate::options::{Options, Phases, Scenario};
use crate::server::Target;
use crate::talkers::{Bare, Member, Party};

/// Joins under way at a time.
const JOINING: usize = 32;
/// How long joining may take altogether.
const PATIENCE: Duration = Duration::from_secs(120);
const MOMENT: Duration = Duration::from_millis(2);
/// Until what was said is heard, and what is new is told.
const SETTLE: Duration = Duration::from_millis(100);
/// How long server and floor are measured in turn.
const TURN: Duration = Duration::from_secs(1);

/// The thread of the server's first worker.
const WORKER: &str = "parlour-0";

/// By the threads' names.
type ThreadTimes = BTreeMap<String, Duration>;

/// Microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: u32,
    pub(crate) p99: u32,
    pub(crate) max: u32,
}

impl Latency {
    fn new(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |share: f64| {
            let index = (micros.len() as f64 * share) as usize;
            micros.get(index).or(micros.last()).copied().unwrap_or(0)
        };
        Self {
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// What was measured; all times are the server's CPU time unless said otherwise.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) rooms: usize,
    pub(crate) listeners: usize,
    pub(crate) talkers: usize,
    pub(crate) payload: u16,
    pub(crate) pps: u32,
    pub(crate) phases: &'static str,
    pub(crate) seconds: u32,
    /// Frames heard, of those that should be heard: 1 is all.
    pub(crate) delivered: f64,
    pub(crate) frames_per_second: f64,
    /// The median of the turns, as are the next two.
    pub(crate) cpu_us_per_frame: f64,
    pub(crate) floor_us_per_frame: f64,
    /// Each turn of the server by the turn of the floor after it.
    pub(crate) ratio: f64,
    /// Of those, what the thread took that took most, and the first worker's: that is what limits a room.
    pub(crate) busiest_thread_us_per_frame: f64,
    pub(crate) worker_us_per_frame: f64,
    /// Of a core.
    pub(crate) cpu_share: f64,
    pub(crate) datagrams_per_frame: f64,
    pub(crate) latency_us: Latency,
    pub(crate) floor_latency_us: Latency,
    pub(crate) rss_bytes_per_participant: u64,
    pub(crate) cpu_us_per_join: f64,
    pub(crate) joins_per_second_and_core: f64,
    /// By the wall clock, with clients that have one core for all of them.
    pub(crate) joins_per_second: f64,
    pub(crate) idle_cpu_us_per_second: Option<f64>,
    pub(crate) server_socket_drops: u64,
}

pub(crate) fn measure(options: &Options, scenario: &Scenario) -> Result<Measured, Failure> {
    pin(&[options.core])?;
    let clock = Clock::new();
    let mut rng = ChaCha12Rng::seed_from_u64(options.seed);
    let speech = Speech {
        interval: Duration::from_secs(1) / scenario.pps,
        payload: usize::from(options.payload),
    };
    let first_core = options.server_cores.first().copied().unwrap_or(0);
    let floor = Floor::start(scenario, first_core)?;
    let target = Target::new(options)?;

    let before = (
        cpu_time(target.pid)?,
        resident(target.pid)?,
        target.drops()?,
    );
    let started = clock.now();
    let mut crowd = join(&target, scenario, clock, &mut rng, speech)?;
    let joining = clock.now().saturating_duration_since(started);
    let join_cpu = cpu_time(target.pid)? - before.0;
    crowd.run_for(SETTLE, speech)?;

    let idle = (options.idle > 0).then(|| idle(options, scenario, &target, &mut crowd, speech));
    let idle = idle.transpose()?;
    let mut base = base(&floor, scenario, clock)?;
    base.run_for(SETTLE, speech)?;

    let talkers = talkers(options.phases, scenario, speech.interval, &mut rng);
    let mut turns = Vec::new();
    let mut threads = Vec::new();
    for _ in 0..options.seconds {
        let before = (thread_times(target.pid)?, crowd.tally.heard);
        let server = turn(target.pid, &mut crowd, &talkers, speech)?;
        let heard = crowd.tally.heard - before.1;
        threads.push(by_thread(&before.0, &thread_times(target.pid)?, heard));
        let floor = turn(floor.pid(), &mut base, &talkers, speech)?;
        turns.push((server, floor));
    }

    let participants = scenario.participants().max(1);
    let should = crowd.tally.said * scenario.listeners as u64;
    let per_second = crowd.tally.heard as f64 / f64::from(options.seconds);
    let cpu_us_per_frame = median(turns.iter().map(|(server, _)| *server));
    let cpu_us_per_join = micros(join_cpu) / participants as f64;
    let grown = resident(target.pid)?.saturating_sub(before.1);
    Ok(Measured {
        rooms: scenario.rooms,
        listeners: scenario.listeners,
        talkers: scenario.talkers,
        payload: options.payload,
        pps: scenario.pps,
        phases: options.phases.name(),
        seconds: options.seconds,
        delivered: ratio(crowd.tally.heard as f64, should as f64),
        frames_per_second: per_second,
        cpu_us_per_frame,
        floor_us_per_frame: median(turns.iter().map(|(_, floor)| *floor)),
        ratio: median(turns.iter().map(|(server, floor)| ratio(*server, *floor))),
        busiest_thread_us_per_frame: median(threads.iter().map(|(busiest, _)| *busiest)),
        worker_us_per_frame: median(threads.iter().map(|(_, worker)| *worker)),
        cpu_share: cpu_us_per_frame * per_second / 1e6,
        datagrams_per_frame: ratio(crowd.tally.datagrams as f64, crowd.tally.heard as f64),
        latency_us: Latency::new(std::mem::take(&mut crowd.tally.latency)),
        floor_latency_us: Latency::new(std::mem::take(&mut base.tally.latency)),
        rss_bytes_per_participant: grown / participants as u64,
        cpu_us_per_join,
        joins_per_second_and_core: ratio(1e6, cpu_us_per_join),
        joins_per_second: ratio(participants as f64, joining.as_secs_f64()),
        idle_cpu_us_per_second: idle,
        server_socket_drops: target.drops()? - before.2,
    })
}

/// Has everybody join, some at a time; listeners of a room before its talkers.
fn join(
    target: &Target,
    scenario: &Scenario,
    clock: Clock,
    rng: &mut ChaCha12Rng,
    speech: Speech,
) -> Result<Crowd<Member>, Failure> {
    let ticket = target.ticket(0, 0)?;
    let ticket = Ticket::parse(&ticket)?;
    let mut crowd = Crowd::new(
        clock,
        std::net::SocketAddr::new(ticket.host.parse()?, ticket.port),
    )?;
    let size = scenario.listeners + scenario.talkers;
    let deadline = clock.now() + PATIENCE;
    let mut begun = 0;
    loop {
        let joined = crowd.joined();
        if joined == scenario.participants() {
            return Ok(crowd);
        }
        if clock.now() > deadline {
            return Err(format!("only {joined} participants joined").into());
        }
        while begun < scenario.participants() && begun < joined + JOINING {
            let (room, seat) = (begun / size, begun % size);
            let ticket = target.ticket(room, seat)?;
            let talks = seat >= scenario.listeners;
            crowd.add(Member::new(&ticket, talks, clock.now(), rng)?)?;
            begun += 1;
        }
        crowd.run_for(MOMENT, speech)?;
    }
}

/// The same participants for the floor.
fn base(floor: &Floor, scenario: &Scenario, clock: Clock) -> Result<Crowd<Bare>, Failure> {
    let mut crowd = Crowd::new(clock, floor.address)?;
    for index in 0..scenario.participants() {
        let (here, _) = keys(index)?;
        crowd.add(Bare::new(ConnectionId(index as u32), here)?)?;
    }
    Ok(crowd)
}

/// Who talks, and how much later than the others.
fn talkers(
    phases: Phases,
    scenario: &Scenario,
    interval: Duration,
    rng: &mut ChaCha12Rng,
) -> Vec<(usize, Duration)> {
    let size = scenario.listeners + scenario.talkers;
    let everybody = 0..scenario.participants();
    let talkers = everybody.filter(|index| index % size >= scenario.listeners);
    let phase = |index| {
        let phase = match phases {
            Phases::Same => Duration::ZERO,
            Phases::Random => interval.mul_f64(f64::from(rng.next_u32()) / f64::from(u32::MAX)),
        };
        (index, phase)
    };
    talkers.map(phase).collect()
}

/// One turn: CPU-µs that a delivered frame took.
fn turn<P: Party>(
    pid: u32,
    crowd: &mut Crowd<P>,
    talkers: &[(usize, Duration)],
    speech: Speech,
) -> Result<f64, Failure> {
    let (cpu, heard) = (cpu_time(pid)?, crowd.tally.heard);
    crowd.start_talking(talkers);
    crowd.run_for(TURN, speech)?;
    crowd.stop_talking();
    crowd.run_for(SETTLE, speech)?;
    let used = micros(cpu_time(pid)? - cpu);
    Ok(ratio(used, (crowd.tally.heard - heard) as f64))
}

/// CPU-µs per frame of the thread that used most of it, and of the first worker.
fn by_thread(before: &ThreadTimes, after: &ThreadTimes, heard: u64) -> (f64, f64) {
    let used = |(name, time): (&String, &Duration)| {
        let used = time.saturating_sub(before.get(name).copied().unwrap_or_default());
        ratio(micros(used), heard as f64)
    };
    let busiest = after.iter().map(used).fold(0.0, f64::max);
    (busiest, after.get_key_value(WORKER).map_or(0.0, used))
}

/// CPU-µs per second of a participant that does nothing.
fn idle(
    options: &Options,
    scenario: &Scenario,
    target: &Target,
    crowd: &mut Crowd<Member>,
    speech: Speech,
) -> Result<f64, Failure> {
    let cpu = cpu_time(target.pid)?;
    crowd.run_for(Duration::from_secs(options.idle.into()), speech)?;
    let used = micros(cpu_time(target.pid)? - cpu);
    Ok(used / f64::from(options.idle) / scenario.participants() as f64)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
