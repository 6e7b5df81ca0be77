//! The documents with the figures.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::panics::{Panic, Panics};
use crate::tables::Tables;

/// The tolerated difference of figures. Sizes and counts depend on the nightly of the day, which firmware is built
/// with, and slightly on the path of the checkout, since panics name files.
const TOLERANCE: f64 = 0.03;
/// A difference of this many bytes or instructions is always tolerated, however small the part.
const SMALL: f64 = 100.0;
/// The same for a part of the flash. The path of the checkout is part of the compiler's names, which determine the
/// order of its work and thereby inlining. Between two checkouts one part had 800 bytes more, another as many less.
const SMALL_PART_OF_FLASH: f64 = 1_024.0;
/// A difference in the last place is always tolerated.
const LAST_PLACE: f64 = 0.11;

fn marks(name: &str) -> (String, String) {
    (
        format!("<!-- figures:{name}:begin -->\n"),
        format!("<!-- figures:{name}:end -->"),
    )
}

/// The range of the table of this name in `text`.
fn place(text: &str, name: &str) -> Result<std::ops::Range<usize>> {
    let (begin, end) = marks(name);
    let start = text
        .find(&begin)
        .with_context(|| format!("there is no {begin}"))?
        + begin.len();
    let len = text[start..]
        .find(&end)
        .with_context(|| format!("there is no {end}"))?;
    Ok(start..start + len)
}

/// Writes the tables to their places.
pub fn write(path: &Path, tables: &Tables) -> Result<()> {
    let mut text = std::fs::read_to_string(path)?;
    for (name, table) in tables {
        let place = place(&text, name)?;
        text.replace_range(place, table);
    }
    Ok(std::fs::write(path, text)?)
}

/// The differences between the document and the tables.
pub fn differences(path: &Path, tables: &Tables) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path)?;
    let mut found = Vec::new();
    for (name, table) in tables {
        let small = if *name == "flash" {
            SMALL_PART_OF_FLASH
        } else {
            SMALL
        };
        let stated = &text[place(&text, name)?];
        if stated.lines().count() != table.lines().count() {
            found.push(format!("{name}: the table has other rows"));
        }
        for (stated, measured) in stated.lines().zip(table.lines()) {
            if !alike(stated, measured, small) {
                found.push(format!(
                    "{name}\n  stated   {stated}\n  measured {measured}"
                ));
            }
        }
    }
    Ok(found)
}

/// Whether two lines have the same words, and about the same numbers; whole ones may differ by `small` in any case.
fn alike(stated: &str, measured: &str, small: f64) -> bool {
    let (stated, measured): (Vec<_>, Vec<_>) = (
        stated.split_whitespace().collect(),
        measured.split_whitespace().collect(),
    );
    let near = |stated: f64, measured: f64| {
        let difference = (stated - measured).abs();
        let fraction = stated.fract() != 0.0 || measured.fract() != 0.0;
        difference <= TOLERANCE * stated.max(measured)
            || difference <= if fraction { LAST_PLACE } else { small }
    };
    stated.len() == measured.len()
        && stated.iter().zip(&measured).all(|(stated, measured)| {
            match (number(stated), number(measured)) {
                (Some(stated), Some(measured)) => near(stated, measured),
                _ => stated == measured,
            }
        })
}

fn number(word: &str) -> Option<f64> {
    word.replace(',', "").parse().ok()
}

/// Panics that the table does not allow: its rows are `| file | what | lines | … |`. A missing one is not an error: the
/// optimiser of another day may keep it.
pub fn panics(path: &Path, found: &Panics) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path)?;
    let allowed = allowed(&text[place(&text, "panics")?]);
    let mut wrong = Vec::new();
    for (panic, lines) in found {
        let allowed = allowed.get(panic).copied().unwrap_or(0);
        if lines.len().max(1) > allowed {
            wrong.push(format!(
                "{}: {} is called on {} lines, {allowed} allowed: {lines:?}",
                panic.file,
                panic.what,
                lines.len()
            ));
        }
    }
    Ok(wrong)
}

fn allowed(table: &str) -> BTreeMap<Panic, usize> {
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<_> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, file, what, lines, ..] = *cells.as_slice() else {
            return None;
        };
        let panic = Panic {
            file: file.to_owned(),
            what: what.to_owned(),
        };
        Some((panic, lines.parse().ok()?))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_may_differ_a_little() {
        assert!(alike(
            "| a | 10,000 | 2.4 % |",
            "| a | 10,250 | 2.5 % |",
            SMALL
        ));
        assert!(alike("| a | 20 |", "| a | 110 |", SMALL));
        assert!(!alike("| a | 10,000 |", "| a | 10,400 |", SMALL));
        assert!(!alike("| a | 2.4 % |", "| a | 2.6 % |", SMALL));
        assert!(!alike("| a | 1 |", "| b | 1 |", SMALL));
        assert!(!alike("| a | 1 |", "| a | 1 | 2 |", SMALL));
    }

    #[test]
    fn a_new_panic_is_told() {
        let panic = |file: &str| Panic {
            file: file.into(),
            what: "p".into(),
        };
        let row = allowed("| `a` | `p` | 2 | never |\n|---|---|---|\n");
        assert_eq!(row, BTreeMap::from([(panic("a"), 2)]));
        let dir = std::env::temp_dir().join(format!("parlour-report-{}", std::process::id()));
        std::fs::write(
            &dir,
            "<!-- figures:panics:begin -->\n| `a` | `p` | 2 | why |\n<!-- figures:panics:end -->",
        )
        .unwrap();
        let of = |lines: &[(&str, &[u32])]| {
            let found = lines
                .iter()
                .map(|(file, lines)| (panic(file), lines.iter().copied().collect()))
                .collect();
            panics(&dir, &found).unwrap().len()
        };
        assert_eq!(of(&[("a", &[1, 2])]), 0);
        assert_eq!(of(&[("a", &[1, 2, 3])]), 1);
        assert_eq!(of(&[("b", &[1])]), 1);
        std::fs::remove_file(dir).unwrap();
    }
}
