//! The settings in flash, in the partition for such (`nvs`).

use core::fmt;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_futures::select::{Either, select};
use embedded_io_async::Read as _;
use esp_bootloader_esp_idf::partitions::{
    DataPartitionSubType, PARTITION_TABLE_MAX_LEN, PartitionType, read_partition_table,
};
use esp_hal::Async;
use esp_hal::uart::{Config, ConfigError, UartRx};
use esp_hal::usb::usb_serial_jtag::{UsbSerialJtag, UsbSerialJtagRx};
use esp_println::println;
use esp_storage::FlashStorage;
use log::{error, info};
use parlour_embassy::core::client::{Commands as _, Event};
use parlour_embassy::core::ticket::{Ticket, TicketError};
use parlour_embassy::{Events, Room};
use parlour_provisioning::{Dialog, Radio, Serial, Settings, Start, Store, provision, start};
use static_cell::StaticCell;
use thiserror::Error;

use super::Wifi;
use crate::board::Memory;
use crate::hands::Hands;

/// Two sectors.
const SIZE: u32 = 8 * 1_024;
const RADIO: Radio = match cfg!(feature = "wifi") {
    true => Radio::Present,
    false => Radio::Absent,
};

/// Why there are no settings.
#[derive(Debug, Error)]
pub enum Error {
    #[error("there is no partition table with a partition `nvs`: flash with espflash")]
    Partition,
    #[error("no serial line: {0:?}")]
    Serial(ConfigError),
}

/// Keeps the settings: puts a newer ticket into flash.
pub struct Keeper {
    /// Those of this start.
    current: &'static Settings,
    kept: parlour_provisioning::Keeper<BlockingAsync<FlashStorage<'static>>>,
    renewed: bool,
}

impl Keeper {
    /// Finds the settings, or asks for them on the serial line, if flash has none or the button is held.
    pub async fn find(memory: Memory, hands: &mut Hands) -> Result<Self, Error> {
        static SETTINGS: StaticCell<Settings> = StaticCell::new();
        static DIALOG: StaticCell<Dialog> = StaticCell::new();
        let mut flash = FlashStorage::new(memory.flash);
        let from = partition(&mut flash).ok_or(Error::Partition)?;
        let store = Store::new(BlockingAsync::new(flash), from..from + SIZE);
        let mut store = store.ok_or(Error::Partition)?;
        let button = hands.is_held_at_start().await;
        let settings = match start(&mut store, RADIO, button).await {
            Start::Run(settings) => settings,
            Start::Provision(reason, stored) => {
                let dialog = DIALOG.init(Dialog::new(RADIO, stored));
                let uart = UartRx::new(memory.uart, Config::default()).map_err(Error::Serial)?;
                let mut line = Line {
                    uart: uart.with_rx(memory.uart_input).into_async(),
                    usb: UsbSerialJtag::new(memory.usb).into_async().split().0,
                };
                let asking = provision(&mut store, dialog, reason, &mut line);
                hands.blink_during(asking).await
            }
        };
        Ok(Self {
            current: SETTINGS.init_with(|| settings.clone()),
            kept: parlour_provisioning::Keeper::new(settings, store),
            renewed: false,
        })
    }

    pub fn wifi(&self) -> Option<Wifi> {
        let wifi = self.current.wifi()?;
        Some((wifi.name(), wifi.password()))
    }

    pub fn ticket(&self) -> Result<Ticket<'static>, TicketError> {
        Ok(self.current.ticket())
    }

    /// Whether the next start has a newer ticket than that of the room.
    pub fn has_newer_ticket(&self) -> bool {
        self.renewed
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

/// The address of the partition, if it is large enough.
fn partition(flash: &mut FlashStorage<'static>) -> Option<u32> {
    let mut table = [0; PARTITION_TABLE_MAX_LEN];
    let table = read_partition_table(flash, &mut table).ok()?;
    let kind = PartitionType::Data(DataPartitionSubType::Nvs);
    let found = table.find_partition(kind).ok()??;
    (found.len() >= SIZE).then_some(found.offset())
}

/// The UART and the chip's own USB: whichever the plug has.
struct Line {
    uart: UartRx<'static, Async>,
    usb: UsbSerialJtagRx<'static, Async>,
}

impl Serial for Line {
    async fn read(&mut self) -> u8 {
        let (mut uart, mut usb) = ([0], [0]);
        loop {
            let read = select(self.uart.read_async(&mut uart), self.usb.read(&mut usb)).await;
            let byte = match read {
                Either::First(Ok(1)) => uart[0],
                Either::Second(Ok(1)) => usb[0],
                // A disturbed byte: the line it belongs to is answered by an error.
                _ => continue,
            };
            return byte;
        }
    }

    async fn write(&mut self, line: fmt::Arguments<'_>) {
        println!("{line}");
    }
}
