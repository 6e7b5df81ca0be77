//! Counts instructions, where QEMU runs with `-icount shift=3`. QEMU has no cycle counter of the processor (DWT), so this
//! is the FPGA's counter: an instruction then takes 8 ns of QEMU's time, and a cycle is 40 ns.

use core::arch::asm;

use crate::timer::cycles;

const INSTRUCTIONS_PER_CYCLE: u64 = 40 / (1 << 3);

/// The instructions so far, to the next multiple of five.
pub fn counted() -> u64 {
    cycles() * INSTRUCTIONS_PER_CYCLE
}

/// Takes `2 * rounds` instructions.
pub fn spend(rounds: u32) {
    // SAFETY: counts a register down.
    unsafe {
        asm!("2:", "subs {0}, {0}, #1", "bne 2b", inout(reg) rounds => _, options(nomem, nostack));
    }
}
