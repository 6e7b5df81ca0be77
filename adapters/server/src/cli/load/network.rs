//! Many participants in one thread: a socket each, one wait for all of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use parlour_tokio::CloseCause;
use parlour_tokio::core::time::Instant;

use super::kernel::socket_drops;
use super::speech::Speech;
use super::talkers::Party;

/// Microseconds since the program began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(std::time::Instant);

#[allow(
    clippy::disallowed_methods,
    reason = "what is measured here is time, and this program is the embedder"
)]
impl Clock {
    pub(super) fn new() -> Self {
        Self(std::time::Instant::now())
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_micros(self.0.elapsed().as_micros() as u64)
    }

    /// The clock by which the kernel stamps what comes in.
    fn nanos_since_1970() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_nanos() as u64)
    }
}

struct Seat<P> {
    party: P,
    socket: UdpSocket,
    /// The address that the socket sends to.
    server: SocketAddr,
    armed: Option<Instant>,
    place: Option<Place>,
    said: u64,
    heard: u64,
    /// The numbers of the first and the last frame that it heard, if all it hears is one flow.
    heard_from_to: Option<(u64, u64)>,
    /// It has heard something since people began to talk.
    is_told: bool,
    /// The time of its next frame, and the RTP timestamp then.
    speech: Option<(Instant, u32)>,
}

/// The frames that count: those sent and received in one room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) room: usize,
    pub(super) listens: bool,
}

/// Frames of one room.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RoomTally {
    pub(super) listeners: u64,
    pub(super) said: u64,
    pub(super) heard: u64,
    /// Frames that were sent to listeners, by the numbers of those that came; of a mix only, as it is one flow.
    pub(super) numbered: u64,
}

/// Counts of frames sent and received.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) heard: u64,
    pub(super) datagrams: u64,
    /// From before the sending to the arrival at the listener's socket, in microseconds: of each frame, or of the first one of
    /// each turn where frames do not tell when they were said.
    pub(super) latency: Vec<u32>,
}

pub(super) struct Crowd<P> {
    clock: Clock,
    server: SocketAddr,
    epoll: Epoll,
    timer: TimerFd,
    seats: Vec<Seat<P>>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    speeches: BinaryHeap<Reverse<(Instant, usize)>>,
    /// The time of the first frame in each room since the talkers began, in ns since 1970.
    first_said: BTreeMap<usize, u64>,
    pub(super) tally: Tally,
}

/// The timer's number among the sockets.
const TIMER: u64 = u64::MAX;
/// In the 48 kHz clock of Opus.
const CLOCK_RATE: u32 = 48_000;

impl<P: Party> Crowd<P> {
    pub(super) fn new(clock: Clock, server: SocketAddr) -> anyhow::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::empty())?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Self {
            clock,
            server,
            epoll,
            timer,
            seats: Vec::new(),
            timers: BinaryHeap::new(),
            speeches: BinaryHeap::new(),
            first_said: BTreeMap::new(),
            tally: Tally::default(),
        })
    }

    /// Takes in a participant, which begins at once. Without a place it counts for nothing.
    pub(super) fn add(&mut self, party: P, place: Option<Place>) -> anyhow::Result<usize> {
        let any: IpAddr = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(self.server)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let index = self.seats.len();
        self.epoll
            .add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        self.seats.push(Seat {
            party,
            socket,
            server: self.server,
            armed: None,
            place,
            said: 0,
            heard: 0,
            heard_from_to: None,
            is_told: false,
            speech: None,
        });
        self.flush(index)?;
        Ok(index)
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn joined(&self) -> usize {
        let parties = self.seats.iter();
        parties.filter(|seat| seat.party.is_joined()).count()
    }

    /// Why one of them is not in the room any more, if so.
    pub(super) fn closed(&self) -> Option<CloseCause> {
        self.parties().find_map(Party::closed)
    }

    /// Has all of them leave.
    pub(super) fn leave(&mut self) -> anyhow::Result<()> {
        self.stop_talking();
        for index in 0..self.seats.len() {
            self.seats[index].party.leave(self.clock.now());
            self.flush(index)?;
        }
        Ok(())
    }

    pub(super) fn parties(&self) -> impl Iterator<Item = &P> {
        self.seats.iter().map(|seat| &seat.party)
    }

    /// The frames sent and received, room by room.
    pub(super) fn rooms(&self) -> Vec<RoomTally> {
        let mut rooms = Vec::new();
        for seat in &self.seats {
            let Some(place) = seat.place else {
                continue;
            };
            if rooms.len() <= place.room {
                rooms.resize(place.room + 1, RoomTally::default());
            }
            let room = &mut rooms[place.room];
            room.listeners += u64::from(place.listens);
            room.said += seat.said;
            room.heard += seat.heard;
            room.numbered += seat.heard_from_to.map_or(0, |(from, to)| to - from + 1);
        }
        rooms
    }

    /// Datagrams that the kernel dropped because participants took them too late.
    pub(super) fn drops(&self) -> anyhow::Result<u64> {
        let ports = self.seats.iter().map(|seat| seat.socket.local_addr());
        let ports = ports.map(|address| Ok(address?.port()));
        socket_drops(&ports.collect::<anyhow::Result<_>>()?)
    }

    /// Has these talk from now on, each so much later.
    pub(super) fn start_talking(&mut self, talkers: &[(usize, Duration)]) {
        let now = self.clock.now();
        self.first_said.clear();
        for seat in &mut self.seats {
            seat.is_told = false;
        }
        for &(index, phase) in talkers {
            if let Some(seat) = self.seats.get_mut(index) {
                let at = now + phase;
                // Its clock has run on while it was silent.
                let timestamp = (at.as_micros() * u64::from(CLOCK_RATE) / 1_000_000) as u32;
                seat.speech = Some((at, timestamp));
                self.speeches.push(Reverse((at, index)));
            }
        }
    }

    pub(super) fn stop_talking(&mut self) {
        self.speeches.clear();
    }

    /// Lets all parties run for `time`.
    pub(super) fn run_for(&mut self, time: Duration, speech: &Speech) -> anyhow::Result<()> {
        let end = self.clock.now() + time;
        let mut events = vec![EpollEvent::empty(); 256];
        loop {
            let now = self.clock.now();
            if now >= end {
                return Ok(());
            }
            self.speak(now, speech)?;
            self.handle_timeouts(now)?;
            let next = [self.speeches.peek(), self.timers.peek()];
            let next = next
                .into_iter()
                .flatten()
                .map(|Reverse((at, _))| *at)
                .fold(end, Instant::min);
            let wait = next.saturating_duration_since(self.clock.now());
            // Zero would stop the timer.
            let wait = TimeSpec::nanoseconds(wait.as_nanos().max(1) as i64);
            let once = Expiration::OneShot(wait);
            self.timer.set(once, TimerSetTimeFlags::empty())?;
            let ready = self.epoll.wait(&mut events, EpollTimeout::NONE)?;
            for event in events.iter().take(ready) {
                if event.data() != TIMER {
                    self.receive(event.data() as usize, speech)?;
                }
            }
        }
    }

    fn speak(&mut self, now: Instant, speech: &Speech) -> anyhow::Result<()> {
        while let Some(Reverse((at, index))) = self.speeches.peek().copied() {
            if at > now {
                return Ok(());
            }
            self.speeches.pop();
            let Some(seat) = self.seats.get_mut(index) else {
                continue;
            };
            let Some((_, timestamp)) = seat.speech else {
                continue;
            };
            let said = Clock::nanos_since_1970();
            if let Some(place) = seat.place {
                self.first_said.entry(place.room).or_insert(said);
            }
            let payload = speech.frame(index, said);
            seat.party.speak(now, timestamp, &payload)?;
            seat.said += 1;
            let next = at + speech.interval;
            let samples = speech.interval.as_micros() as u32 * (CLOCK_RATE / 1000) / 1000;
            seat.speech = Some((next, timestamp.wrapping_add(samples)));
            self.speeches.push(Reverse((next, index)));
            self.flush(index)?;
        }
        Ok(())
    }

    fn handle_timeouts(&mut self, now: Instant) -> anyhow::Result<()> {
        while let Some(Reverse((at, index))) = self.timers.peek().copied() {
            if at > now {
                return Ok(());
            }
            self.timers.pop();
            if let Some(seat) = self.seats.get_mut(index)
                && seat.armed == Some(at)
            {
                seat.armed = None;
                seat.party.handle_timeout(now);
                self.flush(index)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, speech: &Speech) -> anyhow::Result<()> {
        let Some(seat) = self.seats.get_mut(index) else {
            return Ok(());
        };
        let mut datagram = [0; 1500];
        let mut stamp = nix::cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(&mut datagram)];
        let received = recvmsg::<()>(
            seat.socket.as_raw_fd(),
            &mut slices,
            Some(&mut stamp),
            MsgFlags::MSG_DONTWAIT,
        );
        let (len, arrived) = match received {
            Ok(received) => {
                let arrived = received.cmsgs()?.find_map(|message| match message {
                    ControlMessageOwned::ScmTimestampns(at) => Some(at.num_nanoseconds() as u64),
                    _ => None,
                });
                (received.bytes, arrived)
            }
            Err(_) => return Ok(()),
        };
        let now = self.clock.now();
        let Seat {
            party,
            heard,
            heard_from_to,
            is_told,
            place,
            ..
        } = seat;
        let tally = &mut self.tally;
        let counts = place.is_some_and(|place| place.listens);
        let first_said = place.and_then(|place| self.first_said.get(&place.room).copied());
        tally.datagrams += u64::from(counts);
        party.take(now, &mut datagram[..len], &mut |sound| {
            if !counts {
                return;
            }
            tally.heard += 1;
            *heard += 1;
            let (from, to) = heard_from_to.unwrap_or((sound.sequence, sound.sequence));
            *heard_from_to = Some((from.min(sound.sequence), to.max(sound.sequence)));
            let said = speech.said_at(sound.payload).or_else(|| {
                // Packets already on the way when the talkers began hold nothing of it.
                let first = first_said.filter(|said| arrived.is_some_and(|at| at > *said));
                first.filter(|_| sound.is_voice && !std::mem::replace(is_told, true))
            });
            if let (Some(arrived), Some(said)) = (arrived, said) {
                let nanos = arrived.saturating_sub(said);
                tally.latency.push((nanos / 1000) as u32);
            }
        });
        self.flush(index)
    }

    /// Sends what a participant has to send, and sees when it wants to be woken.
    fn flush(&mut self, index: usize) -> anyhow::Result<()> {
        let Some(seat) = self.seats.get_mut(index) else {
            return Ok(());
        };
        if let Some(to) = seat.party.redirected_to()
            && let Some(&server) = to.addresses(seat.server).first()
            && server != seat.server
        {
            seat.socket.connect(server)?;
            seat.server = server;
        }
        let now = self.clock.now();
        let mut datagram = [0; 1200];
        while let Some(len) = seat.party.transmit(now, &mut datagram) {
            seat.socket.send(&datagram[..len])?;
        }
        if let Some(at) = seat.party.timeout()
            && seat.armed.is_none_or(|armed| at < armed)
        {
            seat.armed = Some(at);
            self.timers.push(Reverse((at, index)));
        }
        Ok(())
    }
}
