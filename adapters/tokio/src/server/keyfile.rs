//! The server's private key in a file, so that tickets stay valid when the server is started again.
//!
//! The file holds the 32 bytes of an X25519 private key in unpadded base64url and a line break, nothing else.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use parlour_core::secure::KeyPair;
use rand_core::OsRng;
use thiserror::Error;

/// Why there is no key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file is there and cannot be read.
    #[error("cannot read the key file {path}: {source}; give this user access to it")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file cannot be created.
    #[error(
        "cannot create the key file {path}: {source}; check its folder and who may write there"
    )]
    Create {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file holds something else than a key.
    #[error(
        "the key file {path} does not hold a key (43 characters of base64url); restore it from a \
         backup, or delete it to make a new key, which makes all tickets invalid"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
}

/// Reads the key from the file at `path`, or draws one and creates the file, readable by this user alone.
///
/// # Errors
/// [`KeyFileError`]. An existing file is never changed.
pub fn load_or_create(path: &Path) -> Result<KeyPair, KeyFileError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).ok_or_else(|| KeyFileError::Damaged {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => create(path),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(KeyFileError::Damaged {
            path: path.to_owned(),
        }),
        Err(source) => Err(KeyFileError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn parse(text: &str) -> Option<KeyPair> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text.trim_end(), &mut bytes).ok()?;
    (decoded.len() == 32).then(|| KeyPair::from_secret_bytes(bytes))
}

fn create(path: &Path) -> Result<KeyPair, KeyFileError> {
    let key = KeyPair::generate(&mut OsRng);
    write(path, &key).map_err(|source| KeyFileError::Create {
        path: path.to_owned(),
        source,
    })?;
    Ok(key)
}

fn write(path: &Path, key: &KeyPair) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // `create_new`: of two servers that start at once, one fails instead of both having a key of their own.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let text = Base64UrlUnpadded::encode_string(key.secret().expose_bytes());
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
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
            fs::write(&path, text).unwrap();
            let error = load_or_create(&path).unwrap_err();
            assert!(
                matches!(error, KeyFileError::Damaged { .. }),
                "{text:?}: {error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, [0xFF; 43]).unwrap();
        assert!(matches!(
            load_or_create(&path),
            Err(KeyFileError::Damaged { .. })
        ));
        fs::write(&path, format!("{good}\n")).unwrap();
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
