//! A file that is whole after each write.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

/// A file that grows. What cannot be written as a whole is not there at all, so that a full disk leaves no half of a page.
#[derive(Debug)]
pub(crate) struct Sink {
    file: File,
    len: u64,
}

impl Sink {
    pub(crate) fn new(file: File) -> Self {
        Self { file, len: 0 }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.len += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // The first error is the one to tell.
                let _ = self.file.set_len(self.len);
                let _ = self.file.seek(SeekFrom::Start(self.len));
                Err(error)
            }
        }
    }

    /// Writes the first bytes anew.
    pub(crate) fn rewrite_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.rewind()?;
        let written = self.file.write_all(bytes);
        self.file.seek(SeekFrom::Start(self.len))?;
        written
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
