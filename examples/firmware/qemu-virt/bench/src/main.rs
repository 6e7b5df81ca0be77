//! Counts instructions, on a simulated clock: the cost of a frame of audio in each part and in the whole pipeline, and
//! the cost of a second in a quiet room. Prints `figure NAME VALUE`; `examples/firmware/report` runs it and explains
//! more.
//!
//! Started with `-icount shift=0,sleep=off`, every instruction takes a nanosecond of QEMU's clock, waiting takes no
//! time of the host's, and `minstret` counts exactly: two runs print the same.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod heap;
mod meter;
mod parts;
mod room;
mod server;
mod sizes;
mod speech;

use embassy_executor::{Executor, Spawner};
use parlour_core::room::Codec;
use qemu_virt_board::{host, println};
use room::{Plan, Said};
use static_cell::StaticCell;

#[riscv_rt::entry]
fn start() -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    qemu_virt_board::init();
    heap::init();
    let executor = EXECUTOR.init(Executor::new());
    executor.run(|spawner| spawner.spawn(main(spawner).expect("its first task")))
}

#[embassy_executor::task]
async fn main(spawner: Spawner) {
    let mut wanted = None;
    let read = host::arguments(|argument| {
        wanted = match argument {
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
        Some(What::Sizes) => sizes::print(),
        Some(What::Parts) => parts::print(),
        Some(What::OpusParts) => parts::print_opus(),
        Some(What::Room(plan)) => plan.run(spawner).await,
        None => {
            println!(
                "what to count: sizes, parts, opus-parts, idle, silence, g711-8, g711, opus-g711, opus"
            );
            host::exit(1);
        }
    }
    host::exit(0);
}

#[derive(Clone, Copy)]
enum What {
    Sizes,
    Parts,
    OpusParts,
    Room(Plan),
}
