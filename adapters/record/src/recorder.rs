//! A machine and its input log.

use std::fmt::Debug;
use std::ops::Deref;

use parlour_core::time::Instant;
use serde::{Deserialize, Serialize};

use crate::Sink;
use crate::log::{Checksum, Log};
use crate::make::Made;

/// A machine of the core whose calls are values, which can be written, read and repeated.
pub trait Machine: Debug {
    /// A call of one of its methods.
    type Call<'a>: Serialize + Deserialize<'a>;
    /// The context for writing and reading calls.
    type Context: Debug + Default;

    /// Makes a call, and adds its output to `checksum`.
    fn make(
        &mut self,
        context: &mut Self::Context,
        now: Instant,
        call: Self::Call<'_>,
        checksum: &mut Checksum,
    );
}

/// A machine of the core, recorded if it was made by `recorded`. [`Deref`] gives read access. Every change goes through
/// a method here, or through [`Commands`](parlour_core::client::Commands), whose documentation is the core's.
#[derive(Debug)]
pub struct Recorder<M: Machine> {
    pub(crate) machine: M,
    pub(crate) record: Option<Record<M::Context>>,
}

#[derive(Debug)]
pub(crate) struct Record<C> {
    log: Log,
    context: C,
}

impl<M: Machine> Deref for Recorder<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M: Machine> Recorder<M> {
    pub(crate) const fn unrecorded(machine: M) -> Self {
        Self {
            machine,
            record: None,
        }
    }

    /// A machine that was `made` at `now`, and writes to `sink` from then on.
    pub(crate) fn begin(machine: M, sink: Sink, now: Instant, made: &Made) -> Self {
        let record = Record {
            log: Log::new(sink, now, made),
            context: M::Context::default(),
        };
        Self {
            machine,
            record: Some(record),
        }
    }

    /// The context for writing calls, if they are recorded.
    pub(crate) fn context(&mut self) -> Option<&mut M::Context> {
        self.record.as_mut().map(|record| &mut record.context)
    }

    /// Makes a call whose result is its only output. `call` is built only if it is recorded.
    pub(crate) fn call<'c, T: Debug>(
        &mut self,
        now: Option<Instant>,
        call: impl FnOnce(&mut M::Context) -> M::Call<'c>,
        make: impl FnOnce(&mut M) -> T,
    ) -> T {
        let is_recorded = self.before(now, call);
        let result = make(&mut self.machine);
        if is_recorded {
            self.after(Checksum::default().with(&result));
        }
        result
    }

    /// Writes a call that is about to be made. False if nothing is recorded.
    pub(crate) fn before<'c>(
        &mut self,
        now: Option<Instant>,
        call: impl FnOnce(&mut M::Context) -> M::Call<'c>,
    ) -> bool {
        let Some(Record { log, context }) = &mut self.record else {
            return false;
        };
        log.call(now, &call(context));
        true
    }

    /// Writes the checksum of a call's output.
    pub(crate) fn after(&self, checksum: Checksum) {
        if let Some(record) = &self.record {
            record.log.output(checksum.finish());
        }
    }
}
