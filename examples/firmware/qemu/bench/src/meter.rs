//! Instruction counters per part.

use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::pin;

use critical_section::Mutex;

use crate::board::instructions::counted;
use crate::board::println;

/// The instructions of one part so far.
pub struct Meter(Mutex<Cell<u64>>);

impl Meter {
    pub const fn new() -> Self {
        Self(Mutex::new(Cell::new(0)))
    }

    pub fn read(&self) -> u64 {
        critical_section::with(|section| self.0.borrow(section).get())
    }

    fn set(&self, sum: u64) {
        critical_section::with(|section| self.0.borrow(section).set(sum));
    }

    /// Runs `action`, and counts its instructions.
    pub fn count<T>(&self, action: impl FnOnce() -> T) -> T {
        let start = counted();
        let result = action();
        let taken = counted() - start;
        self.set(self.read() + taken);
        result
    }

    /// Counts the polls of `future`, without its waiting.
    pub async fn count_polls<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| self.count(|| future.as_mut().poll(cx))).await
    }
}

/// The instructions of the executor, including those of its tasks. Waiting and the interrupts during it are not
/// counted.
pub static EXECUTOR: Meter = Meter::new();

/// The executor's own hooks (feature `trace`). It is single-threaded, and only two of them count.
#[allow(unsafe_code)]
mod trace {
    use super::*;

    static POLLED: Meter = Meter::new();

    // SAFETY, for all: the names and signatures are those that embassy-executor calls, and no other code defines them.
    #[unsafe(no_mangle)]
    fn _embassy_trace_poll_start(_executor: u32) {
        POLLED.set(counted());
    }
    #[unsafe(no_mangle)]
    fn _embassy_trace_executor_idle(_executor: u32) {
        EXECUTOR.set(EXECUTOR.read() + counted() - POLLED.read());
    }
    #[unsafe(no_mangle)]
    fn _embassy_trace_task_new(_executor: u32, _task: u32) {}
    #[unsafe(no_mangle)]
    fn _embassy_trace_task_end(_executor: u32, _task: u32) {}
    #[unsafe(no_mangle)]
    fn _embassy_trace_task_ready_begin(_executor: u32, _task: u32) {}
    #[unsafe(no_mangle)]
    fn _embassy_trace_task_exec_begin(_executor: u32, _task: u32) {}
    #[unsafe(no_mangle)]
    fn _embassy_trace_task_exec_end(_executor: u32, _task: u32) {}
}

/// Prints the instructions per frame.
pub fn figure(name: &str, instructions: u64, frames: u64) {
    println!("figure {name} {}", instructions / frames);
}
