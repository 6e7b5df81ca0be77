//! Counts the instructions of every case under valgrind, and compares them with the table in `docs/PERFORMANCE.md`.
//!
//! ```text
//! counts             prints a table beside what is committed; fails if a case costs 5 % more than that
//! counts --write     writes that table instead
//! counts CASE N      does a case so many times (what is run under valgrind)
//! ```
//!
//! Only what happens inside of [`measured`] counts. valgrind shows programs the same processor whatever machine it runs
//! on, if that one has AVX2.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use parlour_bench::{Case, cases};

/// More than this in percent, and a case has become slower.
const ALLOWED: f64 = 5.0;
/// How often a case is done.
const REPETITIONS: u64 = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => compare(),
        ["--write"] => write(),
        [name, count] => repeat(name, count),
        _ => Err("usage: counts [--write | CASE N]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), String>;

fn repeat(name: &str, count: &str) -> Done {
    let count = count.parse().map_err(|_| format!("{count} is no number"))?;
    let case = cases::all()
        .find(|case| case.name == name)
        .ok_or_else(|| format!("there is no case {name}"))?;
    let mut routine = (case.prepare)(count);
    for _ in 0..count {
        measured(&mut *routine);
    }
    Ok(())
}

/// valgrind knows it by this name.
#[inline(never)]
fn measured(routine: &mut dyn FnMut()) {
    routine();
}

fn compare() -> Done {
    let page = Page::read()?;
    let mut committed: BTreeMap<&str, u64> = page.table().lines().filter_map(parse).collect();
    let mut complaints = String::new();
    println!(
        "{:>12} {:>12} {:>8}  case",
        "counted", "committed", "change"
    );
    for case in cases::all() {
        let counted = count(case)?;
        let Some(before) = committed.remove(case.name) else {
            let _ = writeln!(complaints, "{}: not in {PAGE}", case.name);
            continue;
        };
        let change = (counted as f64 / before as f64 - 1.0) * 100.0;
        println!("{counted:>12} {before:>12} {change:>+7.1}%  {}", case.name);
        if change > ALLOWED {
            let _ = writeln!(complaints, "{}: {change:+.1} %", case.name);
        }
    }
    for name in committed.keys() {
        let _ = writeln!(complaints, "{name}: only in {PAGE}");
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{complaints}Make it cheaper, or say in the commit why it is worth that, and run `counts --write`."
    ))
}

fn write() -> Done {
    let page = Page::read()?;
    let mut table = String::from("| operation | instructions |\n|---|--:|\n");
    for case in cases::all() {
        let _ = writeln!(table, "| {} | {} |", case.name, grouped(count(case)?));
    }
    print!("{table}");
    page.write(&table)
}

/// The name and the count of a row of the table.
fn parse(row: &str) -> Option<(&str, u64)> {
    let mut cells = row.split('|').map(str::trim).skip(1);
    let (name, count) = (cells.next()?, cells.next()?);
    Some((name, count.replace(',', "").parse().ok()?))
}

/// `count` with a comma between thousands.
fn grouped(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        _ => format!("{},{:03}", grouped(count / 1_000), count % 1_000),
    }
}

const PAGE: &str = "docs/PERFORMANCE.md";

/// The page that holds the table, between two marks.
struct Page {
    path: PathBuf,
    text: String,
    table: Range<usize>,
}

impl Page {
    fn read() -> Result<Self, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(PAGE);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
        let mark = |mark: &str| {
            let at = text.find(mark);
            at.ok_or_else(|| format!("{PAGE} has no {mark}"))
        };
        let begin = "<!-- counts:begin -->\n";
        let table = mark(begin)? + begin.len()..mark("<!-- counts:end -->")?;
        if table.start > table.end {
            return Err(format!("{PAGE}: the marks are the wrong way round"));
        }
        Ok(Self { path, text, table })
    }

    fn table(&self) -> &str {
        &self.text[self.table.clone()]
    }

    fn write(mut self, table: &str) -> Done {
        self.text.replace_range(self.table, table);
        std::fs::write(self.path, self.text).map_err(|error| format!("{PAGE}: {error}"))
    }
}

/// Instructions that the case takes once, on average.
fn count(case: &Case) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*counts*measured*"])
        .arg(this)
        .args([case.name, &REPETITIONS.to_string()])
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}; install it"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{} failed under valgrind:\n{said}", case.name));
    }
    let collected: Option<u64> = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, number)| number.trim().parse().ok());
    match collected {
        Some(total @ 1..) => Ok(total / REPETITIONS),
        _ => Err(format!("valgrind did not say what it counted:\n{said}")),
    }
}
