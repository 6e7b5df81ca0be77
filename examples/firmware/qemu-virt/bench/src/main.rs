//! Counts the instructions of a participant on riscv32imac. See `qemu/bench`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[riscv_rt::entry]
fn start() -> ! {
    qemu_virt_board::init();
    parlour_qemu_bench::run()
}
