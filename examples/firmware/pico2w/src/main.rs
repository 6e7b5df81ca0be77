//! A talking device on a Raspberry Pi Pico 2 W: joins the room of its ticket, and talks while the button is held.
//! README.md lists the parts and wires and the first test.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod board;
mod hands;
mod network;
mod serial;
mod settings;
mod sound;
mod talk;

use embassy_executor::{SpawnError, Spawner};
use embassy_rp::Peri;
use embassy_rp::peripherals::TRNG;
use embassy_rp::trng::{self, Trng};
use log::{error, info};
use panic_persist as _;
use parlour_embassy::core::rand_core::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use thiserror::Error;

use board::{Board, Interrupts};
use hands::Hands;
use settings::Keeper;

/// Why the device does not start.
#[derive(Debug, Error)]
enum StartError {
    #[error("no settings: {0}")]
    Settings(#[from] settings::Error),
    #[error("no room: {0}")]
    Talk(#[from] talk::TalkError),
    #[error(transparent)]
    Task(#[from] SpawnError),
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let board = Board::new(embassy_rp::init(Default::default()));
    match start(spawner, board).await {
        Ok(()) => info!("started: hold the button to talk"),
        Err(error) => error!("{error}"),
    }
}

async fn start(spawner: Spawner, board: Board) -> Result<(), StartError> {
    serial::start(spawner, board.usb)?;
    if let Some(message) = panic_persist::get_panic_message_utf8() {
        error!("before this start: {message}");
    }
    let mut hands = Hands::new(board.button, board.lamp, board.watchdog);
    let keeper = Keeper::find(board.flash, &mut hands).await?;
    let mut random = random(board.random).await;
    let wifi = keeper.settings().wifi();
    let stack = network::start(spawner, board.radio, wifi, random.next_u64()).await?;
    let (microphone, loudspeaker) = sound::start(board.sound)?;
    let place = talk::start(spawner, stack, &mut random, keeper, microphone, loudspeaker)?;
    spawner.spawn(hands::watch(hands, place)?);
    Ok(())
}

/// A generator with a seed of true random numbers: the chip's own, with all checks of its entropy on. Waiting for them
/// repeats a block that fails a check, where the blocking way would panic.
async fn random(random: Peri<'static, TRNG>) -> ChaCha20Rng {
    let mut seed = [0; 32];
    let mut random = Trng::new(random, Interrupts, trng::Config::default());
    random.fill_bytes(&mut seed).await;
    ChaCha20Rng::from_seed(seed)
}
