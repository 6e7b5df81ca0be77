//! What an attack on a server costs it and its other participants: a real server in a process of its own, UDP on loopback.
//!
//! ```text
//! hellos     so many invalid Hellos a second, from 64 sockets        joins of others, without and with it
//! audio      one participant with so many packets of 1,000 bytes     CPU of the server, and what others hear
//! ```
//!
//! `tests/tests/security` holds the limits in virtual time; this shows what they cost.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::{Parser, Subcommand};
use parlour_core::client::{Client, Commands as _, Config, Small};
use parlour_core::room::{Codec, StreamKey, StreamKind};
use parlour_core::rtp::AudioLevel;
use parlour_core::signal::{Publish, SubscribePolicy};
use parlour_core::ticket::Ticket;
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;
use parlour_tests::process::{Failure, Process, Role, load_average, ticket};
use parlour_tokio::{AudioCodec, AudioOptions, JoinOptions, Room, SampleRate, TransportChoice};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use tokio::time::{MissedTickBehavior, interval};

/// Sockets that Hellos come from.
const SOCKETS: usize = 64;
/// The first bytes of a Hello stay as they are: its type, the version, its connection's id.
const HEAD: usize = 16;

/// Attacks a server and tells what became of its other participants.
#[derive(Debug, Parser)]
#[command(name = "attack", version)]
struct Options {
    #[command(subcommand)]
    attack: Option<Attack>,
    /// How long to measure, in seconds: without the attack, and with it.
    #[arg(long, value_name = "S", default_value_t = 15.0, global = true)]
    seconds: f64,
    #[command(flatten)]
    role: Role,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Attack {
    /// Hellos that nobody has the keys of.
    Hellos {
        /// How many a second.
        #[arg(long, default_value_t = 43_000)]
        rate: u32,
    },
    /// Audio without end on one stream.
    Audio {
        /// Packets of 1,000 bytes a second.
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
        /// Participants that listen.
        #[arg(long, default_value_t = 150)]
        listeners: usize,
    },
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if options.role.serve()? {
        return Ok(());
    }
    let attack = options
        .attack
        .ok_or("say which attack; --help lists them")?;
    let folder = tempfile::tempdir()?;
    let server = Process::start(([127, 0, 0, 1], 0).into(), &folder.path().join("key"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let time = Duration::from_secs_f64(options.seconds);
    println!("load average {}", load_average());
    runtime.block_on(async {
        match attack {
            Attack::Hellos { rate } => hellos(&server, rate, time).await,
            Attack::Audio { rate, listeners } => audio(&server, rate, listeners, time).await,
        }
    })
}

/// Something that goes on in a thread until this is dropped, and counts what it has sent.
struct Attacker {
    ends: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl Attacker {
    /// Has `send` called so many times a second.
    #[allow(
        clippy::disallowed_methods,
        reason = "it sends in real time, in a thread of its own"
    )]
    fn start(rate: u32, mut send: impl FnMut() -> Result<(), Failure> + Send + 'static) -> Self {
        let (ends, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let attacker = Self {
            ends: Arc::clone(&ends),
            sent: Arc::clone(&sent),
        };
        std::thread::spawn(move || {
            let clock = Clock::new();
            while !ends.load(Ordering::Relaxed) {
                let due = clock.elapsed().as_secs_f64() * f64::from(rate);
                while (sent.load(Ordering::Relaxed) as f64) < due {
                    if let Err(error) = send() {
                        println!("the attacker is out: {error}");
                        return;
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        attacker
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Time since it was made.
#[derive(Debug, Clone, Copy)]
struct Clock(std::time::Instant);

#[allow(
    clippy::disallowed_methods,
    reason = "what is measured here is time, and this program is the embedder"
)]
impl Clock {
    fn new() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    fn now(self) -> Instant {
        Instant::from_micros(self.elapsed().as_micros() as u64)
    }
}

fn by_udp() -> JoinOptions {
    JoinOptions {
        transport: TransportChoice::Udp,
        ..JoinOptions::default()
    }
}

async fn hellos(server: &Process, rate: u32, time: Duration) -> Result<(), Failure> {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()?));
    joins(server, "without", time).await?;
    let sockets: Vec<_> = (0..SOCKETS)
        .map(|_| UdpSocket::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let ticket = ticket(&server.ticket_base, "room", "mallory")?;
    let mut client = Client::<Small>::new(
        &Ticket::parse(&ticket)?,
        &Config::default(),
        Instant::from_micros(0),
        &mut rng,
    )?;
    let mut hello = [0; MAX_DATAGRAM];
    let len = client.poll_transmit(Instant::from_micros(0), &mut hello)?;
    let mut hello = hello[..len.ok_or("no Hello")?].to_vec();
    let mut number = 0;
    let attacker = Attacker::start(rate, move || {
        number = (number + 1) % SOCKETS;
        rng.fill_bytes(&mut hello[HEAD..]);
        sockets[number].send_to(&hello, address)?;
        Ok(())
    });
    let clock = Clock::new();
    joins(server, "with", time).await?;
    let sent = attacker.sent.load(Ordering::Relaxed);
    println!(
        "Hellos sent: {:.0} a second",
        sent as f64 / clock.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Joins one after the other, each in a room of its own, and prints how long they took.
async fn joins(server: &Process, what: &str, time: Duration) -> Result<(), Failure> {
    let (clock, mut times, mut refused) = (Clock::new(), Vec::new(), 0);
    let cpu = server.cpu_time()?;
    while clock.elapsed() < time {
        let name = format!("{what}-{}", times.len());
        let ticket = ticket(&server.ticket_base, &name, "anna")?;
        let began = clock.elapsed();
        match Room::join_with(&ticket, by_udp()).await {
            Ok(room) => {
                times.push((clock.elapsed() - began).as_secs_f64() * 1e3);
                room.leave().await;
            }
            Err(_) => refused += 1,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let share = (server.cpu_time()? - cpu).as_secs_f64() / clock.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (times.len().saturating_sub(1) as f64 * share).round() as usize;
        times.get(index).copied().unwrap_or(f64::NAN)
    };
    println!(
        "{what:<8} {:>5} joins, {refused} failed: median {:.1} p90 {:.1} p99 {:.1} max {:.1} ms; server {:.0} % of a core",
        times.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        share * 100.0
    );
    Ok(())
}

async fn audio(
    server: &Process,
    rate: u32,
    listeners: usize,
    time: Duration,
) -> Result<(), Failure> {
    let join = |name: String| {
        let ticket = ticket(&server.ticket_base, "room", &name);
        async move { Ok::<_, Failure>(Room::join_with(&ticket?, by_udp()).await?) }
    };
    let talker = join("anna".to_owned()).await?;
    let options = AudioOptions {
        codec: AudioCodec::Pcmu,
        sample_rate: SampleRate::Hz8000,
        muted: false,
    };
    let mut mic = talker.publish_audio("mic", options).await?;
    tokio::spawn(async move {
        let frame: Vec<i16> = (0..160)
            .map(|n| if n % 16 < 8 { 8_000 } else { -8_000 })
            .collect();
        let mut ticks = interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while mic.write(&frame).is_ok() {
            ticks.tick().await;
        }
    });
    let (heard, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut rooms = Vec::new();
    for number in 0..listeners {
        let room = join(format!("p{number}")).await?;
        let mut frames = room.frames();
        let (heard, lost) = (Arc::clone(&heard), Arc::clone(&lost));
        tokio::spawn(async move {
            let mut last = None;
            while let Some(frame) = frames.next().await {
                if frame.stream.participant.as_str() != "anna" {
                    continue;
                }
                heard.fetch_add(1, Ordering::Relaxed);
                let gap = last.map_or(0, |last| frame.sequence.saturating_sub(last + 1));
                lost.fetch_add(gap, Ordering::Relaxed);
                last = Some(frame.sequence);
            }
        });
        rooms.push(room);
    }
    let measure = async |what: &str| {
        let (clock, cpu) = (Clock::new(), server.cpu_time()?);
        let (h, l) = (heard.load(Ordering::Relaxed), lost.load(Ordering::Relaxed));
        tokio::time::sleep(time).await;
        let share = (server.cpu_time()? - cpu).as_secs_f64() / clock.elapsed().as_secs_f64();
        let (h, l) = (
            heard.load(Ordering::Relaxed) - h,
            lost.load(Ordering::Relaxed) - l,
        );
        println!(
            "{what:<8} server {:.0} % of a core; {h} frames of the other talker heard, {l} lost ({:.2} %)",
            share * 100.0,
            l as f64 * 100.0 / (h + l).max(1) as f64
        );
        Ok::<_, Failure>(())
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    measure("without").await?;
    let ticket = ticket(&server.ticket_base, "room", "mallory")?;
    let attacker = Attacker::start(
        rate,
        pour(&ticket, SocketAddr::from(([127, 0, 0, 1], server.port()?)))?,
    );
    measure("with").await?;
    println!("packets sent: {}", attacker.sent.load(Ordering::Relaxed));
    Ok(())
}

/// A participant that sends one packet of audio at each call.
fn pour(
    ticket: &str,
    address: SocketAddr,
) -> Result<impl FnMut() -> Result<(), Failure> + Send + use<>, Failure> {
    let clock = Clock::new();
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let config = Config {
        policy: SubscribePolicy::None,
        ..Config::default()
    };
    let mut client = Box::new(Client::<Small>::new(
        &Ticket::parse(ticket)?,
        &config,
        clock.now(),
        &mut rng,
    )?);
    let key = StreamKey::new("mic")?;
    client.publish(Publish {
        key: key.clone(),
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        muted: false,
    })?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    let level = AudioLevel {
        voice: true,
        level: 30,
    };
    // A frame of 20 ms, by its first byte (RFC 6716, section 3.1).
    let mut payload = [0; 1_000];
    payload[0] = 0x48;
    let (mut timestamp, mut buffer) = (0_u32, [0; MAX_DATAGRAM]);
    Ok(move || {
        client.handle_timeout(clock.now());
        while let Ok(len) = socket.recv(&mut buffer) {
            // Whatever it is, the next is no worse for it.
            let _ = client.handle_datagram(clock.now(), &mut buffer[..len], &mut |_| {});
        }
        while client.poll_event().is_some() {}
        if let Some(cause) = client.closed() {
            return Err(cause.into());
        }
        if client.is_joined() {
            timestamp = timestamp.wrapping_add(24);
            // It is not published yet, at first.
            let _ = client.send_audio(clock.now(), &key, timestamp, level, &payload);
        }
        while let Some(len) = client.poll_transmit(clock.now(), &mut buffer)? {
            // A full socket is no reason to end.
            let _ = socket.send(&buffer[..len]);
        }
        Ok(())
    })
}
