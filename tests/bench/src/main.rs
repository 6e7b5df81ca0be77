//! Instructions, for CI: counts what each case executes under valgrind, and compares that with `counts.txt`.
//!
//! ```sh
//! cargo run --release -- check    # fails if any case takes over 5 % more than `counts.txt` says
//! cargo run --release -- write    # writes `counts.txt` anew
//! ```
//!
//! Counts depend on the compiler and on the processor's instruction set (the cipher looks for AVX2), hardly on
//! anything else: they are the same in every run to within what hash seeds and addresses do, far below 1 %.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::process::{Command, ExitCode};

use parlour_bench::{Bench, cases};

const COUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");
/// How much a case may take more than before, in percent.
const TOLERANCE: f64 = 5.0;
/// Runs before those that are counted, and those.
const WARM_UP: usize = 20;
const RUNS: usize = 100;

/// What valgrind counts.
#[inline(never)]
fn counted_runs(bench: &mut dyn Bench) {
    for _ in 0..RUNS {
        black_box(&mut *bench).run();
    }
}

/// Runs one case, in a process that valgrind looks at.
fn run(name: &str) -> Result<(), String> {
    let case = cases().into_iter().find(|case| case.name == name);
    let mut bench = (case.ok_or("no such case")?.make)();
    bench.prepare(WARM_UP);
    for _ in 0..WARM_UP {
        bench.run();
    }
    bench.prepare(RUNS);
    counted_runs(&mut *bench);
    Ok(())
}

/// Instructions that one run of a case takes.
fn count(name: &str) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--collect-atstart=no",
        ])
        .arg("--toggle-collect=*counted_runs*")
        .arg(program)
        .args(["run", name])
        .output()
        .map_err(|error| format!("valgrind does not run: {error}; install it"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} failed under valgrind:\n{text}"));
    }
    let line = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let total = line.and_then(|(_, number)| number.trim().parse::<u64>().ok());
    let total = total.filter(|total| *total > 0);
    Ok(total.ok_or(format!("valgrind counted nothing:\n{text}"))? / RUNS as u64)
}

fn known() -> Result<BTreeMap<String, u64>, String> {
    let text = fs::read_to_string(COUNTS).map_err(|error| format!("{COUNTS}: {error}"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (count, name) = line
                .trim()
                .split_once("  ")
                .ok_or("a line is a count and a name")?;
            let count = count.parse().map_err(|_| format!("{count} is no count"))?;
            Ok((name.to_owned(), count))
        })
        .collect()
}

fn check() -> Result<(), String> {
    let mut known = known()?;
    let mut failed = Vec::new();
    for case in cases() {
        let count = count(case.name)?;
        let Some(before) = known.remove(case.name) else {
            println!("{count:>10}  {:>8}  {}", "new", case.name);
            failed.push(case.name);
            continue;
        };
        let change = (count as f64 / before as f64 - 1.0) * 100.0;
        println!("{count:>10}  {change:>+7.2}%  {}", case.name);
        if change > TOLERANCE {
            failed.push(case.name);
        }
    }
    let gone = known.keys().map(String::as_str);
    failed.extend(gone);
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "over {TOLERANCE} % more instructions than in counts.txt, or not the same cases: {}. If that is wanted, say why and `write`",
        failed.join("; ")
    ))
}

fn write() -> Result<(), String> {
    let version = Command::new("rustc").arg("--version").output();
    let version = version.map_err(|error| error.to_string())?.stdout;
    let version = String::from_utf8_lossy(&version);
    let mut text = format!(
        "# Instructions for one run of each case, {}, {}.\n",
        env::consts::ARCH,
        version.trim()
    );
    for case in cases() {
        let count = count(case.name)?;
        println!("{count:>10}  {}", case.name);
        writeln!(text, "{count:>10}  {}", case.name).map_err(|error| error.to_string())?;
    }
    fs::write(COUNTS, text).map_err(|error| format!("{COUNTS}: {error}"))
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["run", name] => run(name),
        ["check"] => check(),
        ["write"] => write(),
        _ => Err("say `check` or `write`".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
