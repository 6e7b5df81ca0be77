//! The serial line over USB: the log goes out, and while the device is provisioned, lines come in.

use core::fmt;
use core::fmt::Write as _;

use embassy_executor::{SpawnError, Spawner};
use embassy_futures::join::join;
use embassy_rp::Peri;
use embassy_rp::peripherals::USB;
use embassy_rp::usb::Driver;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_usb::class::cdc_acm::{CdcAcmClass, State};
use embassy_usb::{Builder, Config, UsbDevice};
use embassy_usb_logger::{ReceiverHandler, UsbLogger, Writer};
use log::{LevelFilter, Record};
use static_cell::{ConstStaticCell, StaticCell};

use crate::board::Interrupts;

/// Bytes of the log that wait for the host; more are dropped.
const WAITING: usize = 2_048;
const PACKET: u16 = 64;

type Logger = UsbLogger<WAITING, Input>;
type Class = CdcAcmClass<'static, Driver<'static, USB>>;

static INPUT: Pipe<CriticalSectionRawMutex, 256> = Pipe::new();

/// Starts USB, and has the log go there.
pub fn start(spawner: Spawner, usb: Peri<'static, USB>) -> Result<(), SpawnError> {
    static CONFIGURATION: ConstStaticCell<[u8; 128]> = ConstStaticCell::new([0; 128]);
    static OBJECTS: ConstStaticCell<[u8; 16]> = ConstStaticCell::new([0; 16]);
    static CONTROL: ConstStaticCell<[u8; 64]> = ConstStaticCell::new([0; 64]);
    static STATE: StaticCell<State<'static>> = StaticCell::new();
    static LOGGER: StaticCell<Logger> = StaticCell::new();

    // Raspberry Pi's own, for a serial line of any firmware.
    let mut config = Config::new(0x2e8a, 0x000a);
    config.manufacturer = Some("Parlour");
    config.product = Some("Talking device");
    let mut builder = Builder::new(
        Driver::new(usb, Interrupts),
        config,
        CONFIGURATION.take(),
        OBJECTS.take(),
        &mut [],
        CONTROL.take(),
    );
    let class = CdcAcmClass::new(&mut builder, STATE.init(State::new()), PACKET);
    let logger = LOGGER.init(UsbLogger::with_custom_style(print));
    logger.with_handler(Input);
    let logger = &*logger;
    spawner.spawn(carry(builder.build(), class, logger)?);
    // An error means that there is one already.
    if log::set_logger(logger).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    Ok(())
}

#[embassy_executor::task]
async fn carry(
    mut device: UsbDevice<'static, Driver<'static, USB>>,
    class: Class,
    logger: &'static Logger,
) {
    join(device.run(), logger.create_future_from_class(class)).await;
}

/// Answers of the provisioning dialog start with `ok` or `error`, so they have no level before them.
const ANSWER: &str = "answer";

fn print(record: &Record<'_>, line: &mut Writer<'_, WAITING>) {
    let printed = match record.target() {
        ANSWER => write!(line, "{}\r\n", record.args()),
        _ => write!(line, "{}: {}\r\n", record.level(), record.args()),
    };
    // It writes what there is room for.
    let _ = printed;
}

/// Takes what the host sends.
pub struct Input;

impl ReceiverHandler for Input {
    fn new() -> Self {
        Self
    }

    async fn handle_data(&self, mut data: &[u8]) {
        while !data.is_empty() {
            let written = INPUT.write(data).await;
            data = data.get(written..).unwrap_or_default();
        }
    }
}

/// The line of the dialog.
#[cfg_attr(
    not(provisioning),
    expect(dead_code, reason = "the settings are built in")
)]
pub struct Serial;

impl parlour_provisioning::Serial for Serial {
    async fn read(&mut self) -> u8 {
        let mut byte = [0];
        INPUT.read(&mut byte).await;
        byte[0]
    }

    async fn write(&mut self, line: fmt::Arguments<'_>) {
        log::info!(target: ANSWER, "{line}");
    }
}
