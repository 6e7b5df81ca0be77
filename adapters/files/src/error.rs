//! Why a file is not read or written.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file is not read or written. Each text names the file and says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds something that is not played here.
    #[error("{path} {problem}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The contents, and the remedy.
        problem: String,
    },
    /// It is not whole.
    #[error("{path} is damaged ({problem}): make it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage.
        problem: String,
    },
    /// There is a file with that name already.
    #[error("{path} exists already: move it away, or choose another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A WAV file has reached its greatest length.
    #[error("{path} is full: a WAV file holds 4 GiB")]
    Full {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    pub(crate) fn read(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |source| Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |source| match source.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists {
                path: path.to_owned(),
            },
            io::ErrorKind::FileTooLarge => Self::Full {
                path: path.to_owned(),
            },
            _ => Self::Write {
                path: path.to_owned(),
                source,
            },
        }
    }

    pub(crate) fn unsupported(path: &Path, problem: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    pub(crate) fn damaged(path: &Path, problem: impl ToString) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}
