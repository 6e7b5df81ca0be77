//! The store: a folder or an S3, whichever the configuration names.

use std::io;
use std::ops::Range;
use std::path;
use std::sync::Arc;

use base16ct::lower::encode_string;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, RetryConfig};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;
use ulid::Ulid;

use crate::config::{Config, Recordings, StorePlace};
use crate::disk;

/// Bytes that are read or written at a time: S3 takes parts of 5 MiB and more.
const PART: usize = 8 << 20;
/// The same of what a client downloads, which may be slow.
const CHUNK: u64 = 1 << 20;

/// Why the store does not have a file, or not give it.
#[derive(Debug, Error)]
pub(crate) enum ArchiveError {
    /// The file in the spool folder cannot be read.
    #[error("the spool folder: {0}")]
    Spool(#[from] io::Error),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] Error),
    /// A name is none. It is made so that it is always one.
    #[error(transparent)]
    Name(#[from] object_store::path::Error),
    /// The store gives other bytes than it was given.
    #[error("the store has other bytes of {0} than it was given")]
    Differs(Path),
}

impl ArchiveError {
    /// Whether the store works, but does not have the file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Store(Error::NotFound { .. }))
    }
}

/// What the store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) size: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
}

/// See the [module](self). Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    place: StorePlace,
    config: Recordings,
    opened: Arc<OnceCell<Arc<dyn ObjectStore>>>,
}

impl Archive {
    /// A store that is opened when it is used first.
    pub(crate) fn new(place: StorePlace, config: Recordings) -> Self {
        Self {
            place,
            config,
            opened: Arc::default(),
        }
    }

    /// One that is there.
    #[cfg(test)]
    pub(crate) fn of(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            opened: Arc::new(OnceCell::new_with(Some(store))),
            ..Self::new(StorePlace::Folder("".into()), Recordings::default())
        }
    }

    async fn store(&self) -> Result<&Arc<dyn ObjectStore>, ArchiveError> {
        self.opened.get_or_try_init(async || self.open()).await
    }

    fn open(&self) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
        match &self.place {
            StorePlace::Folder(folder) => {
                disk::create_folder(folder)?;
                let store = LocalFileSystem::new_with_prefix(folder)?;
                // The spool's file is removed once it is here. Folders go with the last file in them.
                let store = store.with_fsync(true).with_automatic_cleanup(true);
                Ok(Arc::new(store))
            }
            StorePlace::S3 { bucket, prefix } => {
                let mut builder = AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    // Whoever uses this has patience of its own.
                    .with_retry(RetryConfig {
                        max_retries: 1,
                        ..RetryConfig::default()
                    });
                if let Some(region) = &self.config.region {
                    builder = builder.with_region(region);
                }
                if let Some(endpoint) = &self.config.endpoint {
                    let address = endpoint.as_str().trim_end_matches('/');
                    builder = builder
                        .with_endpoint(address)
                        .with_allow_http(endpoint.scheme() == "http");
                }
                let store = builder.build()?;
                Ok(match prefix.is_empty() {
                    true => Arc::new(store),
                    false => Arc::new(PrefixStore::new(store, Path::from(prefix.as_str()))),
                })
            }
        }
    }

    /// Stores a file, and reads back what the store has of it.
    pub(crate) async fn put_file(
        &self,
        to: &Path,
        from: &path::Path,
    ) -> Result<Stored, ArchiveError> {
        let store = self.store().await?;
        let mut file = File::open(from).await?;
        let mut part = part_of(&mut file).await?;
        let (mut size, mut hash) = (part.len() as u64, Sha256::new_with_prefix(&part));
        if part.len() < PART {
            store.put(to, part.into()).await?;
        } else {
            let mut upload = store.put_multipart(to).await?;
            let sent: Result<(), ArchiveError> = async {
                while !part.is_empty() {
                    upload.put_part(part.into()).await?;
                    part = part_of(&mut file).await?;
                    hash.update(&part);
                    size += part.len() as u64;
                }
                upload.complete().await?;
                Ok(())
            }
            .await;
            if let Err(error) = sent {
                // Parts that nobody asks for cost money.
                let _ = upload.abort().await;
                return Err(error);
            }
        }
        let stored = Stored {
            size,
            sha256: encode_string(&hash.finalize()),
        };
        (self.read_back(to).await? == stored)
            .then_some(stored)
            .ok_or_else(|| ArchiveError::Differs(to.clone()))
    }

    async fn read_back(&self, path: &Path) -> Result<Stored, ArchiveError> {
        let store = self.store().await?;
        let size = store.head(path).await?.size;
        let (mut at, mut hash) = (0, Sha256::new());
        while at < size {
            let end = size.min(at + PART as u64);
            hash.update(store.get_range(path, at..end).await?);
            at = end;
        }
        Ok(Stored {
            size,
            sha256: encode_string(&hash.finalize()),
        })
    }

    /// Stores a small file.
    pub(super) async fn put(&self, to: &Path, content: Vec<u8>) -> Result<(), ArchiveError> {
        self.store().await?.put(to, content.into()).await?;
        Ok(())
    }

    /// A small file as a whole: a larger one is cut off after 1 MiB.
    pub(crate) async fn read_small(&self, path: &Path) -> Result<bytes::Bytes, ArchiveError> {
        let store = self.store().await?;
        let size = store.head(path).await?.size.min(CHUNK);
        Ok(store.get_range(path, 0..size).await?)
    }

    /// Deletes a file, if it is there.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), ArchiveError> {
        match self.store().await?.delete(path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A part of a file, in pieces. The first one is read before this returns, so that a store that fails is known in time.
    pub(crate) async fn read(
        &self,
        path: Path,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<bytes::Bytes, ArchiveError>>, ArchiveError> {
        let store = Arc::clone(self.store().await?);
        let end = range.end.min(range.start + CHUNK);
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let first = store.get_range(&path, range.start..end).await?;
        let rest = stream::try_unfold(end, move |at| {
            let (store, path, last) = (Arc::clone(&store), path.clone(), range.end);
            async move {
                if at >= last {
                    return Ok(None);
                }
                let end = last.min(at + CHUNK);
                let bytes = store.get_range(&path, at..end).await?;
                Ok(Some((bytes, end)))
            }
        });
        Ok(stream::once(async { Ok(first) }).chain(rest).boxed())
    }
}

/// Writes, reads and deletes a file of the store that a configuration names. A folder that is still to be made is left to the server:
/// made here, it would belong to whoever looks.
///
/// # Errors
/// Why that is not possible.
pub async fn try_store(config: &Config) -> anyhow::Result<()> {
    let place = config.recordings_store();
    if matches!(&place, StorePlace::Folder(folder) if !folder.exists()) {
        return Ok(());
    }
    let archive = Archive::new(place, config.recordings.clone());
    let path = Path::from(format!("parlour-doctor-{}", Ulid::generate()));
    let content = b"parlour doctor looks whether this store works; delete it if it is still here";
    archive.put(&path, content.to_vec()).await?;
    let read = archive.store().await?.get(&path).await?.bytes().await?;
    archive.delete(&path).await?;
    match read.as_ref() == content {
        true => Ok(()),
        false => Err(ArchiveError::Differs(path).into()),
    }
}

/// The next bytes of a file; fewer than [`PART`] at its end.
async fn part_of(file: &mut File) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    file.take(PART as u64).read_to_end(&mut part).await?;
    Ok(part)
}
