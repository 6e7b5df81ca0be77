//! The pins; README.md has the same as a table.

use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::peripherals::{
    DMA_CH0, DMA_CH1, DMA_CH2, FLASH, PIN_10, PIN_11, PIN_12, PIN_18, PIN_19, PIN_20, PIN_23,
    PIN_24, PIN_25, PIN_29, PIO0, PIO1, TRNG, USB, WATCHDOG,
};
use embassy_rp::{Peri, Peripherals, bind_interrupts, dma, pio, trng, usb};

bind_interrupts!(pub struct Interrupts {
    PIO0_IRQ_0 => pio::InterruptHandler<PIO0>;
    PIO1_IRQ_0 => pio::InterruptHandler<PIO1>;
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>, dma::InterruptHandler<DMA_CH1>, dma::InterruptHandler<DMA_CH2>;
    TRNG_IRQ => trng::InterruptHandler<TRNG>;
    USBCTRL_IRQ => usb::InterruptHandler<USB>;
});

/// The chip's peripherals, divided among the tasks.
pub struct Board {
    pub sound: Sound,
    pub radio: Radio,
    pub button: Input<'static>,
    pub lamp: Output<'static>,
    pub flash: Peri<'static, FLASH>,
    pub random: Peri<'static, TRNG>,
    pub usb: Peri<'static, USB>,
    pub watchdog: Peri<'static, WATCHDOG>,
}

/// The peripherals of microphone and loudspeaker. Each bit clock and its word select are neighbours.
pub struct Sound {
    pub pio: Peri<'static, PIO1>,
    pub microphone_dma: Peri<'static, DMA_CH1>,
    pub microphone_bit_clock: Peri<'static, PIN_18>,
    pub microphone_word_select: Peri<'static, PIN_19>,
    pub microphone_data: Peri<'static, PIN_20>,
    pub loudspeaker_dma: Peri<'static, DMA_CH2>,
    pub loudspeaker_bit_clock: Peri<'static, PIN_10>,
    pub loudspeaker_word_select: Peri<'static, PIN_11>,
    pub loudspeaker_data: Peri<'static, PIN_12>,
}

/// The wires between the two chips on the board.
pub struct Radio {
    pub pio: Peri<'static, PIO0>,
    pub dma: Peri<'static, DMA_CH0>,
    pub power: Peri<'static, PIN_23>,
    pub data: Peri<'static, PIN_24>,
    pub select: Peri<'static, PIN_25>,
    pub clock: Peri<'static, PIN_29>,
}

impl Board {
    pub fn new(chip: Peripherals) -> Self {
        Self {
            sound: Sound {
                pio: chip.PIO1,
                microphone_dma: chip.DMA_CH1,
                microphone_bit_clock: chip.PIN_18,
                microphone_word_select: chip.PIN_19,
                microphone_data: chip.PIN_20,
                loudspeaker_dma: chip.DMA_CH2,
                loudspeaker_bit_clock: chip.PIN_10,
                loudspeaker_word_select: chip.PIN_11,
                loudspeaker_data: chip.PIN_12,
            },
            radio: Radio {
                pio: chip.PIO0,
                dma: chip.DMA_CH0,
                power: chip.PIN_23,
                data: chip.PIN_24,
                select: chip.PIN_25,
                clock: chip.PIN_29,
            },
            button: Input::new(chip.PIN_15, Pull::Up),
            lamp: Output::new(chip.PIN_14, Level::Low),
            flash: chip.FLASH,
            random: chip.TRNG,
            usb: chip.USB,
            watchdog: chip.WATCHDOG,
        }
    }
}
