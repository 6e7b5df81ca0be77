//! Flash, memory, instructions and panics of a Parlour device, measured on the firmware for QEMU, for RISC-V and for Arm.
//!
//! ```sh
//! cargo run --release             # prints the tables of docs/MEMORY.md, and the panics
//! cargo run --release -- --json   # the same as JSON
//! cargo run --release -- --write  # puts the tables into docs/MEMORY.md
//! cargo run --release -- --top 60 # prints the 60 largest functions and files of the firmware with G.711, for RISC-V
//! cargo run --release -- --top 60 arm # the same for Arm
//! cargo run --release -- --check  # fails if docs/MEMORY.md or the panics of docs/FIRMWARE.md say otherwise
//! cargo run --release -- boards   # an ESP32-C3's images; also with --write and --check
//! ```
//!
//! Needs nightly Rust with `rust-src`, `qemu-system-riscv32` and `qemu-system-arm`; for boards `esptool` in its place.

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

use firmware::{Firmware, MPS2, Machine, RUNS, VIRT, count};
use image::Image;
use panics::Panics;
use tables::{Measured, Report};

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
        let machine = match arguments.next().as_deref() {
            None => &VIRT,
            Some("arm") => &MPS2,
            Some(other) => bail!("no processor {other}: leave it out, or say arm"),
        };
        let (features, _) = VARIANTS[0];
        let image = Image::read(&firmware.build(machine, machine.package, features)?)?;
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
    let (virt, images) = measured(firmware, &VIRT)?;
    let (mps2, _) = measured(firmware, &MPS2)?;
    // Of one machine only: they follow from the source, and the decoder knows one set of instructions.
    let mut panics = Panics::new();
    for image in &images {
        for (panic, lines) in panics::find(image, &firmware.repository)? {
            panics.entry(panic).or_default().extend(lines);
        }
    }
    Ok(Report { virt, mps2, panics })
}

/// The figures of a machine, and the image of each variant.
fn measured(firmware: &Firmware, machine: &Machine) -> Result<(Measured, Vec<Image>)> {
    let mut measured = Measured::default();
    let mut images = Vec::new();
    for (features, does) in VARIANTS {
        let image = Image::read(&firmware.build(machine, machine.package, features)?)?;
        ensure!(!image.has_heap, "the firmware ({does}) links an allocator");
        let sizes = sizes::measure(&image, &firmware.repository)?;
        measured.sizes.push((does, sizes));
        images.push(image);
    }
    let bench = firmware.build(machine, machine.bench, "")?;
    for run in RUNS {
        measured.runs.insert(run, count(machine, &bench, run)?);
    }
    (measured.check_runs(machine)).with_context(|| machine.processor)?;
    Ok((measured, images))
}
