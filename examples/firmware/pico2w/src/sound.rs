//! An I2S microphone and an I2S amplifier, 16 kHz mono, on the chip's programmable IO.
//!
//! embassy-rp's transfers are one-shot: each runs while it is awaited, and the next has to begin before the eight words
//! of the FIFO are through, a quarter of a millisecond. Neither ciphers nor the network may delay that, so two tasks of
//! an executor in an interrupt do nothing else. Each has two buffers in turn: one is with the DMA, the other is
//! converted. Channels of frames stand between these tasks and the room.

use core::convert::Infallible;
use core::iter;
use core::sync::atomic::{AtomicU32, Ordering};

use embassy_executor::{InterruptExecutor, SendSpawner, SpawnError};
use embassy_rp::dma;
use embassy_rp::interrupt;
use embassy_rp::interrupt::{InterruptExt as _, Priority};
use embassy_rp::peripherals::PIO1;
use embassy_rp::pio::program::pio_asm;
use embassy_rp::pio::{
    Config, Direction, FifoJoin, Pio, ShiftConfig, ShiftDirection, StateMachine,
};
use embassy_rp::pio_programs::clock_divider::calculate_pio_clock_divider;
use embassy_rp::pio_programs::i2s::{PioI2sOut, PioI2sOutProgram};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use parlour_device_parts::slot::{self, SLOT};
use parlour_embassy::core::audio::codec::SampleRate;
use parlour_embassy::{AudioIn, AudioOut};

use crate::board::{Interrupts, Sound};

const RATE: u32 = 16_000;
/// Samples of 20 ms.
const FRAME: usize = 320;
/// Both slots of each sample.
const WORDS: usize = 2 * FRAME;
const SLOT_BITS: u32 = 8 * SLOT as u32;

type Frame = [i16; FRAME];
type Frames = Channel<CriticalSectionRawMutex, Frame, 3>;

static HEARD: Frames = Channel::new();
static SAID: Frames = Channel::new();
static OVERFLOWS: AtomicU32 = AtomicU32::new(0);
static GAPS: AtomicU32 = AtomicU32::new(0);
static EXECUTOR: InterruptExecutor = InterruptExecutor::new();

/// Frames that the room took too late, and frames of silence because the room gave none, since the start.
pub fn lost() -> (u32, u32) {
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    (count(&OVERFLOWS), count(&GAPS))
}

/// Starts both.
pub fn start(parts: Sound) -> Result<(Microphone, Loudspeaker), SpawnError> {
    let Pio {
        mut common,
        mut sm0,
        sm1,
        ..
    } = Pio::new(parts.pio, Interrupts);

    // embassy-rp's own program has slots of 16 bits, but an INMP441 needs 64 clocks a sample.
    let program = pio_asm!(
        ".side_set 2", // word select, bit clock
        "    set x, 30          side 0b01",
        "left:",
        "    in pins, 1         side 0b00",
        "    jmp x-- left       side 0b01",
        "    in pins, 1         side 0b10", // word select changes a clock before the slot
        "    set x, 30          side 0b11",
        "right:",
        "    in pins, 1         side 0b10",
        "    jmp x-- right      side 0b11",
        "    in pins, 1         side 0b00",
    );
    let program = common.load_program(&program.program);
    let data = common.make_pio_pin(parts.microphone_data);
    let bit_clock = common.make_pio_pin(parts.microphone_bit_clock);
    let word_select = common.make_pio_pin(parts.microphone_word_select);
    let mut config = Config::default();
    config.use_program(&program, &[&bit_clock, &word_select]);
    config.set_in_pins(&[&data]);
    // Two instructions a bit, two slots a sample.
    config.clock_divider = calculate_pio_clock_divider(RATE * SLOT_BITS * 2 * 2);
    config.shift_in = ShiftConfig {
        threshold: 32,
        direction: ShiftDirection::Left,
        auto_fill: true,
    };
    config.fifo_join = FifoJoin::RxOnly;
    sm0.set_config(&config);
    sm0.set_pin_dirs(Direction::In, &[&data]);
    sm0.set_pin_dirs(Direction::Out, &[&bit_clock, &word_select]);
    sm0.set_enable(true);

    let program = PioI2sOutProgram::new(&mut common);
    let mut output = PioI2sOut::new(
        &mut common,
        sm1,
        parts.loudspeaker_dma,
        Interrupts,
        parts.loudspeaker_data,
        parts.loudspeaker_bit_clock,
        parts.loudspeaker_word_select,
        RATE,
        SLOT_BITS,
        &program,
    );
    output.start();

    // Above thread mode, below the interrupts of DMA, PIO and USB.
    interrupt::SWI_IRQ_0.set_priority(Priority::P2);
    let spawner: SendSpawner = EXECUTOR.start(interrupt::SWI_IRQ_0);
    let channel = dma::Channel::new(parts.microphone_dma, Interrupts);
    spawner.spawn(listen(sm0, channel)?);
    spawner.spawn(play(output)?);
    Ok((Microphone, Loudspeaker))
}

#[interrupt]
#[allow(unsafe_code, reason = "the attribute asks for an unsafe function")]
unsafe fn SWI_IRQ_0() {
    // SAFETY: it is this executor's interrupt.
    unsafe { EXECUTOR.on_interrupt() }
}

#[embassy_executor::task]
async fn listen(
    mut input: StateMachine<'static, PIO1, 0>,
    mut channel: dma::Channel<'static>,
) -> ! {
    let (mut now, mut before) = ([0u32; WORDS], [0u32; WORDS]);
    loop {
        let running = input.rx().dma_pull(&mut channel, &mut now, false);
        let mut frame = [0; FRAME];
        // The left slot is the microphone's; nobody drives the right one.
        for (place, word) in iter::zip(&mut frame, before.iter().step_by(2)) {
            *place = slot::heard(word.to_le_bytes());
        }
        if HEARD.try_send(frame).is_err() {
            OVERFLOWS.fetch_add(1, Ordering::Relaxed);
        }
        running.await;
        (now, before) = (before, now);
    }
}

#[embassy_executor::task]
async fn play(mut output: PioI2sOut<'static, PIO1, 1>) -> ! {
    let (mut now, mut next) = ([0u32; WORDS], [0u32; WORDS]);
    loop {
        let running = output.write(&now);
        let frame = SAID.try_receive().unwrap_or_else(|_| {
            GAPS.fetch_add(1, Ordering::Relaxed);
            [0; FRAME]
        });
        for (words, sample) in iter::zip(next.chunks_exact_mut(2), frame) {
            words.fill(u32::from_le_bytes(slot::said(sample)));
        }
        running.await;
        (now, next) = (next, now);
    }
}

/// An INMP441, or any other microphone with 24 bits in the left slot.
pub struct Microphone;

impl AudioIn for Microphone {
    type Error = Infallible;

    fn sample_rate(&self) -> SampleRate {
        SampleRate::Hz16000
    }

    async fn read(&mut self, frame: &mut [i16]) -> Result<(), Infallible> {
        for (place, sample) in iter::zip(frame, HEARD.receive().await) {
            *place = sample;
        }
        Ok(())
    }
}

/// A MAX98357A, or any other amplifier or converter that needs no master clock.
pub struct Loudspeaker;

impl AudioOut for Loudspeaker {
    type Error = Infallible;

    fn sample_rate(&self) -> SampleRate {
        SampleRate::Hz16000
    }

    async fn write(&mut self, frame: &[i16]) -> Result<(), Infallible> {
        let mut whole = [0; FRAME];
        for (place, sample) in iter::zip(&mut whole, frame) {
            *place = *sample;
        }
        SAID.send(whole).await;
        Ok(())
    }
}
