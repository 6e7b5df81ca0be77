//! The byte format of a log, and checksums of a machine's output.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, Read};

use parlour_core::time::Instant;
use serde::{Deserialize, Serialize};

use crate::Sink;

pub(crate) const MAGIC: [u8; 12] = *b"PARLOUR-LOG\x05";

/// A call, and the µs since the previous one. Machines that several threads drive may get times that run back a little.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry<C> {
    pub(crate) elapsed: i64,
    pub(crate) call: C,
}

/// Writes a log.
pub(crate) struct Log {
    sink: Sink,
    last: Instant,
    scratch: Vec<u8>,
}

impl Log {
    /// Begins a log with the construction of the machine, at `now`.
    pub(crate) fn new(sink: Sink, now: Instant, made: &impl Serialize) -> Self {
        let mut log = Self {
            sink,
            last: now,
            scratch: Vec::new(),
        };
        log.sink.write(&MAGIC);
        log.write(made);
        log
    }

    /// Writes a call that is about to be made.
    pub(crate) fn call(&mut self, now: Option<Instant>, call: &impl Serialize) {
        let now = now.unwrap_or(self.last);
        let elapsed = now.as_micros().wrapping_sub(self.last.as_micros());
        self.last = now;
        self.write(&Entry {
            elapsed: elapsed.cast_signed(),
            call,
        });
    }

    /// Writes the checksum of the output.
    pub(crate) fn output(&self, checksum: u32) {
        self.sink.write(&checksum.to_le_bytes());
    }

    fn write(&mut self, value: &impl Serialize) {
        self.scratch.clear();
        self.scratch.extend([0; 4]);
        let scratch = std::mem::take(&mut self.scratch);
        // Serializing these types into a growing vector cannot fail.
        self.scratch = postcard::to_extend(value, scratch).unwrap_or_default();
        let Ok(len) = u32::try_from(self.scratch.len().saturating_sub(4)) else {
            // The core was lent 4 GiB. Without that call the log could not be replayed.
            self.sink.fail(io::ErrorKind::FileTooLarge.into());
            return;
        };
        if let Some(place) = self.scratch.first_chunk_mut() {
            *place = len.to_le_bytes();
            self.sink.write(&self.scratch);
        }
    }
}

impl Debug for Log {
    /// Omits the last entry: the first holds keys or a token, later ones audio and messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// Reads a log.
pub(crate) struct Reader<R> {
    from: R,
    pub(crate) entry: Vec<u8>,
}

/// The next item of a log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A complete entry.
    Entry,
    /// The log ends between calls.
    End,
    /// The log ends within an entry.
    Cut,
}

impl<R: Read> Reader<R> {
    /// Opens the log in `from`, if it is one.
    pub(crate) fn new(mut from: R) -> io::Result<Option<Self>> {
        let mut magic = [0; MAGIC.len()];
        let entry = Vec::new();
        Ok((fill(&mut from, &mut magic)? && magic == MAGIC).then_some(Self { from, entry }))
    }

    /// Reads the next entry.
    pub(crate) fn next_entry(&mut self) -> io::Result<Next> {
        self.read(4)?;
        let len = match *self.entry {
            [] => return Ok(Next::End),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => return Ok(Next::Cut),
        };
        let is_whole = self.read(len)?;
        Ok(if is_whole { Next::Entry } else { Next::Cut })
    }

    /// Reads `len` bytes; false if the log ends before. An entry takes no more memory than its real length, whatever
    /// length it claims. There is no limit: a call may lend the core a buffer of any size, if only to be refused.
    fn read(&mut self, len: u32) -> io::Result<bool> {
        self.entry.clear();
        let mut rest = self.from.by_ref().take(len.into());
        rest.read_to_end(&mut self.entry)?;
        Ok(rest.limit() == 0)
    }

    /// Reads the checksum of a call's output; `None` at the end.
    pub(crate) fn next_checksum(&mut self) -> io::Result<Option<u32>> {
        let mut checksum = [0; 4];
        let whole = fill(&mut self.from, &mut checksum)?;
        Ok(whole.then_some(u32::from_le_bytes(checksum)))
    }
}

/// Fills `bytes`; false if the input ends before.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A checksum of a machine's output.
#[derive(Debug, Default)]
pub struct Checksum(crc32fast::Hasher);

impl Checksum {
    pub(crate) fn with(mut self, output: &impl Debug) -> Self {
        self.add(output);
        self
    }

    pub(crate) fn add(&mut self, output: &impl Debug) {
        // Writing to a checksum never fails.
        let _ = write!(self, "{output:?}");
    }

    pub(crate) fn bytes(&mut self, bytes: Option<&[u8]>) {
        self.0.update(bytes.unwrap_or_default());
    }

    pub(crate) fn finish(self) -> u32 {
        self.0.finalize()
    }
}

impl fmt::Write for Checksum {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}
