//! The stack: the bottom of the RAM, see `memory.x`.

use qemu_machine::stack::Stack;

/// Whether a stack that overflows is noticed.
pub const IS_GUARDED: bool = true;

unsafe extern "C" {
    static _stack_end: u32;
    static _stack_start: u32;
}

/// Its lowest address.
pub(crate) fn bottom() -> usize {
    &raw const _stack_end as usize
}

fn stack() -> Stack {
    // SAFETY: memory.x has these addresses for the stack alone, and they are aligned.
    unsafe { Stack::new(bottom(), &raw const _stack_start as usize) }
}

/// Paints the free part.
pub(crate) fn paint() {
    stack().paint(cortex_m::register::msp::read() as usize);
}

/// Bytes that the stack pointer has never reached.
pub fn never_used() -> usize {
    stack().never_used()
}

/// The maximum number of stack bytes so far.
pub fn deepest() -> usize {
    stack().deepest()
}
