//! Which of a server's addresses to send to, by which transport, and when to try the next.
//!
//! ```text
//!            a candidate's time is up, or it failed
//!              ┌───────┐
//!              ▼       │       answered
//!  new ────► Seeking ──┴────────────────────► Settled ──► (by TCP: UDP is probed now and then)
//!              ▲                                 │
//!              └── the client reconnects, the link is lost, the server redirects
//! ```
//!
//! Like the rest of the core it does no IO: the adapter opens the targets that [`Route::poll`] names, and reports the
//! result. Addresses of both families take turns ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-4)), in
//! the order that the name service gave them, and the one that worked last comes first. All are tried by UDP and
//! then, if that is allowed, by TCP. When none answers, the name is looked up again.

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;

use crate::signal::Redirect;
use crate::time::{Duration, Instant, earlier};

/// Addresses of one name that are kept.
pub const MAX_ADDRESSES: usize = 8;

/// How long a candidate has to answer at first; twice as long in each round, up to [`MAX_PATIENCE`].
const PATIENCE: Duration = Duration::from_secs(1);
const MAX_PATIENCE: Duration = Duration::from_secs(2);
/// From one candidate that failed to the next, at least: at first, and doubled like the patience.
const MIN_PAUSE: Duration = Duration::from_millis(250);
/// For how long a connection that broke is only sought by the transport that it had. A server that starts anew would
/// otherwise find its participants on TCP.
const FAITHFUL: Duration = Duration::from_secs(5);
/// The time that a client on TCP leaves UDP alone: at first, and at most.
const PROBE_PAUSE: Duration = Duration::from_secs(10);
const MAX_PROBE_PAUSE: Duration = Duration::from_secs(300);
/// How long a probe has to be answered.
const PROBE: Duration = Duration::from_secs(1);
/// From one question to the name service to the next, at least.
const RESOLVE_PAUSE: Duration = Duration::from_secs(2);

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transport {
    /// A packet is a datagram.
    Udp,
    /// Packets follow each other in a stream.
    Tcp,
}

/// Which transports may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transports {
    /// UDP only.
    Udp,
    /// TCP only.
    Tcp,
    /// UDP, and TCP while it does not answer.
    UdpOrTcp,
}

/// Where to send, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The transport.
    pub transport: Transport,
    /// The server's address.
    pub address: SocketAddr,
}

/// An action for the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Send to this target from now on, from a new socket or by a new connection, and tell the client
    /// ([`Client::network_changed`](super::Client::network_changed)) as soon as that is there. Until then a former one
    /// goes on.
    Open(Target),
    /// Ask the name service again, and tell [`Route::resolved`].
    Resolve,
    /// See whether UDP gets through: send one packet that asks for an answer
    /// ([`Client::ping`](super::Client::ping)) there from a socket of its own, and tell [`Route::probe_answered`]. If
    /// [`Route::probing`] ends without that, have the server follow back by another packet on the usual way.
    Probe(SocketAddr),
}

/// The way to the server: which target is in use, and which to try next.
#[derive(Debug, Clone)]
pub struct Route {
    transports: Transports,
    /// Of the ticket's name, those that worked last first.
    named: Vec<SocketAddr, MAX_ADDRESSES>,
    /// Where the server has sent this client, if anywhere: instead of those.
    redirected: Vec<SocketAddr, 2>,
    /// The transport that worked last, which comes first.
    preferred: Transport,
    /// The other transport is tried from then on.
    both_from: Instant,
    state: State,
    /// Whether [`Action::Resolve`] is wanted, and since when there has been an answer to the last one.
    wants_names: bool,
    asks_names: bool,
    ask_again: Instant,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Seeking {
        /// Which candidate.
        turn: usize,
        /// How often all were tried.
        round: u32,
        /// Whether it is still to be opened.
        to_open: bool,
        /// When to open it, or to go on to the next.
        next: Instant,
        /// Opened last.
        opened: Option<(Target, Instant)>,
        /// Whether that is open still.
        is_open: bool,
    },
    Settled {
        target: Target,
        probe: Probe,
    },
}

/// Whether UDP gets through for a client on TCP.
#[derive(Debug, Clone, Copy)]
enum Probe {
    /// There is nothing to find out.
    Never,
    At(Instant, Duration),
    Until(Instant, Duration),
}

impl Route {
    /// A route to a server at these addresses, as the name service gave them. More than [`MAX_ADDRESSES`] are left out.
    pub fn new(transports: Transports, addresses: &[SocketAddr], now: Instant) -> Self {
        Self {
            transports,
            named: interleave(addresses),
            redirected: Vec::new(),
            preferred: match transports {
                Transports::Tcp => Transport::Tcp,
                Transports::Udp | Transports::UdpOrTcp => Transport::Udp,
            },
            both_from: now,
            state: seek(now),
            wants_names: addresses.is_empty(),
            asks_names: false,
            ask_again: now,
        }
    }

    /// The next action; `None`: nothing until [`poll_timeout`](Self::poll_timeout) or the next input.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        if self.wants_names && !self.asks_names && self.ask_again <= now {
            (self.wants_names, self.asks_names) = (false, true);
            return Some(Action::Resolve);
        }
        match self.state {
            State::Seeking { .. } => self.seek_on(now),
            State::Settled { target, probe } => match probe {
                Probe::At(at, pause) if at <= now => {
                    let probe = Probe::Until(now + PROBE, pause);
                    self.state = State::Settled { target, probe };
                    Some(Action::Probe(target.address))
                }
                Probe::Until(until, pause) if until <= now => {
                    let pause = pause.saturating_mul(2).min(MAX_PROBE_PAUSE);
                    let probe = Probe::At(now + pause, pause);
                    self.state = State::Settled { target, probe };
                    None
                }
                _ => None,
            },
        }
    }

    /// When to [`poll`](Self::poll) again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let names = (self.wants_names && !self.asks_names).then_some(self.ask_again);
        let state = match self.state {
            _ if self.addresses().is_empty() => None,
            State::Seeking { next, opened, .. } => {
                let since = opened.map(|(_, since)| since);
                let is_one_sided = since.is_some_and(|since| self.is_one_sided(since));
                earlier(Some(next), is_one_sided.then_some(self.both_from))
            }
            State::Settled { probe, .. } => match probe {
                Probe::Never => None,
                Probe::At(at, _) | Probe::Until(at, _) => Some(at),
            },
        };
        earlier(names, state)
    }

    /// The target that is in use, or was opened last.
    pub fn target(&self) -> Option<Target> {
        match self.state {
            State::Seeking { opened, .. } => opened.map(|(target, _)| target),
            State::Settled { target, .. } => Some(target),
        }
    }

    /// Whether the target has answered.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Settled { .. })
    }

    /// Whether a probe is under way.
    pub fn probing(&self) -> bool {
        let State::Settled { probe, .. } = self.state else {
            return false;
        };
        matches!(probe, Probe::Until(..))
    }

    /// Something authentic came from the target while the client is in a session or its lobby: it stays.
    pub fn answered(&mut self, now: Instant) {
        let State::Seeking {
            opened: Some((target, _)),
            ..
        } = self.state
        else {
            return;
        };
        self.settle(target, now);
    }

    /// The adapter has opened `target` by a way of its own, such as a proxy that it knows. It has `patience` to answer. Nothing
    /// changes if another target has answered already.
    pub fn opened(&mut self, target: Target, patience: Duration, now: Instant) {
        let State::Seeking { turn, round, .. } = self.state else {
            return;
        };
        let next = now + patience;
        if self.both_from > now {
            self.both_from = self.both_from.max(next);
        }
        self.state = State::Seeking {
            turn,
            round,
            to_open: false,
            next,
            opened: Some((target, now)),
            is_open: true,
        };
    }

    /// The probe was answered: what its socket reaches is the target.
    pub fn probe_answered(&mut self, now: Instant) {
        if let State::Settled { mut target, .. } = self.state {
            target.transport = Transport::Udp;
            self.settle(target, now);
        }
    }

    /// The target cannot be opened, or was and is no more.
    pub fn failed(&mut self, now: Instant) {
        match self.state {
            State::Settled { target, .. } => {
                // As it was, and then all others.
                self.both_from = now + FAITHFUL;
                let (round, opened) = (0, Some((target, now)));
                self.state = State::Seeking {
                    turn: 0,
                    round,
                    to_open: true,
                    next: now,
                    opened,
                    is_open: false,
                };
            }
            State::Seeking {
                round,
                ref mut next,
                opened,
                to_open: false,
                ref mut is_open,
                ..
            } => {
                *is_open = false;
                let since = opened.map_or(now, |(_, since)| since);
                *next = (since + grown(MIN_PAUSE, round)).max(now).min(*next);
            }
            State::Seeking { .. } => {}
        }
    }

    /// The client reconnects. Where it was is asked first, from a new socket if the old one's `network_is_in_doubt`.
    pub fn lost(&mut self, now: Instant, network_is_in_doubt: bool) {
        if let State::Settled { target, .. } = self.state {
            self.both_from = self.both_from.max(now + FAITHFUL);
            self.state = State::Seeking {
                turn: 0,
                round: 0,
                to_open: network_is_in_doubt,
                next: now
                    + if network_is_in_doubt {
                        Duration::ZERO
                    } else {
                        PATIENCE
                    },
                opened: Some((target, now)),
                is_open: !network_is_in_doubt,
            };
        }
    }

    /// This end is on another network: opens everything anew, tries both transports in turn, and asks for the name again.
    pub fn network_changed(&mut self, now: Instant) {
        self.wants_names = true;
        self.state = seek(now);
        self.both_from = now;
    }

    /// The server has sent this client elsewhere.
    pub fn redirected(&mut self, to: Redirect, now: Instant) {
        let Some(at) = self.target() else {
            return;
        };
        self.worked(at);
        self.redirected.clear();
        let preferred = at.address.is_ipv4();
        let mut addresses = to.addresses(at.address);
        // At most two, one of each family: to sort them takes 3 KB of a device's flash.
        if (addresses.first()).is_some_and(|first| first.is_ipv4() != preferred) {
            addresses.reverse();
        }
        for address in &addresses {
            // There is room for both.
            let _ = self.redirected.push(*address);
        }
        self.state = seek(now);
        self.both_from = now;
    }

    /// It does not answer there: back to the name's addresses.
    pub fn redirect_ended(&mut self, now: Instant) {
        self.redirected.clear();
        self.state = seek(now);
        self.both_from = now;
    }

    /// The answer of the name service; empty, if it could not be asked.
    pub fn resolved(&mut self, addresses: &[SocketAddr], now: Instant) {
        self.asks_names = false;
        self.ask_again = now + RESOLVE_PAUSE;
        let found: Vec<_, MAX_ADDRESSES> = interleave(addresses);
        if found.is_empty() {
            self.wants_names |= self.named.is_empty();
            return;
        }
        let is_new = found.iter().any(|address| !self.named.contains(address))
            || found.len() != self.named.len();
        if !is_new {
            return;
        }
        let last = self.named.first().copied();
        self.named = found;
        if let Some(last) = last {
            bring_forward(&mut self.named, last.ip());
        }
        if self.redirected.is_empty() && !self.is_settled() {
            self.state = seek(now);
        }
    }

    /// The next candidate, if it is time.
    fn seek_on(&mut self, now: Instant) -> Option<Action> {
        let State::Seeking {
            mut turn,
            mut round,
            to_open,
            next,
            opened,
            is_open,
        } = self.state
        else {
            return None;
        };
        let per_transport = self.addresses().len();
        if per_transport == 0 {
            return None;
        }
        // The other transport's time has come since the last candidate was opened.
        let joins_now = opened.is_some_and(|(_, since)| self.is_one_sided(since))
            && self.both_from <= now
            && !to_open;
        if next > now && !joins_now {
            return None;
        }
        if joins_now {
            (turn, round) = (per_transport, 0);
        } else if !to_open {
            turn += 1;
            if turn >= self.candidates(now) {
                turn = 0;
                round = round.saturating_add(1);
                self.wants_names = true;
            }
        }
        let target = self.candidate(turn)?;
        // A silent address has had time to answer already.
        let is_lost = to_open && opened.is_some();
        let patience = match is_lost {
            true => PATIENCE / 2,
            false => grown(PATIENCE, round),
        };
        self.state = State::Seeking {
            turn,
            round,
            to_open: false,
            next: now + patience,
            opened: Some((target, now)),
            is_open: true,
        };
        // An address with a socket needs no other, which would only invalidate its cookie.
        let is_the_same = opened.is_some_and(|(last, _)| last == target);
        let goes_on = is_open && is_the_same && target.transport == Transport::Udp;
        match goes_on {
            // The name may be wanted now.
            true => self.poll(now),
            false => Some(Action::Open(target)),
        }
    }

    fn addresses(&self) -> &[SocketAddr] {
        match self.redirected.is_empty() {
            true => &self.named,
            false => &self.redirected,
        }
    }

    /// Whether only one of two transports that are allowed is tried at that time.
    fn is_one_sided(&self, now: Instant) -> bool {
        self.transports == Transports::UdpOrTcp && now < self.both_from
    }

    fn candidates(&self, now: Instant) -> usize {
        let both = self.transports == Transports::UdpOrTcp && !self.is_one_sided(now);
        self.addresses().len() * if both { 2 } else { 1 }
    }

    fn candidate(&self, turn: usize) -> Option<Target> {
        let addresses = self.addresses();
        let (transport, turn) = match turn.checked_sub(addresses.len()) {
            None => (self.preferred, turn),
            Some(turn) if self.preferred == Transport::Udp => (Transport::Tcp, turn),
            Some(turn) => (Transport::Udp, turn),
        };
        let address = *addresses.get(turn)?;
        Some(Target { transport, address })
    }

    fn settle(&mut self, target: Target, now: Instant) {
        self.worked(target);
        self.both_from = now;
        self.wants_names = false;
        let is_second_best =
            self.transports == Transports::UdpOrTcp && target.transport == Transport::Tcp;
        let probe = match is_second_best {
            true => Probe::At(now + PROBE_PAUSE, PROBE_PAUSE),
            false => Probe::Never,
        };
        self.state = State::Settled { target, probe };
    }

    fn worked(&mut self, target: Target) {
        self.preferred = target.transport;
        bring_forward(&mut self.named, target.address.ip());
        if let Some(place) = self.redirected.iter().position(|to| *to == target.address) {
            self.redirected.swap(0, place);
        }
    }
}

/// From the first candidate on.
fn seek(now: Instant) -> State {
    State::Seeking {
        turn: 0,
        round: 0,
        to_open: true,
        next: now,
        opened: None,
        is_open: false,
    }
}

fn grown(first: Duration, round: u32) -> Duration {
    first.saturating_mul(1 << round.min(4)).min(MAX_PATIENCE)
}

/// The addresses in their order, those of both families in turn, without repetitions.
fn interleave<const N: usize>(addresses: &[SocketAddr]) -> Vec<SocketAddr, N> {
    let mut ordered: Vec<SocketAddr, N> = Vec::new();
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let of = |is_v4| addresses.iter().filter(move |it| it.is_ipv4() == is_v4);
    let (mut first, mut second) = (of(first_is_v4), of(!first_is_v4));
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        for address in pair.into_iter().flatten() {
            if !ordered.contains(address) {
                // Addresses without room are omitted.
                let _ = ordered.push(*address);
            }
        }
    }
}

/// Has the address with that IP come first.
fn bring_forward(addresses: &mut [SocketAddr], ip: IpAddr) {
    if let Some(place) = addresses.iter().position(|address| address.ip() == ip)
        && let Some(head) = addresses.get_mut(..=place)
    {
        head.rotate_right(1);
    }
}

#[cfg(test)]
mod tests;
