//! Counts the instructions of a participant on a Cortex-M4F. See `qemu/bench`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[cortex_m_rt::entry]
fn start() -> ! {
    mps2_board::init();
    parlour_qemu_bench::run()
}
