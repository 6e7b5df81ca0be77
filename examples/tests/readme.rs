//! Compiles the code in README.md and docs/ARCHITECTURE.md: it is the code of this file.
#![allow(dead_code, reason = "it is only compiled")]
#![allow(clippy::unused_unit, reason = "stands for an application")]

mod shown;

use std::error::Error;

const README: &str = include_str!("../../README.md");
const ARCHITECTURE: &str = include_str!("../../docs/ARCHITECTURE.md");
const SOURCE: &str = include_str!("readme.rs");

/// The application's own parts.
struct App;

impl App {
    fn play(&mut self, _pcm: &[i16]) {}
    fn take(&mut self) -> Vec<i16> {
        Vec::new()
    }
}

#[rustfmt::skip]
async fn with_tokio(mut speaker: App, mut microphone: App) -> Result<(), Box<dyn Error>> {
    // <<< api:tokio
    use parlour_tokio::{AudioOptions, Event, Room, RoomEvent, SampleRate};

    let ticket = std::env::var("PARLOUR_TICKET")?; // server address, server key and token in one string
    let room = Room::join(&ticket).await?;
    // For voices; use `AudioOptions::opus` for music and test tones. Write pieces of any length, in real time.
    let mut mic = room.publish_audio("mic", AudioOptions::opus_voice(SampleRate::Hz48000)).await?;
    let mut heard = room.mixed_audio(SampleRate::Hz48000)?; // everybody else, decoded and mixed
    let mut events = room.events();
    let mut pcm = [0; 960]; // 20 ms
    loop {
        tokio::select! {
            () = heard.next_frame(&mut pcm) => {
                speaker.play(&pcm);
                mic.write(&microphone.take())?;
            }
            event = events.next() => match event {
                Some(Event::Room(RoomEvent::SpeakerChanged(who))) => println!("{who:?} speaks"),
                Some(_) => {}
                None => break,
            },
        }
    }
    // >>>
    Ok(())
}

mod bare {
    use parlour_core::client::{Event, Incoming};
    use parlour_core::rtp::AudioLevel;
    use parlour_core::time::Instant;

    pub(super) struct Socket;
    impl Socket {
        pub(super) fn send(&mut self, _datagram: &[u8]) {}
        pub(super) fn wait(
            &mut self,
            _buffer: &mut [u8],
            _until: Option<Instant>,
        ) -> Option<usize> {
            None
        }
    }
    pub(super) struct Clock;
    impl Clock {
        pub(super) fn now(&self) -> Instant {
            Instant::from_micros(0)
        }
    }
    pub(super) struct Frame {
        pub(super) timestamp: u32,
        pub(super) level: AudioLevel,
        pub(super) payload: Vec<u8>,
    }
    pub(super) struct App;
    impl App {
        pub(super) fn on(&mut self, _event: Event) {}
        pub(super) fn hear(&mut self, _incoming: Incoming<'_>) {}
        pub(super) fn encoded_frame(&mut self) -> Option<Frame> {
            None
        }
    }
}

#[rustfmt::skip]
fn bare_core(
    text: &str, mut socket: bare::Socket, clock: bare::Clock, mut app: bare::App, mut rng: rand_core::OsRng,
) -> Result<(), Box<dyn Error>> {
    // <<< api:core
    use parlour_core::client::{Client, Commands, Config, Small};
    use parlour_core::room::{Codec, StreamKey, StreamKind};
    use parlour_core::{signal::Publish, ticket::Ticket};

    let ticket = Ticket::parse(text)?;
    // No allocation: `Small` fixes the amount of memory.
    let mut client = Client::<Small>::new(&ticket, &Config::default(), clock.now(), &mut rng)?;
    let mic = StreamKey::new("mic")?;
    // Publishing before the join puts it into the first packet: audio after one round trip.
    client.publish(Publish { key: mic.clone(), kind: StreamKind::Audio, codec: Codec::Opus, muted: false })?;
    let mut buffer = [0; 1200];
    while client.closed().is_none() {
        while let Some(len) = client.poll_transmit(clock.now(), &mut buffer)? {
            socket.send(&buffer[..len]);
        }
        while let Some(event) = client.poll_event() {
            app.on(event); // the current state is in `client.state()`
        }
        match socket.wait(&mut buffer, client.poll_timeout()) {
            // Decrypts in place and lends the media out of the datagram. An error: dropped and counted.
            Some(len) => drop(client.handle_datagram(clock.now(), &mut buffer[..len], &mut |sound| app.hear(sound))),
            None => client.handle_timeout(clock.now()),
        }
        if let Some(frame) = app.encoded_frame() {
            client.send_audio(clock.now(), &mic, frame.timestamp, frame.level, &frame.payload)?;
        }
    }
    // >>>
    Ok(())
}

#[test]
fn the_code_with_tokio_compiles() {
    shown::assert_shown(README, SOURCE, "api:tokio");
}

#[test]
fn the_code_of_the_bare_core_compiles() {
    shown::assert_shown(ARCHITECTURE, SOURCE, "api:core");
}
