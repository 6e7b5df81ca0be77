//! ESP32-P4-Function-EV-Board and similar boards. BOOT is a wire of Ethernet there, so the button is an extra part.

use esp_hal::ethernet::RmiiPinBundle;
use esp_hal::ethernet::clock::ExternalRefClock;
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
                bit_clock: chip.GPIO20.degrade(),
                word_select: chip.GPIO21.degrade(),
                data: chip.GPIO22.degrade(),
            },
            loudspeaker: Wires {
                bit_clock: chip.GPIO4.degrade(),
                word_select: chip.GPIO5.degrade(),
                data: chip.GPIO6.degrade(),
            },
        },
        button: chip.GPIO3.degrade(),
        lamp: chip.GPIO2.degrade(),
        network: Parts {
            mac: chip.ETH,
            reset: chip.GPIO51.degrade(),
            // Fixed by the chip and the reference board.
            wires: RmiiPinBundle {
                clock: ExternalRefClock::new(chip.GPIO50),
                rxd0: chip.GPIO29,
                rxd1: chip.GPIO30,
                rx_dv: chip.GPIO28,
                txd0: chip.GPIO34,
                txd1: chip.GPIO35,
                tx_en: chip.GPIO49,
                mdc: chip.GPIO31,
                mdio: chip.GPIO52,
            },
        },
        memory: Memory {
            flash: chip.FLASH,
            uart: chip.UART0,
            uart_input: chip.GPIO38.degrade(),
            usb: chip.USB_DEVICE,
        },
        timer: chip.TIMG0,
        interrupt: chip.FROM_CPU_INTR0,
    }
}
