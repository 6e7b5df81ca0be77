//! A conversation partner for testing a device: a room server, and in its room a participant that repeats what it
//! hears.
//! `cargo run --release --example parrot -- --help` lists the options.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use parlour_examples::parrot::Parrot;
use parlour_tokio::core::audio::codec::SampleRate;
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{AudioOptions, Event, Room, RoomEvent, Server, ServerConfig};

const ROOM: &str = "aviary";
const RATE: SampleRate = SampleRate::Hz16000;

/// Opens a room on this machine, prints a ticket to it for a device, and repeats what the device says.
#[derive(Debug, Parser)]
#[command(name = "parrot", version)]
struct Options {
    /// This machine's address, as the device reaches it, for example 192.168.0.2.
    host: String,
    /// Signs the ticket: at least 32 bytes. While it stays the same, tickets outlive a restart.
    #[arg(long, env = "PARLOUR_SECRET", hide_env_values = true)]
    secret: String,
    /// The server's port, UDP; with 0, any that is free.
    #[arg(long, default_value_t = 7900)]
    port: u16,
    /// Validity of the device's ticket.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// File of the server's key.
    #[arg(long, value_name = "FILE", default_value = "target/parrot.key")]
    key_file: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let config = ServerConfig {
        host: Some(options.host),
        key_file: Some(options.key_file),
        workers: 1,
        ..ServerConfig::new(
            ([0, 0, 0, 0], options.port).into(),
            ApiKey::new("parrot", &options.secret)?,
        )
    };
    let server = Server::bind(config)?;
    let day = Duration::from_secs(24 * 3600);
    let device = Claims::new(ROOM, "device", day * options.days)?;
    println!("ticket = \"{}\"", server.ticket(&device)?);

    let parrot = Claims::new(ROOM, "parrot", day * 3_650)?;
    let room = Room::join(&by_loopback(&server.ticket(&parrot)?)?).await?;
    println!("the parrot is in its room");
    // Every device understands PCMU.
    let mut beak = room.publish_audio("beak", AudioOptions::pcmu(RATE)).await?;
    let mut heard = room.mixed_audio(RATE)?;
    let mut events = room.events();
    let mut parrot = Parrot::default();
    let mut pcm = [0; 320]; // 20 ms
    loop {
        tokio::select! {
            () = heard.next_frame(&mut pcm) => {
                if let Some(said) = parrot.step(&pcm) {
                    beak.write(&said)?;
                }
            }
            event = events.next() => match event {
                Some(Event::Room(RoomEvent::ParticipantJoined { participant: who, .. })) => println!("{who:?} came"),
                Some(Event::Room(RoomEvent::ParticipantLeft { participant, .. })) => println!("{participant:?} left"),
                Some(Event::Room(RoomEvent::SpeakerChanged(Some(who)))) => println!("{who:?} speaks"),
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

/// The ticket for this machine itself, which may not reach the address that the device reaches it by: that may be the outer
/// side of a NAT, of a container, or of QEMU.
fn by_loopback(ticket: &str) -> anyhow::Result<String> {
    let ticket = Ticket {
        host: "127.0.0.1",
        ..Ticket::parse(ticket)?
    };
    Ok(ticket.to_string())
}
