//! ESP32-C3-DevKitM-1 and similar boards; the button is BOOT.

use esp_hal::gpio::Pin as _;
use esp_hal::peripherals::Peripherals;

use super::{Board, Memory, Sound, Wires};
use crate::network::Parts;

pub fn divide(chip: Peripherals) -> Board {
    Board {
        sound: Sound {
            i2s: chip.I2S0,
            dma: chip.DMA_CH0,
            microphone: Wires {
                bit_clock: chip.GPIO4.degrade(),
                word_select: chip.GPIO5.degrade(),
                data: chip.GPIO6.degrade(),
            },
            loudspeaker: Wires {
                bit_clock: chip.GPIO7.degrade(),
                word_select: chip.GPIO3.degrade(),
                data: chip.GPIO10.degrade(),
            },
        },
        button: chip.GPIO9.degrade(),
        lamp: chip.GPIO1.degrade(),
        network: Parts { wifi: chip.WIFI },
        memory: Memory {
            flash: chip.FLASH,
            uart: chip.UART0,
            uart_input: chip.GPIO20.degrade(),
            usb: chip.USB_DEVICE,
        },
        timer: chip.TIMG0,
        interrupt: chip.FROM_CPU_INTR0,
    }
}
