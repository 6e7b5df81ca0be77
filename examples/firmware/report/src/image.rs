//! A linked program: its symbols, its references, and the source of each address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use addr2line::Loader;
use anyhow::{Result, anyhow, ensure};
use object::{
    Architecture, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget,
    SectionKind, SymbolKind,
};

/// The memory of a section when the device runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Code,
    Constants,
    /// Initialised variables: in flash, and copied to RAM.
    Data,
    /// Variables that start as zero.
    Zeroed,
}

#[derive(Debug)]
pub struct Symbol {
    pub name: String,
    pub address: u64,
    pub size: u64,
    pub kind: Kind,
    /// Empty for [`Kind::Zeroed`].
    pub bytes: Vec<u8>,
}

/// A place that refers to another, from the linker's relocations.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    pub from: u64,
    pub to: u64,
}

/// A function of an address: itself, or inlined.
#[derive(Debug, Clone)]
pub struct Frame {
    pub file: PathBuf,
    pub line: u32,
    /// Its name, with its generic arguments.
    pub function: String,
}

pub struct Image {
    lines: Loader,
    /// By address.
    pub symbols: BTreeMap<u64, Symbol>,
    pub references: Vec<Reference>,
    /// Bytes of each section that is loaded.
    pub sections: Vec<(Kind, u64)>,
    /// Whether an allocator is linked.
    pub has_heap: bool,
    pub is_arm: bool,
}

impl Image {
    /// Reads an ELF file that was linked with `--emit-relocs`.
    pub fn read(path: &Path) -> Result<Self> {
        let lines = Loader::new(path).map_err(|error| anyhow!("{error}"))?;
        let bytes = std::fs::read(path)?;
        let file = object::File::parse(&*bytes)?;
        let mut symbols = BTreeMap::<u64, Symbol>::new();
        let mut has_heap = false;
        for symbol in file.symbols() {
            let name = symbol.name()?;
            has_heap |= name.contains("__rust_alloc");
            let Some(section) = symbol.section_index() else {
                continue;
            };
            let section = file.section_by_index(section)?;
            let Some(kind) = kind(&section).filter(|_| symbol.size() > 0) else {
                continue;
            };
            let address = place(symbol.address(), kind, &file);
            let bytes = section.data_range(address, symbol.size())?;
            let symbol = Symbol {
                name: demangled(name),
                address,
                size: symbol.size(),
                kind,
                bytes: bytes.unwrap_or_default().to_vec(),
            };
            let other = symbols.entry(symbol.address).or_insert(symbol);
            // Any of several names for one place will do.
            other.size = other.size.max(1);
        }
        let mut sections = Vec::new();
        let mut references = Vec::new();
        for section in file.sections() {
            let Some(kind) = kind(&section) else { continue };
            sections.push((kind, section.size()));
            for (from, relocation) in section.relocations() {
                let RelocationTarget::Symbol(target) = relocation.target() else {
                    continue;
                };
                let target = file.symbol_by_index(target)?;
                let to = target.address().wrapping_add_signed(relocation.addend());
                let to = match target.kind() {
                    SymbolKind::Text => place(to, Kind::Code, &file),
                    _ => to,
                };
                references.push(Reference { from, to });
            }
        }
        ensure!(
            !references.is_empty(),
            "{} was linked without --emit-relocs",
            path.display()
        );
        Ok(Self {
            lines,
            symbols,
            references,
            sections,
            has_heap,
            is_arm: file.architecture() == Architecture::Arm,
        })
    }

    /// The symbol of this address.
    pub fn symbol(&self, address: u64) -> Option<&Symbol> {
        let (_, symbol) = self.symbols.range(..=address).next_back()?;
        (address < symbol.address + symbol.size).then_some(symbol)
    }

    /// The functions of this code address, innermost first.
    pub fn frames(&self, address: u64) -> Result<Vec<Frame>> {
        let mut found = Vec::new();
        let frames = self.lines.find_frames(address);
        let mut frames = frames.map_err(|error| anyhow!("{error}"))?;
        while let Some(frame) = frames.next()? {
            let Some(location) = frame.location else {
                continue;
            };
            let function = frame.function.as_ref();
            let name = function.and_then(|function| function.raw_name().ok());
            found.push(Frame {
                file: location.file.unwrap_or_default().into(),
                line: location.line.unwrap_or_default(),
                function: demangled(&name.unwrap_or_default()),
            });
        }
        Ok(found)
    }

    /// Bytes of all sections of a kind.
    pub fn total(&self, kind: Kind) -> u64 {
        let sections = self.sections.iter().filter(|(of, _)| *of == kind);
        sections.map(|(_, size)| size).sum()
    }
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Where the code is that `address` calls: Arm has the kind of its instructions in the lowest bit.
fn place(address: u64, kind: Kind, file: &object::File<'_>) -> u64 {
    match (file.architecture(), kind) {
        (Architecture::Arm, Kind::Code) => address & !1,
        _ => address,
    }
}

fn kind(section: &object::Section<'_, '_>) -> Option<Kind> {
    // The linker script's reservation for the stack is not a variable.
    if section
        .name()
        .is_ok_and(|name| [".stack", ".heap"].contains(&name))
    {
        return None;
    }
    match section.kind() {
        SectionKind::Text => Some(Kind::Code),
        SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => Some(Kind::Constants),
        SectionKind::Data => Some(Kind::Data),
        SectionKind::UninitializedData => Some(Kind::Zeroed),
        _ => None,
    }
}
