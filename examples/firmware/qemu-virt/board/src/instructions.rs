//! Counts instructions, where QEMU runs with `-icount`.

use core::arch::asm;

use riscv::register::minstret;

/// The instructions so far, exactly.
pub fn counted() -> u64 {
    minstret::read64()
}

/// Takes `2 * rounds` instructions.
pub fn spend(rounds: u32) {
    // SAFETY: counts a register down.
    unsafe {
        asm!("2:", "addi {0}, {0}, -1", "bnez {0}, 2b", inout(reg) rounds => _, options(nomem, nostack));
    }
}
