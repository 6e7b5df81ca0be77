//! Whole meetings that go wrong in every way, from seeds. `--help` says what can be chosen, `docs/TESTING.md` what is checked.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use parlour_core::time::Duration;
use parlour_record::replay;
use parlour_tests::simulation::{Plan, Selection, Violation, minimize, run};

/// Simulates meetings, one for each seed, and checks the invariants that hold in all of them. A failure is made
/// smaller, and printed with the command that repeats it.
#[derive(Debug, Parser)]
#[command(name = "simulate", version)]
struct Options {
    /// The seeds: a number, or a range such as 1..1000, whose end is part of it.
    #[arg(long, value_name = "SEEDS", default_value = "1..100", value_parser = seeds)]
    seeds: RangeInclusive<u64>,
    /// The number of people.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=200))]
    clients: u8,
    /// The length of a meeting, in the time of the simulation.
    #[arg(long, default_value_t = 10.0, value_parser = minutes)]
    minutes: f64,
    /// Only these people of the plan, such as 0,3.
    #[arg(long, value_name = "NUMBERS", value_parser = numbers)]
    people: Option<Numbers>,
    /// Only these steps of the plan, such as 3,9,12.
    #[arg(long, value_name = "NUMBERS", value_parser = numbers)]
    keep: Option<Numbers>,
    /// Only until this second.
    #[arg(long, value_name = "S")]
    until: Option<f64>,
    /// Print the plan and do nothing.
    #[arg(long)]
    plan: bool,
    /// The number of runs to spend on making a failure smaller.
    #[arg(long, value_name = "RUNS", default_value_t = 300)]
    minimize: u32,
    /// Write the input log of every client and server to this folder, secrets and all.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Simulate nothing: replay this input log, of a client or a server, and say whether it does the same.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "seeds")]
    replay: Vec<PathBuf>,
    /// Fail unless the simulation ran this many times as fast as the simulated time, on one core.
    #[arg(long, value_name = "TIMES")]
    at_least: Option<f64>,
}

type Numbers = BTreeSet<usize>;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match options.replay.is_empty() {
        true => simulate(&options),
        false => replay_all(&options.replay),
    };
    if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn simulate(options: &Options) -> bool {
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    let selection = Selection {
        people: options.people.clone(),
        keep: options.keep.clone(),
        until: options.until.map(Duration::from_secs_f64),
    };
    if let Some(folder) = &options.record
        && let Err(error) = std::fs::create_dir_all(folder)
    {
        eprintln!("error: {}: {error}", folder.display());
        return false;
    }
    let mut sum = Sum::default();
    for seed in options.seeds.clone() {
        let whole = Plan::new(seed, options.clients.into(), length);
        let plan = whole.select(&selection);
        if options.plan {
            for step in &plan.steps {
                println!("{step}");
            }
            continue;
        }
        let began = cpu_time();
        let outcome = run(&plan, options.record.as_deref());
        sum.cpu += cpu_time() - began;
        sum.meetings += 1;
        sum.virtual_time += outcome.duration;
        sum.heard += outcome.heard;
        sum.shown += outcome.shown;
        sum.joined += outcome.joined;
        sum.datagrams += outcome.datagrams;
        sum.largest_room = sum.largest_room.max(outcome.largest_room);
        sum.digest ^= outcome.digest.rotate_left((seed % 64) as u32);
        if let Some(violation) = outcome.violation {
            sum.failed.push(seed);
            let is_part = selection != Selection::default();
            report(options, &whole, &plan, seed, &violation, is_part);
        }
    }
    sum.print(options)
}

/// Says what failed, and how to see it again.
fn report(
    options: &Options,
    whole: &Plan,
    plan: &Plan,
    seed: u64,
    violation: &Violation,
    is_part: bool,
) {
    println!("seed {seed}: {violation}");
    let (clients, minutes) = (options.clients, options.minutes);
    let command = format!(
        "cargo run --release -p parlour-tests --bin simulate -- --seeds {seed} --clients {clients} --minutes {minutes}"
    );
    if is_part || options.minimize == 0 {
        for step in &plan.steps {
            println!("  {step}");
        }
        println!("  again: {command} and what was chosen of it");
        return;
    }
    let small = minimize(whole, violation.invariant, violation.at, options.minimize);
    let plan = whole.select(&small);
    for step in &plan.steps {
        println!("  {step}");
    }
    if let Some(violation) = run(&plan, None).violation {
        println!("  {violation}");
    }
    println!("  again: {command}{small}");
}

/// The result of all meetings.
#[derive(Debug, Default)]
struct Sum {
    meetings: u64,
    virtual_time: Duration,
    cpu: Duration,
    heard: u64,
    shown: u64,
    joined: u64,
    datagrams: u64,
    largest_room: usize,
    digest: u64,
    failed: Vec<u64>,
}

impl Sum {
    fn print(&self, options: &Options) -> bool {
        if options.plan {
            return true;
        }
        let speed = self.virtual_time.as_secs_f64() / self.cpu.as_secs_f64();
        println!(
            "{} meetings of {} people, at most {} in a room: {:.0} s simulated in {:.1} s of CPU: {speed:.0} times real time",
            self.meetings,
            options.clients,
            self.largest_room,
            self.virtual_time.as_secs_f64(),
            self.cpu.as_secs_f64()
        );
        println!(
            "{} joins and resumes, {} datagrams, {} frames heard, {} pictures seen; digest {:016x}",
            self.joined, self.datagrams, self.heard, self.shown, self.digest
        );
        let is_slow = options.at_least.is_some_and(|least| speed < least);
        if is_slow {
            println!("FAILED: slower than asked for");
        }
        if !self.failed.is_empty() {
            println!(
                "FAILED: {} of them, seeds {:?}",
                self.failed.len(),
                self.failed
            );
        }
        self.failed.is_empty() && !is_slow
    }
}

fn replay_all(files: &[PathBuf]) -> bool {
    let mut all = true;
    for file in files {
        let log = std::fs::File::open(file).map(std::io::BufReader::new);
        let replayed = log.map_err(Into::into).and_then(replay);
        match replayed {
            Ok(replayed) => println!(
                "{}: a {}, {} calls in {:.3} s: all came out as recorded{}",
                file.display(),
                replayed.machine,
                replayed.calls,
                replayed.duration.as_secs_f64(),
                if replayed.is_cut {
                    "; the log ends within a call"
                } else {
                    ""
                }
            ),
            Err(error) => {
                println!("{}: {error}", file.display());
                all = false;
            }
        }
    }
    all
}

/// CPU time that this process has used.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = stat
        .split_whitespace()
        .next()
        .and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let wrong = |_| "give a number, or a range such as 1..1000".to_owned();
    match text.split_once("..") {
        Some((first, last)) => {
            let last = last.strip_prefix('=').unwrap_or(last);
            let seeds = first.parse().map_err(wrong)?..=last.parse().map_err(wrong)?;
            if seeds.is_empty() {
                return Err("there is nothing in that range: say the smaller number first".into());
            }
            Ok(seeds)
        }
        None => text.parse().map(|seed| seed..=seed).map_err(wrong),
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: Option<f64> = text.parse().ok();
    minutes
        .filter(|minutes| (0.01..=1e5).contains(minutes))
        .ok_or_else(|| "give a number of minutes, such as 1.5".to_owned())
}

fn numbers(text: &str) -> Result<Numbers, String> {
    let parsed: Result<Numbers, std::num::ParseIntError> =
        text.split(',').map(str::parse).collect();
    parsed.map_err(|_| "give numbers with commas between them".to_owned())
}
