//! A server that runs somewhere: joins, talk, what arrives.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use parlour_tokio::core::signal::SubscribePolicy;
use parlour_tokio::core::time::Instant;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::Serialize;

use super::Load;
use super::kernel::cpu_time;
use super::measure::{Latency, everybody, millis, ratio, talkers};
use super::network::{Clock, Crowd};
use super::options::Scenario;
use super::server::Tickets;
use super::speech::Speech;
use super::talkers::{Member, Times};
use crate::cli::progress;
use crate::cli::serve::asked_to_end;

/// Joins under way at a time.
const JOINING: usize = 32;
/// How long joins may take beyond the ramp.
const PATIENCE: Duration = Duration::from_secs(120);
const MOMENT: Duration = Duration::from_millis(2);
/// The time between two looks at the progress.
const STEP: Duration = Duration::from_millis(100);
/// The time until frames on their way are heard, and until the server knows who has left.
const SETTLE: Duration = Duration::from_millis(500);

/// The result of a load. Times are by this machine's clock: talkers and listeners are in one process.
#[derive(Debug, Serialize)]
pub(super) struct Driven {
    rooms: usize,
    listeners: usize,
    talkers: usize,
    participants: usize,
    /// Seconds until all had joined, the ramp included.
    join_s: f64,
    /// From a client's first packet until it was in the room, in milliseconds.
    join_ms: Option<Latency>,
    /// Seconds of talk.
    seconds: f64,
    frames_said: u64,
    /// Frames that should have been heard, and were.
    frames_due: u64,
    frames_heard: u64,
    /// The second by the first: 1 is all.
    delivered: f64,
    /// The same in the room that heard the least.
    delivered_worst_room: f64,
    /// From the sending of a frame to its arrival at the listener's socket, in microseconds.
    latency_us: Option<Latency>,
    /// Datagrams that were lost here, because this program was too slow.
    lost_here: u64,
    /// CPU time of this program, of a core, while there was talk: near 1, it was the bottleneck.
    own_cpu_share: f64,
    /// Whether the user has ended it early.
    interrupted: bool,
}

/// Tells whether the user wants this to end: Ctrl-C or SIGTERM.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for it, on a thread of its own.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().context("cannot start")?;
        let asked = Self::default();
        let told = asked.clone();
        std::thread::spawn(move || {
            runtime.block_on(asked_to_end());
            told.0.store(true, Ordering::Relaxed);
        });
        Ok(asked)
    }

    /// Whether that has been asked for.
    pub(super) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) fn drive(
    options: &Load,
    scenario: &Scenario,
    tickets: &Tickets,
    interrupt: &Interrupt,
) -> anyhow::Result<Driven> {
    let clock = Clock::new();
    let mut rng = ChaCha12Rng::seed_from_u64(options.seed);
    // Ids and keys of two runs must differ, whatever the seed of the phases.
    let mut secrets = ChaCha12Rng::from_rng(rand_core::OsRng).context("no random numbers")?;
    let speech = Speech::stamped(
        Duration::from_secs(1) / scenario.pps,
        options.payload.into(),
    );
    let mut crowd = Crowd::new(clock, tickets.address()?)?;
    let began = clock.now();
    let all_joined = join(
        options,
        scenario,
        tickets,
        interrupt,
        &mut crowd,
        &mut secrets,
        &speech,
    );
    let join_s = seconds_since(began, clock);
    if let Err(error) = all_joined {
        leave(&mut crowd, &speech)?;
        return Err(error);
    }
    crowd.run_for(SETTLE, &speech)?;

    let all = everybody(options, scenario).len();
    let own = cpu_time(std::process::id())?;
    let drops = crowd.drops()?;
    let began = clock.now();
    crowd.start_talking(&talkers(options, scenario, speech.interval, &mut rng));
    let bar = progress::bar(options.seconds().into(), "seconds");
    let end = began + Duration::from_secs(options.seconds().into());
    while clock.now() < end && !interrupt.is_there() {
        let step = end.saturating_duration_since(clock.now()).min(STEP);
        crowd.run_for(step, &speech)?;
        bar.set_position(seconds_since(began, clock) as u64);
    }
    crowd.stop_talking();
    let seconds = seconds_since(began, clock);
    let own_cpu_share = ratio((cpu_time(std::process::id())? - own).as_secs_f64(), seconds);
    crowd.run_for(SETTLE, &speech)?;
    bar.finish_and_clear();

    let lost_here = crowd.drops()? - drops;
    let rooms = crowd.rooms();
    let shares = rooms
        .iter()
        .map(|room| ratio(room.heard as f64, (room.said * room.listeners) as f64));
    let worst = shares.fold(f64::INFINITY, f64::min);
    let frames_due = rooms.iter().map(|room| room.said * room.listeners).sum();
    let join_ms = millis(crowd.parties().map(|party| party.times()).map(Times::join));
    let latency = std::mem::take(&mut crowd.tally.latency);
    let driven = Driven {
        rooms: scenario.rooms,
        listeners: scenario.listeners,
        talkers: scenario.talkers,
        participants: all,
        join_s,
        join_ms,
        seconds,
        frames_said: rooms.iter().map(|room| room.said).sum(),
        frames_due,
        frames_heard: crowd.tally.heard,
        delivered: ratio(crowd.tally.heard as f64, frames_due as f64),
        delivered_worst_room: if worst.is_finite() { worst } else { 0.0 },
        latency_us: (!latency.is_empty()).then(|| Latency::new(latency)),
        lost_here,
        own_cpu_share,
        interrupted: interrupt.is_there(),
    };
    let closed = crowd.closed();
    leave(&mut crowd, &speech)?;
    match closed {
        Some(cause) => {
            anyhow::bail!("a participant was removed while it talked or listened: {cause}")
        }
        None => Ok(driven),
    }
}

/// Has everybody join, in the time that the ramp says, with some joins under way at a time; listeners of a room before its
/// talkers.
fn join(
    options: &Load,
    scenario: &Scenario,
    tickets: &Tickets,
    interrupt: &Interrupt,
    crowd: &mut Crowd<Member>,
    rng: &mut ChaCha12Rng,
    speech: &Speech,
) -> anyhow::Result<()> {
    let all = everybody(options, scenario);
    let clock = crowd.clock();
    let began = clock.now();
    let ramp = Duration::from_secs(options.ramp.into());
    let bar = progress::bar(all.len() as u64, "participants");
    let mut begun = 0;
    loop {
        let joined = crowd.joined();
        bar.set_position(joined as u64);
        if joined == all.len() {
            bar.finish_and_clear();
            return Ok(());
        }
        if let Some(cause) = crowd.closed() {
            anyhow::bail!(
                "{joined} of {} participants joined, then: {cause}",
                all.len()
            );
        }
        let took = clock.now().saturating_duration_since(began);
        if interrupt.is_there() || took > ramp + PATIENCE {
            let why = if interrupt.is_there() {
                "interrupted"
            } else {
                "no more answers"
            };
            anyhow::bail!("{joined} of {} participants joined: {why}", all.len());
        }
        let due = match ramp.is_zero() {
            true => all.len(),
            false => (took.as_secs_f64() / ramp.as_secs_f64() * all.len() as f64) as usize + 1,
        };
        while begun < all.len().min(due).min(joined + JOINING) {
            let place = all[begun];
            let policy = match place.listens {
                true => SubscribePolicy::All,
                false => SubscribePolicy::None,
            };
            let ticket = tickets.ticket(place.room, begun)?;
            let member = Member::new(&ticket, !place.listens, policy, clock.now(), rng)?;
            crowd.add(member, Some(place))?;
            begun += 1;
        }
        crowd.run_for(MOMENT, speech)?;
    }
}

fn leave(crowd: &mut Crowd<Member>, speech: &Speech) -> anyhow::Result<()> {
    crowd.leave()?;
    crowd.run_for(SETTLE, speech)
}

fn seconds_since(began: Instant, clock: Clock) -> f64 {
    clock.now().saturating_duration_since(began).as_secs_f64()
}

/// For people.
impl fmt::Display for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rooms,
            listeners,
            talkers,
            ..
        } = self;
        writeln!(
            f,
            "load        {rooms} × {listeners} listeners × {talkers} talkers, {:.1} s",
            self.seconds
        )?;
        write!(
            f,
            "joined      {} participants in {:.1} s",
            self.participants, self.join_s
        )?;
        if let Some(Latency { p50, p99, max }) = self.join_ms {
            write!(
                f,
                "; each in {p50} ms (p50), {p99} ms (p99), {max} ms (max)"
            )?;
        }
        writeln!(
            f,
            "\ndelivered   {:.2} % of {} frames; {:.2} % in the room that heard the least",
            self.delivered * 100.0,
            self.frames_due,
            self.delivered_worst_room * 100.0
        )?;
        if let Some(Latency { p50, p99, max }) = self.latency_us {
            let ms = |micros: u32| f64::from(micros) / 1e3;
            writeln!(
                f,
                "latency     {:.2} ms (p50), {:.2} ms (p99), {:.2} ms (max)",
                ms(p50),
                ms(p99),
                ms(max)
            )?;
        }
        writeln!(
            f,
            "this side   {:.0} % of a core, {} datagrams lost here",
            self.own_cpu_share * 100.0,
            self.lost_here
        )
    }
}
