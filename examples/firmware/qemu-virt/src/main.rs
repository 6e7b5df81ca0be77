//! A talking device that runs in QEMU, on the RISC-V machine `virt`. See README.md.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[riscv_rt::entry]
fn start() -> ! {
    qemu_virt_board::init();
    parlour_qemu_device::run()
}
