//! Registers.

use core::ptr;

/// A device register. All in this crate are made from addresses in the memory map of QEMU's `virt` (hw/riscv/virt.c).
pub(crate) struct Register<T>(*mut T);

// SAFETY: a register is outside of Rust's memory. Its device defines the effect of concurrent use, and there is one
// hart.
unsafe impl<T> Sync for Register<T> {}

impl<T: Copy> Register<T> {
    /// The register at `address`.
    ///
    /// # Safety
    /// There is a register of type `T` at `address`, neither reading nor writing it touches memory that Rust uses.
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Self(address as *mut T)
    }

    pub(crate) fn read(&self) -> T {
        // SAFETY: `at` was promised a register.
        unsafe { ptr::read_volatile(self.0) }
    }

    pub(crate) fn write(&self, value: T) {
        // SAFETY: `at` was promised a register.
        unsafe { ptr::write_volatile(self.0, value) }
    }
}
