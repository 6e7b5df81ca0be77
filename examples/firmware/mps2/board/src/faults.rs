//! Hard faults. Below the stack is no memory: a stack that overflows comes here.

use core::arch::naked_asm;

use crate::{host, stack};

/// The handler. The stack pointer may point to where no memory is, so nothing is read from the stack, and it begins anew.
#[unsafe(naked)]
#[unsafe(export_name = "HardFault")]
unsafe extern "C" fn hard_fault() -> ! {
    naked_asm!(
        "mrs r0, msp",
        "ldr r1, =_stack_start",
        "msr msp, r1",
        "b {tell}",
        tell = sym tell,
    )
}

extern "C" fn tell(pointer: usize) -> ! {
    if pointer < stack::bottom() {
        println!("failed: the stack has overflowed");
    } else {
        println!("failed: hard fault");
    }
    host::exit(101)
}
