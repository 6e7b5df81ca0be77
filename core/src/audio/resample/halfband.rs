//! Doubling and halving of the rate, which small devices need for G.711: 8 from and to 16 kHz.
//!
//! For a factor of two every other tap of the prototype is zero except the middle one, and the rest are symmetric: an
//! output takes sixteen products instead of sixty-four, and every other output of the doubled rate none.

use super::{FILTER_2, REACH, UNITY_BITS};
use crate::audio::mixer::clamp;

/// Non-zero taps other than the middle one.
pub(super) const TAPS: usize = 2 * REACH;
/// Outputs, or pairs of them, per block.
const BLOCK: usize = 80;

/// One half of the taps, from the edge of the window inwards.
const SIDE: [i16; REACH] = {
    let mut side = [0; REACH];
    let mut i = 0;
    while i < REACH {
        side[i] = FILTER_2[2 * i + 1];
        i += 1;
    }
    side
};

/// A sum fits 32 bits for any samples, with the middle tap and its rounding.
const _: () = {
    let mut magnitude = (1 << UNITY_BITS) + 1;
    let mut i = 0;
    while i < REACH {
        magnitude += 2 * SIDE[i].unsigned_abs() as i64;
        i += 1;
    }
    assert!(magnitude << 15 < 1 << 31);
};

/// The samples before the current block, and the block.
type Line = [i16; TAPS + BLOCK];

/// Two samples for each of `input`. `past` holds the samples before `input`, and afterwards its last ones.
pub(super) fn double(past: &mut [i16; TAPS], input: &[i16], out: &mut [i16]) {
    let mut line: Line = [0; _];
    for (input, out) in input.chunks(BLOCK).zip(out.chunks_mut(2 * BLOCK)) {
        fill(&mut line, past, input.iter());
        for (window, pair) in line.windows(TAPS).skip(1).zip(out.as_chunks_mut().0) {
            let window = window.first_chunk().unwrap_or(&[0; TAPS]);
            *pair = [window[REACH - 1], rounded(weighted(window), UNITY_BITS)];
        }
        keep(past, &line, input.len());
    }
}

/// One sample for each pair of `input`. Each half of the pairs has its own past.
pub(super) fn halve(
    past_even: &mut [i16; TAPS],
    past_odd: &mut [i16; TAPS],
    input: &[i16],
    out: &mut [i16],
) {
    let (mut even, mut odd): (Line, Line) = ([0; _], [0; _]);
    let (pairs, _) = input.as_chunks::<2>();
    for (pairs, out) in pairs.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        fill(&mut even, past_even, pairs.iter().map(|[even, _]| even));
        fill(&mut odd, past_odd, pairs.iter().map(|[_, odd]| odd));
        // Samples at even places use only the middle tap.
        let middles = even.iter().skip(TAPS - REACH);
        for ((window, middle), out) in odd.windows(TAPS).zip(middles).zip(out) {
            let window = window.first_chunk().unwrap_or(&[0; TAPS]);
            let sum = weighted(window) + (i32::from(*middle) << UNITY_BITS);
            *out = rounded(sum, UNITY_BITS + 1);
        }
        keep(past_even, &even, pairs.len());
        keep(past_odd, &odd, pairs.len());
    }
}

fn fill<'a>(line: &mut Line, past: &'a [i16; TAPS], block: impl Iterator<Item = &'a i16>) {
    for (place, sample) in line.iter_mut().zip(past.iter().chain(block)) {
        *place = *sample;
    }
}

fn keep(past: &mut [i16; TAPS], line: &Line, taken: usize) {
    for (place, sample) in past.iter_mut().zip(line.iter().skip(taken)) {
        *place = *sample;
    }
}

/// The weighted sum of the samples under all taps but the middle one: the first with the last, and so on inwards. Four
/// pairs per turn, since loop overhead is a considerable part of the cost.
fn weighted(window: &[i16; TAPS]) -> i32 {
    let (taps, _) = SIDE.as_chunks::<4>();
    let (front, _) = window.as_chunks::<4>();
    let (back, _) = window.as_chunks::<4>();
    let mut sum = 0;
    for ((taps, front), back) in taps.iter().zip(front).zip(back.iter().rev()) {
        let pair = |n: usize, m: usize| i32::from(front[n]) + i32::from(back[m]);
        sum += i32::from(taps[0]) * pair(0, 3);
        sum += i32::from(taps[1]) * pair(1, 2);
        sum += i32::from(taps[2]) * pair(2, 1);
        sum += i32::from(taps[3]) * pair(3, 0);
    }
    sum
}

fn rounded(sum: i32, bits: u32) -> i16 {
    clamp((sum + (1 << (bits - 1))) >> bits)
}
