//! Stack usage: the stack is painted at the start, and painted bytes were never used.

const PAINT: u32 = 0x5741_4c4c;
/// Unpainted bytes below the stack pointer, for the frames of the painting code.
const MARGIN: usize = 1_024;

/// Memory that belongs to the stack alone. The stack grows down from `top`.
#[derive(Debug, Clone, Copy)]
pub struct Stack {
    bottom: usize,
    top: usize,
}

impl Stack {
    /// The stack from `bottom` up to `top`.
    ///
    /// # Safety
    /// It is the stack that this program runs on, a multiple of four bytes, and nothing else is in there.
    #[must_use]
    pub const unsafe fn new(bottom: usize, top: usize) -> Self {
        Self { bottom, top }
    }

    /// Paints what is below the stack pointer `pointer`.
    pub fn paint(self, pointer: usize) {
        for place in (self.bottom..pointer - MARGIN).step_by(4) {
            // SAFETY: `new` was promised that only frames are here; those in use, and those of this loop, are above.
            unsafe { (place as *mut u32).write_volatile(PAINT) };
        }
    }

    /// Bytes that the stack pointer has never reached.
    #[must_use]
    pub fn never_used(self) -> usize {
        let mut places = (self.bottom..self.top).step_by(4);
        // SAFETY: as in `paint`; reads only.
        let used = places.find(|place| unsafe { (*place as *const u32).read_volatile() } != PAINT);
        used.unwrap_or(self.top) - self.bottom
    }

    /// The maximum number of stack bytes so far.
    #[must_use]
    pub fn deepest(self) -> usize {
        self.top - self.bottom - self.never_used()
    }
}
