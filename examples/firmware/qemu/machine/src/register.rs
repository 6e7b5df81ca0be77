//! Memory-mapped registers.

use core::ptr;

/// A device register.
pub struct Register<T>(*mut T);

// SAFETY: a register is outside of Rust's memory. Its device defines the effect of concurrent use, and the machines have
// one processor.
unsafe impl<T> Sync for Register<T> {}

impl<T: Copy> Register<T> {
    /// The register at `address`.
    ///
    /// # Safety
    /// There is a register of type `T` at `address`, neither reading nor writing it touches memory that Rust uses.
    #[must_use]
    pub const unsafe fn at(address: usize) -> Self {
        Self(address as *mut T)
    }

    /// Its value.
    #[must_use]
    pub fn read(&self) -> T {
        // SAFETY: `at` was promised a register.
        unsafe { ptr::read_volatile(self.0) }
    }

    /// Sets it.
    pub fn write(&self, value: T) {
        // SAFETY: `at` was promised a register.
        unsafe { ptr::write_volatile(self.0, value) }
    }
}
