//! The stack: all RAM after the statics.

use core::arch::asm;

use qemu_machine::stack::Stack;

/// Whether a stack that overflows is noticed, or writes over the statics.
pub const IS_GUARDED: bool = false;

unsafe extern "C" {
    /// First address after all statics (riscv-rt's link.x).
    static __ebss: u32;
    /// First address after RAM.
    static _stack_start: u32;
}

fn stack() -> Stack {
    let (bottom, top) = (&raw const __ebss as usize, &raw const _stack_start as usize);
    // SAFETY: RAM between these belongs to nobody else, and link.x aligns both.
    unsafe { Stack::new(bottom, top) }
}

/// Paints the free part.
pub(crate) fn paint() {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    stack().paint(pointer);
}

/// Bytes between the statics and the lowest stack pointer so far.
pub fn never_used() -> usize {
    stack().never_used()
}

/// The maximum number of stack bytes so far.
pub fn deepest() -> usize {
    stack().deepest()
}
