//! Somebody who sees all datagrams, and sends any from any address.

use std::net::SocketAddr;

use parlour_core::time::{Duration, Instant};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::network::Datagram;
use crate::world::World;

/// How old a datagram is that is repeated from elsewhere. A copy that overtakes the original would be the true first one, and
/// move its sender's association for a moment, as it does in any protocol that roams.
const ARRIVED: Duration = Duration::from_secs(2);
/// The first byte of a Hello.
const HELLO: u8 = 8;

/// The dice of one step, whatever other steps there are.
fn dice(seed: u64, step: usize) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed ^ (step as u64 + 1).rotate_left(32))
}

fn elsewhere(dice: &mut ChaCha8Rng) -> SocketAddr {
    let number = dice.next_u32();
    SocketAddr::from((
        [203, 0, 113, number as u8],
        1_024 + (number >> 16) as u16 % 60_000,
    ))
}

/// Any of the datagrams that were sent not after `before`.
fn pick(world: &World, dice: &mut ChaCha8Rng, before: Instant) -> Option<Datagram> {
    let history = world.history();
    let end = history.partition_point(|crossing| crossing.at <= before);
    let number = dice.next_u64().checked_rem(end as u64)?;
    Some(history[number as usize].datagram.clone())
}

pub(super) fn replay(world: &mut World, seed: u64, step: usize, count: u32) {
    let mut dice = dice(seed, step);
    for _ in 0..count {
        if let Some(datagram) = pick(world, &mut dice, world.now()) {
            world.inject_datagram(datagram);
        }
    }
}

pub(super) fn spoof(world: &mut World, seed: u64, step: usize, count: u32) {
    let mut dice = dice(seed, step);
    let now = world.now().as_micros();
    let before = Instant::from_micros(now.saturating_sub(ARRIVED.as_micros() as u64));
    for _ in 0..count {
        let datagram = pick(world, &mut dice, before);
        let from = elsewhere(&mut dice);
        if let Some(datagram) = datagram {
            world.inject_datagram(Datagram { from, ..datagram });
        }
    }
}

pub(super) fn flip(world: &mut World, seed: u64, step: usize, count: u32) {
    let mut dice = dice(seed, step);
    for _ in 0..count {
        let Some(mut datagram) = pick(world, &mut dice, world.now()) else {
            return;
        };
        for _ in 0..=dice.next_u32() % 3 {
            let bit = dice.next_u32() as usize % (datagram.bytes.len() * 8);
            datagram.bytes[bit / 8] ^= 1 << (bit % 8);
        }
        world.inject_datagram(datagram);
    }
}

pub(super) fn hellos(world: &mut World, seed: u64, step: usize, count: u32) {
    let mut dice = dice(seed, step);
    let recorded: Vec<_> = world
        .history()
        .iter()
        .map(|crossing| &crossing.datagram.bytes)
        .filter(|bytes| bytes.first() == Some(&HELLO))
        .cloned()
        .collect();
    for _ in 0..count {
        let from = elsewhere(&mut dice);
        let number = dice.next_u64().checked_rem(recorded.len() as u64);
        let is_recorded = dice.next_u32().is_multiple_of(2);
        let bytes = match number.filter(|_| is_recorded) {
            Some(number) => recorded[number as usize].clone(),
            None => {
                let mut bytes = vec![0; 200];
                dice.fill_bytes(&mut bytes);
                // Version 1, no cookie.
                (bytes[0], bytes[1], bytes[6]) = (HELLO, 1, 0);
                bytes
            }
        };
        world.inject(from, &bytes);
    }
}
