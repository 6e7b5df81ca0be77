//! A talking device that runs in QEMU, on the Arm machine `mps2-an386`. See README.md.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[cortex_m_rt::entry]
fn start() -> ! {
    mps2_board::init();
    parlour_qemu_device::run()
}
