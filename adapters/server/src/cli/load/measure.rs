//! One load: join, leave alone, talk to server and floor in turn, compare.

use std::collections::BTreeMap;
use std::time::Duration;

use parlour_tokio::core::signal::SubscribePolicy;
use parlour_tokio::core::wire::ConnectionId;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde::Serialize;

use super::Load;
use super::floor::{Floor, keys};
use super::kernel::{cpu_time, pin, resident, thread_times};
use super::network::{Clock, Crowd, Place, RoomTally};
use super::options::{Mix, Phases, Scenario};
use super::quiet::{Others, Watch};
use super::row::Spread;
use super::server::{Target, Tickets};
use super::speech::Speech;
use super::talkers::{Bare, Member, Party, Times};

/// Joins under way at a time.
const JOINING: usize = 32;
/// The time limit of all joins together.
const PATIENCE: Duration = Duration::from_secs(120);
/// Listeners of a room beside those that are asked for.
const BESIDE: usize = 5;
const MOMENT: Duration = Duration::from_millis(2);
/// The time until frames on their way are heard, and changes are told.
const SETTLE: Duration = Duration::from_millis(100);
/// The time that server and floor are measured in turn.
const TURN: Duration = Duration::from_secs(1);

/// The thread of the server's first worker.
const WORKER: &str = "parlour-0";

/// By the threads' names.
type ThreadTimes = BTreeMap<String, Duration>;

/// Microseconds, unless said otherwise.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Latency {
    pub(super) p50: u32,
    pub(super) p99: u32,
    pub(super) max: u32,
}

impl Latency {
    pub(super) fn new(mut micros: Vec<u32>) -> Self {
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

/// The measurements; all times are the server's CPU time unless said otherwise.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    pub(super) payload: u16,
    pub(super) seconds: u32,
    /// The machine's other work.
    pub(super) others: Others,
    /// Frames heard, of those that should be heard: 1 is all. Of mixes, those that came of those that were sent, or that should
    /// have been, if that is more.
    pub(super) delivered: f64,
    /// The same in the room that heard the least, and in the middle one.
    pub(super) delivered_worst_room: f64,
    pub(super) delivered_median_room: f64,
    /// Joins while all talked; and in wall-clock milliseconds how long each took, and a request after it, for those
    /// that completed.
    pub(super) overload_probes: usize,
    pub(super) overload_join_ms: Option<Latency>,
    pub(super) overload_request_ms: Option<Latency>,
    pub(super) frames_per_second: f64,
    /// The median of the turns, as are the next two.
    pub(super) cpu_us_per_frame: f64,
    pub(super) floor_us_per_frame: f64,
    /// Each turn of the server by the turn of the floor after it.
    pub(super) ratio: f64,
    /// Of those, the time of the busiest thread, and of the first worker's: that limits a room.
    pub(super) busiest_thread_us_per_frame: f64,
    pub(super) worker_us_per_frame: f64,
    /// Of a core.
    pub(super) cpu_share: f64,
    pub(super) datagrams_per_frame: f64,
    pub(super) latency_us: Latency,
    pub(super) floor_latency_us: Latency,
    pub(super) rss_bytes_per_participant: u64,
    pub(super) cpu_us_per_join: f64,
    pub(super) joins_per_second_and_core: f64,
    /// By the wall clock, with clients that have one core for all of them.
    pub(super) joins_per_second: f64,
    pub(super) idle_cpu_us_per_second: Option<f64>,
    /// Datagrams that came while the server's socket was full; then those of them while people talked.
    pub(super) server_socket_drops: u64,
    pub(super) server_socket_drops_talking: u64,
    /// The same at the participants' sockets: not the server's fault, but that of this program.
    pub(super) participant_socket_drops: u64,
    /// Of a core, while people talked: near 1, this program was the bottleneck.
    pub(super) participants_cpu_share: f64,
}

pub(super) fn measure(
    options: &Load,
    scenario: &Scenario,
    running: Option<&(Tickets, u32)>,
) -> anyhow::Result<Measured> {
    pin(&[options.core])?;
    let clock = Clock::new();
    let mut rng = ChaCha12Rng::seed_from_u64(options.seed);
    let interval = Duration::from_secs(1) / scenario.pps;
    let speech = match options.mix {
        Some(_) => Speech::recorded(&options.speech, interval)?,
        None => Speech::stamped(interval, options.payload.into()),
    };
    let speech = &speech;
    let first_core = options.server_cores.first().copied().unwrap_or(0);
    let floor = Floor::start(scenario, first_core)?;
    let target = Target::new(options, scenario, running)?;
    let watch = Watch::start(vec![std::process::id(), floor.pid(), target.pid], clock)?;

    let before = (
        cpu_time(target.pid)?,
        resident(target.pid)?,
        target.drops()?,
    );
    let started = clock.now();
    let mut crowd = join(options, &target.tickets, scenario, clock, &mut rng, speech)?;
    let joining = clock.now().saturating_duration_since(started);
    let join_cpu = cpu_time(target.pid)? - before.0;
    crowd.run_for(SETTLE, speech)?;

    let idle = (options.idle > 0).then(|| idle(options, scenario, &target, &mut crowd, speech));
    let idle = idle.transpose()?;
    let mut base = base(&floor, scenario, clock)?;
    base.run_for(SETTLE, speech)?;

    let seconds = options.seconds();
    let talkers = talkers(options, scenario, speech.interval, &mut rng);
    let mut turns = Vec::new();
    let mut threads = Vec::new();
    let own = cpu_time(std::process::id())?;
    let drops = (target.drops()?, crowd.drops()?);
    let from = clock.now();
    let turns_to_take = if options.overload { 1 } else { seconds };
    for _ in 0..turns_to_take {
        let before = (thread_times(target.pid)?, crowd.tally.heard);
        let server = if options.overload {
            let mut probe = |number: u32| {
                let ticket = target.tickets.ticket(0, usize::MAX - number as usize)?;
                Member::probe(&ticket, clock.now(), &mut rng)
            };
            overload(
                options, target.pid, &mut crowd, &talkers, speech, &mut probe,
            )?
        } else {
            turn(target.pid, &mut crowd, &talkers, speech)?
        };
        let heard = crowd.tally.heard - before.1;
        threads.push(by_thread(&before.0, &thread_times(target.pid)?, heard));
        let floor = if options.overload {
            0.0
        } else {
            // The floor knows of no other rooms.
            let known = talkers.iter().copied();
            let known = known.filter(|(index, _)| *index < scenario.participants());
            turn(floor.pid(), &mut base, &known.collect::<Vec<_>>(), speech)?
        };
        turns.push((server, floor));
    }
    let took = clock.now().saturating_duration_since(from);
    let own = cpu_time(std::process::id())? - own;
    if let Some(cause) = crowd.closed() {
        eprintln!("a participant was removed: {cause}");
    }

    let participants = everybody(options, scenario).len().max(1);
    let rooms = crowd.rooms();
    let should = |room: &RoomTally| match options.mix {
        // One every 20 ms while somebody talks, and a few more, because buffers compensate for frames that seem late
        // at the end of a turn.
        Some(_) => (room.numbered).max(room.listeners * u64::from(seconds) * 50),
        None => room.said * room.listeners,
    };
    let shares = rooms
        .iter()
        .map(|room| ratio(room.heard as f64, should(room) as f64));
    let mut shares: Vec<_> = shares.collect();
    shares.sort_by(f64::total_cmp);
    let should: u64 = rooms.iter().map(should).sum();
    let per_second = crowd.tally.heard as f64 / f64::from(seconds);
    let probes: Vec<Times> = crowd
        .parties()
        .filter_map(|party| party.probed().copied())
        .collect();
    let cpu_us_per_frame = median(turns.iter().map(|(server, _)| *server));
    let cpu_us_per_join = micros(join_cpu) / participants as f64;
    let grown = resident(target.pid)?.saturating_sub(before.1);
    Ok(Measured {
        payload: options.payload,
        seconds,
        others: watch.end(clock)?,
        delivered: ratio(crowd.tally.heard as f64, should as f64),
        delivered_worst_room: shares.first().copied().unwrap_or(0.0),
        delivered_median_room: shares.get(shares.len() / 2).copied().unwrap_or(0.0),
        overload_probes: probes.len(),
        overload_join_ms: millis(probes.iter().map(Times::join)),
        overload_request_ms: millis(probes.iter().map(Times::request)),
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
        server_socket_drops_talking: target.drops()? - drops.0,
        participant_socket_drops: crowd.drops()? - drops.1,
        participants_cpu_share: ratio(own.as_secs_f64(), took.as_secs_f64()),
    })
}

/// Of those that came to an end.
pub(super) fn millis(times: impl Iterator<Item = Option<Duration>>) -> Option<Latency> {
    let millis: Vec<u32> = times
        .flatten()
        .map(|time| time.as_millis() as u32)
        .collect();
    (!millis.is_empty()).then(|| Latency::new(millis))
}

/// Has everybody join, some at a time; listeners of a room before its talkers.
fn join(
    options: &Load,
    tickets: &Tickets,
    scenario: &Scenario,
    clock: Clock,
    rng: &mut ChaCha12Rng,
    speech: &Speech,
) -> anyhow::Result<Crowd<Member>> {
    let mut crowd = Crowd::new(clock, tickets.address()?)?;
    let all = everybody(options, scenario);
    let deadline = clock.now() + PATIENCE;
    let mut begun = 0;
    loop {
        let joined = crowd.joined();
        if joined == all.len() {
            return Ok(crowd);
        }
        if clock.now() > deadline {
            anyhow::bail!("only {joined} participants joined");
        }
        while begun < all.len() && begun < joined + JOINING {
            let place = all[begun];
            let ticket = tickets.ticket(place.room, begun)?;
            let policy = match (options.mix, place.listens) {
                (Some(Mix::All), _) | (Some(_), true) => SubscribePolicy::Mix,
                (None, true) => SubscribePolicy::All,
                _ => SubscribePolicy::None,
            };
            let member = Member::new(&ticket, !place.listens, policy, clock.now(), rng)?;
            crowd.add(member, Some(place))?;
            begun += 1;
        }
        crowd.run_for(MOMENT, speech)?;
    }
}

/// The clients that join, in that order.
pub(super) fn everybody(options: &Load, scenario: &Scenario) -> Vec<Place> {
    let of_size = |room, listeners, talkers| {
        (0..listeners + talkers).map(move |seat| Place {
            room,
            listens: seat < listeners,
        })
    };
    let rooms = 0..scenario.rooms;
    let rooms = rooms.flat_map(|room| of_size(room, scenario.listeners, scenario.talkers));
    let beside = scenario.rooms..scenario.rooms + options.beside;
    let beside = beside.flat_map(|room| of_size(room, BESIDE, 1));
    rooms.chain(beside).collect()
}

/// The same participants for the floor.
fn base(floor: &Floor, scenario: &Scenario, clock: Clock) -> anyhow::Result<Crowd<Bare>> {
    let mut crowd = Crowd::new(clock, floor.address)?;
    for index in 0..scenario.participants() {
        let (here, _) = keys(index)?;
        let bare = Bare::new(ConnectionId(index as u32), here)?;
        crowd.add(
            bare,
            Some(Place {
                room: 0,
                listens: true,
            }),
        )?;
    }
    Ok(crowd)
}

/// The talkers, and how much later than the others each one talks.
pub(super) fn talkers(
    options: &Load,
    scenario: &Scenario,
    interval: Duration,
    rng: &mut ChaCha12Rng,
) -> Vec<(usize, Duration)> {
    let all = everybody(options, scenario).into_iter().enumerate();
    let talkers = all.filter(|(_, place)| !place.listens);
    let phase = |(index, _)| {
        let phase = match scenario.phases {
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
    speech: &Speech,
) -> anyhow::Result<f64> {
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

/// All the time at once, with a probe each second: CPU-µs that a delivered frame took.
fn overload(
    options: &Load,
    pid: u32,
    crowd: &mut Crowd<Member>,
    talkers: &[(usize, Duration)],
    speech: &Speech,
    probe: &mut dyn FnMut(u32) -> anyhow::Result<Member>,
) -> anyhow::Result<f64> {
    let cpu = cpu_time(pid)?;
    crowd.start_talking(talkers);
    for number in 0..options.seconds() {
        crowd.run_for(TURN / 2, speech)?;
        crowd.add(probe(number)?, None)?;
        crowd.run_for(TURN / 2, speech)?;
    }
    let used = micros(cpu_time(pid)? - cpu);
    crowd.stop_talking();
    crowd.run_for(TURN, speech)?;
    Ok(ratio(used, crowd.tally.heard as f64))
}

/// CPU-µs per second of a participant that does nothing.
fn idle(
    options: &Load,
    scenario: &Scenario,
    target: &Target,
    crowd: &mut Crowd<Member>,
    speech: &Speech,
) -> anyhow::Result<f64> {
    let cpu = cpu_time(target.pid)?;
    crowd.run_for(Duration::from_secs(options.idle.into()), speech)?;
    let used = micros(cpu_time(target.pid)? - cpu);
    Ok(used / f64::from(options.idle) / scenario.participants() as f64)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(super) fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    Spread::new(values).median
}
