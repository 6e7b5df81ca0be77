//! One worker: a thread with its own runtime, sockets and rooms.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parlour_core::room::RoomId;
use parlour_core::secure::KeyPair;
use parlour_core::server::{Config as Limits, Event, ModerateError, Path, Transmit};
use parlour_core::time::Instant;
use parlour_core::wire::Packet;
use rand_core::OsRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::Instrument as _;

use super::ServerEvent;
use super::admission::Admitter;
use super::alarm::Alarm;
use super::bind::Sockets;
use super::carriage::{CarriageReceiver, CarriageSender, CarryError};
use super::gauge::{Gauge, Reading};
use super::load::{self, Load};
use super::streams::{FromStream, Streams};
use super::taps::{MediaTap, Taps, Wanted};
use super::timer::Timer;
use super::udp::{Bound, Inbound, Outbound};
use crate::clock::{Clock, wall};
use crate::machine::Server;

/// Packets that are taken in before anything is sent: datagrams by the socket, those from TCP connections here.
const BATCH: usize = 64;
/// The time that a large backlog is received normally, before the rest is received in a hurry.
const BEHIND: Duration = Duration::from_millis(20);
/// Most batches that are taken in at a time.
const BATCHES: usize = 64;
/// The time of sending before the next look at the input; longer if the last input took longer to process. So neither
/// holds up the other when there is too much of both.
const TURN: Duration = Duration::from_millis(2);
/// The time limit of the last packets.
const DRAIN: Duration = Duration::from_secs(1);
/// How often the server's timers are checked while its output has no room.
const HELD_BACK: Duration = Duration::from_millis(50);
/// The time that no TCP connection is accepted after a failure: the process is short of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A worker's commands from its application.
pub(super) enum Command {
    /// Something to do with the rooms.
    Do(Act),
    /// To take on a client whose datagrams the application carries, from there.
    Carry(IpAddr, oneshot::Sender<Carried>),
    /// To tap what is wanted of the media in a room.
    Tap(
        RoomId,
        Wanted,
        oneshot::Sender<Result<MediaTap, ModerateError>>,
    ),
}

/// Something to do with the rooms.
pub(super) type Act = Box<dyn FnOnce(&mut Server, Instant) + Send>;

/// Whether the worker carries a client.
type Carried = Result<(CarriageSender, CarriageReceiver), CarryError>;

/// The parts of a worker.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) sockets: Sockets,
    /// Threads that send for it.
    pub(super) senders: usize,
    /// Counts what the kernel had no room for on arrival.
    pub(super) drops: Arc<AtomicU64>,
    pub(super) gauge: Gauge,
    pub(super) limits: Limits,
    pub(super) tcp_connections: usize,
    pub(super) identity: KeyPair,
    #[cfg(feature = "record")]
    pub(super) record: Option<parlour_record::Sink>,
    pub(super) admitter: Admitter,
    /// Closed when the server is to shut down.
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: broadcast::Sender<ServerEvent>,
    /// Dropped at the end.
    pub(super) running: mpsc::Sender<Infallible>,
    /// Told if the thread panics.
    pub(super) failed: watch::Sender<Option<usize>>,
}

impl Worker {
    /// Starts the worker's thread, and those that send for it.
    pub(super) fn spawn(self) -> io::Result<()> {
        let name = format!("parlour-{}", self.index);
        let span = tracing::info_span!("worker", index = self.index);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let clock = Clock::new();
        // Sockets belong to the runtime that they are made in.
        let (udp, tcp, timer) = {
            let (_inside, _of_worker) = (runtime.enter(), span.enter());
            let tcp = self.sockets.tcp.map(TcpListener::from_std).transpose()?;
            let udp = Bound::new(self.sockets.udp, &name, self.senders, self.drops)?;
            (udp, tcp, Timer::new(clock)?)
        };
        let idle = (self.limits.silence + self.limits.grace) * 2;
        let (streams, from_streams) = Streams::new(self.tcp_connections, idle);
        // Workers share the key.
        let instance = self.limits.instance << 16 | self.index as u64;
        let limits = Limits {
            instance,
            ..self.limits
        };
        let (keys, now, rng) = (self.identity, clock.now(), &mut OsRng);
        #[cfg(feature = "record")]
        let server = match self.record {
            Some(sink) => Server::recorded(limits, keys, now, rng, sink),
            None => Server::new(limits, keys, now, rng),
        };
        #[cfg(not(feature = "record"))]
        let server = Server::new(limits, keys, now, rng);
        let (admitter, commands, events) = (self.admitter, self.commands, self.events);
        let (running, gauge) = (self.running, self.gauge);
        let alarm = Alarm::new(self.index, self.failed);
        let thread = std::thread::Builder::new().name(name);
        thread.spawn(move || {
            let _alarm = alarm;
            let (inbound, outbound) = udp.split();
            let worker = Running {
                index: self.index,
                clock,
                server,
                inbound,
                outbound,
                timer,
                tcp,
                streams,
                from_streams,
                admitter,
                commands,
                events,
                taps: Taps::new(clock),
                gauge,
                gauge_at: None,
                events_missed: 0,
                is_held_back: false,
                took: Duration::ZERO,
                looked: now,
                accept_at: None,
                shutdown_by: None,
            };
            runtime.block_on(worker.run().instrument(span));
            drop(running);
        })?;
        Ok(())
    }
}

struct Running {
    index: usize,
    clock: Clock,
    server: Server,
    inbound: Inbound,
    outbound: Outbound,
    timer: Timer,
    tcp: Option<TcpListener>,
    streams: Streams,
    from_streams: mpsc::Receiver<FromStream>,
    admitter: Admitter,
    commands: mpsc::Receiver<Command>,
    events: broadcast::Sender<ServerEvent>,
    taps: Taps,
    gauge: Gauge,
    /// The time to set the gauge, if nothing else comes before.
    gauge_at: Option<Instant>,
    /// Events that were lost before they came out of the server.
    events_missed: u64,
    /// Whether the socket or the sending threads had no room for the whole queue.
    is_held_back: bool,
    /// The time that processing the last input took.
    took: Duration,
    /// The time of the last look at the server's timers.
    looked: Instant,
    /// The time to accept TCP connections again.
    accept_at: Option<Instant>,
    /// The deadline of a shutdown.
    shutdown_by: Option<Instant>,
}

/// The events that wake a worker.
enum Wakeup {
    Readable,
    Writable,
    Stream(FromStream),
    Accepted(io::Result<(TcpStream, SocketAddr)>),
    Command(Option<Command>),
    Timeout,
}

impl Running {
    async fn run(mut self) {
        let mut load = Load::new(self.clock.now());
        loop {
            // However many datagrams come, the TCP connections of this thread get their turn.
            if self.took < TURN {
                tokio::task::coop::consume_budget().await;
            } else {
                tokio::task::yield_now().await;
            }
            self.answer();
            self.transmit();
            if self.is_finished() {
                return;
            }
            let waits = self.clock.now();
            let wakeup = self.wait().await;
            let now = self.clock.now();
            match load.waited(waits, now, || self.outbound.busiest()) {
                Some(percent) => {
                    self.server.set_load(percent);
                    self.set_gauge(now, percent, &wakeup);
                }
                // The present load shows in time, with or without further input.
                None => self.gauge_at = self.gauge_at.or(Some(now + load::PERIOD)),
            }
            match wakeup {
                Wakeup::Readable => self.take_in(),
                Wakeup::Stream(from_stream) => self.take_in_streams(from_stream),
                Wakeup::Accepted(accepted) => self.accept(accepted),
                Wakeup::Command(Some(command)) => self.obey(command),
                Wakeup::Command(None) => self.shut_down(),
                Wakeup::Writable => {}
                Wakeup::Timeout => self.handle_timeout(),
            }
        }
    }

    /// Says how this worker fares. Unless nothing happens, it is to say so again.
    fn set_gauge(&mut self, now: Instant, busy: u8, wakeup: &Wakeup) {
        let has_changed = self.gauge.set(Reading {
            busy,
            rooms: self.server.room_count(),
            participants: self.server.participant_count(),
            connections: self.streams.len(),
            events_missed: self.events_missed,
            statistics: *self.server.statistics(),
        });
        let is_due = self.server.poll_timeout().is_some_and(|at| at <= now);
        let happens = has_changed || is_due || !matches!(wakeup, Wakeup::Timeout);
        self.gauge_at = happens.then(|| now + load::PERIOD);
    }

    /// Does what the server's events ask for, and hands out the others.
    fn answer(&mut self) {
        self.taps.hand_out(&mut self.server);
        let now = self.clock.now();
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::JoinRequested { join, token, from } => {
                    (self.admitter).answer_join(&mut self.server, now, join, &token, from);
                }
                Event::RefreshRequested { refresh, token, .. } => {
                    (self.admitter).answer_refresh(&mut self.server, now, refresh, &token);
                }
                event => {
                    match event {
                        Event::Overloaded { late } => {
                            tracing::warn!(late, "more to send than this worker can");
                        }
                        Event::SessionEnded { session, .. } => {
                            self.taps.session_ended(session);
                        }
                        Event::EventsMissed { count } => {
                            self.events_missed += count;
                            self.taps.sessions_ended(&self.server);
                        }
                        _ => {}
                    }
                    tracing::debug!(?event);
                    let told = ServerEvent {
                        worker: self.index,
                        sequence: self.server.events_polled(),
                        at: wall(),
                        instant: tokio::time::Instant::now().into_std(),
                        event,
                    };
                    // An error means that nobody listens.
                    let _ = self.events.send(told);
                }
            }
        }
    }

    /// Sends what there is to send, or has it sent, as long as there is room for it and it is not time to take in what came
    /// meanwhile: then the server's timeout is now.
    fn transmit(&mut self) {
        self.is_held_back = self.is_held_back && !self.outbound.flush();
        let mut now = self.clock.now();
        let until = now + self.took.max(TURN);
        while !self.is_held_back {
            let transmit = self.server.poll_transmit(now, self.outbound.place());
            // The place holds any datagram, so there is no other error than the end.
            let Ok(Some(transmit)) = transmit else {
                self.is_held_back = !self.outbound.flush();
                return;
            };
            queue(&mut self.outbound, &self.streams, &transmit);
            if self.outbound.is_full() {
                self.is_held_back = !self.outbound.flush();
                now = self.clock.now();
                if now >= until {
                    return;
                }
            }
        }
    }

    async fn wait(&mut self) -> Wakeup {
        let server = self.server.poll_timeout();
        let server = if self.is_held_back {
            // It would have output sent at once, which has to wait; its timers need not.
            server.map(|at| at.max(self.looked + HELD_BACK))
        } else {
            server
        };
        let timeout = [server, self.gauge_at, self.accept_at, self.shutdown_by];
        let timeout = timeout.into_iter().flatten().min();
        let accept = async {
            match &self.tcp {
                Some(tcp) if self.accept_at.is_none() => tcp.accept().await,
                _ => pending().await,
            }
        };
        // At the end, what others still send is waited for.
        let is_ending = self.shutdown_by.is_some();
        tokio::select! {
            () = self.inbound.readable() => Wakeup::Readable,
            () = self.outbound.writable(), if self.is_held_back || is_ending => Wakeup::Writable,
            Some(from_stream) = self.from_streams.recv() => Wakeup::Stream(from_stream),
            accepted = accept => Wakeup::Accepted(accepted),
            command = self.commands.recv(), if !is_ending => Wakeup::Command(command),
            () = self.timer.wait(timeout) => Wakeup::Timeout,
        }
    }

    /// Takes in the datagrams that are here already; all of them, and in a hurry at last, if a batch takes its time: what waits
    /// in the socket is signalling, too, and gets old.
    fn take_in(&mut self) {
        let began = self.clock.now();
        let mut is_behind = false;
        for _ in 0..BATCHES {
            let (server, now) = (&mut self.server, self.clock.now());
            let mut count = 0;
            self.inbound.receive(|remote, local, datagram| {
                count += 1;
                handle(server, now, Path::Udp { remote, local }, datagram);
                if !self.is_held_back {
                    let (outbound, streams) = (&mut self.outbound, &self.streams);
                    self.is_held_back = !answer_strangers(server, now, outbound, streams);
                }
            });
            self.taps.hand_out(&mut self.server);
            self.took = self.clock.now().saturating_duration_since(began);
            if count < BATCH || self.took < TURN {
                break;
            }
            if !is_behind && self.took >= BEHIND {
                is_behind = true;
                self.server.set_behind(true);
            }
        }
        if is_behind {
            self.server.set_behind(false);
        }
    }

    fn take_in_streams(&mut self, first: FromStream) {
        let now = self.clock.now();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(from_stream) = next {
            match from_stream {
                FromStream::Packet(path, mut packet) => {
                    let is_data = matches!(Packet::parse(&packet), Ok(Packet::Data { .. }));
                    let is_handled = handle(&mut self.server, now, path, &mut packet);
                    if let (true, true, Path::Stream { id, .. }) = (is_data, is_handled, path) {
                        // Sealed with keys that only a participant has.
                        self.streams.used(id);
                    }
                }
                FromStream::Ended(id) => self.streams.forget(id),
            }
            if !self.is_held_back {
                let (server, outbound) = (&mut self.server, &mut self.outbound);
                self.is_held_back = !answer_strangers(server, now, outbound, &self.streams);
            }
            taken += 1;
            if taken == BATCH {
                return;
            }
            next = self.from_streams.try_recv().ok();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Do(act) => act(&mut self.server, self.clock.now()),
            Command::Carry(from, reply) => {
                // A caller that does not wait any more has dropped the ends.
                let _ = reply.send(self.streams.carry(from));
            }
            Command::Tap(room, wanted, reply) => {
                let _ = reply.send(self.taps.open(&mut self.server, room, wanted));
            }
        }
    }

    fn accept(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, from)) => self.streams.accept(stream, from),
            Err(error) => {
                tracing::warn!(%error, "TCP connection not accepted");
                self.accept_at = Some(self.clock.now() + ACCEPT_PAUSE);
            }
        }
    }

    fn handle_timeout(&mut self) {
        let now = self.clock.now();
        self.server.handle_timeout(now);
        self.looked = now;
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept_at = None;
        }
    }

    fn shut_down(&mut self) {
        tracing::info!("shutting down");
        let now = self.clock.now();
        self.server.shutdown(now);
        self.tcp = None;
        self.shutdown_by = Some(now + DRAIN);
    }

    /// Whether all participants know of the shutdown, or have had the time to.
    fn is_finished(&self) -> bool {
        self.shutdown_by.is_some_and(|by| {
            let all_told = self.server.accounting().participants == 0 && self.outbound.is_empty();
            all_told || self.clock.now() >= by
        })
    }
}

/// Has the server take in a packet; false if it was dropped.
fn handle(server: &mut Server, now: Instant, from: Path, datagram: &mut [u8]) -> bool {
    let handled = server.handle_datagram(now, from, datagram);
    if let Err(dropped) = handled {
        tracing::trace!(?from, %dropped, "datagram dropped");
    }
    handled.is_ok()
}

/// Sends the server's answers to strangers if many wait: in a flood of Hellos there would be no room for the answers
/// to the rest of the batch. False if there is no room for all of them now.
fn answer_strangers(
    server: &mut Server,
    now: Instant,
    outbound: &mut Outbound,
    streams: &Streams,
) -> bool {
    while server.owes_answers() {
        let Ok(Some(transmit)) = server.poll_transmit(now, outbound.place()) else {
            break;
        };
        queue(outbound, streams, &transmit);
        if outbound.is_full() && !outbound.flush() {
            return false;
        }
    }
    true
}

/// Has what was written to the outbound's place sent where it is to go.
fn queue(outbound: &mut Outbound, streams: &Streams, transmit: &Transmit) {
    let len = transmit.len;
    match transmit.to {
        Path::Stream { id, .. } => {
            streams.send(id, outbound.place().get(..len).unwrap_or_default());
        }
        Path::Udp { remote, local } => outbound.queue(remote, local, len),
    }
}
