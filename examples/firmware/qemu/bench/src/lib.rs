//! Counts instructions, on a simulated clock: the cost of a frame of audio in each part and in the whole pipeline, and
//! the cost of a second in a quiet room. Prints `figure NAME VALUE`; `examples/firmware/report` runs it and explains
//! more.
//!
//! Started with `-icount`, every instruction takes the same time of QEMU's clock, and with `sleep=off` waiting takes no
//! time of the host's: two runs print the same.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod heap;
mod meter;
mod parts;
mod room;
mod server;
mod sizes;
mod speech;

#[cfg(target_arch = "arm")]
use mps2_board as board;
#[cfg(target_arch = "riscv32")]
use qemu_virt_board as board;

use board::{Executor, host, instructions, println};
use embassy_executor::Spawner;
use parlour_core::room::Codec;
use room::{Plan, Said};
use static_cell::StaticCell;

/// Counts what the host asks for, on a board that is initialised.
pub fn run() -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    heap::init();
    let executor = EXECUTOR.init(Executor::new());
    executor.run(|spawner| spawner.spawn(main(spawner).expect("its first task")))
}

#[embassy_executor::task]
async fn main(spawner: Spawner) {
    let mut wanted = None;
    let read = host::arguments(|argument| {
        wanted = match argument {
            "loop" => Some(What::Loop),
            "sizes" => Some(What::Sizes),
            "parts" => Some(What::Parts),
            "opus-parts" => Some(What::OpusParts),
            "idle" => Some(What::Room(Plan::new(None, Said::NoAudio))),
            "silence" => Some(What::Room(Plan::new(None, Said::Nothing))),
            "g711-8" => Some(What::Room(
                Plan::new(Some(Codec::Pcmu), Said::G711).narrow(),
            )),
            "g711" => Some(What::Room(Plan::new(Some(Codec::Pcmu), Said::G711))),
            "opus-g711" => Some(What::Room(Plan::new(Some(Codec::Opus), Said::G711))),
            "opus" => Some(What::Room(Plan::new(Some(Codec::Opus), Said::Opus))),
            _ => wanted,
        };
    });
    match wanted.filter(|_| read.is_ok()) {
        Some(What::Loop) => known_loop(),
        Some(What::Sizes) => sizes::print(),
        Some(What::Parts) => parts::print(),
        Some(What::OpusParts) => parts::print_opus(),
        Some(What::Room(plan)) => plan.run(spawner).await,
        None => {
            println!(
                "what to count: loop, sizes, parts, opus-parts, idle, silence, g711-8, g711, opus-g711, opus"
            );
            host::exit(1);
        }
    }
    host::exit(0);
}

#[derive(Clone, Copy)]
enum What {
    Loop,
    Sizes,
    Parts,
    OpusParts,
    Room(Plan),
}

/// Counts loops of known lengths, which tells how exact the counts are.
fn known_loop() {
    for rounds in [500, 5_000, 50_000, 500_000] {
        let start = instructions::counted();
        instructions::spend(rounds);
        let taken = instructions::counted() - start;
        println!("figure loop/{} {taken}", 2 * rounds);
    }
}
