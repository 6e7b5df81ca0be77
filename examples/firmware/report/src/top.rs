//! The largest functions and files of a linked program, and the code inlined into them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::image::{Frame, Image, Kind};
use crate::owner::{Part, owner};
use crate::sizes;

/// The number of inlined functions shown for each.
const INLINED: usize = 4;

/// Prints the `count` largest symbols of code, each with the owners of most of its bytes, and then, summed over all
/// symbols that they are inlined into, the `count` owners and source files with most bytes.
pub fn print(image: &Image, repository: &Path, count: usize) -> Result<()> {
    let mut everywhere = BTreeMap::new();
    let mut files = BTreeMap::new();
    let mut symbols = Vec::new();
    let code = |kind| kind == Kind::Code;
    for symbol in image.symbols.values().filter(|symbol| code(symbol.kind)) {
        let mut owners = BTreeMap::new();
        // Halves of an instruction have the same owner.
        for at in (0..symbol.size).step_by(2) {
            let bytes = (symbol.size - at).min(2);
            let frames = image.frames(symbol.address + at)?;
            let (part, frame) = owner(&frames, repository);
            let name = frame.map_or("itself".into(), |frame| place(frame, repository));
            let file = frame.map_or("itself".into(), |frame| short(frame, repository));
            *owners.entry((part, name)).or_default() += bytes;
            *files.entry((part, file)).or_default() += bytes;
        }
        for (owner, bytes) in &owners {
            *everywhere.entry(owner.clone()).or_default() += bytes;
        }
        symbols.push((symbol, owners));
    }
    symbols.sort_by_key(|(symbol, _)| Reverse(symbol.size));
    println!("Parts of the flash:\n");
    for (part, bytes) in &sizes::measure(image, repository)?.flash {
        println!("{bytes:>7}  {part:?}");
    }
    println!("\nSymbols, and who has most in them:\n");
    for (symbol, owners) in symbols.iter().take(count) {
        println!("{:>7}  {}", symbol.size, symbol.name);
        list(owners, INLINED, "         ");
    }
    println!("\nFunctions, wherever they are inlined:\n");
    list(&everywhere, count, "");
    println!("\nFiles, wherever they are inlined:\n");
    list(&files, count, "");
    Ok(())
}

/// A function and its file.
fn place(frame: &Frame, repository: &Path) -> String {
    format!("{} ({})", frame.function, short(frame, repository))
}

/// A function's file, without the common prefix of registry paths.
fn short(frame: &Frame, repository: &Path) -> String {
    let file = frame.file.strip_prefix(repository).unwrap_or(&frame.file);
    let parts: Vec<_> = file.iter().filter_map(|part| part.to_str()).collect();
    let registry = parts.iter().position(|part| *part == "registry");
    let short = registry
        .and_then(|at| parts.get(at + 3..))
        .unwrap_or(&parts);
    short.join("/")
}

/// Prints the `count` owners with most bytes.
fn list(owners: &BTreeMap<(Part, String), u64>, count: usize, indent: &str) {
    let mut owners: Vec<_> = owners.iter().collect();
    owners.sort_by_key(|(_, bytes)| Reverse(**bytes));
    for ((part, name), bytes) in owners.into_iter().take(count) {
        println!("{indent}{bytes:>7}  {part:?}  {name}");
    }
}
