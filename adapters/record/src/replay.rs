//! Replay of a log.

use std::io::{self, Read};

use parlour_core::client::{Desktop, Profile, Small};
use parlour_core::time::{Duration, Instant};
use serde::Deserialize;
use thiserror::Error;

use crate::log::{Checksum, Entry, Next, Reader};
use crate::make::{Made, MadeClient, capacities};
use crate::recorder::Machine;

/// A log whose replay gave the recorded outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// The kind of the machine.
    pub machine: &'static str,
    /// Calls made.
    pub calls: u64,
    /// Time from the first to the last call.
    pub duration: Duration,
    /// Whether the log ends within an entry, or before the checksum of the last call. The output of that call, and
    /// whether others followed, is then not known.
    pub is_cut: bool,
}

/// Why a log was not replayed to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file does not start like a log.
    #[error("the file is not an input log of this version")]
    NotALog,
    /// An entry does not decode.
    #[error(
        "call {call} of the log is damaged, or of another version: replay with the version that recorded it"
    )]
    Damaged {
        /// Counted from 0.
        call: u64,
    },
    /// The client has its own capacities.
    #[error("the log is of a client with other capacities than Small and Desktop")]
    Profile,
    /// The machine's output differs from the recording.
    #[error(
        "call {call}, {at:?} after the first, came out otherwise: replay with the version that recorded the log"
    )]
    Differs {
        /// Counted from 0.
        call: u64,
        /// The time since the first call.
        at: Duration,
    },
}

/// Makes the machine of `log`, repeats all calls, and compares the outputs.
///
/// # Errors
/// [`ReplayError`]; `Differs` at the first different output.
pub fn replay(log: impl Read) -> Result<Replayed, ReplayError> {
    let mut log = Reader::new(log)?.ok_or(ReplayError::NotALog)?;
    if log.next_entry()? != Next::Entry {
        return Err(ReplayError::NotALog);
    }
    let made = postcard::from_bytes(&log.entry).map_err(|_| ReplayError::NotALog)?;
    match made {
        Made::Client(made) if made.profile == capacities::<Small>() => client::<Small>(&made, log),
        Made::Client(made) if made.profile == capacities::<Desktop>() => {
            client::<Desktop>(&made, log)
        }
        Made::Client(_) => Err(ReplayError::Profile),
        Made::Server(made) => repeat("server", made.now, &mut made.make(), log),
    }
}

fn client<P: Profile>(made: &MadeClient, log: Reader<impl Read>) -> Result<Replayed, ReplayError> {
    let client = made.make::<P>().map(Box::new);
    let mut client = client.map_err(|_| ReplayError::NotALog)?;
    repeat("client", made.now, &mut *client, log)
}

/// A call and its time, `now` being the time of the previous one.
fn decode<'e, C: Deserialize<'e>>(entry: &'e [u8], now: Instant) -> Option<(Instant, C)> {
    let entry: Entry<C> = postcard::from_bytes(entry).ok()?;
    let micros = now.as_micros().wrapping_add(entry.elapsed.cast_unsigned());
    Some((Instant::from_micros(micros), entry.call))
}

/// Makes all calls in `log` again.
fn repeat<M: Machine>(
    name: &'static str,
    began: u64,
    machine: &mut M,
    mut log: Reader<impl Read>,
) -> Result<Replayed, ReplayError> {
    let mut context = M::Context::default();
    let began = Instant::from_micros(began);
    let mut now = began;
    let mut calls = 0;
    let is_cut = loop {
        match log.next_entry()? {
            Next::Entry => {}
            Next::End => break false,
            Next::Cut => break true,
        }
        let damaged = ReplayError::Damaged { call: calls };
        let (at, call) = decode::<M::Call<'_>>(&log.entry, now).ok_or(damaged)?;
        now = at;
        let mut checksum = Checksum::default();
        machine.make(&mut context, at, call, &mut checksum);
        match log.next_checksum()? {
            Some(recorded) if recorded != checksum.finish() => {
                let at = now.saturating_duration_since(began);
                return Err(ReplayError::Differs { call: calls, at });
            }
            Some(_) => calls += 1,
            None => break true,
        }
    };
    Ok(Replayed {
        machine: name,
        calls,
        duration: now.saturating_duration_since(began),
        is_cut,
    })
}
