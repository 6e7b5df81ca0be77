//! The room: joins it, stays in it, and talks.

use embassy_executor::{SpawnError, Spawner};
use embassy_net::Stack;
use embassy_time::{Duration, Timer};
use log::{error, info, warn};
use parlour_embassy::core::audio::codec::SampleRate;
use parlour_embassy::core::client::Event;
use parlour_embassy::core::room::{IdError, StreamKey};
use parlour_embassy::core::ticket::TicketError;
use parlour_embassy::{
    AudioCodec, Config, Duplex, JoinError, NoEchoCanceller, PublishError, PushToTalk, Resources,
    Room, Runner, SetupError,
};
use static_cell::StaticCell;
use thiserror::Error;

use crate::network::Random;
use crate::settings::Keeper;
use crate::sound::{Loudspeaker, Microphone};

type Telephone = Duplex<'static, Microphone, Loudspeaker, NoEchoCanceller, &'static PushToTalk>;

pub static BUTTON: PushToTalk = PushToTalk::new();
static RESOURCES: StaticCell<Resources> = StaticCell::new();

/// Why there is no room.
#[derive(Debug, Error)]
pub enum TalkError {
    #[error(transparent)]
    Ticket(#[from] TicketError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Name(#[from] IdError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Task(#[from] SpawnError),
}

/// The progress of the device.
pub struct Place {
    stack: Stack<'static>,
    room: Room<'static>,
}

impl Place {
    pub fn has_network(&self) -> bool {
        self.stack.is_config_up()
    }

    pub fn is_joined(&self) -> bool {
        self.room.is_joined()
    }
}

/// Starts the tasks that join, talk and listen.
pub fn start(
    spawner: Spawner,
    stack: Stack<'static>,
    mut random: Random,
    keeper: Keeper,
    microphone: Microphone,
    loudspeaker: Loudspeaker,
) -> Result<Place, TalkError> {
    let ticket = keeper.ticket()?;
    let resources = RESOURCES.init_with(Resources::new);
    let config = Config::default();
    let (room, runner) = parlour_embassy::new(stack, ticket, config, resources, &mut random)?;
    let key = StreamKey::new("mic")?;
    let telephone = Duplex {
        microphone,
        loudspeaker,
        echo_canceller: NoEchoCanceller,
        gate: &BUTTON,
        writer: room.publish_audio(key, AudioCodec::Pcmu, SampleRate::Hz16000)?,
        reader: room.mixed_audio(),
    };
    spawner.spawn(carry_datagrams(runner)?);
    spawner.spawn(talk_and_listen(telephone)?);
    spawner.spawn(stay_in(room, keeper)?);
    Ok(Place { stack, room })
}

#[embassy_executor::task]
async fn carry_datagrams(mut runner: Runner<'static>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn talk_and_listen(mut telephone: Telephone) {
    let why = telephone.run().await;
    error!("no more sound: {why:?}");
}

/// Joins, retries until it succeeds, and joins again after the end. A lost connection is not an end: the runner
/// restores it.
#[embassy_executor::task]
async fn stay_in(room: Room<'static>, mut keeper: Keeper) -> ! {
    loop {
        match room.join().await {
            Ok(()) => tell_until_closed(room, &mut keeper).await,
            Err(error) => {
                warn!("not in the room: {error}");
                if matches!(error, JoinError::NoAnswer | JoinError::UnknownHost)
                    && let Some(obstacle) = room.find_obstacle().await
                {
                    warn!("{obstacle}");
                }
            }
        }
        if keeper.has_newer_ticket() {
            // Only once: the next start begins with the newer ticket.
            info!("restarting with the newer ticket");
            esp_hal::system::software_reset();
        }
        Timer::after(Duration::from_secs(10)).await;
    }
}

async fn tell_until_closed(room: Room<'static>, keeper: &mut Keeper) {
    let Some(mut events) = room.events() else {
        return error!("another task reads the events");
    };
    loop {
        let event = events.next().await;
        keeper.hear(room, &mut events, &event).await;
        match event {
            Event::Joined { resumed: false } => info!("in the room"),
            Event::Joined { resumed: true } => info!("in the room again"),
            Event::Reconnecting(cause) => warn!("connection lost: {cause:?}"),
            Event::ParticipantJoined { participant, .. } => info!("{participant:?} came"),
            Event::ParticipantLeft { participant, .. } => info!("{participant:?} left"),
            Event::SpeakingStarted { participant } => info!("{participant:?} speaks"),
            Event::PublishRefused { refusal, .. } => warn!("may not talk: {refusal}"),
            Event::Closed(cause) => return warn!("out of the room: {cause}"),
            _ => {}
        }
    }
}
