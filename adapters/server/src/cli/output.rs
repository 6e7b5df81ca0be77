//! What a command prints: results on stdout, failures on stderr.

use std::ffi::OsString;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use tabled::builder::Builder;
use tabled::settings::Padding;

use super::failure::Failure;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document; a list is an array.
    Json,
    /// A JSON document in each line.
    Jsonl,
    /// Only the id of each entry, one in each line.
    Id,
}

impl Format {
    /// The format that these arguments ask for, which need not be valid otherwise.
    pub(crate) fn asked_for(arguments: &[OsString]) -> Self {
        let texts: Vec<_> = arguments
            .iter()
            .map(|text| text.to_string_lossy())
            .collect();
        let named = |name: &str| Self::from_str(name, false).ok();
        let found = texts.iter().enumerate().find_map(|(index, text)| {
            if text == "--output" || text == "-o" {
                return named(texts.get(index + 1)?);
            }
            let value = text.strip_prefix("--output=");
            named(value.or_else(|| text.strip_prefix("-o"))?)
        });
        found.unwrap_or_default()
    }

    /// Whether it is for programs that read JSON.
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

const ERROR: Style = AnsiColor::Red.on_default().bold();

const HEAD: Style = Style::new().bold();

/// How the entries of a list are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// The member that is the id.
    pub(crate) id: &'static str,
    /// The members that a table has.
    pub(crate) columns: &'static [&'static str],
}

/// Where results go.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    /// Output in this format.
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// The format.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints a text to stdout, as it is. There are colours in it only if stdout is a terminal.
    ///
    /// # Errors
    /// If it cannot be written. A reader that has had enough, such as `head`, ends the program without an error.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            written => Ok(written.context("cannot write to stdout")?),
        }
    }

    /// Prints a JSON document, whatever the format: on one line for `jsonl`.
    ///
    /// # Errors
    /// As [`Output::text`].
    pub(crate) fn document(&self, document: &impl Serialize) -> Result<(), Failure> {
        let json = match self.format {
            Format::Jsonl => serde_json::to_string(document),
            _ => serde_json::to_string_pretty(document),
        };
        self.text(&(json.context("cannot be written as JSON")? + "\n"))
    }

    /// Prints the entries of a list.
    ///
    /// # Errors
    /// As [`Output::text`].
    pub(crate) fn entries(&self, view: &View, entries: &[Value]) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.document(&entries),
            Format::Table => {
                let rows = entries.iter().map(|entry| {
                    let cells = view.columns.iter().map(|column| cell(&entry[*column]));
                    cells.collect()
                });
                let head = view.columns.iter().map(|column| title(column)).collect();
                self.table(std::iter::once(head).chain(rows), true)
            }
            Format::Jsonl | Format::Id => {
                entries.iter().try_for_each(|entry| self.entry(view, entry))
            }
        }
    }

    /// Prints one resource, or what became of a request.
    ///
    /// # Errors
    /// As [`Output::text`].
    pub(crate) fn entry(&self, view: &View, entry: &Value) -> Result<(), Failure> {
        match (self.format, entry.as_object()) {
            (Format::Table, Some(members)) => {
                let first = view
                    .columns
                    .iter()
                    .filter(|name| members.contains_key(**name));
                let first = first.map(|name| (*name, &entry[*name]));
                let is_other = |name: &str| !view.columns.contains(&name);
                let others = members.iter().map(|(name, value)| (name.as_str(), value));
                let rows = first.chain(others.filter(|(name, _)| is_other(name)));
                self.table(
                    rows.map(|(name, value)| vec![title(name), cell(value)]),
                    false,
                )
            }
            // What has no id is not printed: there is nothing that a script could go on with.
            (Format::Id, _) if entry[view.id].is_null() => Ok(()),
            (Format::Id, _) => self.text(&(cell(&entry[view.id]) + "\n")),
            _ => self.document(entry),
        }
    }

    /// Prints one of many that come one by one: a line for each, so that there is no table, and JSON takes one line.
    ///
    /// # Errors
    /// As [`Output::text`].
    pub(crate) fn line(&self, view: &View, entry: &Value) -> Result<(), Failure> {
        match self.format {
            Format::Table => {
                let cells = view.columns.iter().map(|column| cell(&entry[*column]));
                let line: Vec<_> = cells.collect();
                self.text(&(line.join("  ").replace('\n', " ") + "\n"))
            }
            Format::Json => Self::new(Format::Jsonl).document(entry),
            Format::Jsonl | Format::Id => self.entry(view, entry),
        }
    }

    /// Prints rows, of which the first may be their head.
    fn table(
        &self,
        rows: impl Iterator<Item = Vec<String>>,
        has_head: bool,
    ) -> Result<(), Failure> {
        let mut builder = Builder::default();
        rows.for_each(|row| builder.push_record(row));
        let mut table = builder.build();
        table.with(tabled::settings::Style::empty());
        table.with(Padding::new(0, 2, 0, 0));
        let mut text = String::new();
        for (index, line) in table.to_string().lines().enumerate() {
            let line = line.trim_end();
            if index == 0 && has_head {
                text.push_str(&format!("{HEAD}{line}{HEAD:#}\n"));
            } else {
                text.push_str(line);
                text.push('\n');
            }
        }
        self.text(&text)
    }

    /// Prints a remark to stderr, for people only.
    pub(crate) fn note(&self, remark: &str) {
        if !self.format.is_json() {
            // Nobody is left to be told if this fails.
            let _ = writeln!(anstream::stderr(), "{}", printable(remark));
        }
    }

    /// Prints a failure to stderr: in words, or as `application/problem+json`.
    pub(crate) fn failure(&self, failure: &Failure) {
        let problem = failure.problem();
        let text = if self.format.is_json() {
            serde_json::to_string(problem).unwrap_or_default()
        } else {
            let says = [problem.detail.as_str(), &problem.title];
            let says = says.into_iter().find(|text| !text.is_empty());
            let mut text = format!("{ERROR}error:{ERROR:#} {}", printable(says.unwrap_or("")));
            for error in &problem.errors {
                let place = error.argument.as_ref().unwrap_or(&error.pointer);
                let line = format!("{place}: {}", error.detail);
                text.push_str("\n  ");
                text.push_str(&printable(&line));
            }
            text
        };
        // Nobody is left to be told if this fails.
        let _ = writeln!(anstream::stderr(), "{text}");
    }
}

/// The name of a member, for people.
fn title(member: &str) -> String {
    printable(&member.replace('_', " ").to_uppercase())
}

/// A value, for people.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text).replace('\n', "\\n"),
        Value::Array(values) => {
            let is_nested = values.iter().any(Value::is_object);
            let cells: Vec<_> = values.iter().map(cell).collect();
            cells.join(if is_nested { "\n" } else { ", " })
        }
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| format!("{}={}", printable(name), cell(value));
            members.iter().map(member).collect::<Vec<_>>().join(" ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The text without what would act on a terminal: other participants choose their names.
pub(crate) fn printable(text: &str) -> String {
    let acts = |c: char| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns || c.is_control() && c != '\n'
    };
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_found_in_arguments_that_are_not_valid() {
        for (arguments, format) in [
            (&["room", "lst"][..], Format::Table),
            (&["room", "lst", "--output", "json"], Format::Json),
            (&["-o", "jsonl", "room", "lst"], Format::Jsonl),
            (&["--output=id", "x"], Format::Id),
            (&["x", "-ojson"], Format::Json),
            (&["x", "--output"], Format::Table),
            (&["x", "--output", "yaml"], Format::Table),
        ] {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            assert_eq!(Format::asked_for(&arguments), format, "{arguments:?}");
        }
    }

    #[test]
    fn names_do_not_act_on_a_terminal() {
        assert_eq!(
            printable("\u{1b}[2Jann\u{202e}a ä"),
            "\\u{1b}[2Jann\\u{202e}a ä"
        );
    }
}
