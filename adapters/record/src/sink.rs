//! Destinations of a log.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The destination of a machine's input log. Making one accepts the [crate's documentation](crate) about secrets.
#[derive(Clone)]
pub struct Sink(Arc<Mutex<Target>>);

enum Target {
    File(BufWriter<File>),
    Memory(Vec<u8>),
    /// Writing failed once; later calls could not be replayed.
    Broken(io::Error),
}

impl Sink {
    /// A new or truncated file. On Unix only its owner can read it. The last calls wait in memory until there are 8 KiB
    /// of them, the last clone of the sink is dropped, or [`flush`](Self::flush) is called.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn file(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        // An existing file would otherwise keep its mode.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(Self::new(Target::File(BufWriter::new(file))))
    }

    /// Memory, without bound: for tests.
    pub fn memory() -> Self {
        Self::new(Target::Memory(Vec::new()))
    }

    fn new(target: Target) -> Self {
        Self(Arc::new(Mutex::new(target)))
    }

    /// The contents of the memory so far; empty for a file.
    pub fn take(&self) -> Vec<u8> {
        match &mut *self.lock() {
            Target::Memory(bytes) => std::mem::take(bytes),
            _ => Vec::new(),
        }
    }

    /// Writes the waiting data, and returns an error if the log is not complete so far.
    ///
    /// # Errors
    /// The error of the operating system, now or before.
    pub fn flush(&self) -> io::Result<()> {
        match &mut *self.lock() {
            Target::File(file) => file.flush(),
            Target::Memory(_) => Ok(()),
            Target::Broken(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// Appends `bytes`, unless writing failed before.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut target = self.lock();
        let written = match &mut *target {
            Target::File(file) => file.write_all(bytes),
            Target::Memory(memory) => memory.write_all(bytes),
            Target::Broken(_) => Ok(()),
        };
        if let Err(error) = written {
            *target = Target::Broken(error);
        }
    }

    /// Ends the log: later calls are not written, and [`flush`](Self::flush) returns the error.
    pub(crate) fn fail(&self, error: io::Error) {
        *self.lock() = Target::Broken(error);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Target> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sink {
    /// Omits the contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_log_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        std::fs::write(&old, "for everybody").unwrap();
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o644)).unwrap();
        for path in [new, old] {
            let sink = Sink::file(&path).unwrap();
            sink.write(b"secret");
            sink.flush().unwrap();
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(std::fs::read(&path).unwrap(), b"secret");
        }
    }
}
