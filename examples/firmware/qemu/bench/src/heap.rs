//! Memory for the server in this measurement; the device itself allocates nothing.
#![allow(unsafe_code)]

use embedded_alloc::TlsfHeap;

#[global_allocator]
static HEAP: TlsfHeap = TlsfHeap::empty();

/// Call it first, once.
pub fn init() {
    // SAFETY: nothing is allocated before this, and it happens once.
    unsafe {
        embedded_alloc::init!(HEAP, 3 << 20);
    }
}
