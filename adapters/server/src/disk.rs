//! Files that only this user may read, and the room for them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a file, which must not exist, for reading and writing.
///
/// # Errors
/// [`io::Error`], also where the file exists.
pub fn create(path: &Path) -> io::Result<File> {
    private().create_new(true).open(path)
}

/// Writes a file anew: as a whole, or not at all. What it writes first ends in `.new`.
///
/// # Errors
/// [`io::Error`]
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private().create(true).truncate(true).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(new, path)
}

/// Makes a folder with those above it, unless it is there.
///
/// # Errors
/// [`io::Error`]
pub fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free to this user.
    pub free: u64,
    /// All of it.
    pub size: u64,
}

/// The room on the disk of a folder, or of the one in which it will be made; `None` where that is not known.
#[cfg(unix)]
pub fn space(folder: &Path) -> Option<Space> {
    let mut folders = folder.ancestors().map(|folder| match folder.as_os_str() {
        empty if empty.is_empty() => Path::new("."),
        _ => folder,
    });
    let about = folders.find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
    Some(Space {
        free: bytes(about.f_bavail),
        size: bytes(about.f_blocks),
    })
}

#[cfg(not(unix))]
pub fn space(_: &Path) -> Option<Space> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn nobody_else_may_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_folder(&inner).unwrap();
        create_folder(&inner).unwrap();
        assert_eq!(mode(&inner), 0o700);
        let (made, replaced) = (inner.join("made.wav"), inner.join("replaced.json"));
        create(&made).unwrap();
        let again = create(&made).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        replace(&replaced, b"the first, which is longer").unwrap();
        replace(&replaced, b"the second").unwrap();
        assert_eq!(fs::read(&replaced).unwrap(), b"the second");
        assert_eq!([mode(&made), mode(&replaced)], [0o600; 2]);
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_is_still_to_be_made_has_the_room_of_the_one_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let above = space(folder.path()).unwrap();
        let below = space(&folder.path().join("not/yet")).unwrap();
        assert_eq!(above.size, below.size);
        assert!(above.size > 0 && above.free <= above.size);
        assert!(space(Path::new("relative")).is_some());
    }
}
