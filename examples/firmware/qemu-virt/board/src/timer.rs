//! embassy's clock: the CLINT's timer, 10 MHz.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use qemu_machine::register::Register;

// SAFETY: the CLINT's registers for hart 0, 64 bits each in two halves: `mtimecmp`, and `mtime` for all harts.
const COMPARE_LOW: Register<u32> = unsafe { Register::at(0x0200_4000) };
// SAFETY: as above.
const COMPARE_HIGH: Register<u32> = unsafe { Register::at(0x0200_4004) };
// SAFETY: as above.
const TIME_LOW: Register<u32> = unsafe { Register::at(0x0200_bff8) };
// SAFETY: as above.
const TIME_HIGH: Register<u32> = unsafe { Register::at(0x0200_bffc) };

struct Timer(Mutex<RefCell<Queue>>);

embassy_time_driver::time_driver_impl!(static TIMER: Timer = Timer(Mutex::new(RefCell::new(Queue::new()))));

impl Driver for Timer {
    fn now(&self) -> u64 {
        loop {
            let high = TIME_HIGH.read();
            let low = TIME_LOW.read();
            // Otherwise the low half has wrapped in between.
            if high == TIME_HIGH.read() {
                return u64::from(high) << 32 | u64::from(low);
            }
        }
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            if self.0.borrow_ref_mut(section).schedule_wake(at, waker) {
                self.set_alarm(section);
            }
        });
    }
}

impl Timer {
    fn set_alarm(&self, section: CriticalSection<'_>) {
        // A time in the past interrupts at once.
        set_compare(self.0.borrow_ref_mut(section).next_expiration(self.now()));
    }
}

fn set_compare(at: u64) {
    // The compare value is never earlier than intended in between.
    COMPARE_HIGH.write(u32::MAX);
    COMPARE_LOW.write(at as u32);
    COMPARE_HIGH.write((at >> 32) as u32);
}

pub(crate) fn init() {
    set_compare(u64::MAX);
}

#[riscv_rt::core_interrupt(riscv::interrupt::Interrupt::MachineTimer)]
fn timer() {
    critical_section::with(|section| TIMER.set_alarm(section));
}
