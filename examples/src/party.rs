//! A participant on a computer: the tokio adapter's `Room`.

use std::time::Duration;

use anyhow::Context as _;
use parlour_core::audio::codec::SampleRate;
use parlour_tokio::{
    AudioWriter, JoinError, JoinOptions, Message, MixedReader, Room, RoomEvent, TransportChoice,
};
use tokio::task::JoinSet;

use crate::events::{EventLog, Told};
use crate::recording::{Counters, Recording, Scale};
use crate::speech::{Mouth, Speech};

/// The sample rate of computers.
pub const RATE: SampleRate = SampleRate::Hz48000;
const FRAME: usize = RATE.samples(20);

/// A participant, as the script sees it. Dropping it makes it leave.
#[derive(Debug)]
pub struct Party {
    /// Its participation.
    pub room: Room,
    /// Its events and messages.
    pub log: EventLog,
    /// The audio that it sent and heard.
    pub recording: Recording,
    /// The times when it speaks: it sends nothing otherwise.
    pub mouth: Mouth,
    tasks: JoinSet<()>,
}

impl Party {
    /// Joins.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn join(ticket: &str, options: JoinOptions, scale: Scale) -> Result<Self, JoinError> {
        // The network of these examples carries only UDP.
        let options = JoinOptions {
            transport: TransportChoice::Udp,
            ..options
        };
        let room = Room::join_with(ticket, options).await?;
        let log = EventLog::new(scale);
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (mut events, log) = (room.events(), log.clone());
            async move {
                while let Some(event) = events.next().await {
                    log.note(event);
                }
            }
        });
        tasks.spawn({
            let (mut messages, log) = (room.messages(), log.clone());
            async move {
                while let Some(message) = messages.next().await {
                    log.note_message(message);
                }
            }
        });
        Ok(Self {
            room,
            log,
            recording: Recording::new(RATE),
            mouth: Mouth::default(),
            tasks,
        })
    }

    /// Switches loudspeaker and microphone on.
    ///
    /// # Errors
    /// The audio of the room cannot be opened.
    pub fn start(
        &mut self,
        microphone: Option<(AudioWriter, Speech)>,
        scale: Scale,
    ) -> anyhow::Result<()> {
        let sound = Sound {
            room: self.room.clone(),
            loudspeaker: self.room.mixed_audio(RATE)?,
            microphone,
            mouth: self.mouth.clone(),
            recording: self.recording.clone(),
        };
        self.tasks.spawn(sound.run(scale));
        Ok(())
    }

    /// The recent round-trip time to the server.
    pub fn round_trip(&self) -> Option<Duration> {
        self.room.statistics().rtt
    }

    /// Waits until this event happens in the room.
    ///
    /// # Errors
    /// It does not happen in time.
    pub async fn expect(&self, since: Duration, event: &RoomEvent) -> anyhow::Result<Duration> {
        let seen = self
            .log
            .wait_for(since, Duration::from_secs(10), event)
            .await;
        let who = self.room.me();
        let who = who.as_ref().map_or("somebody", |who| who.as_str());
        seen.with_context(|| format!("{who} was never told of {event:?}"))
    }

    /// Waits for a message on `topic`, and returns its text.
    pub async fn message(&self, topic: &str, patience: Duration) -> Option<(Duration, String)> {
        message(&self.log, topic, patience).await
    }
}

/// Waits for a message on `topic` in a log, and returns its time and text.
pub async fn message(
    log: &EventLog,
    topic: &str,
    patience: Duration,
) -> Option<(Duration, String)> {
    log.wait(Duration::ZERO, patience, |told| match told {
        Told::Message(Message::Received {
            topic: about, body, ..
        }) if about.as_str() == topic => Some(String::from_utf8_lossy(body).into_owned()),
        _ => None,
    })
    .await
}

/// Loudspeaker and microphone, 20 ms by 20 ms.
struct Sound {
    room: Room,
    loudspeaker: MixedReader,
    microphone: Option<(AudioWriter, Speech)>,
    mouth: Mouth,
    recording: Recording,
}

impl Sound {
    async fn run(mut self, scale: Scale) {
        let first = scale.tick() + 1;
        let mut ticks = scale.ticks_from(first);
        for tick in first.. {
            ticks.tick().await;
            let (mut said, mut heard) = ([0; FRAME], [0; FRAME]);
            if let Some((writer, speech)) = &mut self.microphone
                && self.mouth.speaks_at(tick)
            {
                speech.next(&mut said);
                // A removed participant continues to talk without effect.
                let _ = writer.write(&said);
            }
            self.loudspeaker.read(&mut heard);
            let jitter = self.loudspeaker.statistics();
            let counters = Counters {
                sent: self.room.statistics().media_sent,
                received: jitter.received + jitter.late,
                concealed: jitter.concealed,
            };
            self.recording.note(tick, &said, &heard, counters);
        }
    }
}
