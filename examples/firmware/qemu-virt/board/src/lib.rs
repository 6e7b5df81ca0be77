//! The parts of QEMU's RISC-V machine `virt` that embassy needs: console, timer, interrupts, network, and the host's
//! files. `mps2/board` has the same items, so that one program runs on both.
//!
//! A comment beside each unsafe line justifies it; the rest of the firmware has no unsafe code.
//!
//! | module | device | addresses |
//! |---|---|---|
//! | [`console`] | NS16550A UART | `1000_0000` |
//! | `timer` | CLINT | `0200_4000`, `0200_bff8` |
//! | `interrupts` | PLIC | `0c00_0000` |
//! | [`network`] | virtio-net in one of eight virtio-mmio slots | `1000_1000` to `1000_8fff` |
//! | [`host`] | semihosting | |
//! | [`instructions`] | `minstret` | |
//! | [`stack`] | RAM between `__ebss` and the stack pointer | |
#![no_std]
#![deny(missing_docs)]

#[macro_use]
pub mod console;
pub mod instructions;
mod interrupts;
pub mod network;
pub mod stack;
mod timer;

pub use embassy_executor::Executor;
pub use qemu_machine::host;

/// Starts timer and interrupts. Call it first, once.
pub fn init() {
    stack::paint();
    timer::init();
    console::init();
    interrupts::init();
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    host::exit(101)
}
