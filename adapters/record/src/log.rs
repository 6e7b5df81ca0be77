//! The log as bytes, and checksums of what comes out of a machine.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, Read};

use parlour_core::time::Instant;
use serde::{Deserialize, Serialize};

use crate::Sink;

pub(crate) const MAGIC: [u8; 12] = *b"PARLOUR-LOG\x01";
/// Longer is no entry: the longest hold a datagram, or a token.
const MAX_ENTRY: u32 = 1 << 16;

/// A call, and how many µs after the one before. Machines that several threads drive may be told times that run back a little.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry<C> {
    pub(crate) elapsed: i64,
    pub(crate) call: C,
}

/// Writes a log.
#[derive(Debug)]
pub(crate) struct Log {
    sink: Sink,
    last: Instant,
    scratch: Vec<u8>,
}

impl Log {
    /// Begins a log with how the machine was made, at `now`.
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

    /// Writes the checksum of what came of it.
    pub(crate) fn output(&self, checksum: u32) {
        self.sink.write(&checksum.to_le_bytes());
    }

    fn write(&mut self, value: &impl Serialize) {
        self.scratch.clear();
        self.scratch.extend([0; 4]);
        let scratch = std::mem::take(&mut self.scratch);
        // Into a growing vector everything can be written that is made of these types.
        self.scratch = postcard::to_extend(value, scratch).unwrap_or_default();
        let len = self.scratch.len().saturating_sub(4) as u32;
        if let Some(place) = self.scratch.first_chunk_mut() {
            *place = len.to_le_bytes();
            self.sink.write(&self.scratch);
        }
    }
}

/// Reads a log.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    from: R,
    pub(crate) entry: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// The log in `from`, if it is one.
    pub(crate) fn new(mut from: R) -> io::Result<Option<Self>> {
        let mut magic = [0; MAGIC.len()];
        let entry = Vec::new();
        Ok((fill(&mut from, &mut magic)? && magic == MAGIC).then_some(Self { from, entry }))
    }

    /// Reads the next entry; false at the end, also if that is in the middle of the entry.
    pub(crate) fn next_entry(&mut self) -> io::Result<bool> {
        let mut len = [0; 4];
        if !fill(&mut self.from, &mut len)? {
            return Ok(false);
        }
        let len = u32::from_le_bytes(len);
        if len > MAX_ENTRY {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an entry longer than any",
            ));
        }
        self.entry.resize(len as usize, 0);
        fill(&mut self.from, &mut self.entry)
    }

    /// Reads the checksum of what came of a call; `None` at the end.
    pub(crate) fn next_checksum(&mut self) -> io::Result<Option<u32>> {
        let mut checksum = [0; 4];
        let whole = fill(&mut self.from, &mut checksum)?;
        Ok(whole.then_some(u32::from_le_bytes(checksum)))
    }
}

/// Fills `bytes`; false if the end came before.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A checksum of what comes out of a machine.
#[derive(Debug, Default)]
pub(crate) struct Checksum(crc32fast::Hasher);

impl Checksum {
    pub(crate) fn of(output: &impl Debug) -> u32 {
        Self::default().with(output).finish()
    }

    pub(crate) fn with(mut self, output: &impl Debug) -> Self {
        self.add(output);
        self
    }

    pub(crate) fn add(&mut self, output: &impl Debug) {
        // Writing to a checksum never fails.
        let _ = write!(self, "{output:?}");
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
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
