//! Flash, memory, instructions and panics of a Parlour device, measured on the firmware for QEMU.
//!
//! ```sh
//! cargo run --release             # prints the tables of docs/MEMORY.md, and the panics
//! cargo run --release -- --json   # the same as JSON
//! cargo run --release -- --write  # puts the tables into docs/MEMORY.md
//! cargo run --release -- --top 60 # prints the 60 largest functions of the firmware with G.711
//! cargo run --release -- --check  # fails if docs/MEMORY.md or the panics of docs/FIRMWARE.md say otherwise
//! cargo run --release -- boards   # an ESP32-C3's images; also with --write and --check
//! ```
//!
//! Needs nightly Rust with `rust-src`, and `qemu-system-riscv32`; for boards `esptool` in its place.

mod boards;
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

/// The firmware's features, and the device's behaviour with them.
const VARIANTS: [(&str, &str); 3] = [
    ("", "G.711 duplex"),
    ("opus-decode", "hears Opus, says G.711"),
    ("opus-encode", "Opus duplex"),
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    let is_boards = arguments.next_if(|first| first == "boards").is_some();
    let option = arguments.next();
    let firmware = Firmware::new()?;
    if option.as_deref() == Some("--top") {
        let count = arguments.next().context("how many?")?.parse()?;
        let (features, _) = VARIANTS[0];
        let image = Image::read(&firmware.build("parlour-qemu-virt", features)?)?;
        return top::print(&image, &firmware.repository, count);
    }
    let (tables, report) = if is_boards {
        (boards::tables(&firmware.repository)?, None)
    } else {
        let report = measure(&firmware)?;
        (report.tables(), Some(report))
    };
    let documents = firmware.repository.join("docs");
    let memory = documents.join("MEMORY.md");
    match (option.as_deref(), report) {
        (None, report) => {
            for (name, table) in &tables {
                println!("{name}\n\n{table}");
            }
            for (panic, lines) in report.iter().flat_map(|report| &report.panics) {
                println!("{} | {} | lines {lines:?}", panic.file, panic.what);
            }
        }
        (Some("--json"), Some(report)) => println!("{:#}", report.json()),
        (Some("--write"), _) => document::write(&memory, &tables)?,
        (Some("--check"), report) => {
            let mut wrong = document::differences(&memory, &tables)?;
            if let Some(report) = &report {
                let firmware = documents.join("FIRMWARE.md");
                wrong.extend(document::panics(&firmware, &report.panics)?);
            }
            for line in &wrong {
                eprintln!("{line}");
            }
            ensure!(
                wrong.is_empty(),
                "the documents say otherwise; see the top of examples/firmware/report/src/main.rs"
            );
        }
        (Some(other), _) => {
            bail!("no {other}: see the top of examples/firmware/report/src/main.rs")
        }
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
