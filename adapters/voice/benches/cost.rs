//! What the processing of 10 ms of a microphone costs: `cargo bench -p parlour-voice`.
//!
//! The least of several rounds is printed, by which the machine's other load weighs little.

use std::time::{Duration, Instant};

use parlour_voice::{Options, Voice};

const ROUNDS: usize = 10;
/// Of 10 ms, in each round.
const PIECES: usize = 200;

fn main() {
    println!("| what is done | rate of both cards | µs of CPU for 10 ms |\n|---|--:|--:|");
    let echo = Options {
        echo: true,
        ..Options::OFF
    };
    for (name, options) in [
        ("detector", Options::OFF),
        ("echo", echo),
        ("all", Options::default()),
    ] {
        for hz in [16_000, 48_000] {
            let cost = cost(options, hz).as_secs_f64() * 1e6;
            println!("| {name} | {} kHz | {cost:.0} |", hz / 1_000);
        }
    }
}

/// The time for 10 ms, of the fastest round.
fn cost(options: Options, hz: u32) -> Duration {
    let Ok((mut voice, mut played)) = Voice::new(hz, hz, options) else {
        return Duration::ZERO;
    };
    let mut noise = 1_u32;
    let mut pcm = vec![0_i16; hz as usize / 100];
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let mut spent = Duration::ZERO;
        for _ in 0..PIECES {
            for sample in &mut pcm {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *sample = (noise >> 18) as i16 - 8_192;
            }
            let began = now();
            played.play(&pcm);
            voice.hear(&pcm, |piece| {
                std::hint::black_box(piece);
            });
            spent += now() - began;
        }
        best = best.min(spent / PIECES as u32);
    }
    best
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
