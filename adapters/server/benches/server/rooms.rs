//! What management costs the rooms: `parlour load` at a whole server, and at the same rooms without one.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::process::{CORE, Failure, Process, median};

/// How often both are measured, in turn.
const RUNS: usize = 5;
/// A thousand rooms of five participants, two of which talk: seldom, so that the server is busy for a third of the time.
const LOAD: [&str; 12] = [
    "load",
    "-o",
    "json",
    "--rooms",
    "1000",
    "--listeners",
    "3",
    "--talkers",
    "2",
    "--pps",
    "10",
    "--seconds=5",
];

/// One run of `parlour load`.
struct Run {
    joins_per_second: f64,
    cpu_us_per_join: f64,
    cpu_us_per_frame: f64,
    /// The frame's cost by that of the floor, measured in turn with it.
    ratio: f64,
    delivered: f64,
}

pub(crate) fn measure() -> Result<(), Failure> {
    let (mut managed, mut bare) = (Vec::new(), Vec::new());
    for run in 1..=RUNS {
        eprintln!("rooms: run {run} of {RUNS}");
        managed.push(run_managed()?);
        bare.push(run_load(&["--own-server"], &[])?);
    }
    println!("\n| 1,000 rooms × 5 participants | rooms alone | with management | ratio | aim |");
    println!("|---|--:|--:|--:|--:|");
    let row = |name: &str, of: fn(&Run) -> f64, aim: &str| {
        let (bare, managed) = (median(bare.iter().map(of)), median(managed.iter().map(of)));
        println!(
            "| {name} | {bare:.2} | {managed:.2} | {:.2} | {aim} |",
            managed / bare
        );
    };
    row(
        "joins a second, by the clock",
        |run| run.joins_per_second,
        "≥ 0.90",
    );
    row("µs of CPU per join", |run| run.cpu_us_per_join, "");
    row(
        "µs of CPU per forwarded frame",
        |run| run.cpu_us_per_frame,
        "",
    );
    row("the same by the floor's", |run| run.ratio, "≤ 1.02");
    row("share of frames delivered", |run| run.delivered, "");
    Ok(())
}

fn run_managed() -> Result<Run, Failure> {
    let folder = tempfile::tempdir()?;
    let server = Process::serve_with(folder.path(), |config| config.media.workers = 1, Some(CORE))?;
    let pid = server.pid().to_string();
    let url = format!("http://{}", server.http);
    let key = server.key()?;
    run_load(
        &["--pid", &pid],
        &[("PARLOUR_URL", &url), ("PARLOUR_KEY", &key)],
    )
}

fn run_load(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Run, Failure> {
    let done = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(LOAD)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()?;
    if !done.status.success() {
        std::io::stderr().write_all(&done.stderr)?;
        return Err("`parlour load` failed".into());
    }
    let rows: Value = serde_json::from_slice(&done.stdout)?;
    let run = &rows[0]["runs"][0];
    let number = |name: &str| -> Result<f64, Failure> {
        let number = run[name].as_f64();
        number.ok_or_else(|| format!("`parlour load` says no {name}").into())
    };
    Ok(Run {
        joins_per_second: number("joins_per_second")?,
        cpu_us_per_join: number("cpu_us_per_join")?,
        cpu_us_per_frame: number("cpu_us_per_frame")?,
        ratio: number("ratio")?,
        delivered: number("delivered")?,
    })
}
