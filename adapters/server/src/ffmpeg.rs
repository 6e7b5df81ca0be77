//! The program `ffmpeg`, which compositions with AAC or a picture need.

use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use tokio::process::Command;
use tokio::time::timeout;

/// How long it may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// The oldest version that is used.
pub const OLDEST: u32 = 5;

/// Why it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FfmpegError {
    /// It cannot be started, or does not answer.
    #[error("ffmpeg is not there: install it")]
    Missing,
    /// It is older than [`OLDEST`].
    #[error("ffmpeg {0} is too old: install version {OLDEST} or later")]
    TooOld(String),
}

/// The version of a program, as it says it itself; `None` if it does not say which it is.
///
/// # Errors
/// [`FfmpegError`]
pub async fn version(program: &Path) -> Result<Option<String>, FfmpegError> {
    let mut command = Command::new(program);
    command.arg("-version").kill_on_drop(true);
    let Ok(Ok(output)) = timeout(PATIENCE, command.output()).await else {
        return Err(FfmpegError::Missing);
    };
    if !output.status.success() {
        return Err(FfmpegError::Missing);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    match version_of(&said) {
        Some((version, text)) if version < OLDEST => Err(FfmpegError::TooOld(text.to_owned())),
        version => Ok(version.map(|(_, text)| text.to_owned())),
    }
}

/// The version that ffmpeg says: its first number, and the whole. Builds of a branch say a letter first.
fn version_of(said: &str) -> Option<(u32, &str)> {
    let text = said
        .strip_prefix("ffmpeg version ")?
        .split_whitespace()
        .next()?;
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let number = digits.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((number.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_version_is_read_however_it_is_written() {
        let of = |said| version_of(said).map(|(number, _)| number);
        assert_eq!(of("ffmpeg version 6.1.1-3ubuntu5 Copyright"), Some(6));
        assert_eq!(of("ffmpeg version n7.0 Copyright"), Some(7));
        assert_eq!(of("ffmpeg version git-abc"), None);
        let missing = version(Path::new("/nowhere/ffmpeg")).await;
        assert_eq!(missing, Err(FfmpegError::Missing));
        assert_eq!(version(Path::new("false")).await, Err(FfmpegError::Missing));
    }
}
