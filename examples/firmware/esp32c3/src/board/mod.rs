//! The pins of each chip; README.md has the same as a table.

use esp_hal::gpio::AnyPin;
use esp_hal::peripherals::{
    DMA_CH0, FLASH, FROM_CPU_INTR0, I2S0, Peripherals, TIMG0, UART0, USB_DEVICE,
};

use crate::network;

#[cfg_attr(feature = "esp32c3", path = "esp32c3.rs")]
#[cfg_attr(feature = "esp32c6", path = "esp32c6.rs")]
#[cfg_attr(feature = "esp32p4", path = "esp32p4.rs")]
mod chip;

/// The chip's peripherals, divided among the tasks.
pub struct Board {
    pub sound: Sound,
    pub button: AnyPin<'static>,
    pub lamp: AnyPin<'static>,
    pub network: network::Parts,
    pub memory: Memory,
    pub timer: TIMG0<'static>,
    pub interrupt: FROM_CPU_INTR0<'static>,
}

/// What provisioning needs: flash, and both ways to the board's USB plug.
#[cfg_attr(
    not(provisioning),
    expect(dead_code, reason = "the settings are built in")
)]
pub struct Memory {
    pub flash: FLASH<'static>,
    pub uart: UART0<'static>,
    /// The UART's input, at the chip between it and USB.
    pub uart_input: AnyPin<'static>,
    pub usb: USB_DEVICE<'static>,
}

/// The peripherals of microphone and loudspeaker.
pub struct Sound {
    pub i2s: I2S0<'static>,
    pub dma: DMA_CH0<'static>,
    pub microphone: Wires,
    pub loudspeaker: Wires,
}

/// One direction of I2S.
pub struct Wires {
    pub bit_clock: AnyPin<'static>,
    pub word_select: AnyPin<'static>,
    pub data: AnyPin<'static>,
}

impl Board {
    pub fn new(chip: Peripherals) -> Self {
        chip::divide(chip)
    }
}
