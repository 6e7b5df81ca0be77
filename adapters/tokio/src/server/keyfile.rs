//! The server's private key in a file, so that tickets stay valid when the server is started again.
//!
//! The file holds the 32 bytes of an X25519 private key in unpadded base64url and a line break, nothing else. It must be
//! readable by its owner alone, or, if root owns it, by its group as well: that is how Kubernetes mounts a secret.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use parlour_core::secure::KeyPair;
use rand_core::OsRng;
use thiserror::Error;

/// The reason that there is no key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file is there and cannot be read.
    #[error("cannot read the key file {path}: {source}; give this user access to it")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file cannot be created.
    #[error(
        "cannot create the key file {path}: {source}; check its folder and who may write there"
    )]
    Create {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Others can read the file.
    #[error(
        "others can read the key file {path} (mode {mode:03o}): run `chmod 600 {path}`; if somebody may have read it, \
         delete it to make a new key, which makes all tickets invalid"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something else than a key.
    #[error(
        "the key file {path} does not hold a key (43 characters of base64url); restore it from a \
         backup, or delete it to make a new key, which makes all tickets invalid"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the key from the file at `path`, or draws one and creates the file, readable by this user alone.
///
/// # Errors
/// [`KeyFileError`]. An existing file is never changed, and a new one is there with the whole key or not at all.
pub fn load_or_create(path: &Path) -> Result<KeyPair, KeyFileError> {
    match load(path)? {
        Some(key) => Ok(key),
        None => create(path),
    }
}

/// The key in the file, if there is one.
fn load(path: &Path) -> Result<Option<KeyPair>, KeyFileError> {
    let damaged = || KeyFileError::Damaged {
        path: path.to_owned(),
    };
    let unreadable = |source| KeyFileError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(unreadable(source)),
    };
    if let Some(mode) = exposed(&file).map_err(unreadable)? {
        let path = path.to_owned();
        return Err(KeyFileError::Exposed { path, mode });
    }
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) => parse(&text).ok_or_else(damaged).map(Some),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(damaged()),
        Err(source) => Err(unreadable(source)),
    }
}

/// The file's permissions, if others than its owner, or than the group that root has chosen, have any.
#[cfg(unix)]
fn exposed(file: &File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt as _;
    const ROOT: u32 = 0;
    let about = file.metadata()?;
    let mode = about.mode() & 0o777;
    let of_others = if about.uid() == ROOT { 0o037 } else { 0o077 };
    Ok((about.is_file() && mode & of_others != 0).then_some(mode))
}

#[cfg(not(unix))]
fn exposed(_: &File) -> io::Result<Option<u32>> {
    Ok(None)
}

fn parse(text: &str) -> Option<KeyPair> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text.trim_end(), &mut bytes).ok()?;
    (decoded.len() == 32).then(|| KeyPair::from_secret_bytes(bytes))
}

fn create(path: &Path) -> Result<KeyPair, KeyFileError> {
    let key = KeyPair::generate(&mut OsRng);
    match write(path, &key) {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // Another server that was started at the same time has made it.
            load(path)?.ok_or_else(|| cannot_create(path, error))
        }
        Err(source) => Err(cannot_create(path, source)),
    }
}

fn cannot_create(path: &Path, source: io::Error) -> KeyFileError {
    KeyFileError::Create {
        path: path.to_owned(),
        source,
    }
}

/// Writes the file under another name first: whenever this process ends, `path` is whole or not there.
fn write(path: &Path, key: &KeyPair) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // For this user alone, as all that `tempfile` makes.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let text = Base64UrlUnpadded::encode_string(key.secret().expose_bytes());
    file.write_all(format!("{text}\n").as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    // The name, too, is to survive a power cut.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = load_or_create(&path).unwrap();
        assert_eq!(load_or_create(&path).unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    /// A file for this user alone.
    fn place(path: &Path, text: impl AsRef<[u8]>) {
        fs::write(path, text).unwrap();
        #[cfg(unix)]
        permit(path, 0o600);
    }

    #[cfg(unix)]
    fn permit(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = load_or_create(&path).unwrap();
        for mode in [0o644, 0o604, 0o660, 0o601] {
            permit(&path, mode);
            let error = load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::Exposed { mode: told, .. } if told == mode));
            let command = format!("chmod 600 {}", path.display());
            assert!(error.to_string().contains(&command), "{error}");
        }
        for mode in [0o600, 0o400] {
            permit(&path, mode);
            assert_eq!(load_or_create(&path).unwrap(), made);
        }
        // As a secret is mounted: root's, for a group.
        permit(&path, 0o440);
        let is_roots = fs::metadata(&path).unwrap().uid() == 0;
        assert_eq!(load_or_create(&path).is_ok(), is_roots);
    }

    #[test]
    fn nothing_but_the_whole_key_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let keys: Vec<_> = std::thread::scope(|threads| {
            let starting: Vec<_> = (0..8)
                .map(|_| threads.spawn(|| load_or_create(&path).unwrap()))
                .collect();
            starting.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "one key for all");
        let names = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["key"]);
    }

    #[test]
    fn a_damaged_file_is_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let good = "A".repeat(43);
        for text in [
            "",
            "key",
            &good[1..],
            &format!("{good}A"),
            &good.replacen('A', "+", 1),
        ] {
            place(&path, text);
            let error = load_or_create(&path).unwrap_err();
            assert!(
                matches!(error, KeyFileError::Damaged { .. }),
                "{text:?}: {error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        place(&path, [0xFF; 43]);
        assert!(matches!(
            load_or_create(&path),
            Err(KeyFileError::Damaged { .. })
        ));
        place(&path, format!("{good}\n"));
        assert!(load_or_create(&path).is_ok());
    }

    #[test]
    fn what_cannot_be_opened_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = load_or_create(&folder.path().join("no/folder")).unwrap_err();
        assert!(matches!(error, KeyFileError::Create { .. }));
        assert!(error.to_string().contains("no/folder"));
        let error = load_or_create(folder.path()).unwrap_err();
        assert!(matches!(error, KeyFileError::Read { .. }));
    }
}
