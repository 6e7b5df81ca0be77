//! An executor that sleeps by WFI. embassy's own sleeps by WFE, which QEMU does not: it would keep a core of the host
//! busy, and count the instructions of waiting.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};

/// Whether a task was woken since the executor last looked.
static WOKEN: AtomicBool = AtomicBool::new(false);

#[unsafe(export_name = "__pender")]
fn wake(_context: *mut ()) {
    WOKEN.store(true, Ordering::SeqCst);
}

/// The executor of the thread that started it.
pub struct Executor {
    tasks: raw::Executor,
    not_send: PhantomData<*mut ()>,
}

impl Executor {
    /// Without tasks.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "like embassy's executors")]
    pub fn new() -> Self {
        Self {
            tasks: raw::Executor::new(core::ptr::null_mut()),
            not_send: PhantomData,
        }
    }

    /// Lets `init` spawn the first tasks, and runs them.
    pub fn run(&'static mut self, init: impl FnOnce(Spawner)) -> ! {
        init(self.tasks.spawner());
        loop {
            // SAFETY: called from here only, and this is in no task.
            unsafe { self.tasks.poll() };
            // With interrupts off, so that none comes between look and sleep; one that comes then ends the sleep.
            critical_section::with(|_| {
                if !WOKEN.swap(false, Ordering::SeqCst) {
                    cortex_m::asm::wfi();
                }
            });
        }
    }
}
