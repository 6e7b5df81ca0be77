//! Where a log goes.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a machine's input log is written. Making one says yes to what the [crate's documentation](crate) says of secrets.
#[derive(Clone)]
pub struct Sink(Arc<Mutex<Target>>);

enum Target {
    File(BufWriter<File>),
    Memory(Vec<u8>),
    /// Writing failed once; what would follow cannot be replayed.
    Broken(io::Error),
}

impl Sink {
    /// A file, which is made or emptied. On Unix only its owner can read it. The last calls wait in memory until there are
    /// 8 KiB of them, the last clone of the sink is dropped, or [`flush`](Self::flush) is called.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn file(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        // One that is there already keeps its mode otherwise.
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

    /// What was written to memory so far; nothing if this is a file.
    pub fn take(&self) -> Vec<u8> {
        match &mut *self.lock() {
            Target::Memory(bytes) => std::mem::take(bytes),
            _ => Vec::new(),
        }
    }

    /// Writes out what waits in memory, and says whether the log is whole so far.
    ///
    /// # Errors
    /// Why it is not: what the operating system said, now or before.
    pub fn flush(&self) -> io::Result<()> {
        match &mut *self.lock() {
            Target::File(file) => file.flush(),
            Target::Memory(_) => Ok(()),
            Target::Broken(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// Appends `bytes`, until that fails once.
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

    /// Ends the log: what would follow is written nowhere, and [`flush`](Self::flush) says why.
    pub(crate) fn fail(&self, error: io::Error) {
        *self.lock() = Target::Broken(error);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Target> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sink {
    /// Leaves out what was written.
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
