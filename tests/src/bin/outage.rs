//! How soon participants notice that a server is gone, and hear each other again: a real server in a process of its own, many
//! participants in this one, UDP on loopback.
//!
//! ```text
//! killed     SIGKILL, and the server starts again after a while      kill ─► Reconnecting, start ─► joined, heard
//! dead       SIGSTOP: the host is silent, its sockets stay           stop ─► Reconnecting
//! moved      SIGSTOP, and another address of the ticket's name       stop ─► joined there, heard
//! ```
//!
//! `tests/tests/scenarios/liveness.rs` holds the same in virtual time; this shows what processes and sockets add.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use nix::sys::signal::Signal;
use parlour_tests::process::{Failure, Process, Role, load_average, ticket};
use parlour_tokio::{
    AudioCodec, AudioOptions, AudioWriter, Event, JoinOptions, Room, RoomEvent, SampleRate,
    TransportChoice,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// Takes a server away from its participants and tells how long each of them is without it.
#[derive(Debug, Parser)]
#[command(name = "outage", version)]
struct Options {
    /// What happens to the server.
    #[arg(long, value_enum, default_value_t = What::Killed)]
    what: What,
    /// Participants, three in a room.
    #[arg(long, value_name = "N", default_value_t = 300)]
    clients: usize,
    /// Nobody talks. Else one in each room does.
    #[arg(long)]
    idle: bool,
    /// How long a killed server is away, in seconds.
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    down: f64,
    /// How long to talk before, in seconds.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    before: f64,
    /// How long to wait for everybody, in seconds.
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    patience: f64,
    /// A name with the addresses 127.0.0.1 and 127.0.0.2, for `moved`.
    #[arg(long, value_name = "NAME", default_value = "rooms.test")]
    name: String,
    #[command(flatten)]
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The process is killed, and starts again.
    Killed,
    /// It is silent for ever.
    Dead,
    /// It is silent, and another address of its name answers.
    Moved,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if options.role.serve()? {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(&options))
}

/// What one participant has seen since the server went.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    reconnecting: Option<Instant>,
    joined: Option<Instant>,
    heard: Option<Instant>,
}

/// A participant, watched in the background.
struct Participant {
    room: Room,
    seen: Arc<Mutex<Seen>>,
    /// Frames that it has heard.
    frames: Arc<AtomicU64>,
    talks: bool,
}

impl Participant {
    async fn join(ticket: &str, talks: bool) -> Result<Self, Failure> {
        let options = JoinOptions {
            transport: TransportChoice::Udp,
            ..JoinOptions::default()
        };
        let room = Room::join_with(ticket, options).await?;
        let participant = Self {
            seen: Arc::default(),
            frames: Arc::default(),
            talks,
            room,
        };
        participant.watch();
        if talks {
            let options = AudioOptions {
                codec: AudioCodec::Pcmu,
                sample_rate: SampleRate::Hz8000,
                muted: false,
            };
            let writer = participant.room.publish_audio("mic", options).await?;
            tokio::spawn(talk(writer));
        }
        Ok(participant)
    }

    fn watch(&self) {
        let (seen, mut events) = (Arc::clone(&self.seen), self.room.events());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Event::Room(RoomEvent::Reconnecting(_)) => {
                        seen.reconnecting.get_or_insert(Instant::now());
                    }
                    Event::Room(RoomEvent::Joined { .. }) if seen.reconnecting.is_some() => {
                        seen.joined.get_or_insert(Instant::now());
                    }
                    _ => {}
                }
            }
        });
        let (seen, mut frames) = (Arc::clone(&self.seen), self.room.frames());
        let count = Arc::clone(&self.frames);
        tokio::spawn(async move {
            while let Some(frame) = frames.next().await {
                count.fetch_add(1, Ordering::Relaxed);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.reconnecting.is_some_and(|at| frame.arrived > at) {
                    seen.heard.get_or_insert(frame.arrived);
                }
            }
        });
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says something loud, 20 ms at a time, for as long as the room is open.
async fn talk(mut writer: AudioWriter) {
    let frame: Vec<i16> = (0..160)
        .map(|n| if n % 16 < 8 { 8_000 } else { -8_000 })
        .collect();
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        if writer.write(&frame).is_err() {
            return;
        }
    }
}

async fn run(options: &Options) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let key_file = folder.path().join("key");
    let loopback = |last| SocketAddr::new(IpAddr::from([127, 0, 0, last]), 0);
    let server = Process::start(loopback(1), &key_file)?;
    let port = server.port()?;
    let address = SocketAddr::new(loopback(1).ip(), port);
    let ticket_base = match options.what {
        What::Moved => server.ticket_base.replacen("127.0.0.1", &options.name, 1),
        What::Killed | What::Dead => server.ticket_base.clone(),
    };
    let participants = join_all(options, &ticket_base).await?;
    sleep(Duration::from_secs_f64(options.before)).await;
    let deaf = participants.iter().filter(|participant| {
        !options.idle && !participant.talks && participant.frames.load(Ordering::Relaxed) == 0
    });
    println!(
        "{} participants, {} of the listeners heard nothing before; load average {}",
        participants.len(),
        deaf.count(),
        load_average()
    );

    let (_successor, gone, back) = match options.what {
        What::Killed => {
            let gone = Instant::now();
            server.send(Signal::SIGKILL)?;
            sleep(Duration::from_secs_f64(options.down)).await;
            let successor = Process::start(address, &key_file)?;
            (Some(successor), gone, Instant::now())
        }
        What::Dead => {
            let gone = Instant::now();
            server.send(Signal::SIGSTOP)?;
            (None, gone, gone)
        }
        What::Moved => {
            let second = SocketAddr::new(loopback(2).ip(), port);
            let second = Process::start(second, &key_file)?;
            let gone = Instant::now();
            server.send(Signal::SIGSTOP)?;
            (Some(second), gone, gone)
        }
    };
    let everybody = async {
        while !participants
            .iter()
            .all(|participant| is_through(options, participant))
        {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = timeout(Duration::from_secs_f64(options.patience), everybody).await;
    let seen: Vec<_> = participants.iter().map(Participant::seen).collect();
    print_row("gone -> Reconnecting", &seen, gone, |seen| {
        seen.reconnecting
    });
    if options.what != What::Dead {
        print_row("back -> joined", &seen, back, |seen| seen.joined);
        if !options.idle {
            let listeners: Vec<_> = participants
                .iter()
                .filter(|participant| !participant.talks)
                .map(Participant::seen)
                .collect();
            print_row("back -> heard again", &listeners, back, |seen| seen.heard);
        }
    }
    match in_time {
        Ok(()) => Ok(()),
        Err(_) => Err(format!("not everybody within {} s", options.patience).into()),
    }
}

/// Joins everybody, one after the other.
async fn join_all(options: &Options, ticket_base: &str) -> Result<Vec<Participant>, Failure> {
    let mut participants = Vec::new();
    for number in 0..options.clients {
        let (room, name) = (format!("room-{}", number / 3), format!("p{number}"));
        let ticket = ticket(ticket_base, &room, &name)?;
        let talks = !options.idle && number % 3 == 0;
        participants.push(Participant::join(&ticket, talks).await?);
    }
    Ok(participants)
}

fn is_through(options: &Options, participant: &Participant) -> bool {
    let seen = participant.seen();
    let hears = !options.idle && !participant.talks;
    match options.what {
        What::Dead => seen.reconnecting.is_some(),
        What::Killed | What::Moved => seen.joined.is_some() && (!hears || seen.heard.is_some()),
    }
}

/// Prints how the times since `from` are spread, in seconds.
fn print_row(what: &str, seen: &[Seen], from: Instant, when: impl Fn(&Seen) -> Option<Instant>) {
    let mut times: Vec<_> = seen
        .iter()
        .filter_map(|seen| Some(when(seen)?.saturating_duration_since(from).as_secs_f64()))
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = times.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        times.get(index).copied().unwrap_or(f64::NAN)
    };
    println!(
        "{what:<22} {:>4} of {:<4} min {:.2} median {:.2} p90 {:.2} p99 {:.2} max {:.2} s",
        times.len(),
        seen.len(),
        at(0.0),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}
