//! Memory: none is lost per join, and none is taken by packets that cannot be sent.

use allocation_counter::measure;
use parlour_core::client::{Client, Commands as _, Config, Event, Small};
use parlour_core::room::StreamKey;
use parlour_core::rtp::AudioLevel;
use parlour_core::secure::KeyPair;
use parlour_core::server::{self, Path, Server};
use parlour_core::ticket::Ticket;
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;
use parlour_tests::{Options, World, microphone, token};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::{broke, ms, s};

/// A server and one device on a wire of no length, with their allocations counted.
struct Lab {
    server: Server,
    path: Path,
    now: Instant,
    by_client: u64,
}

impl Lab {
    fn exchange(&mut self, client: &mut Client<Small>) {
        let mut out = [0; MAX_DATAGRAM];
        loop {
            let mut sent = None;
            let now = self.now;
            let cost = measure(|| sent = client.poll_transmit(now, &mut out).unwrap());
            self.by_client += cost.count_total;
            if let Some(len) = sent {
                let _ = self.server.handle_datagram(now, self.path, &mut out[..len]);
                while let Some(event) = self.server.poll_event() {
                    if let server::Event::JoinRequested { join, token, .. } = event {
                        let admission = token::verify(&token).unwrap();
                        self.server.admit(now, join, admission).unwrap();
                    }
                }
                continue;
            }
            match self.server.poll_transmit(now, &mut out).unwrap() {
                Some(transmit) => {
                    let datagram = &mut out[..transmit.len];
                    let cost = measure(|| {
                        let _ = client.handle_datagram(now, datagram, &mut |_| ());
                    });
                    self.by_client += cost.count_total;
                }
                None => return,
            }
        }
    }

    fn wait(&mut self, client: &mut Client<Small>, millis: u64) {
        for _ in 0..millis / 20 {
            self.now += ms(20);
            let now = self.now;
            let cost = measure(|| client.handle_timeout(now));
            self.by_client += cost.count_total;
            self.server.handle_timeout(now);
            self.exchange(client);
        }
    }

    fn cycle(&mut self, ticket: &Ticket<'_>, rng: &mut ChaCha12Rng) {
        let mut client = Client::<Small>::new(ticket, &Config::default(), self.now, rng).unwrap();
        client.publish(microphone("mic")).unwrap();
        self.exchange(&mut client);
        assert!(client.is_joined());
        let key = StreamKey::new("mic").unwrap();
        let level = AudioLevel {
            voice: true,
            level: 30,
        };
        for number in 0..10 {
            let now = self.now;
            let cost = measure(|| {
                let frame = [0x48, 1, 2, 3];
                client
                    .send_audio(now, &key, number * 960, level, &frame)
                    .unwrap();
            });
            self.by_client += cost.count_total;
            self.wait(&mut client, 20);
        }
        let now = self.now;
        let cost = measure(|| client.leave(now).unwrap());
        self.by_client += cost.count_total;
        let mut closed = false;
        while !closed {
            self.wait(&mut client, 20);
            let cost = measure(|| {
                while let Some(event) = client.poll_event() {
                    closed |= matches!(event, Event::Closed(_));
                }
            });
            self.by_client += cost.count_total;
        }
        self.wait(&mut client, 2_000);
    }
}

#[test]
fn pain_01_joining_and_leaving_costs_no_memory() {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let keys = KeyPair::generate(&mut rng);
    let public = *keys.public();
    let now = Instant::from_micros(0);
    let server = Server::new(server::Config::default(), keys, now, &mut rng);
    let path = Path::udp("192.0.2.1:1".parse().unwrap());
    let mut lab = Lab {
        server,
        path,
        now,
        by_client: 0,
    };
    let ticket = Ticket {
        host: "192.0.2.2",
        port: 7900,
        server_key: public,
        token: "green/alice",
    };
    for _ in 0..20 {
        lab.cycle(&ticket, &mut rng);
    }
    let before = lab.server.accounting();
    let cost = measure(|| {
        for _ in 0..500 {
            lab.cycle(&ticket, &mut rng);
        }
    });
    assert_eq!(lab.by_client, 0, "the device allocates");
    assert_eq!(lab.server.accounting(), before);
    // The server has freed all that it allocated, but for tables that keep their greatest size.
    let kept = cost.bytes_current;
    assert!(kept.abs() <= 4_096, "{kept} bytes kept after 500 joins");
    assert!(cost.bytes_total > 500 * 100, "nothing was measured");
}

#[test]
fn pain_12_a_busy_radio_drops_old_sound_and_takes_no_memory() {
    let mut world = World::new("pain_12_a_busy_radio_drops_old_sound_and_takes_no_memory");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    let size = world.device(alice).size();
    world.talk(alice, "mic", s(60));
    world.run_for(s(1));
    world.party(alice).is_radio_busy = true;
    world.run_for(s(8));
    let unsent = world.device(alice).statistics().unsent;
    assert!(unsent >= 300, "only {unsent} dropped of 400");
    world.forget(bob);
    world.party(alice).is_radio_busy = false;
    let freed = world.now();
    world.run_for(s(2));
    // The newest audio comes first: old audio is not worth hearing.
    let heard = world.heard(bob);
    let first = heard.first().expect("she is heard again");
    assert!(first.latency() <= ms(500), "{:?} old", first.latency());
    assert!(first.at.saturating_duration_since(freed) <= ms(100));
    let last = heard.last().unwrap();
    assert!(
        last.latency() <= ms(20),
        "it stays behind: {:?}",
        last.latency()
    );
    let told = |event: &Event| matches!(event, Event::PacketsDropped(_));
    assert!(world.saw(alice, told), "the application is not told");
    assert!(!world.saw(alice, broke));
    assert_eq!(world.device(alice).size(), size);
}
