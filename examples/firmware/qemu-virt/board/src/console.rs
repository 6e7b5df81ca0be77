//! The UART: lines out, lines in.

use core::fmt;

use qemu_machine::lines::Input;
use qemu_machine::register::Register;

use crate::interrupts::{self, Source};

// SAFETY: the UART's registers, a byte each (NS16550A: data, interrupt enable, line status).
const DATA: Register<u8> = unsafe { Register::at(0x1000_0000) };
// SAFETY: as above.
const INTERRUPTS: Register<u8> = unsafe { Register::at(0x1000_0001) };
// SAFETY: as above.
const STATUS: Register<u8> = unsafe { Register::at(0x1000_0005) };

const RECEIVED: u8 = 1;

static INPUT: Input = Input::new();

pub(crate) fn init() {
    INTERRUPTS.write(RECEIVED);
    interrupts::enable(Source::Uart);
}

/// Bytes came in.
pub(crate) fn interrupt() {
    while STATUS.read() & RECEIVED != 0 {
        INPUT.received(DATA.read());
    }
}

/// Waits for the next byte.
pub async fn read_byte() -> u8 {
    INPUT.receive().await
}

/// Waits for the next line, and truncates it to the length of `line`.
pub async fn read_line(line: &mut [u8]) -> &str {
    INPUT.read_line(line).await
}

/// Where [`println!`](crate::println) writes.
#[doc(hidden)]
pub struct Output;

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // QEMU's UART is always ready.
        text.bytes().for_each(|byte| DATA.write(byte));
        Ok(())
    }
}

/// Writes a line to the console.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::console::Output, $($argument)*);
    }};
}
