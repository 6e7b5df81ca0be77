//! The settings in flash: one record, of which the newest that is whole counts.

use core::fmt::Debug;
use core::ops::Range;

use embedded_storage_async::nor_flash::NorFlash;
use sequential_storage::Error as MapError;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};
use thiserror::Error;

use crate::settings::Settings;

/// The first byte of the record. Another format gets another.
const VERSION: u8 = 1;
/// The map's only key.
const KEY: u8 = 0;
/// A record of the longest settings, and what the map needs beside it.
const BUFFER: usize = 1_280;
/// 253 bytes of host, 800 of token, 32 of key, 96 of Wi-Fi, and a few for lengths.
const RECORD: usize = 1_216;

/// Why there are no settings. To provision the device again helps in all cases but [`Flash`](Self::Flash).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// They are of another firmware.
    #[error("the settings in flash are of format {0}, this firmware has format 1")]
    Version(u8),
    /// There is something else in flash.
    #[error("the settings in flash are damaged")]
    Damaged,
    /// It cannot be read.
    #[error("the flash cannot be read")]
    Flash,
}

/// The flash does not keep the settings: it reports a failure, or reads back something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the flash does not keep the settings")]
pub struct SaveError;

/// The settings in a range of flash. A write that a power failure interrupts leaves the settings before it.
///
/// With [`Refresh`](crate::Refresh) once a day and two sectors of 4 KiB, each sector is erased every fourth day at most:
/// flash for 10,000 erasures lasts for a century.
pub struct Store<F: NorFlash> {
    map: MapStorage<u8, F, Cache<Uncached, Uncached, Uncached, u8>>,
    buffer: [u8; BUFFER],
}

impl<F: NorFlash> Store<F> {
    /// The settings in `range` of `flash`: whole sectors, at least two, of 2 KiB or more. `None` if the range is not
    /// such a one.
    pub fn new(flash: F, range: Range<u32>) -> Option<Self> {
        if F::ERASE_SIZE < 2 * 1_024 || range.end > u32::try_from(flash.capacity()).ok()? {
            return None;
        }
        let config = MapConfig::try_new(range).ok()?;
        Some(Self {
            map: MapStorage::new(flash, config, Cache::new_uncached()),
            buffer: [0; BUFFER],
        })
    }

    /// The stored settings; `None` if there are none yet.
    ///
    /// # Errors
    /// [`LoadError`]
    pub async fn load(&mut self) -> Result<Option<Settings>, LoadError> {
        let record = self.map.fetch_item::<&[u8]>(&mut self.buffer, &KEY).await;
        match record {
            Ok(None) => Ok(None),
            Ok(Some(record)) => decode(record).map(Some),
            Err(MapError::Storage { .. }) => Err(LoadError::Flash),
            Err(_) => Err(LoadError::Damaged),
        }
    }

    /// Stores `settings`, and reads them back. Whatever else is in the range is erased, if need be.
    ///
    /// # Errors
    /// [`SaveError`]
    pub async fn save(&mut self, settings: &Settings) -> Result<(), SaveError> {
        if self.write_and_compare(settings).await.is_err() {
            self.erase().await?;
            self.write_and_compare(settings).await?;
        }
        Ok(())
    }

    /// Erases the settings.
    ///
    /// # Errors
    /// [`SaveError`]
    pub async fn erase(&mut self) -> Result<(), SaveError> {
        self.map.erase_all().await.map_err(|_| SaveError)
    }

    async fn write_and_compare(&mut self, settings: &Settings) -> Result<(), SaveError> {
        let mut record = [VERSION; RECORD];
        let written = postcard::to_slice(settings, &mut record[1..]).map_err(|_| SaveError)?;
        let used = 1 + written.len();
        let record = record.get(..used).ok_or(SaveError)?;
        let stored = (self.map.store_item(&mut self.buffer, &KEY, &record)).await;
        stored.map_err(|_| SaveError)?;
        match self.load().await {
            Ok(Some(stored)) if stored == *settings => Ok(()),
            _ => Err(SaveError),
        }
    }
}

impl<F: NorFlash> Debug for Store<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Flash is not trusted more than the serial line: what is decoded is checked as if it had been said.
fn decode(record: &[u8]) -> Result<Settings, LoadError> {
    let (version, rest) = record.split_first().ok_or(LoadError::Damaged)?;
    if *version != VERSION {
        return Err(LoadError::Version(*version));
    }
    let settings: Settings = postcard::from_bytes(rest).map_err(|_| LoadError::Damaged)?;
    settings.checked().map_err(|_| LoadError::Damaged)
}
