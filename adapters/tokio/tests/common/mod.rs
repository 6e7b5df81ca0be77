//! Code that the tests over real sockets share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses a part of it"
)]

pub mod relay;

use std::net::SocketAddr;
use std::time::Duration;

use parlour_tokio::core::audio::codec::SampleRate;
use parlour_tokio::core::room::{Grants, ParticipantId};
use parlour_tokio::core::server;
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::token::{ApiKey, Claims, mint_token};
use parlour_tokio::{
    AudioOptions, AudioWriter, Event, Events, JoinOptions, MixedReader, Room, RoomEvent, Server,
    ServerConfig, ServerEvents,
};

pub const RATE: SampleRate = SampleRate::Hz48000;
/// Samples in 20 ms.
pub const FRAME: usize = 960;

pub fn api_key() -> ApiKey {
    ApiKey::new("app", "0123456789abcdef0123456789abcdef").unwrap()
}

pub fn config() -> ServerConfig {
    ServerConfig {
        workers: 1,
        ..ServerConfig::new("127.0.0.1:0".parse().unwrap(), api_key())
    }
}

pub fn serve() -> Server {
    Server::bind(config()).unwrap()
}

pub fn claims(room: &str, who: &str) -> Claims {
    Claims::new(room, who, Duration::from_secs(600)).unwrap()
}

pub fn ticket(server: &Server, room: &str, who: &str) -> String {
    server.ticket(&claims(room, who)).unwrap()
}

/// A ticket like the server's, that leads elsewhere.
pub fn ticket_via(server: &Server, who: &str, via: SocketAddr) -> String {
    let token = mint_token(&claims("room", who), &api_key()).unwrap();
    let host = via.ip().to_string();
    let ticket = Ticket {
        host: &host,
        port: via.port(),
        server_key: server.public_key(),
        token: &token,
    };
    ticket.to_string()
}

pub fn moderator(server: &Server, room: &str, who: &str) -> String {
    let claims = Claims {
        grants: Grants::all(),
        ..claims(room, who)
    };
    server.ticket(&claims).unwrap()
}

pub fn id(who: &str) -> ParticipantId {
    ParticipantId::new(who).unwrap()
}

pub async fn join(server: &Server, room: &str, who: &str) -> Room {
    within(Room::join(&ticket(server, room, who)))
        .await
        .unwrap()
}

/// `anna` and `ben`, who see each other. (A join takes effect a moment after it has succeeded.)
pub async fn meet(server: &Server) -> (Room, Room) {
    let mut happened = server.events();
    let rooms = (
        join(server, "room", "anna").await,
        join(server, "room", "ben").await,
    );
    for _ in 0..2 {
        let joined = |event: &server::Event| {
            matches!(event, server::Event::ParticipantJoined { .. }).then_some(())
        };
        happens(&mut happened, joined).await;
    }
    rooms
}

/// The first of what happens on the server that `wanted` likes.
pub async fn happens<T>(
    events: &mut ServerEvents,
    mut wanted: impl FnMut(&server::Event) -> Option<T>,
) -> T {
    within(async {
        loop {
            let told = events.next().await.expect("the server is gone");
            if let Some(found) = wanted(&told.expect("too slow").event) {
                return found;
            }
        }
    })
    .await
}

pub async fn join_by(server: &Server, who: &str, options: JoinOptions) -> Room {
    let ticket = ticket(server, "room", who);
    within(Room::join_with(&ticket, options)).await.unwrap()
}

/// Fails the test rather than to wait forever.
pub async fn within<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, future)
        .await
        .expect("it takes far too long")
}

/// The first event that `wanted` likes.
pub async fn until<T>(events: &mut Events, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    within(async {
        loop {
            let event = events.next().await.expect("the room is closed");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    })
    .await
}

pub async fn until_room(events: &mut Events, event: RoomEvent) {
    until(events, |seen| {
        (seen == Event::Room(event.clone())).then_some(())
    })
    .await;
}

/// Waits until `who` is told as being in the room.
pub async fn until_joined(events: &mut Events, who: &str) {
    until(events, |event| match event {
        Event::Room(RoomEvent::ParticipantJoined { participant, .. }) => {
            (participant == id(who)).then_some(())
        }
        _ => None,
    })
    .await;
}

/// Waits until `fact` holds in the room.
pub async fn until_state(
    room: &Room,
    events: &mut Events,
    fact: impl Fn(&parlour_tokio::RoomState) -> bool,
) {
    within(async {
        while !room.with_state(&fact) {
            events.next().await.expect("the room is closed");
        }
    })
    .await;
}

/// A tone, from one call to the next without a break.
pub struct Tone {
    hz: f64,
    samples: u64,
}

impl Tone {
    pub fn new(hz: f64) -> Self {
        Self { hz, samples: 0 }
    }

    /// The next 20 ms.
    pub fn frame(&mut self) -> Vec<i16> {
        (0..FRAME)
            .map(|_| {
                let phase = self.samples as f64 * self.hz / f64::from(RATE.hz());
                self.samples += 1;
                ((phase * std::f64::consts::TAU).sin() * 10_000.0) as i16
            })
            .collect()
    }
}

/// How much of a tone of `hz` is in `pcm`: its amplitude.
pub fn amplitude(pcm: &[i16], hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let phase = n as f64 * hz / f64::from(RATE.hz()) * std::f64::consts::TAU;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    2.0 * (re * re + im * im).sqrt() / pcm.len() as f64
}

/// Lets `writers` sing, each its tone, until `reader` hears all of these tones in the same 100 ms.
pub async fn sing_until_heard(
    writers: &mut [(&mut AudioWriter, &mut Tone)],
    reader: &mut MixedReader,
    tones: &[f64],
) {
    let mut last = Vec::new();
    within(async {
        loop {
            for (writer, tone) in &mut *writers {
                writer.write(&tone.frame()).unwrap();
            }
            let mut pcm = [0; FRAME];
            reader.next_frame(&mut pcm).await;
            last.extend_from_slice(&pcm);
            let excess = last.len().saturating_sub(5 * FRAME);
            last.drain(..excess);
            let heard = |hz: &f64| amplitude(&last, *hz) > 3_000.0;
            if last.len() == 5 * FRAME && tones.iter().all(heard) {
                return;
            }
        }
    })
    .await;
}

/// Lets `talker` sing until `listener` hears it.
pub async fn hears(listener: &Room, talker: &Room) {
    let mut mic = within(talker.publish_audio("mic", AudioOptions::opus(RATE)))
        .await
        .unwrap();
    let mut heard = listener.mixed_audio(RATE).unwrap();
    let singing = &mut [(&mut mic, &mut Tone::new(440.0))];
    sing_until_heard(singing, &mut heard, &[440.0]).await;
}
