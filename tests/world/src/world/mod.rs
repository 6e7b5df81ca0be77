//! The world: a server, its participants, the network between them and the time, in one process.
//!
//! ```no_run
//! use parlour_core::time::Duration;
//! use parlour_world::{Options, World};
//!
//! let mut world = World::new("a_word");
//! let alice = world.join("alice", Options::small().publishing("mic"));
//! let bob = world.join("bob", Options::default());
//! world.talk(alice, "mic", Duration::from_secs(1));
//! world.run_until("bob hears alice", Duration::from_secs(2), |world| {
//!     world.heard(bob).iter().any(|frame| frame.talker() == alice)
//! });
//! ```
//!
//! Time does not pass by itself: it jumps to whatever is next, a datagram's arrival, a wake-up
//! that an end asked for, or a frame that somebody says. All accidents follow from one seed, which
//! a failing test prints. Each end has a clock of its own, so that none can rely on another's.
//!
//! In every scenario, the world checks that no datagram is longer than 1200 bytes, that no party hears itself, that
//! no party hears a frame twice, that each frame comes from its stated speaker, and that the ends come to rest.

mod commands;
mod run;
mod see;
mod way;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use parlour_core::client;
use parlour_core::rand_core::RngCore as _;
use parlour_core::secure::KeyPair;
use parlour_core::server::{self, JoinId};
use parlour_core::time::{Duration, Instant};
use parlour_record::{Server, Sink};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::camera::Shown;
use crate::network::{Datagram, Network};
use crate::party::{Clock, Handle, Heard, Mixed, Party};

pub use see::Crossing;
pub(crate) use way::Way;

/// The server's address.
pub const SERVER_ADDRESS: &str = "198.51.100.1:7900";
/// The server's other address, for redirected clients.
pub const OTHER_ADDRESS: &str = "198.51.100.1:7901";

/// The same of the other family: for clients redirected to either.
pub const OTHER_ADDRESS_V6: &str = "[2001:db8::1]:7901";

/// Is told of everything, when it happens.
pub trait Observer: Debug {
    /// The server or a device sends a datagram. Whether it arrives is another matter.
    fn sent(&mut self, now: Instant, datagram: &Datagram);
    /// A datagram reaches the server, or a device with power.
    fn arrived(&mut self, now: Instant, datagram: &Datagram);
    /// The server has taken in all that there is for now.
    fn served(&mut self, now: Instant, server: &parlour_core::server::Server);
    /// The server told its embedder something.
    fn served_event(&mut self, now: Instant, event: &server::Event);
    /// A party was told something.
    fn told(&mut self, handle: Handle, now: Instant, event: &client::Event);
    /// A party hears a frame, which the server sent at `sent_at`.
    fn heard(&mut self, handle: Handle, sent_at: Instant, frame: &Heard);
    /// A party hears a frame of a mix, which the server sent at `sent_at`.
    fn heard_mix(&mut self, handle: Handle, sent_at: Instant, frame: &Mixed);
    /// A party gets a packet of the pictures of a stream, which the server sent at `sent_at`.
    fn seen(&mut self, handle: Handle, now: Instant, sent_at: Instant, ssrc: u32);
    /// A party can decode a picture of a stream.
    fn shown(&mut self, handle: Handle, ssrc: u32, shown: &Shown);
}

/// A socket that accepts only a limited number of datagrams at a time.
#[derive(Debug, Clone, Copy)]
struct Socket {
    datagrams: usize,
    /// Until then.
    left: usize,
    refilled_at: Instant,
}

/// The time for which such a socket accepts nothing more.
const REFILL: Duration = Duration::from_millis(20);

/// Everything there is; see the [module](self).
#[derive(Debug)]
pub struct World {
    name: &'static str,
    seed: u64,
    /// By the test, and not by its name or the environment.
    is_seed_chosen: bool,
    rng: ChaCha12Rng,
    now: Instant,
    network: Network,
    server: Option<Server>,
    server_config: server::Config,
    server_secret: [u8; 32],
    server_address: SocketAddr,
    other_addresses: [SocketAddr; 2],
    /// At which of its addresses the server was last reached from where; it answers from there.
    reached: BTreeMap<SocketAddr, SocketAddr>,
    /// Those of its addresses that nothing gets to or from.
    cut: BTreeSet<SocketAddr>,
    server_clock: Clock,
    /// The limits of the server's socket, if it has any.
    socket: Option<Socket>,
    /// Counts the server's restarts: SSRCs of one life mean nothing in the next.
    life: u32,
    parties: Vec<Party>,
    addresses: BTreeMap<SocketAddr, Handle>,
    /// The voice behind an SSRC, as its first frame told.
    voices: BTreeMap<(u32, u32), (u16, u16)>,
    /// Whether a tone was sent: real audio, which does not name its speaker.
    is_sung: bool,
    streams: u16,
    sockets: u16,
    server_events: Vec<(Instant, server::Event)>,
    /// Joins that the test wants to answer itself.
    held: Option<Vec<(JoinId, String)>>,
    history: Vec<Crossing>,
    history_limit: usize,
    strays: Vec<(Instant, Datagram)>,
    observer: Option<Rc<RefCell<dyn Observer>>>,
    /// The folder for the machines' input logs.
    logs: Option<PathBuf>,
}

impl World {
    /// A world with a server of default configuration. All that happens in it follows from `name`
    /// and from the seed in `PARLOUR_SEED`, if that is set.
    pub fn new(name: &'static str) -> Self {
        Self::with_config(name, server::Config::default())
    }

    /// A world whose server has this configuration.
    pub fn with_config(name: &'static str, config: server::Config) -> Self {
        let mut world = Self::with_seed(name, config, seed_for(name));
        world.is_seed_chosen = false;
        world
    }

    /// A world all of whose accidents follow from `seed`: for property tests, which choose it.
    pub fn with_seed(name: &'static str, config: server::Config, seed: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut server_secret = [0; 32];
        rng.fill_bytes(&mut server_secret);
        let server_clock = Clock {
            lead: random_lead(&mut rng),
            drift: 0,
        };
        let mut world = Self {
            name,
            seed,
            is_seed_chosen: true,
            now: Instant::from_micros(0),
            network: Network::new(rng.next_u64()),
            rng,
            server: None,
            server_config: config,
            server_secret,
            server_address: SERVER_ADDRESS.parse().expect("an address"),
            other_addresses: [OTHER_ADDRESS, OTHER_ADDRESS_V6]
                .map(|address| address.parse().expect("an address")),
            reached: BTreeMap::new(),
            cut: BTreeSet::new(),
            server_clock,
            socket: None,
            life: 0,
            parties: Vec::new(),
            addresses: BTreeMap::new(),
            voices: BTreeMap::new(),
            is_sung: false,
            streams: 0,
            sockets: 0,
            server_events: Vec::new(),
            held: None,
            history: Vec::new(),
            history_limit: 50_000,
            strays: Vec::new(),
            observer: None,
            logs: None,
        };
        world.start_server();
        world
    }

    /// Has `observer` told of all that happens. Events, frames that somebody hears and stray datagrams are then not kept
    /// here: a world that goes on for long takes no more memory with time.
    pub fn observe(&mut self, observer: Rc<RefCell<dyn Observer>>) {
        self.observer = Some(observer);
    }

    /// Has the input logs of all ends that are made from now on written to `folder`.
    pub fn record_to(&mut self, folder: PathBuf) {
        self.logs = Some(folder);
    }

    /// Lets the clock of servers that are started from now on run fast by this many millionths.
    pub fn set_server_drift(&mut self, drift: u32) {
        self.server_clock.drift = drift;
    }

    fn sink(&self, name: &str) -> Option<Sink> {
        let file = self.logs.as_ref()?.join(format!("{name}.log"));
        Some(Sink::file(&file).expect("a folder for input logs that can be written to"))
    }

    /// Tells the observer, if there is one.
    fn tell(&self, what: impl FnOnce(&mut dyn Observer)) {
        if let Some(observer) = &self.observer {
            what(&mut *observer.borrow_mut());
        }
    }

    fn keys(&self) -> KeyPair {
        KeyPair::from_secret_bytes(self.server_secret)
    }

    fn server_clock(&self) -> Instant {
        self.server_clock.at(self.now)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // An observer sees that for itself.
        if std::thread::panicking() && self.observer.is_none() {
            let program = std::env::current_exe().unwrap_or_default();
            let stem = program.file_stem().unwrap_or_default().to_string_lossy();
            // Cargo appends a hash to a test program's name.
            let test = stem.rsplit_once('-').map_or(&*stem, |(test, _)| test);
            let (name, seed, now) = (self.name, self.seed, self.now.as_micros());
            if self.is_seed_chosen {
                eprintln!("world `{name}` of seed {seed} failed at {now} µs");
                return;
            }
            eprintln!(
                "world `{name}` failed at {now} µs; replay with\n  \
                 PARLOUR_SEED={seed} cargo test -p parlour-tests --test {test} {name}"
            );
        }
    }
}

fn random_lead(rng: &mut ChaCha12Rng) -> Duration {
    // A clock that stands still in sleep falls behind by up to this.
    Duration::from_secs(200_000) + Duration::from_micros(rng.next_u64() % 1_000_000_000)
}

/// The seed that the environment asks for, or one of the test's own (FNV-1a of its name).
fn seed_for(name: &str) -> u64 {
    match std::env::var("PARLOUR_SEED") {
        Ok(text) => text.parse().expect("PARLOUR_SEED must be a number"),
        Err(_) => name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }),
    }
}
