//! Where a party sends that chooses between addresses: the core's [`Route`], driven as an adapter drives it.

use std::net::SocketAddr;

use parlour_core::client::{Action, Event, ReconnectCause, Route, Transports};
use parlour_core::time::Instant;

use super::World;
use crate::party::{Handle, Party};

/// The route of one party, and the target that it is at.
#[derive(Debug)]
pub(crate) struct Way {
    route: Route,
    target: Option<SocketAddr>,
}

impl Way {
    /// `None` if the device sends to the server's address, or where that sent it.
    pub(crate) fn new(addresses: &[SocketAddr], now: Instant) -> Option<Self> {
        let target = None;
        (!addresses.is_empty()).then(|| Self {
            route: Route::new(Transports::Udp, addresses, now),
            target,
        })
    }
}

impl Party {
    /// Where it sends, if it chooses that itself.
    pub(crate) fn target(&self) -> Option<SocketAddr> {
        self.way.as_ref().and_then(|way| way.target)
    }

    /// Whether it takes a datagram from there.
    pub(crate) fn takes_from(&self, from: SocketAddr) -> bool {
        self.target().is_none_or(|target| target == from)
    }

    /// When its route wants to go on, by its own clock.
    pub(crate) fn route_timeout(&self) -> Option<Instant> {
        self.way.as_ref()?.route.poll_timeout()
    }

    pub(crate) fn route_told(&mut self, now: Instant, event: &Event) {
        let Some(way) = &mut self.way else {
            return;
        };
        match event {
            Event::Reconnecting(cause) => way.route.lost(now, *cause != ReconnectCause::Reset),
            Event::Redirected(to) => way.route.redirected(*to, now),
            Event::RedirectEnded => way.route.redirect_ended(now),
            _ => {}
        }
    }

    pub(crate) fn route_answered(&mut self, now: Instant) {
        let is_live = self.device.is_joined() || self.device.is_waiting();
        if let Some(way) = &mut self.way
            && is_live
        {
            way.route.answered(now);
        }
    }
}

impl World {
    /// Opens what the party's route says.
    pub(super) fn follow_route(&mut self, handle: Handle) {
        let now = self.clock(handle);
        loop {
            let Some(way) = &mut self.parties[handle.0].way else {
                return;
            };
            match way.route.poll(now) {
                None => return,
                Some(Action::Open(to)) => {
                    let is_first = way.target.replace(to.address).is_none();
                    if !is_first {
                        self.new_socket(handle);
                    }
                }
                // The name service cannot be reached.
                Some(_) => way.route.resolved(&[], now),
            }
        }
    }

    /// From now on nothing gets to or from that address of the server, or it does again.
    pub fn cut_address(&mut self, address: SocketAddr, is_cut: bool) {
        match is_cut {
            true => self.cut.insert(address),
            false => self.cut.remove(&address),
        };
    }
}
