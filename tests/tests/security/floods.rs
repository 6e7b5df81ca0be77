//! Hellos without end: spoofed, garbage, or never finished.

use std::net::SocketAddr;

use allocation_counter::measure;
use parlour_core::server::{Config, Dropped, Path, Rate};
use parlour_core::signal::JoinRefusal;
use parlour_core::time::Duration;
use parlour_core::wire::{ConnectionId, MAX_DATAGRAM, Packet};
use parlour_tests::{Options, World};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::{assert_undisturbed, ms, recorded, recorded_from, s};

const HELLO: u8 = 8;
/// Datagrams that a server takes before it sends, as one that receives in batches does.
const BATCH: usize = 32;

/// Hellos as `count` different devices make them. The devices are switched off.
fn hellos(world: &mut World, count: usize) -> Vec<Vec<u8>> {
    let mark = recorded(world).len();
    let mut handles = Vec::new();
    for number in 0..count {
        let handle = world.join(&format!("flood-{number}"), Options::small());
        world.partition(handle, true);
        handles.push(handle);
    }
    world.run_for(ms(1));
    for handle in handles {
        world.power_off(handle);
    }
    let hellos: Vec<_> = (recorded(world).into_iter().skip(mark))
        .filter(|sent| sent.bytes[0] == HELLO)
        .map(|sent| sent.bytes)
        .collect();
    assert_eq!(hellos.len(), count);
    hellos
}

/// Hands datagrams to the server, past the network, and gives what it answers, by address.
fn pour(
    world: &mut World,
    datagrams: impl IntoIterator<Item = (SocketAddr, Vec<u8>)>,
) -> Vec<(SocketAddr, Vec<u8>)> {
    let (server, clock) = world.server_and_clock();
    let mut answers = Vec::new();
    let mut out = [0; MAX_DATAGRAM];
    let mut datagrams = datagrams.into_iter().peekable();
    while datagrams.peek().is_some() {
        for (from, mut bytes) in datagrams.by_ref().take(BATCH) {
            let _ = server.handle_datagram(clock, Path::udp(from), &mut bytes);
        }
        while let Some(sent) = server.poll_transmit(clock, &mut out).unwrap() {
            let Path::Udp { remote: to, .. } = sent.to else {
                continue;
            };
            answers.push((to, out[..sent.len].to_vec()));
        }
    }
    answers
}

#[test]
fn a_million_spoofed_hellos_keep_nobody_out_and_cost_no_memory() {
    const HELLOS: usize = 1_000_000;
    const STEP: usize = 10_000;
    let mut world = World::new("a_million_spoofed_hellos_keep_nobody_out_and_cost_no_memory");
    let genuine = hellos(&mut world, 100);
    let bob = world.joined("bob", Options::default().publishing("mic"));
    let carol = world.joined("carol", Options::default());
    world.run_for(s(1));
    world.forget(bob);
    world.forget(carol);
    world.talk(bob, "mic", s(100));
    let before = *world.server().statistics();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (mut came, mut went) = (0, 0);
    let mut joined = Vec::new();
    for round in 0..HELLOS / STEP {
        if round % 20 == 10 {
            joined.push(world.join(&format!("late-{round}"), Options::small()));
        }
        // Half of them look like Hellos only, half are recorded ones; each from another address.
        let flood: Vec<_> = (0..STEP)
            .map(|number| {
                let from = SocketAddr::from((rng.next_u32().to_be_bytes(), 1 + number as u16));
                let mut bytes = genuine[number / 2 % genuine.len()].clone();
                if number % 2 == 0 {
                    rng.fill_bytes(&mut bytes[2..]);
                    bytes[6] = 0;
                }
                came += bytes.len();
                (from, bytes)
            })
            .collect();
        let mut peak = 0;
        let grown = measure(|| {
            let answers = pour(&mut world, flood);
            went += answers.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            peak = answers.len();
        });
        // The answers that the test collects, and the tables of the server.
        let collected = peak as u64 * 128 + 64 * 1024;
        assert!(grown.bytes_max <= collected + 2_000_000, "{grown:?}");
        let accounting = world.server().accounting();
        assert!(accounting.half_open <= 256, "{accounting:?}");
        assert!(accounting.stateless <= 64, "{accounting:?}");
        world.run_for(s(1));
    }
    let statistics = *world.server().statistics();
    let looked_into = statistics.handshakes + statistics.dropped(Dropped::BadHandshake);
    let asked_for_cookies = statistics.retries - before.retries;
    println!("{looked_into} looked into, {asked_for_cookies} asked for a cookie");
    // 200 a second for 100 s, and the tokens of the bucket.
    assert!(looked_into <= 200 * 101 + 200 + 100, "{looked_into}");
    assert!(asked_for_cookies as usize > HELLOS / 2);
    assert!(went <= 3 * came, "{went} bytes for {came}");

    // All real participants have joined, and those present before have noticed nothing.
    for handle in &joined {
        world.run_until("who joined in the flood is in", s(10), |world| {
            world.is_joined(*handle)
        });
    }
    assert_eq!(world.heard(carol).len(), 100 * 50);
    world.run_for(s(10));
    assert_eq!(world.server().accounting().half_open, 0);
    assert_eq!(world.present("green").len(), 2 + joined.len());
}

#[test]
fn half_open_joins_are_few_per_address_and_soon_forgotten() {
    let mut world = World::new("half_open_joins_are_few_per_address_and_soon_forgotten");
    let hellos = hellos(&mut world, 400);
    let villain = |number: usize| SocketAddr::from(([203, 0, 113, 60], 1 + number as u16));
    // The attacker receives at its address, and so gets a cookie for each Hello; but goes no further.
    let first = hellos
        .iter()
        .enumerate()
        .map(|(n, hello)| (villain(n), hello.clone()));
    let answers = pour(&mut world, first);
    let with_cookie: Vec<_> = answers
        .iter()
        .filter_map(|(to, bytes)| {
            let Ok(Packet::Retry { client_id, cookie }) = Packet::parse(bytes) else {
                return None;
            };
            let hello = hellos
                .iter()
                .find(|hello| hello[2..6] == client_id.0.to_be_bytes())?;
            Some((*to, hello_with_cookie(hello, client_id, cookie)))
        })
        .collect();
    assert!(with_cookie.len() > 250, "{}", with_cookie.len());
    world.run_for(ms(1));
    let open = world.server().accounting().half_open;
    pour(&mut world, with_cookie);
    // So many that anybody can have opened in his name, and as many that he has opened.
    let accounting = world.server().accounting();
    assert!(
        accounting.half_open > open,
        "the cookies are good for nothing"
    );
    assert!(accounting.half_open <= 128, "{accounting:?}");
    let full = world.server().statistics().dropped(Dropped::HalfOpenFull);
    assert!(full > 100, "{full}");
    // There is room for others, elsewhere; and for all when his are forgotten.
    world.run_for(ms(100));
    let alice = world.join("alice", Options::small());
    world.run_until("alice is in", s(2), |world| world.is_joined(alice));
    world.run_for(s(10));
    assert_eq!(world.server().accounting().half_open, 0);
    assert_eq!(world.present("green"), ["alice"]);
}

/// Has somebody join in the middle of ten seconds in which `flood` happens every `gap`, and gives how long that took.
fn joins_meanwhile(
    world: &mut World,
    gap: Duration,
    mut flood: impl FnMut(&mut World, usize),
) -> Duration {
    let steps = (s(10).as_micros() / gap.as_micros()) as usize;
    let (mut newcomer, mut took) = (None, None);
    for step in 0..steps {
        if step == steps / 2 {
            newcomer = Some((world.join("newcomer", Options::small()), world.now()));
        }
        flood(world, step);
        world.run_for(gap);
        if let Some((newcomer, began)) = newcomer
            && took.is_none()
            && world.is_joined(newcomer)
        {
            took = Some(world.now().saturating_duration_since(began));
        }
    }
    took.expect("the newcomer was kept out")
}

#[test]
fn who_is_turned_away_keeps_nobody_out_behind_the_same_address() {
    let name = "who_is_turned_away_keeps_nobody_out_behind_the_same_address";
    let mut world = World::new(name);
    let invalid = Options {
        refuse: Some(JoinRefusal::InvalidToken),
        ..Options::small()
    };
    // All parties of this world have one address.
    let took = joins_meanwhile(&mut world, s(1) / 60, |world, _| {
        world.join("stranger", invalid.clone());
    });
    assert!(took < s(1), "{took:?}");
    let statistics = world.server().statistics();
    assert!(statistics.handshakes > 590, "{statistics:?}");
}

/// One Hello from eight proven addresses, 300 times a second.
fn repeat_everywhere(world: &mut World, hello: &[u8]) -> Duration {
    joins_meanwhile(world, s(1) / 300, |world, step| {
        let path = Path::Stream {
            id: step as u64,
            from: [203, 0, 113, (step % 8) as u8].into(),
        };
        let (server, clock) = world.server_and_clock();
        let _ = server.handle_datagram(clock, path, &mut hello.to_vec());
    })
}

#[test]
fn one_token_from_many_addresses_keeps_nobody_out() {
    let mut world = World::new("one_token_from_many_addresses_keeps_nobody_out");
    let hello = hellos(&mut world, 1).remove(0);
    let took = repeat_everywhere(&mut world, &hello);
    assert!(took < s(1), "{took:?}");
}

#[test]
fn one_resume_from_many_addresses_keeps_nobody_out_nor_its_owner() {
    let name = "one_resume_from_many_addresses_keeps_nobody_out_nor_its_owner";
    let mut world = World::new(name);
    let alice = world.joined("alice", Options::small());
    world.partition(alice, true);
    let address = world.new_socket(alice);
    world.run_for(s(1));
    let sent = recorded_from(&world, address);
    let hello = sent.into_iter().find(|bytes| bytes[0] == HELLO);
    let took = repeat_everywhere(&mut world, &hello.expect("she tries to come back"));
    assert!(took < s(1), "{took:?}");
    // Resumes are not limited, but nothing of one participant's takes the places of others.
    let accounting = world.server().accounting();
    assert!(accounting.half_open <= 64, "{accounting:?}");
    world.partition(alice, false);
    world.run_until("alice is back", s(10), |world| world.is_joined(alice));
    assert_eq!(world.present("green"), ["alice", "newcomer"]);
}

#[test]
fn garbage_behind_true_cookies_keeps_nobody_out() {
    let config = Config {
        handshakes: Rate {
            per_second: 1,
            burst: 1,
        },
        proven_handshakes: Rate {
            per_second: 100,
            burst: 100,
        },
        ..Config::default()
    };
    let name = "garbage_behind_true_cookies_keeps_nobody_out";
    let mut world = World::with_config(name, config);
    let hello = hellos(&mut world, 1).remove(0);
    let from = SocketAddr::from(([203, 0, 113, 61], 5));
    // The first one is looked into, the second has to bring a cookie.
    let mut other = hello.clone();
    other[2] ^= 1;
    let answers = pour(&mut world, [(from, hello), (from, other.clone())]);
    let cookie = answers
        .iter()
        .find_map(|(_, bytes)| match Packet::parse(bytes) {
            Ok(Packet::Retry { client_id, cookie }) => Some((client_id, *cookie)),
            _ => None,
        });
    let (client_id, cookie) = cookie.expect("a cookie is asked for");
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut alice = None;
    for round in 0..20 {
        let garbage: Vec<_> = (0..2_000)
            .map(|_| {
                rng.fill_bytes(&mut other[7..]);
                (from, hello_with_cookie(&other, client_id, &cookie))
            })
            .collect();
        pour(&mut world, garbage);
        if round == 5 {
            alice = Some(world.join("alice", Options::small()));
        }
        world.run_for(ms(100));
    }
    let statistics = *world.server().statistics();
    let looked_into = statistics.dropped(Dropped::BadHandshake);
    assert!((25..=80).contains(&looked_into), "{looked_into}");
    assert!(statistics.dropped(Dropped::TooManyHellos) > 30_000);
    assert!(world.is_joined(alice.unwrap()), "she was kept out");
}

#[test]
fn one_who_never_proves_its_address_is_sent_little() {
    let mut world = World::new("one_who_never_proves_its_address_is_sent_little");
    let hellos = hellos(&mut world, 300);
    let victim = SocketAddr::from(([203, 0, 113, 62], 53));
    let bob = world.joined("bob", Options::default());
    world.forget(bob);
    let (mut came, mut went) = (0, 0);
    for _ in 0..50 {
        came += hellos.iter().map(Vec::len).sum::<usize>();
        let flood: Vec<_> = hellos.iter().map(|hello| (victim, hello.clone())).collect();
        let answers = pour(&mut world, flood);
        went += answers.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        world.run_for(ms(100));
    }
    let later = world
        .strays()
        .iter()
        .map(|(_, sent)| sent.bytes.len())
        .sum::<usize>();
    assert!(
        went > 0 && went + later <= 3 * came,
        "{went} bytes for {came}"
    );
    assert_undisturbed(&world, &[bob], 0);
}

fn hello_with_cookie(hello: &[u8], client_id: ConnectionId, cookie: &[u8; 16]) -> Vec<u8> {
    let packet = Packet::Hello {
        client_id,
        cookie: Some(cookie),
        noise: &hello[7..],
    };
    let mut bytes = [0; MAX_DATAGRAM];
    let len = packet.encode(&mut bytes).unwrap();
    bytes[..len].to_vec()
}
