//! Stack usage: the stack is painted at the start, and painted bytes were never used.

use core::arch::asm;

const PAINT: u32 = 0x5741_4c4c;
/// Unpainted bytes below the stack pointer, for the frames of the painting code.
const MARGIN: usize = 1_024;

unsafe extern "C" {
    /// First address after all statics (riscv-rt's link.x).
    static mut __ebss: u32;
    /// First address after RAM.
    static _stack_start: u32;
}

fn bottom() -> *mut u32 {
    &raw mut __ebss
}

fn pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Paints the free part.
pub(crate) fn paint() {
    let mut place = bottom();
    while (place as usize) < pointer() - MARGIN {
        // SAFETY: RAM between the statics and the stack belongs to nobody; the frames in use, and those of this
        // loop, are above.
        unsafe { place.write_volatile(PAINT) };
        place = place.wrapping_add(1);
    }
}

/// Bytes between the statics and the lowest stack pointer so far.
pub fn never_used() -> usize {
    let mut place = bottom();
    // SAFETY: as in `paint`; reads only.
    while (place as usize) < pointer() && unsafe { place.read_volatile() } == PAINT {
        place = place.wrapping_add(1);
    }
    place as usize - bottom() as usize
}

/// The maximum number of stack bytes so far.
pub fn deepest() -> usize {
    (&raw const _stack_start) as usize - bottom() as usize - never_used()
}
