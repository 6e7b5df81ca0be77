//! embassy's clock: the cycle counter of the FPGA, 25 MHz, and a timer that interrupts.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::{Driver, TICK_HZ};
use embassy_time_queue_utils::Queue;
use qemu_machine::register::Register;

use crate::interrupts::{self, Source};

// SAFETY: the FPGA's counter of cycles, which wraps after 171 s.
const COUNTER: Register<u32> = unsafe { Register::at(0x4002_8018) };
// SAFETY: the timer's registers (CMSDK: control, value, value after 0, clear the interrupt).
const CONTROL: Register<u32> = unsafe { Register::at(0x4000_0000) };
// SAFETY: as above.
const VALUE: Register<u32> = unsafe { Register::at(0x4000_0004) };
// SAFETY: as above.
const RELOAD: Register<u32> = unsafe { Register::at(0x4000_0008) };
// SAFETY: as above.
const CLEAR: Register<u32> = unsafe { Register::at(0x4000_000c) };

const HZ: u64 = 25_000_000;
const CYCLES_PER_TICK: u64 = HZ / TICK_HZ;
/// The longest time between two looks at the counter, which must not wrap unnoticed.
const LONGEST: u64 = 60 * HZ;
/// Of [`CONTROL`]: count down, interrupt at 0.
const ENABLE: u32 = 1 | 1 << 3;

struct Timer {
    /// The cycles at the last look.
    seen: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static TIMER: Timer = Timer {
    seen: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Driver for Timer {
    fn now(&self) -> u64 {
        cycles() / CYCLES_PER_TICK
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            if self.queue.borrow_ref_mut(section).schedule_wake(at, waker) {
                self.set_alarm(section);
            }
        });
    }
}

impl Timer {
    fn set_alarm(&self, section: CriticalSection<'_>) {
        let next = (self.queue.borrow_ref_mut(section)).next_expiration(self.now());
        let wait = (next.saturating_mul(CYCLES_PER_TICK)).saturating_sub(cycles());
        // A time in the past interrupts at the next cycle. A wait that is too short, because it is that long, leads
        // back to here.
        let wait = wait.clamp(1, LONGEST) as u32;
        CONTROL.write(0);
        RELOAD.write(wait);
        VALUE.write(wait);
        CONTROL.write(ENABLE);
    }
}

/// The cycles since the start.
pub(crate) fn cycles() -> u64 {
    critical_section::with(|section| {
        let seen = TIMER.seen.borrow(section);
        let passed = COUNTER.read().wrapping_sub(seen.get() as u32);
        seen.set(seen.get() + u64::from(passed));
        seen.get()
    })
}

pub(crate) fn init() {
    interrupts::enable(Source::Timer);
    critical_section::with(|section| TIMER.set_alarm(section));
}

pub(crate) fn interrupt() {
    CONTROL.write(0);
    CLEAR.write(1);
    critical_section::with(|section| TIMER.set_alarm(section));
}
