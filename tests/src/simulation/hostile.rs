//! An attacker that sees all datagrams, and sends any from any address.

use std::net::SocketAddr;

use parlour_core::time::{Duration, Instant};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::network::Datagram;
use crate::world::{Crossing, World};

/// How old a datagram is that is repeated from elsewhere. A copy that overtakes the original would be the true first one, and
/// move its sender's association for a moment, as it does in any protocol that roams.
const ARRIVED: Duration = Duration::from_secs(2);
/// How old it is at most.
const MEMORY: Duration = Duration::from_secs(60);
/// The first byte of a Hello.
const HELLO: u8 = 8;

/// The random numbers of one step, independent of other steps.
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

/// The datagrams that are at least so old.
fn remembered(world: &World, age: Duration) -> Option<&[Crossing]> {
    let sent_by = |age: Duration| {
        let then = world
            .now()
            .as_micros()
            .checked_sub(age.as_micros() as u64)?;
        let then = Instant::from_micros(then);
        Some(
            world
                .history()
                .partition_point(|crossing| crossing.at <= then),
        )
    };
    let (first, end) = (sent_by(MEMORY).unwrap_or(0), sent_by(age)?);
    world.history().get(first..end)
}

fn pick_of<T: Clone>(choice: &[T], dice: &mut ChaCha8Rng) -> Option<T> {
    let number = dice.next_u64().checked_rem(choice.len() as u64)?;
    choice.get(number as usize).cloned()
}

/// Any of them.
fn pick(world: &World, dice: &mut ChaCha8Rng, age: Duration) -> Option<Crossing> {
    pick_of(remembered(world, age)?, dice)
}

pub(super) fn replay(world: &mut World, seed: u64, step: usize, count: u32) {
    let mut dice = dice(seed, step);
    for _ in 0..count {
        if let Some(Crossing { at, datagram, .. }) = pick(world, &mut dice, Duration::ZERO) {
            world.inject_datagram(at, datagram);
        }
    }
}

/// In the order of sending, as packets in a queue.
pub(super) fn release(world: &mut World, seed: u64, step: usize, count: u32) {
    let mut dice = dice(seed, step);
    let sent = remembered(world, Duration::ZERO).unwrap_or_default();
    let lost: Vec<_> = sent.iter().filter(|crossing| crossing.is_lost).collect();
    let mut held: Vec<_> = (0..count)
        .filter_map(|_| pick_of(&lost, &mut dice).cloned())
        .collect();
    held.sort_by_key(|crossing| crossing.at);
    for Crossing { at, datagram, .. } in held {
        world.inject_datagram(at, datagram);
    }
}

pub(super) fn spoof(world: &mut World, seed: u64, step: usize, count: u32) {
    let mut dice = dice(seed, step);
    for _ in 0..count {
        let picked = pick(world, &mut dice, ARRIVED);
        let from = elsewhere(&mut dice);
        if let Some(Crossing { at, datagram, .. }) = picked {
            world.inject_datagram(at, Datagram { from, ..datagram });
        }
    }
}

pub(super) fn flip(world: &mut World, seed: u64, step: usize, count: u32) {
    let mut dice = dice(seed, step);
    for _ in 0..count {
        let Some(Crossing {
            at, mut datagram, ..
        }) = pick(world, &mut dice, Duration::ZERO)
        else {
            return;
        };
        for _ in 0..=dice.next_u32() % 3 {
            let bit = dice.next_u32() as usize % (datagram.bytes.len() * 8);
            datagram.bytes[bit / 8] ^= 1 << (bit % 8);
        }
        world.inject_datagram(at, datagram);
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
