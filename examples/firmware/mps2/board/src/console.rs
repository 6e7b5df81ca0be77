//! The UART: lines out, lines in.

use core::fmt;

use qemu_machine::lines::Input;
use qemu_machine::register::Register;

use crate::interrupts::{self, Source};

// SAFETY: the UART's registers, 32 bits each (CMSDK: data, state, control, clear interrupts, divisor of the clock).
const DATA: Register<u32> = unsafe { Register::at(0x4000_4000) };
// SAFETY: as above.
const STATE: Register<u32> = unsafe { Register::at(0x4000_4004) };
// SAFETY: as above.
const CONTROL: Register<u32> = unsafe { Register::at(0x4000_4008) };
// SAFETY: as above.
const CLEAR: Register<u32> = unsafe { Register::at(0x4000_400c) };
// SAFETY: as above.
const DIVISOR: Register<u32> = unsafe { Register::at(0x4000_4010) };

/// Of [`STATE`]: there is no room for a byte to send, there is a received byte.
const FULL: u32 = 1;
const RECEIVED: u32 = 1 << 1;
/// Of [`CONTROL`]: send, receive, interrupt when a byte is received.
const ENABLE: u32 = 1 | 1 << 1 | 1 << 3;
/// Of [`CLEAR`].
const RECEIVE_INTERRUPT: u32 = 1 << 1;

static INPUT: Input = Input::new();

pub(crate) fn init() {
    // The smallest that the UART accepts; QEMU ignores it otherwise.
    DIVISOR.write(16);
    CONTROL.write(ENABLE);
    interrupts::enable(Source::Uart);
}

/// Bytes came in.
pub(crate) fn interrupt() {
    CLEAR.write(RECEIVE_INTERRUPT);
    while STATE.read() & RECEIVED != 0 {
        INPUT.received(DATA.read() as u8);
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
        for byte in text.bytes() {
            while STATE.read() & FULL != 0 {}
            DATA.write(byte.into());
        }
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
