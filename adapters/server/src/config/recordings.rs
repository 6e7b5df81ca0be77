//! The configuration of recordings.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

/// Recordings. Credentials for S3 come from the environment: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or whatever else
/// AWS has for machines of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recordings {
    /// The folder that they are written to before they are stored; without it, `spool` beside the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool: Option<PathBuf>,
    /// Where they are stored; without it, in `recordings` beside the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StorePlace>,
    /// The address of an S3 that is not that of AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Url>,
    /// The region of the S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Nothing is recorded while the disk of the spool folder has fewer MiB free than this.
    pub keep_free_mib: u64,
    /// Nor while it has less of itself free than this, in percent.
    pub keep_free_percent: u8,
    /// No recording begins while files of more MiB than this wait in the spool folder; without it, half of its disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_limit_mib: Option<u64>,
}

impl Default for Recordings {
    fn default() -> Self {
        Self {
            spool: None,
            store: None,
            endpoint: None,
            region: None,
            keep_free_mib: 1_024,
            keep_free_percent: 5,
            spool_limit_mib: None,
        }
    }
}

/// Where recordings are stored: a path, `file:///path`, or `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StorePlace {
    /// A folder, made if it is missing.
    Folder(PathBuf),
    /// A part of a bucket.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What all names in it begin with; empty for all of it.
        prefix: String,
    },
}

/// A text is not the place of a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no place for recordings: name a folder, as /srv/recordings or file:///srv/recordings, or s3://bucket/prefix"
)]
pub struct InvalidStore(String);

impl FromStr for StorePlace {
    type Err = InvalidStore;

    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        let invalid = || InvalidStore(text.to_owned());
        let Some((scheme, rest)) = text.split_once("://") else {
            return (!text.is_empty())
                .then(|| Self::Folder(text.into()))
                .ok_or_else(invalid);
        };
        match scheme {
            "file" => {
                let url = Url::parse(text).map_err(|_| invalid())?;
                url.to_file_path().map(Self::Folder).map_err(|()| invalid())
            }
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_matches('/').to_owned();
                let bucket = bucket.to_owned();
                let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
                let is_valid = !bucket.is_empty() && bucket.chars().all(is_name);
                is_valid
                    .then_some(Self::S3 { bucket, prefix })
                    .ok_or_else(invalid)
            }
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for StorePlace {
    type Error = InvalidStore;

    fn try_from(text: String) -> Result<Self, InvalidStore> {
        text.parse()
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl From<StorePlace> for String {
    fn from(place: StorePlace) -> Self {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let s3 = |bucket: &str, prefix: &str| StorePlace::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        for (text, expected) in [
            ("/srv/rec", StorePlace::Folder("/srv/rec".into())),
            ("rec", StorePlace::Folder("rec".into())),
            ("file:///srv/a%20b", StorePlace::Folder("/srv/a b".into())),
            ("s3://rec", s3("rec", "")),
            ("s3://rec/a/b/", s3("rec", "a/b")),
        ] {
            let place: StorePlace = text.parse().unwrap();
            assert_eq!(place, expected);
            assert_eq!(place.to_string().parse(), Ok(expected));
        }
        for bad in [
            "",
            "s3://",
            "s3:///a",
            "s3://a b/c",
            "ftp://x/y",
            "file://host/x",
        ] {
            assert!(bad.parse::<StorePlace>().is_err(), "{bad}");
        }
    }
}
