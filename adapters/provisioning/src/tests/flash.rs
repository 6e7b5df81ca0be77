//! Flash in memory, which can wear out, fail and lose power.

use std::vec;
use std::vec::Vec;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

pub(crate) const SECTOR: usize = 4_096;

/// A failure of the flash.
#[derive(Debug)]
pub(crate) struct Broken;

impl NorFlashError for Broken {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

#[derive(Default)]
pub(crate) struct Flash {
    pub(crate) bytes: Vec<u8>,
    /// Bits that no write clears any more: it reports success.
    pub(crate) stuck: bool,
    /// Reads report a failure.
    pub(crate) unreadable: bool,
    /// Bytes that are written before the power fails: each operation after it does nothing, and reports a failure.
    pub(crate) power: Option<usize>,
    pub(crate) erased: usize,
}

impl Flash {
    pub(crate) fn new(sectors: usize) -> Self {
        Self {
            bytes: vec![0xff; sectors * SECTOR],
            ..Self::default()
        }
    }
}

impl ErrorType for &mut Flash {
    type Error = Broken;
}

impl ReadNorFlash for &mut Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Broken> {
        if self.unreadable {
            return Err(Broken);
        }
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for &mut Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Broken> {
        if self.power == Some(0) {
            return Err(Broken);
        }
        self.bytes[from as usize..to as usize].fill(0xff);
        self.erased += 1;
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Broken> {
        let written = bytes.len().min(self.power.unwrap_or(usize::MAX));
        if let Some(power) = &mut self.power {
            *power -= written;
        }
        if !self.stuck {
            let places = &mut self.bytes[offset as usize..][..written];
            for (place, byte) in places.iter_mut().zip(bytes) {
                *place &= byte;
            }
        }
        if written < bytes.len() {
            return Err(Broken);
        }
        Ok(())
    }
}
