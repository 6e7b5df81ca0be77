//! A talking device on ESP32-C3, C6 or P4: joins the room of its ticket, and talks while the button is held. README.md
//! lists the parts and wires and the first test.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod board;
mod hands;
mod network;
mod settings;
mod sound;
#[cfg_attr(not(feature = "parlour"), path = "sidetone.rs")]
mod talk;

use core::future::pending;

use embassy_executor::{SpawnError, Spawner};
use esp_backtrace as _;
use esp_hal::clock::CpuClock;
use esp_hal::timer::timg::TimerGroup;
use log::{error, info};
use thiserror::Error;

use board::Board;
use hands::Hands;
use settings::Keeper;

esp_bootloader_esp_idf::esp_app_desc!();

/// Why the device does not start.
#[derive(Debug, Error)]
enum StartError {
    #[error("no settings: {0}")]
    Settings(#[from] settings::Error),
    #[error("no network: {0}")]
    Network(#[from] network::Error),
    #[error("no sound: {0}")]
    Sound(#[from] sound::SoundError),
    #[error("no room: {0}")]
    Talk(talk::TalkError),
    #[error(transparent)]
    Task(#[from] SpawnError),
}

#[esp_hal::main]
async fn main(spawner: Spawner) -> ! {
    esp_println::logger::init_logger_from_env();
    let config = esp_hal::Config::default().with_cpu_clock(CpuClock::max());
    let board = Board::new(esp_hal::init(config));
    match start(spawner, board).await {
        Ok(()) => info!("started: hold the button to talk"),
        Err(error) => error!("{error}"),
    }
    pending().await
}

async fn start(spawner: Spawner, board: Board) -> Result<(), StartError> {
    esp_rtos::start(TimerGroup::new(board.timer).timer0, board.interrupt);
    let mut hands = Hands::new(board.button, board.lamp);
    let keeper = Keeper::find(board.memory, &mut hands).await?;
    let (stack, random) = network::start(spawner, board.network, keeper.wifi())?;
    let (microphone, loudspeaker) = sound::start(board.sound)?;
    let place = talk::start(spawner, stack, random, keeper, microphone, loudspeaker);
    let place = place.map_err(StartError::Talk)?;
    spawner.spawn(hands::watch(hands, place)?);
    Ok(())
}
