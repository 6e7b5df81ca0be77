//! Flash, memory, instructions and panics of a Parlour device, measured on the firmware for QEMU.
//!
//! ```sh
//! cargo run --release             # prints the tables of docs/MEMORY.md, and the panics
//! cargo run --release -- --json   # the same as JSON
//! cargo run --release -- --write  # puts the tables into docs/MEMORY.md
//! cargo run --release -- --top 60 # prints the 60 largest functions of the firmware with G.711
//! cargo run --release -- --check  # fails if docs/MEMORY.md or the panics of docs/FIRMWARE.md say otherwise
//! ```
//!
//! Needs nightly Rust with `rust-src`, and `qemu-system-riscv32`.

mod code;
mod document;
mod firmware;
mod image;
mod owner;
mod panics;
mod sizes;
mod tables;
mod top;

use anyhow::{Context as _, Result, bail, ensure};

use firmware::{Firmware, RUNS, count};
use image::Image;
use tables::Report;

/// The firmware's features, and what a device with them does.
const VARIANTS: [(&str, &str); 3] = [
    ("", "G.711 duplex"),
    ("opus-decode", "hears Opus, says G.711"),
    ("opus-encode", "Opus duplex"),
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let argument = arguments.next();
    let firmware = Firmware::new()?;
    if argument.as_deref() == Some("--top") {
        let count = arguments.next().context("how many?")?.parse()?;
        let (features, _) = VARIANTS[0];
        let image = Image::read(&firmware.build("parlour-qemu-virt", features)?)?;
        return top::print(&image, &firmware.repository, count);
    }
    let report = measure(&firmware)?;
    let documents = firmware.repository.join("docs");
    match argument.as_deref() {
        None => {
            for (name, table) in report.tables() {
                println!("{name}\n\n{table}");
            }
            for (panic, lines) in &report.panics {
                println!("{} | {} | lines {lines:?}", panic.file, panic.what);
            }
        }
        Some("--json") => println!("{:#}", report.json()),
        Some("--write") => document::write(&documents.join("MEMORY.md"), &report.tables())?,
        Some("--check") => {
            let mut wrong = document::differences(&documents.join("MEMORY.md"), &report.tables())?;
            wrong.extend(document::panics(
                &documents.join("FIRMWARE.md"),
                &report.panics,
            )?);
            for line in &wrong {
                eprintln!("{line}");
            }
            ensure!(
                wrong.is_empty(),
                "the documents say otherwise; see the top of examples/firmware/report/src/main.rs"
            );
        }
        Some(other) => bail!("no {other}: there are --json, --write, --check and --top"),
    }
    Ok(())
}

fn measure(firmware: &Firmware) -> Result<Report> {
    let mut report = Report::default();
    for (features, does) in VARIANTS {
        let image = Image::read(&firmware.build("parlour-qemu-virt", features)?)?;
        ensure!(!image.has_heap, "the firmware ({does}) links an allocator");
        report
            .sizes
            .push((does, sizes::measure(&image, &firmware.repository)?));
        for (panic, lines) in panics::find(&image, &firmware.repository)? {
            report.panics.entry(panic).or_default().extend(lines);
        }
    }
    let bench = firmware.build("parlour-qemu-virt-bench", "")?;
    for run in RUNS {
        report.runs.insert(run, count(&bench, run)?);
    }
    report.check_runs()?;
    Ok(report)
}
