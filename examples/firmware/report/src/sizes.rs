//! Flash and RAM, by part.
//!
//! **Code** is attributed by address: the line tables give the inlined functions of each instruction, and the innermost
//! that is neither Rust's library nor a general-purpose container owns it. Inlining across crates, which blurs symbol
//! sizes, therefore does no harm. **Constants** belong to the first code, or constant, that refers to them.
//! **Variables** are attributed by name.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::code::instructions;
use crate::image::{Image, Kind, Symbol};
use crate::owner::{Part, owner};

/// Bytes, by part.
pub type Parts = BTreeMap<Part, u64>;

#[derive(Debug, Default)]
pub struct Sizes {
    pub flash: Parts,
    pub ram: Parts,
}

/// The recording is not a part of a device.
fn is_recording(symbol: &Symbol) -> bool {
    symbol.bytes.starts_with(b"RIFF")
}

pub fn measure(image: &Image, repository: &Path) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    let mut owners = BTreeMap::new();
    for symbol in image.symbols.values() {
        match symbol.kind {
            Kind::Code => code(image, repository, symbol, &mut sizes.flash, &mut owners)?,
            Kind::Constants => {}
            Kind::Data | Kind::Zeroed => {
                *sizes.ram.entry(variable(&symbol.name)).or_default() += symbol.size;
            }
        }
    }
    constants(image, &owners, &mut sizes.flash);
    let recording: u64 = image
        .symbols
        .values()
        .filter(|symbol| is_recording(symbol))
        .map(|symbol| symbol.size)
        .sum();
    let flash = [Kind::Code, Kind::Constants, Kind::Data]
        .map(|kind| image.total(kind))
        .iter()
        .sum::<u64>();
    rest(&mut sizes.flash, flash - recording);
    rest(
        &mut sizes.ram,
        image.total(Kind::Data) + image.total(Kind::Zeroed),
    );
    Ok(sizes)
}

/// Bytes without a symbol: gaps between symbols.
fn rest(parts: &mut Parts, total: u64) {
    let known: u64 = parts.values().sum();
    *parts.entry(Part::Unattributed).or_default() += total.saturating_sub(known);
}

fn code(
    image: &Image,
    repository: &Path,
    symbol: &Symbol,
    flash: &mut Parts,
    owners: &mut BTreeMap<u64, Part>,
) -> Result<()> {
    // Both halves of one of Arm's longer instructions have the same owner.
    let mut places: Vec<_> = if image.is_arm {
        (0..symbol.size).step_by(2).collect()
    } else {
        let instructions = instructions(&symbol.bytes);
        instructions.map(|(at, _)| at as u64).collect()
    };
    places.push(symbol.size);
    for place in places.windows(2) {
        let address = symbol.address + place[0];
        let (part, _) = owner(&image.frames(address)?, repository);
        owners.insert(address, part);
        *flash.entry(part).or_default() += place[1] - place[0];
    }
    Ok(())
}

fn constants(image: &Image, code: &BTreeMap<u64, Part>, flash: &mut Parts) {
    let mut owners = BTreeMap::<u64, Part>::new();
    // Constants refer to constants: repeat until nothing is new.
    loop {
        let known = owners.len();
        for reference in &image.references {
            let from = image.symbol(reference.from).map(|symbol| symbol.address);
            let part = code.get(&reference.from).or_else(|| owners.get(&from?));
            let to = image
                .symbol(reference.to)
                .filter(|symbol| symbol.kind == Kind::Constants);
            if let (Some(&part), Some(to)) = (part, to) {
                owners.entry(to.address).or_insert(part);
            }
        }
        if owners.len() == known {
            break;
        }
    }
    let constants = image
        .symbols
        .values()
        .filter(|symbol| symbol.kind == Kind::Constants);
    for symbol in constants.filter(|symbol| !is_recording(symbol)) {
        let part = owners
            .get(&symbol.address)
            .copied()
            .unwrap_or(Part::Unattributed);
        *flash.entry(part).or_default() += symbol.size;
    }
}

/// The boards' crates, and those that they depend on.
const BOARD: &[&str] = &[
    "qemu_virt_board",
    "mps2_board",
    "qemu_machine",
    "riscv",
    "cortex_m",
];

/// The owner of a variable, by its path.
fn variable(name: &str) -> Part {
    let of = |part: &str| name.contains(part);
    match name {
        _ if of("RESOURCES") => Part::Adapter,
        _ if of("ENCODER") || of("opus_rs") => Part::Codec,
        _ if of("SOCKETS") || of("carry_frames") => Part::NetworkStack,
        _ if of("carry_datagrams") || of("talk_and_listen") => Part::Adapter,
        _ if of("EXECUTOR") || of("embassy_executor") || of("embassy_time") => Part::Executor,
        _ if BOARD.iter().any(|part| of(part)) => Part::Board,
        _ if of("parlour_qemu_device") => Part::Application,
        _ => Part::Unattributed,
    }
}
