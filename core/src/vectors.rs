//! Golden vectors: files in `core/vectors` that define the wire format byte by byte.
//!
//! ```text
//! # about the file
//!
//! [name of the vector]
//! 07           # id = 7
//! 03 6d 69 63  # key = "mic"
//! ```
//!
//! A test builds the same vectors from values and compares; a difference means that older peers no longer understand
//! this one. If that is intended, `PARLOUR_VECTORS=write` in the environment makes the test write the files instead.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

/// One example of the wire format.
#[derive(Debug, Clone)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

/// Some of its bytes, and their meaning.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) bytes: Vec<u8>,
    pub(crate) meaning: String,
}

impl Vector {
    /// An example of bytes and their meanings.
    pub(crate) fn new(name: &str, fields: &[(&[u8], &str)]) -> Self {
        let field = |(bytes, meaning): &(&[u8], &str)| Field {
            bytes: bytes.to_vec(),
            meaning: String::from(*meaning),
        };
        Self {
            name: name.into(),
            fields: fields.iter().map(field).collect(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let bytes = self.fields.iter().flat_map(|field| &field.bytes);
        bytes.copied().collect()
    }

    fn render(&self) -> String {
        const PER_LINE: usize = 16;
        let hex = |bytes: &[u8]| {
            let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            bytes.join(" ")
        };
        let longest = self.fields.iter().map(|field| field.bytes.len()).max();
        let width = longest.unwrap_or(0).clamp(4, PER_LINE) * 3;
        let mut text = format!("[{}]\n", self.name);
        for Field { bytes, meaning } in &self.fields {
            let mut lines = bytes.chunks(PER_LINE);
            let first = hex(lines.next().unwrap_or_default());
            writeln!(text, "{first:width$} # {meaning}").unwrap();
            for line in lines {
                writeln!(text, "{}", hex(line)).unwrap();
            }
        }
        text
    }
}

/// Compares `core/vectors/<file>` with `vectors` and returns the file's bytes by name. `about` becomes the file's
/// header.
pub(crate) fn check(file: &str, about: &str, vectors: &[Vector]) -> Vec<(String, Vec<u8>)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(file);
    let mut expected = String::new();
    let command = "PARLOUR_VECTORS=write cargo test -p parlour-core --features server vectors";
    let header = format!("{about}\n\nAfter a deliberate change of the encoding: {command}");
    for line in header.lines() {
        writeln!(expected, "{}", format!("# {line}").trim_end()).unwrap();
    }
    for vector in vectors {
        write!(expected, "\n{}", vector.render()).unwrap();
    }
    if env::var("PARLOUR_VECTORS").is_ok_and(|wish| wish == "write") {
        fs::write(&path, &expected).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let found = parse(&text);
    for (name, bytes) in &found {
        let vector = vectors.iter().find(|vector| vector.name == *name);
        let built = vector.map(Vector::bytes);
        assert_eq!(built.as_ref(), Some(bytes), "{file} [{name}]: {command}");
    }
    assert_eq!(found.len(), vectors.len(), "{file}: {command}");
    assert_eq!(text, expected, "comments in {file}: {command}");
    found
}

fn parse(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.lines() {
        let code = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = code.strip_prefix('[') {
            found.push((name.trim_end_matches(']').into(), Vec::new()));
            continue;
        }
        for byte in code.split_whitespace() {
            let byte = u8::from_str_radix(byte, 16).unwrap();
            found.last_mut().unwrap().1.push(byte);
        }
    }
    found
}
