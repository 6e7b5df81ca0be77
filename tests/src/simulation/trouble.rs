//! What befalls people, their networks and the server, by the steps of a plan.

use std::net::SocketAddr;

use parlour_core::time::{Duration, Instant};

use super::run::Run;
use crate::party::Handle;
use crate::world::{OTHER_ADDRESS, SERVER_ADDRESS};

/// How long an address that changed unnoticed is a trouble where datagrams get lost. Somebody who says nothing shows its address
/// once in 10 s, by a ping, and is told nothing more until its answer to the server's ping has got through: each time, one
/// datagram that may be lost.
const UNNOTICED: Duration = Duration::from_secs(30);

/// Within which one who knows another address of the server goes on there.
const SWITCHED: Duration = Duration::from_secs(20);

/// Where the server is: [`CutAddress`](super::Op::CutAddress) counts them like this.
pub(super) fn server_addresses() -> [SocketAddr; 2] {
    [SERVER_ADDRESS, OTHER_ADDRESS].map(|address| address.parse().expect("an address"))
}

/// What is wrong with somebody's link for a while.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Impairment {
    cut_until: Option<Instant>,
    narrow_until: Option<(Instant, usize)>,
}

/// What a step leaves to be done later.
#[derive(Debug, Clone, Copy)]
pub(super) enum Later {
    Relink(usize),
    FreeRadio(Handle),
    StartServer,
    /// It has slept since then, which its clock has counted, or not.
    Wake(usize, Handle, Instant, bool),
    Mend(usize),
}

impl Run<'_> {
    fn defer(&mut self, at: Instant, later: Later) {
        // No two at the same time take each other's place.
        self.deferred += 1;
        self.later.insert((at, self.deferred), later);
    }

    pub(super) fn do_later(&mut self, later: Later) {
        match later {
            Later::Relink(one) => self.relink(one),
            Later::FreeRadio(handle) => self.world.party(handle).is_radio_busy = false,
            Later::Wake(one, handle, since, counted) => {
                // It may have lost its power since.
                if self.live(one) == Some(handle) {
                    let slept = self.world.now().saturating_duration_since(since);
                    self.world.wake(handle, slept, counted);
                }
            }
            Later::Mend(which) => {
                if self.cut[which].is_some_and(|until| until <= self.world.now()) {
                    self.mend(which);
                }
            }
            Later::StartServer => {
                // It may have been started since.
                if self.world.running_server().is_none() {
                    self.world.start_server();
                }
            }
        }
    }

    /// One is cut off the network.
    pub(super) fn partition(&mut self, one: usize, time: Duration) {
        let until = self.world.now() + time;
        self.links[one].cut_until = self.links[one].cut_until.max(Some(until));
        self.impair(one, until);
    }

    /// All are cut off the network, and come back at the same moment.
    pub(super) fn storm(&mut self, time: Duration) {
        for one in 0..self.links.len() {
            self.partition(one, time);
        }
    }

    pub(super) fn narrow(&mut self, one: usize, time: Duration, mtu: usize) {
        let until = self.world.now() + time;
        self.links[one].narrow_until = Some((until, mtu));
        self.impair(one, until);
    }

    pub(super) fn rebind(&mut self, one: usize) {
        let now = self.world.now();
        if let Some(handle) = self.awake(one) {
            self.world.rebind(handle);
            self.with(one, |person| {
                let link = person.options.link;
                let is_lossy = link.loss > 0 || link.burst.is_some();
                person.trouble(if is_lossy { now + UNNOTICED } else { now });
            });
        }
    }

    pub(super) fn busy_radio(&mut self, one: usize, time: Duration) {
        let until = self.world.now() + time;
        if let Some(handle) = self.awake(one) {
            self.world.party(handle).is_radio_busy = true;
            self.with(one, |person| person.trouble(until));
            self.defer(until, Later::FreeRadio(handle));
        }
    }

    /// One's device sleeps, and neither says nor notices anything.
    pub(super) fn sleep(&mut self, one: usize, time: Duration, counted: bool) {
        let now = self.world.now();
        if let Some(handle) = self.awake(one) {
            self.world.suspend(handle);
            self.with(one, |person| {
                person.talk = None;
                person.trouble(now + time);
            });
            self.defer(now + time, Later::Wake(one, handle, now, counted));
        }
    }

    /// Nothing gets to or from an address of the server. People who know both need not wait for it.
    pub(super) fn cut_address(&mut self, which: usize, time: Duration) {
        let now = self.world.now();
        self.world.cut_address(server_addresses()[which], true);
        self.cut[which] = self.cut[which].max(Some(now + time));
        let [first, second] = self.cut;
        let both_cut = first.min(second).filter(|until| now < *until);
        for one in 0..self.links.len() {
            self.with(one, |person| match person.options.addresses.is_empty() {
                true if which == 0 => person.trouble(now + time),
                true => {}
                false => person.trouble(both_cut.unwrap_or(now) + SWITCHED),
            });
        }
        self.defer(now + time, Later::Mend(which));
    }

    /// What gets lost at an address of the server does so no longer.
    pub(super) fn mend(&mut self, which: usize) {
        self.cut[which] = None;
        self.world.cut_address(server_addresses()[which], false);
    }

    /// The server goes down without a word.
    pub(super) fn restart(&mut self, time: Duration) {
        let now = self.world.now();
        self.world.crash_server();
        let mut checks = self.checks.borrow_mut();
        checks.server_crashed(now);
        checks.server_back = checks.server_back.max(now + time);
        drop(checks);
        self.defer(now + time, Later::StartServer);
    }

    pub(super) fn impair(&mut self, one: usize, until: Instant) {
        self.with(one, |person| person.trouble(until));
        self.relink(one);
        self.defer(until, Later::Relink(one));
    }

    /// Gives somebody the link that it has now.
    pub(super) fn relink(&mut self, one: usize) {
        let now = self.world.now();
        let Some(handle) = self.live(one) else {
            return;
        };
        let impairment = self.links[one];
        let mut link = self.with(one, |person| person.options.link);
        link.partitioned = impairment.cut_until.is_some_and(|until| now < until);
        if let Some((until, mtu)) = impairment.narrow_until
            && now < until
        {
            link.mtu = mtu;
        }
        self.world.set_link(handle, link);
    }
}
