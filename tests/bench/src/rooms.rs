//! The server: one tick of 3 talkers to 100 listeners, forwarded or mixed.

use std::hint::black_box;

use parlour_core::server::{Config, MixConfig};
use parlour_core::signal::SubscribePolicy;
use parlour_core::wire::MAX_DATAGRAM;

use crate::lab::{Lab, TICK, frame};
use crate::sound::{Cycle, payloads};
use crate::{Bench, Case, case};

const TALKERS: usize = 3;
const LISTENERS: usize = 100;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("server: forward 3 talkers to 100 listeners, 20 ms", || {
            // Talkers who do not listen, so that there are just the 100.
            let mut lab = Lab::new(Config::default());
            (0..TALKERS).for_each(|_| lab.join(0, SubscribePolicy::None, true));
            (0..LISTENERS).for_each(|_| lab.join(4, SubscribePolicy::All, false));
            Box::new(Tick::new(lab, vec![frame()], LISTENERS))
        }),
        case(
            "server: mix 3 talkers for 100 listeners and themselves, 20 ms",
            || mixing(SubscribePolicy::Mix),
        ),
        case("server: the same in PCMU", || {
            mixing(SubscribePolicy::MixPcmu)
        }),
    ]
}

fn mixing(policy: SubscribePolicy) -> Box<dyn Bench> {
    let mut lab = Lab::new(Config {
        mix: Some(MixConfig::default()),
        ..Config::default()
    });
    (0..TALKERS).for_each(|_| lab.join(1, policy, true));
    (0..LISTENERS).for_each(|_| lab.join(1, policy, false));
    Box::new(Tick::new(lab, payloads(), TALKERS + LISTENERS))
}

struct Tick {
    lab: Lab,
    payloads: Cycle<Vec<u8>>,
    receivers: usize,
    ready: Vec<[Vec<u8>; TALKERS]>,
}

impl Tick {
    fn new(mut lab: Lab, payloads: Vec<Vec<u8>>, receivers: usize) -> Self {
        let mut payloads = Cycle::new(payloads);
        // Until buffers have settled and it is decided who speaks.
        lab.warm_up(200, TALKERS, || payloads.next().clone());
        Self {
            lab,
            payloads,
            receivers,
            ready: Vec::new(),
        }
    }
}

impl Bench for Tick {
    fn prepare(&mut self, runs: usize) {
        // What was left unsaid: reports.
        self.lab.exchange();
        let begin = self.lab.now;
        self.ready = (0..runs)
            .map(|_| {
                self.lab.now += TICK;
                self.lab.spoke();
                std::array::from_fn(|talker| self.lab.say(talker, self.payloads.next()))
            })
            .collect();
        self.ready.reverse();
        self.lab.now = begin;
    }

    fn run(&mut self) {
        let Lab { server, now, .. } = &mut self.lab;
        *now += TICK;
        server.handle_timeout(*now);
        for (talker, datagram) in self.ready.pop().expect("readied").iter_mut().enumerate() {
            server
                .handle_datagram(*now, Lab::path(talker), datagram)
                .unwrap();
        }
        let mut out = [0; MAX_DATAGRAM];
        let mut sent = 0;
        while let Some(transmit) = server.poll_transmit(*now, &mut out).unwrap() {
            black_box(transmit);
            sent += 1;
        }
        assert!(sent >= self.receivers, "{sent} datagrams");
    }
}
