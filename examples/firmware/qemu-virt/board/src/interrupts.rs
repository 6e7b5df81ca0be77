//! The interrupt controller (PLIC); hart 0's machine mode is its context 0.

use qemu_machine::register::Register;

use crate::{console, network};

const PLIC: usize = 0x0c00_0000;
// SAFETY: the PLIC's registers for context 0: enable bits of sources 0 to 31, threshold, claim/complete.
const ENABLED: Register<u32> = unsafe { Register::at(PLIC + 0x2000) };
// SAFETY: as above.
const THRESHOLD: Register<u32> = unsafe { Register::at(PLIC + 0x20_0000) };
// SAFETY: as above.
const CLAIM: Register<u32> = unsafe { Register::at(PLIC + 0x20_0004) };

/// The source of an interrupt.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// One of the eight virtio-mmio slots.
    Virtio(usize),
    Uart,
}

impl Source {
    const fn number(self) -> usize {
        match self {
            Self::Virtio(slot) => 1 + slot % 8,
            Self::Uart => 10,
        }
    }
}

pub(crate) fn enable(source: Source) {
    let number = source.number();
    // SAFETY: the PLIC's priority register of a source, of which there are 96.
    let priority: Register<u32> = unsafe { Register::at(PLIC + 4 * number) };
    priority.write(1);
    ENABLED.write(ENABLED.read() | 1 << number);
}

pub(crate) fn init() {
    THRESHOLD.write(0);
    // SAFETY: the handlers below and in `timer` are in place, and no critical section is open: the program calls this
    // first.
    unsafe {
        riscv::register::mie::set_mtimer();
        riscv::register::mie::set_mext();
        riscv::interrupt::enable();
    }
}

#[riscv_rt::core_interrupt(riscv::interrupt::Interrupt::MachineExternal)]
fn external() {
    let source = CLAIM.read();
    match source {
        1..=8 => network::interrupt(),
        10 => console::interrupt(),
        _ => {}
    }
    CLAIM.write(source);
}
