//! Parlour's jitter buffer beside NetEQ: the same packets at the same times, in virtual time.
//!
//! ```sh
//! cargo run --release --manifest-path tests/neteq/Cargo.toml              # prints the table
//! cargo run --release --manifest-path tests/neteq/Cargo.toml -- --write   # puts it into docs/QUALITY.md
//! cargo run --release --manifest-path tests/neteq/Cargo.toml -- --tune    # other seeds and another voice, for changes
//! ```
//!
//! A word selects networks: `-- --tune jitter`. Without `libtgowt-dev`, or without the Python module `pesq`, it says so and
//! ends well.

mod measure;
mod network;
mod ours;
mod speech;
mod theirs;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use measure::{Measured, measure, python};
use network::{NETWORKS, Network};
use speech::{Packet, Speech};
use theirs::NetEq;

type Error = Box<dyn std::error::Error>;

const SECONDS: usize = 32;
/// The sound card reads 10 ms at a time, out of step with the packets.
const READ_US: u64 = 10_000;
const PHASE_US: u64 = 7_000;

/// What changes are tried on, and what they are judged by.
const TUNING: Set = Set {
    voice: "host",
    seeds: &[1, 2, 3],
};
const JUDGING: Set = Set {
    voice: "device",
    seeds: &[101, 102, 103, 104, 105],
};

struct Set {
    voice: &'static str,
    seeds: &'static [u64],
}

/// A packet that comes, in µs.
pub struct Delivery<'a> {
    at: u64,
    sequence: usize,
    packet: &'a Packet,
}

/// 48 kHz from time 0.
pub struct Heard {
    pcm: Vec<i16>,
    /// Decoded, or rebuilt by the packet after them.
    frames: usize,
}

/// Delay, its 95th percentile, PESQ, and the share of the frames that was not played, in percent.
type Figures = [f64; 4];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let (flags, words): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let neteq = match NetEq::build() {
        Ok(neteq) => neteq,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    let modules = Command::new(python())
        .args(["-c", "import numpy, pesq"])
        .output();
    if !modules.is_ok_and(|output| output.status.success()) {
        println!("skipped: PARLOUR_PYTHON has to name a Python with the modules numpy and pesq");
        return Ok(());
    }
    let set = if has("--tune") { TUNING } else { JUDGING };
    let steady = Speech::load(set.voice, SECONDS, false)?;
    let pausing = Speech::load(set.voice, SECONDS, true)?;
    let mut table = String::from(
        "| network | | delay, ms: mean | in 19 of 20 windows | PESQ-WB | frames not played, % |\n\
         |---|---|--:|--:|--:|--:|\n",
    );
    print!("{table}");
    let is_wanted = |network: &&Network| {
        words.is_empty()
            || words
                .iter()
                .any(|word| network.name.contains(word.as_str()))
    };
    for network in NETWORKS.iter().filter(is_wanted) {
        let speech = if network.pauses { &pausing } else { &steady };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for seed in set.seeds {
            let [one, other] = compare(network, *seed, speech, &neteq)?;
            ours.push(one);
            theirs.push(other);
        }
        let rows = [("Parlour", ours), ("NetEQ", theirs)];
        for (name, figures) in rows {
            let row = row(network.name, name, &figures);
            println!("{row}");
            writeln!(table, "{row}")?;
        }
    }
    if has("--write") {
        if has("--tune") || !words.is_empty() {
            return Err("--write takes all networks and the seeds for judging".into());
        }
        write(&table)?;
    }
    Ok(())
}

/// Both receivers of one network.
fn compare(
    network: &Network,
    seed: u64,
    speech: &Speech,
    neteq: &NetEq,
) -> Result<[Figures; 2], Error> {
    let until_us = SECONDS as u64 * 1_000_000;
    let arrivals = network.arrivals(seed, SECONDS * 50);
    let figures = |heard: Heard| -> Result<Figures, Error> {
        let Measured {
            delay,
            delay_p95,
            quality,
        } = measure(&speech.pcm, &heard.pcm)?;
        let all = speech.frames();
        let unplayed = all.saturating_sub(heard.frames) as f64 * 100.0 / all as f64;
        let quality = quality.ok_or("PESQ gave no number")?;
        Ok([delay, delay_p95, quality, unplayed])
    };
    let deliveries = deliveries(&speech.packets, &arrivals);
    Ok([
        figures(ours::play(&deliveries, until_us)?)?,
        figures(neteq.play(&deliveries, until_us)?)?,
    ])
}

/// In the order in which they arrive.
fn deliveries<'a>(packets: &'a [Packet], arrivals: &[Option<u64>]) -> Vec<Delivery<'a>> {
    let numbered = packets.iter().enumerate();
    let mut deliveries: Vec<Delivery<'a>> = numbered
        .filter_map(|(sequence, packet)| {
            let at = arrivals.get(packet.frame).copied().flatten()?;
            Some(Delivery {
                at,
                sequence,
                packet,
            })
        })
        .collect();
    deliveries.sort_by_key(|delivery| (delivery.at, delivery.sequence));
    deliveries
}

/// Means of all seeds, and by how much they differ from the first to the last.
fn row(network: &str, name: &str, figures: &[Figures]) -> String {
    let mut row = format!("| {network} | {name} |");
    for (index, digits) in [0, 0, 2, 1].into_iter().enumerate() {
        let values = figures.iter().map(|figures| figures[index]);
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
        let mean = values.sum::<f64>() / figures.len() as f64;
        row += &format!(" {mean:.digits$} ({least:.digits$}–{most:.digits$}) |");
    }
    row
}

/// Puts the table between its marks in docs/QUALITY.md.
fn write(table: &str) -> Result<(), Error> {
    const BEGIN: &str = "<!-- neteq:begin -->\n";
    const END: &str = "<!-- neteq:end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/QUALITY.md");
    let text = std::fs::read_to_string(&path)?;
    let (before, rest) = text
        .split_once(BEGIN)
        .ok_or("docs/QUALITY.md has no neteq:begin")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("docs/QUALITY.md has no neteq:end")?;
    std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}"))?;
    Ok(())
}
