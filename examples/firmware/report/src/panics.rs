//! Our calls to a panic: in the source of `parlour-core` or `parlour-embassy`, or in code inlined there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use crate::code::{Flow, instructions};
use crate::image::{Image, Kind, Symbol};
use crate::owner::{Part, Source, source};

/// A kind of panic in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Panic {
    /// The path from the top of the repository.
    pub file: String,
    /// The called function, and its crate if that is not ours.
    pub what: String,
}

/// The lines of these panics.
pub type Panics = BTreeMap<Panic, BTreeSet<u32>>;

/// Functions of Rust's library that never return, by address.
fn diverging(image: &Image) -> BTreeSet<u64> {
    let targets: BTreeMap<u64, u64> = image.references.iter().map(|it| (it.from, it.to)).collect();
    let mut found: BTreeSet<u64> = BTreeSet::new();
    let library = |symbol: &&Symbol| {
        let name = symbol.name.trim_start_matches('<');
        symbol.kind == Kind::Code && (name.starts_with("core::") || name.starts_with("alloc::"))
    };
    for symbol in image.symbols.values().filter(library) {
        if symbol.name.starts_with("core::panicking::") {
            found.insert(symbol.address);
        }
    }
    loop {
        let known = found.len();
        for symbol in image.symbols.values().filter(library) {
            let mut calls_panic = false;
            let mut returns = false;
            for (at, flow) in instructions(&symbol.bytes) {
                let address = symbol.address + at as u64;
                // A call may consist of two instructions, the first of which names its target.
                let target = targets
                    .get(&address)
                    .or_else(|| targets.get(&(address.wrapping_sub(4))));
                let panics = target.is_some_and(|to| found.contains(to));
                let inside = target
                    .is_none_or(|to| (symbol.address..symbol.address + symbol.size).contains(to));
                calls_panic |= panics;
                returns |= match flow {
                    Flow::Jump => !inside && !panics,
                    Flow::Away => !panics,
                    Flow::On | Flow::Call => false,
                };
            }
            if calls_panic && !returns {
                found.insert(symbol.address);
            }
        }
        if found.len() == known {
            return found;
        }
    }
}

pub fn find(image: &Image, repository: &Path) -> Result<Panics> {
    let panicking = diverging(image);
    let mut found = Panics::new();
    for reference in &image.references {
        if !panicking.contains(&reference.to) {
            continue;
        }
        let Some(target) = image.symbols.get(&reference.to) else {
            continue;
        };
        if image
            .symbol(reference.from)
            .is_none_or(|from| from.kind != Kind::Code)
        {
            continue;
        }
        let frames = image.frames(reference.from)?;
        let ours = frames.iter().find_map(|frame| {
            let file = frame.file.strip_prefix(repository).ok()?;
            (file.starts_with("core") || file.starts_with("adapters")).then_some((file, frame.line))
        });
        let Some((file, line)) = ours else { continue };
        // The innermost crate that is not Rust's own.
        let inner = frames.iter().find(|frame| {
            matches!(source(&frame.file, repository), Source::Of(part) if part != Part::Library)
                || frame.file.iter().any(|part| part == "registry")
        });
        let via = inner.and_then(|frame| package(&frame.file));
        let name = leaf(&target.name);
        let what = via.map_or(name.clone(), |via| format!("{name} in {via}"));
        let panic = Panic {
            file: file.to_string_lossy().into_owned(),
            what,
        };
        let lines = found.entry(panic).or_default();
        // Line 0 marks code that the compiler has merged from several lines.
        lines.extend(Some(line).filter(|line| *line > 0));
    }
    Ok(found)
}

/// `core::slice::index::slice_index_fail` → `slice_index_fail`; the part in `<>` is dropped.
fn leaf(name: &str) -> String {
    let plain = name
        .split('<')
        .find(|part| !part.is_empty())
        .unwrap_or(name);
    let plain = plain.trim_end_matches(':');
    plain
        .rsplit("::")
        .find(|part| !part.starts_with('{'))
        .unwrap_or(plain)
        .to_owned()
}

/// The name of the registry package of a file.
fn package(file: &Path) -> Option<String> {
    let parts: Vec<_> = file.iter().filter_map(|part| part.to_str()).collect();
    let at = parts.iter().position(|part| *part == "registry")?;
    let (name, _) = parts.get(at + 3)?.rsplit_once('-')?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened() {
        assert_eq!(leaf("core::panicking::panic_fmt"), "panic_fmt");
        assert_eq!(
            leaf("core::panicking::assert_failed::<u8, u8>"),
            "assert_failed"
        );
        let file = Path::new("/c/registry/src/index-1/rand_core-0.6.4/src/block.rs");
        assert_eq!(package(file).as_deref(), Some("rand_core"));
        assert_eq!(package(Path::new("/parlour/core/src/lib.rs")), None);
    }
}
