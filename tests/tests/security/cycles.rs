//! A hundred thousand joins, publishes and leaves: the memory is to the byte what it was.

use allocation_counter::measure;
use parlour_core::client::{Client, Commands as _, Config, Event, Small};
use parlour_core::secure::KeyPair;
use parlour_core::server::{self, Path, Server};
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use parlour_core::wire::MAX_DATAGRAM;
use parlour_tests::{microphone, token};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::{ms, s};

/// The number of cycles; `PARLOUR_CYCLES` chooses another number.
const CYCLES: usize = 2_000;

/// A server, and one device after another on a wire of no length.
struct Lab {
    server: Server,
    now: Instant,
    rng: ChaCha12Rng,
    joined: usize,
}

impl Lab {
    fn exchange(&mut self, client: &mut Client<Small>) {
        let path = Path::udp(([192, 0, 2, 1], 7).into());
        let mut out = [0; MAX_DATAGRAM];
        loop {
            while let Some(event) = self.server.poll_event() {
                match event {
                    server::Event::JoinRequested { join, token, .. } => {
                        let admission = token::verify(&token).unwrap();
                        self.server.admit(self.now, join, admission).unwrap();
                    }
                    server::Event::ParticipantJoined { .. } => self.joined += 1,
                    _ => {}
                }
            }
            if let Some(len) = client.poll_transmit(self.now, &mut out).unwrap() {
                let _ = self.server.handle_datagram(self.now, path, &mut out[..len]);
            } else if let Some(sent) = self.server.poll_transmit(self.now, &mut out).unwrap() {
                let _ = client.handle_datagram(self.now, &mut out[..sent.len], &mut |_| ());
            } else {
                return;
            }
        }
    }

    fn wait(&mut self, client: &mut Client<Small>, time: Duration) {
        self.now += time;
        client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        self.exchange(client);
    }

    /// One device joins, publishes, says something and leaves, or loses its power.
    fn cycle(&mut self, ticket: &Ticket<'_>, loses_power: bool) {
        let config = Config::default();
        let mut client = Client::<Small>::new(ticket, &config, self.now, &mut self.rng).unwrap();
        self.exchange(&mut client);
        let mic = microphone("mic");
        client.publish(mic.clone()).unwrap();
        self.exchange(&mut client);
        let level = parlour_core::rtp::AudioLevel {
            voice: true,
            level: 30,
        };
        client
            .send_audio(self.now, &mic.key, 960, level, &[0x48, 1, 2, 3])
            .unwrap();
        self.exchange(&mut client);
        if loses_power {
            let mut nobody =
                Client::<Small>::new(ticket, &config, self.now, &mut self.rng).unwrap();
            nobody.leave(self.now).unwrap();
            // Silence is noticed, and the grace passes.
            for _ in 0..60 {
                self.wait(&mut nobody, s(1));
            }
            return;
        }
        client.leave(self.now).unwrap();
        while client.closed().is_none() {
            self.wait(&mut client, ms(20));
        }
        let left = std::iter::from_fn(|| client.poll_event());
        assert!(
            left.last()
                .is_some_and(|event| matches!(event, Event::Closed(_)))
        );
        self.wait(&mut client, s(6));
    }
}

#[test]
fn joins_and_leaves_leave_no_byte_behind() {
    let cycles = std::env::var("PARLOUR_CYCLES").ok();
    let cycles = cycles.map_or(CYCLES, |cycles| cycles.parse().expect("a number of cycles"));
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let keys = KeyPair::generate(&mut rng);
    let ticket = Ticket {
        host: "192.0.2.2",
        port: 7900,
        server_key: *keys.public(),
        token: "green/alice",
    };
    let now = Instant::from_micros(0);
    let mut lab = Lab {
        server: Server::new(server::Config::default(), keys, now, &mut rng),
        now,
        rng,
        joined: 0,
    };
    // Tables grow to their need, and keep that size.
    for cycle in 0..40 {
        lab.cycle(&ticket, cycle % 10 == 9);
    }
    let before = lab.server.accounting();
    lab.joined = 0;
    let cost = measure(|| {
        for cycle in 0..cycles {
            lab.cycle(&ticket, cycle % 10 == 9);
        }
    });
    println!("{cycles} cycles: {cost:?}");
    assert_eq!(lab.joined, cycles, "somebody did not come in");
    assert_eq!(lab.server.accounting(), before);
    assert_eq!(cost.bytes_current, 0, "bytes are left");
    assert_eq!(cost.count_current, 0, "allocations are left");
    assert!(cost.count_total > cycles as u64, "nothing was measured");
}
