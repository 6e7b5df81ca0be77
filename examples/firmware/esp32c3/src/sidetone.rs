//! A replacement for the room: the loudspeaker plays the microphone while the button is held, to test the wires.

use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{SpawnError, Spawner};
use embassy_net::Stack;
use log::error;

use crate::network::Random;
use crate::settings::Keeper;
use crate::sound::{FRAME, Loudspeaker, Microphone, SoundError};

/// Why there is no audio.
pub type TalkError = SpawnError;

pub static BUTTON: Button = Button(AtomicBool::new(false));

/// The state of the button.
pub struct Button(AtomicBool);

impl Button {
    pub fn set_pressed(&self, pressed: bool) {
        self.0.store(pressed, Ordering::Relaxed);
    }
}

/// The progress of the device.
pub struct Place(Stack<'static>);

impl Place {
    pub fn has_network(&self) -> bool {
        self.0.is_config_up()
    }

    pub fn is_joined(&self) -> bool {
        true
    }
}

/// Starts the audio task.
pub fn start(
    spawner: Spawner,
    stack: Stack<'static>,
    _random: Random,
    _keeper: Keeper,
    microphone: Microphone,
    loudspeaker: Loudspeaker,
) -> Result<Place, TalkError> {
    spawner.spawn(hear_oneself(microphone, loudspeaker)?);
    Ok(Place(stack))
}

#[embassy_executor::task]
async fn hear_oneself(mut microphone: Microphone, mut loudspeaker: Loudspeaker) {
    let Err(why) = carry(&mut microphone, &mut loudspeaker).await;
    error!("no more sound: {why}");
}

async fn carry(
    microphone: &mut Microphone,
    loudspeaker: &mut Loudspeaker,
) -> Result<Infallible, SoundError> {
    let mut frame = [0; FRAME];
    loop {
        loudspeaker.write(&frame).await?;
        microphone.read(&mut frame).await?;
        if !BUTTON.0.load(Ordering::Relaxed) {
            frame.fill(0);
        }
    }
}
