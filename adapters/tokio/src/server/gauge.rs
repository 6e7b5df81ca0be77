//! How each worker fares, as it last said.

use std::sync::{Arc, Mutex, PoisonError};

use parlour_core::server::Statistics;

use super::SocketStatistics;

/// How one worker fares: see [`Server::load`](crate::Server::load).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerLoad {
    /// The share of the time in which it had something to do, or the busiest of those who send for it, in percent. Above 80
    /// or so it is late with what it sends now and then.
    pub busy: u8,
    /// Rooms with a session, a lobby or a join under way.
    pub rooms: usize,
    /// Participants in a session, waiting or being sent away.
    pub participants: usize,
    /// TCP connections, and clients that the application carries.
    pub connections: usize,
    /// Events that were lost because the worker did not get to hand them out. What a reader of
    /// [`ServerEvents`](crate::ServerEvents) is too slow for is told to that reader.
    pub events_missed: u64,
    /// What the worker has counted since it began: datagrams and bytes in both directions among it.
    pub statistics: Statistics,
    /// How its UDP socket fares.
    pub socket: SocketStatistics,
}

/// What a worker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reading {
    pub(super) busy: u8,
    pub(super) rooms: usize,
    pub(super) participants: usize,
    pub(super) connections: usize,
    pub(super) events_missed: u64,
    pub(super) statistics: Statistics,
}

impl Reading {
    pub(super) fn load(self, socket: SocketStatistics) -> WorkerLoad {
        WorkerLoad {
            busy: self.busy,
            rooms: self.rooms,
            participants: self.participants,
            connections: self.connections,
            events_missed: self.events_missed,
            statistics: self.statistics,
            socket,
        }
    }
}

/// Shared by a worker and those who ask. Locked for no longer than a copy takes.
#[derive(Debug, Clone, Default)]
pub(super) struct Gauge(Arc<Mutex<Reading>>);

impl Gauge {
    pub(super) fn read(&self) -> Reading {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how the worker fares. Gives whether that changed, apart from how busy it is.
    pub(super) fn set(&self, reading: Reading) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = last.busy;
        let has_changed = Reading { busy, ..reading } != *last;
        *last = reading;
        has_changed
    }
}
