//! The ticket by lines of the console, kept in flash, and renewed by message.

use core::ffi::CStr;
use core::fmt;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use parlour_embassy::core::client::{Commands as _, Event};
use parlour_embassy::core::ticket::Ticket;
use parlour_embassy::{Events, Room};
use parlour_provisioning::{Dialog, Radio, Serial, Settings, Start, Store, provision, start};
use static_cell::StaticCell;

use crate::board::host::File;
use crate::board::{console, println};

const SECTOR: usize = 4_096;
const SIZE: usize = 2 * SECTOR;

/// The settings of this start; the keeper's may become newer.
static SETTINGS: StaticCell<Settings> = StaticCell::new();

/// Keeps the settings: puts a newer ticket into flash.
pub struct Keeper(parlour_provisioning::Keeper<Flash>);

impl Keeper {
    /// Finds the settings in the flash that is the host's file `path`, or asks for them on the console.
    /// What it needs is too long for a stack.
    pub async fn find(path: &'static CStr, button: bool) -> Option<&'static mut Self> {
        static KEEPER: StaticCell<Keeper> = StaticCell::new();
        static DIALOG: StaticCell<Dialog> = StaticCell::new();
        let mut store = Store::new(Flash::open(path)?, 0..SIZE as u32)?;
        let settings = match start(&mut store, Radio::Absent, button).await {
            Start::Run(settings) => settings,
            Start::Provision(reason, stored) => {
                let dialog = DIALOG.init(Dialog::new(Radio::Absent, stored));
                provision(&mut store, dialog, reason, &mut Console).await
            }
        };
        Some(KEEPER.init(Self(parlour_provisioning::Keeper::new(settings, store))))
    }

    /// The ticket of this start; called once.
    pub fn ticket(&self) -> Ticket<'static> {
        SETTINGS.init_with(|| self.0.settings().clone()).ticket()
    }

    /// Takes a newer token that the server sends, and its answer to that.
    pub async fn hear(&mut self, room: Room<'static>, events: &mut Events<'static>, event: &Event) {
        let heard = self.0.hear(
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
            Some(Ok(())) => println!("newer ticket stored"),
            Some(Err(error)) => println!("newer ticket not stored: {error}"),
        }
    }
}

struct Console;

impl Serial for Console {
    async fn read(&mut self) -> u8 {
        console::read_byte().await
    }

    async fn write(&mut self, line: fmt::Arguments<'_>) {
        println!("{line}");
    }
}

/// Flash whose contents are a file of the host.
struct Flash {
    path: &'static CStr,
    bytes: &'static mut [u8; SIZE],
}

/// The host cannot write the file.
#[derive(Debug)]
struct Broken;

impl NorFlashError for Broken {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Flash {
    /// The flash in the file; without the file it is erased.
    fn open(path: &'static CStr) -> Option<Self> {
        static BYTES: StaticCell<[u8; SIZE]> = StaticCell::new();
        let bytes = BYTES.init_with(|| [0xff; SIZE]);
        if let Ok(mut file) = File::open(path) {
            file.read_exact(bytes).ok()?;
        }
        Some(Self { path, bytes })
    }

    fn write_back(&self) -> Result<(), Broken> {
        let mut file = File::create(self.path).map_err(|_| Broken)?;
        file.write_all(self.bytes).map_err(|_| Broken)
    }

    fn part(&mut self, from: u32, len: usize) -> Result<&mut [u8], Broken> {
        let rest = self.bytes.get_mut(from as usize..).ok_or(Broken)?;
        rest.get_mut(..len).ok_or(Broken)
    }
}

impl ErrorType for Flash {
    type Error = Broken;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Broken> {
        bytes.copy_from_slice(self.part(offset, bytes.len())?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Broken> {
        let len = to.checked_sub(from).ok_or(Broken)?;
        self.part(from, len as usize)?.fill(0xff);
        self.write_back()
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Broken> {
        // As in flash, a write only clears bits.
        for (place, byte) in self.part(offset, bytes.len())?.iter_mut().zip(bytes) {
            *place &= byte;
        }
        self.write_back()
    }
}
