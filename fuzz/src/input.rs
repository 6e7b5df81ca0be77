//! An input as a program: opcodes and operands, read from the front.

use arbitrary::Unstructured;
use parlour_core::time::Duration;

/// Reads an input from the front. Operands that are missing at its end are zero, so any prefix of a program is one.
#[derive(Debug)]
pub struct Input<'a>(Unstructured<'a>);

impl<'a> Input<'a> {
    /// Reads `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// The next step's opcode; `None` at the end.
    pub fn opcode(&mut self) -> Option<u8> {
        (!self.0.is_empty()).then(|| self.byte())
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// A number below `count`, which must not be 0.
    pub fn below(&mut self, count: u8) -> u8 {
        self.byte() % count
    }

    /// One of `choices`.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Leaves bytes as they are, changes a bit, cuts them off, or adds some.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        match self.below(4) {
            0 => {}
            1 => {
                let place = usize::from(self.u16()) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << self.below(8);
                }
            }
            2 => bytes.truncate(usize::from(self.u16())),
            _ => bytes.extend_from_slice(self.bytes()),
        }
    }

    /// A flag.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// Up to 255 bytes, their number before them.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        self.take(len)
    }

    /// Up to 65,535 bytes, their number before them.
    pub fn long_bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.u16());
        self.take(len)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    /// A time from nothing to two minutes, short ones in finer steps: `e` bits of exponent, `m` of mantissa.
    pub fn duration(&mut self) -> Duration {
        let byte = self.byte();
        let (exponent, mantissa) = (byte >> 4, u64::from(byte & 15));
        Duration::from_micros((mantissa << exponent) * 244)
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let len = len.min(self.0.len());
        self.0.bytes(len).unwrap_or_default()
    }
}
