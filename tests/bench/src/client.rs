//! The participant's end: what a microcontroller does for each frame, cipher and all.

use std::hint::black_box;

use parlour_core::client::Incoming;
use parlour_core::server::Config;
use parlour_core::signal::SubscribePolicy;
use parlour_core::wire::MAX_DATAGRAM;

use crate::lab::{Lab, frame};
use crate::{Bench, Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("client: send a frame of 80 B", || {
            let mut lab = lab();
            let (key, frame) = (parlour_core::room::StreamKey::new("mic").unwrap(), frame());
            let level = parlour_core::rtp::AudioLevel {
                voice: true,
                level: 30,
            };
            let mut timestamp = 0;
            Box::new(move || {
                timestamp += 960;
                let client = &mut lab.clients[0];
                client
                    .send_audio(lab.now, &key, timestamp, level, black_box(&frame))
                    .unwrap();
                let mut out = [0; MAX_DATAGRAM];
                black_box(client.poll_transmit(lab.now, &mut out))
                    .unwrap()
                    .expect("a datagram");
            })
        }),
        case("client: receive a frame of 80 B", || {
            Box::new(Receive {
                lab: lab(),
                ready: Vec::new(),
            })
        }),
    ]
}

/// A talker and a listener.
fn lab() -> Lab {
    let mut lab = Lab::new(Config::default());
    lab.join(0, SubscribePolicy::None, true);
    lab.join(4, SubscribePolicy::All, false);
    lab.warm_up(150, 1, frame);
    lab
}

struct Receive {
    lab: Lab,
    ready: Vec<Vec<u8>>,
}

impl Bench for Receive {
    fn prepare(&mut self, runs: usize) {
        self.ready.clear();
        self.lab.exchange();
        let mut out = [0; MAX_DATAGRAM];
        for _ in 0..runs {
            self.lab.advance();
            let mut datagram = self.lab.say(0, &frame());
            self.lab
                .server
                .handle_datagram(self.lab.now, Lab::path(0), &mut datagram)
                .unwrap();
            while let Some(sent) = self
                .lab
                .server
                .poll_transmit(self.lab.now, &mut out)
                .unwrap()
            {
                if sent.to == Lab::path(1) {
                    self.ready.push(out[..sent.len].to_vec());
                }
            }
        }
        self.ready.reverse();
    }

    fn run(&mut self) {
        let mut datagram = self.ready.pop().expect("readied");
        let mut heard = 0;
        let client = &mut self.lab.clients[1];
        let handled = client.handle_datagram(self.lab.now, &mut datagram, &mut |incoming| {
            heard += usize::from(matches!(black_box(incoming), Incoming::Audio { .. }));
        });
        handled.unwrap();
        assert_eq!(heard, 1);
    }
}
