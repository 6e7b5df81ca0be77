//! How the server fares.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use parlour_tokio::WorkerLoad;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::caller::{Caller, Read};
use crate::time::Timestamp;

/// How the server fares. Counters begin with the process.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stats {
    at: Timestamp,
    /// Seconds since the server began.
    uptime_s: u64,
    draining: bool,
    /// Rooms with a session, a lobby or a join under way.
    rooms: usize,
    /// Sessions that go on.
    sessions: i64,
    /// Participants in a session, waiting or leaving.
    participants: usize,
    joins: Joins,
    workers: Vec<Worker>,
    store: StoreStats,
}

/// Joins since the server began.
#[derive(Debug, Serialize, ToSchema)]
struct Joins {
    /// Those that took effect.
    joined: u64,
    /// Those that took up an earlier connection.
    resumed: u64,
    refused: u64,
}

/// A worker, as it was a tenth of a second ago at most.
#[derive(Debug, Serialize, ToSchema)]
struct Worker {
    /// Where it listens, by UDP and TCP.
    #[schema(value_type = String)]
    address: SocketAddr,
    /// The share of the time in which it had something to do. Above 80 it sends late now and then.
    busy_percent: u8,
    rooms: usize,
    participants: usize,
    /// TCP connections of participants.
    connections: usize,
    datagrams_received: u64,
    bytes_received: u64,
    datagrams_sent: u64,
    bytes_sent: u64,
    /// Packets of media queued for receivers.
    media_forwarded: u64,
    /// Packets of media that a receiver did not get, as there was more than could be sent.
    media_dropped: u64,
    /// Events that the worker had no room for. History has made up for them.
    events_missed: u64,
    socket: Socket,
}

/// The UDP socket of a worker.
#[derive(Debug, Serialize, ToSchema)]
struct Socket {
    /// Datagrams that came when the buffer was full; only Linux says.
    receive_drops: Option<u64>,
    receive_buffer_bytes: usize,
    send_buffer_bytes: usize,
}

/// The tables.
#[derive(Debug, Serialize, ToSchema)]
struct StoreStats {
    /// The number of the newest event.
    journal_seq: i64,
    /// Writes that wait for their turn.
    queued: usize,
    writes: u64,
    /// From the request of a write to its commit, on average, in microseconds.
    mean_write_us: u64,
    failed_transactions: u64,
}

impl Worker {
    fn new(address: SocketAddr, load: &WorkerLoad) -> Self {
        let counted = &load.statistics;
        Self {
            address,
            busy_percent: load.busy,
            rooms: load.rooms,
            participants: load.participants,
            connections: load.connections,
            datagrams_received: counted.datagrams_received,
            bytes_received: counted.bytes_received,
            datagrams_sent: counted.datagrams_sent,
            bytes_sent: counted.bytes_sent,
            media_forwarded: counted.media_forwarded,
            media_dropped: counted.media_overflowed + counted.media_late,
            events_missed: load.events_missed,
            socket: Socket {
                receive_drops: load.socket.receive_drops,
                receive_buffer_bytes: load.socket.receive_buffer,
                send_buffer_bytes: load.socket.send_buffer,
            },
        }
    }
}

/// Says how the server fares: load, rooms, sockets and the database
#[utoipa::path(get, path = "/v1/server/stats", tag = "server",
    operation_id = "get_server_stats", security(("key" = ["read"])), responses(
    (status = OK, body = Stats),
))]
pub(super) async fn get(_: Caller<Read>, State(app): State<App>) -> Json<Stats> {
    let at = Timestamp::now();
    let loads = app.rooms().load();
    let sum = |of: fn(&WorkerLoad) -> u64| loads.iter().map(of).sum();
    let figures = app.store().figures();
    let writes = figures.writes();
    let write_us = u64::try_from(figures.write_time().as_micros()).unwrap_or(u64::MAX);
    let addresses = app.rooms().addresses().iter().copied();
    Json(Stats {
        at,
        uptime_s: at.since(app.started_at()).as_secs(),
        draining: app.rooms().is_draining(),
        rooms: loads.iter().map(|load| load.rooms).sum(),
        sessions: app.counted().sessions.get(),
        participants: loads.iter().map(|load| load.participants).sum(),
        joins: Joins {
            joined: sum(|load| load.statistics.joins),
            resumed: sum(|load| load.statistics.resumes),
            refused: sum(|load| load.statistics.joins_refused),
        },
        workers: addresses
            .zip(&loads)
            .map(|(address, load)| Worker::new(address, load))
            .collect(),
        store: StoreStats {
            journal_seq: *app.store().committed().borrow(),
            queued: figures.queued(),
            writes,
            mean_write_us: write_us.checked_div(writes).unwrap_or(0),
            failed_transactions: figures.failures(),
        },
    })
}
