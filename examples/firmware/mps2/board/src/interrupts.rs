//! The interrupt controller (NVIC). There is no crate with this machine's vector table: all interrupts come to one handler.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

use crate::{console, network, timer};

/// The source of an interrupt.
#[derive(Debug, Clone, Copy)]
#[repr(u16)]
pub(crate) enum Source {
    /// A byte was received.
    Uart = 0,
    Timer = 8,
    Network = 13,
}

// SAFETY: the numbers are those of the machine (hw/arm/mps2.c).
unsafe impl InterruptNumber for Source {
    fn number(self) -> u16 {
        self as u16
    }
}

pub(crate) fn enable(source: Source) {
    // SAFETY: no critical section relies on a masked interrupt, and the handler below knows this one.
    unsafe { NVIC::unmask(source) };
}

// SAFETY, for the attribute: exceptions come here, too, but none that is enabled.
#[cortex_m_rt::exception]
unsafe fn DefaultHandler(number: i16) {
    match number {
        0 => console::interrupt(),
        8 => timer::interrupt(),
        13 => network::interrupt(),
        _ => panic!("interrupt {number}"),
    }
}
