//! The parts of QEMU's Arm machine `mps2-an386` (Cortex-M4F at 25 MHz) that embassy needs: console, timer, interrupts,
//! network, and the host's files. `qemu-virt/board` has the same items, so that one program runs on both.
//!
//! A comment beside each unsafe line justifies it; the rest of the firmware has no unsafe code.
//!
//! | module | device | addresses |
//! |---|---|---|
//! | [`console`] | CMSDK UART 0 | `4000_4000` |
//! | `timer` | the FPGA's cycle counter, CMSDK timer 0 | `4002_8018`, `4000_0000` |
//! | `interrupts`, `executor` | NVIC, WFI | |
//! | [`network`] | SMSC LAN9118 | `4020_0000` |
//! | [`host`] | semihosting | |
//! | [`instructions`] | the cycle counter, which QEMU derives from counted instructions | |
//! | [`stack`] | the bottom of the RAM | `2000_0000` |
//! | `faults` | hard faults, among them a stack that overflows | |
#![no_std]
#![deny(missing_docs)]

#[macro_use]
pub mod console;
mod executor;
mod faults;
pub mod instructions;
mod interrupts;
pub mod network;
pub mod stack;
mod timer;

pub use executor::Executor;
pub use qemu_machine::host;

/// Starts timer and interrupts. Call it first, once.
pub fn init() {
    stack::paint();
    timer::init();
    console::init();
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    host::exit(101)
}
