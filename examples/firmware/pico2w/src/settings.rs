//! Wi-Fi and ticket: from `config.toml`, if the firmware was built with one, otherwise from flash, where the serial line
//! has put them.

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_rp::Peri;
use embassy_rp::flash::{Blocking, ERASE_SIZE, Flash};
use embassy_rp::peripherals::FLASH;
use log::{error, info};
use parlour_embassy::core::client::{Commands as _, Event};
use parlour_embassy::{Events, Room};
use parlour_provisioning::{Settings, SettingsError, Store};
use thiserror::Error;

use crate::hands::Hands;

const FLASH_SIZE: usize = 4 * 1_024 * 1_024;
/// Beyond the `FLASH` of memory.x.
const FROM: u32 = (FLASH_SIZE - 2 * ERASE_SIZE) as u32;

type Memory = BlockingAsync<Flash<'static, FLASH, Blocking, FLASH_SIZE>>;

/// Why there are no settings.
#[derive(Debug, Error)]
pub enum Error {
    #[error("config.toml: {0}")]
    BuiltIn(#[from] SettingsError),
    #[error("no place in flash")]
    Store,
}

/// Keeps the settings: puts a newer ticket into flash.
pub struct Keeper {
    kept: parlour_provisioning::Keeper<Memory>,
    /// The next start has a newer ticket than that of the room.
    pub renewed: bool,
}

impl Keeper {
    /// Finds the settings. A firmware without a config file asks for them on the serial line, if flash has none or the
    /// button is held.
    pub async fn find(flash: Peri<'static, FLASH>, hands: &mut Hands) -> Result<Self, Error> {
        let flash = BlockingAsync::new(Flash::new_blocking(flash));
        let store = Store::new(flash, FROM..FLASH_SIZE as u32).ok_or(Error::Store)?;
        let (settings, store) = source::settings(store, hands).await?;
        Ok(Self {
            kept: parlour_provisioning::Keeper::new(settings, store),
            renewed: false,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        self.kept.settings()
    }

    /// Takes a newer token that the server sends, and its answer to that.
    pub async fn hear(&mut self, room: Room<'static>, events: &mut Events<'static>, event: &Event) {
        let heard = self.kept.hear(
            event,
            |body| events.take_message(body).ok().flatten(),
            |token| {
                room.with_client(|client| client.refresh_token(token))
                    .ok()
                    .flatten()
            },
        );
        match heard.await {
            None => {}
            Some(Ok(())) => {
                self.renewed = true;
                info!("a newer ticket is stored");
            }
            Some(Err(error)) => error!("a newer ticket is lost at the next start: {error}"),
        }
    }
}

#[cfg(not(provisioning))]
mod source {
    use parlour_provisioning::{Settings, Store, Wifi};

    use super::{Error, Memory};
    use crate::hands::Hands;

    include!(concat!(env!("OUT_DIR"), "/config.rs"));

    pub async fn settings(
        store: Store<Memory>,
        _hands: &mut Hands,
    ) -> Result<(Settings, Store<Memory>), Error> {
        let wifi = WIFI.map(|(name, password)| Wifi::new(name, password));
        Ok((Settings::new(wifi.transpose()?, TICKET)?, store))
    }
}

#[cfg(provisioning)]
mod source {
    use parlour_provisioning::{Dialog, Radio, Settings, Start, Store, provision, start};
    use static_cell::StaticCell;

    use super::{Error, Memory};
    use crate::hands::Hands;
    use crate::serial::Serial;

    pub async fn settings(
        mut store: Store<Memory>,
        hands: &mut Hands,
    ) -> Result<(Settings, Store<Memory>), Error> {
        static DIALOG: StaticCell<Dialog> = StaticCell::new();
        let button = hands.is_held_at_start().await;
        let settings = match start(&mut store, Radio::Present, button).await {
            Start::Run(settings) => settings,
            Start::Provision(reason, stored) => {
                let dialog = DIALOG.init(Dialog::new(Radio::Present, stored));
                let mut line = Serial;
                let asking = provision(&mut store, dialog, reason, &mut line);
                hands.blink_during(asking).await
            }
        };
        Ok((settings, store))
    }
}
