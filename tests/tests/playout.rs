//! How a player does on fixed networks: delay, concealment and packets that are not heard, against committed figures.
//!
//! Each network is twenty minutes of packets from fixed seeds. A change that makes a figure worse fails; one that makes
//! it better should commit the better one. `PARLOUR_BASELINES=write cargo test -p parlour-tests --test playout` writes
//! the figures of this build to `tests/baselines/playout.txt`.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::rc::Rc;

use parlour_core::audio::codec::{AudioDecoder, DecodeError, SampleRate};
use parlour_core::audio::decoder::Decoder;
use parlour_core::audio::{JitterConfig, Lateness, Packet, Player};
use parlour_core::room::Codec;
use parlour_core::time::Instant;

const RATE: SampleRate = SampleRate::Hz16000;
const FRAME_MS: u64 = 20;
const PACKETS: u64 = 60_000;
/// Samples of a read: 10 ms.
const READ: usize = 160;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of a standard normal distribution, nearly.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// What a network does with packet `n`: how many ms it takes, or that it is lost.
type Network = fn(&mut Chance, &mut State, u64) -> Option<f64>;

/// What a network remembers.
#[derive(Default)]
struct State {
    lossy: bool,
    stalled_until: f64,
    stalls_at: f64,
}

fn loss(chance: &mut Chance, share: f64) -> Option<f64> {
    (chance.next() >= share).then_some(0.0)
}

/// Gilbert-Elliott: `share` of the packets is lost, in bursts of this mean length.
fn bursts(chance: &mut Chance, state: &mut State, share: f64, length: f64) -> Option<f64> {
    let ends = 1.0 / length;
    state.lossy = if state.lossy {
        chance.next() >= ends
    } else {
        chance.next() < share * ends / (1.0 - share)
    };
    (!state.lossy).then_some(0.0)
}

fn jitter(chance: &mut Chance, deviation: f64) -> Option<f64> {
    Some((3.0 * deviation + chance.normal() * deviation).max(0.0))
}

/// The way is shut for 100 to 300 ms, every five seconds or so.
fn stalls(chance: &mut Chance, state: &mut State, n: u64) -> Option<f64> {
    let sent = (n * FRAME_MS) as f64;
    if sent >= state.stalls_at {
        state.stalled_until = sent + 100.0 + 200.0 * chance.next();
        state.stalls_at = sent + 3_000.0 + 4_000.0 * chance.next();
    }
    Some((state.stalled_until - sent).max(0.0) + 2.0 * chance.next())
}

const NETWORKS: [(&str, Network); 9] = [
    ("clean", |_, _, _| Some(0.0)),
    ("loss 5 %", |chance, _, _| loss(chance, 0.05)),
    ("loss 20 %", |chance, _, _| loss(chance, 0.2)),
    ("bursts of 5, 10 %", |chance, state, _| {
        bursts(chance, state, 0.1, 5.0)
    }),
    ("jitter, sd 10 ms", |chance, _, _| jitter(chance, 10.0)),
    ("jitter, sd 30 ms", |chance, _, _| jitter(chance, 30.0)),
    ("jitter, sd 60 ms", |chance, _, _| jitter(chance, 60.0)),
    ("stalls", stalls),
    ("steps of 100 ms", |_, _, n| {
        Some(if n / 1_000 % 2 == 0 { 0.0 } else { 100.0 })
    }),
];

/// What became of the packets.
#[derive(Default)]
struct Counts {
    decoded: Cell<u64>,
    recovered: Cell<u64>,
    concealed: Cell<u64>,
}

/// A voice of steady pitch, and a codec whose every packet can rebuild the frame before it.
struct Voice(Rc<Counts>);

impl Voice {
    fn say(frame: u64, pcm: &mut [i16]) {
        let start = frame * RATE.samples(FRAME_MS as u16) as u64;
        for (sample, n) in pcm.iter_mut().zip(start..) {
            let phase = (n % 128) as f64 / 128.0 * std::f64::consts::TAU;
            *sample = ((phase.sin() + 0.5 * (3.0 * phase).sin()) * 8_000.0) as i16;
        }
    }

    fn frame(payload: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(payload.try_into().ok()?))
    }
}

impl AudioDecoder for Voice {
    fn sample_rate(&self) -> SampleRate {
        RATE
    }

    fn decode(&mut self, payload: &[u8], pcm: &mut [i16]) -> Result<usize, DecodeError> {
        let frame = Self::frame(payload).ok_or(DecodeError::Malformed)?;
        let samples = RATE.samples(FRAME_MS as u16);
        let needed = DecodeError::OutputTooSmall { needed: samples };
        Self::say(frame, pcm.get_mut(..samples).ok_or(needed)?);
        self.0.decoded.set(self.0.decoded.get() + 1);
        Ok(samples)
    }

    fn conceal(&mut self, pcm: &mut [i16]) {
        pcm.fill(0);
        (self.0.concealed).set(self.0.concealed.get() + pcm.len() as u64);
    }

    fn recover(&mut self, next_payload: &[u8], pcm: &mut [i16]) -> bool {
        let Some(frame) = Self::frame(next_payload).and_then(|next| next.checked_sub(1)) else {
            self.conceal(pcm);
            return false;
        };
        Self::say(frame, pcm);
        self.0.recovered.set(self.0.recovered.get() + 1);
        true
    }
}

/// The less, the better.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// How much later than the fastest packet allows a sample is played, on average and in 19 of 20 reads, in ms.
    delay: f64,
    delay_p95: f64,
    /// Shares of time and of packets, in percent.
    concealed: f64,
    unheard: f64,
}

impl Figures {
    fn of(seed: u64, network: Network) -> Self {
        let (mut chance, mut state) = (Chance(seed), State::default());
        let mut arrivals: Vec<(u64, u64)> = (0..PACKETS)
            .filter_map(|n| {
                let takes = network(&mut chance, &mut state, n)?;
                Some(((n * FRAME_MS) * 1_000 + (takes * 1_000.0) as u64, n))
            })
            .collect();
        arrivals.sort_unstable();
        let mut arrivals = arrivals.into_iter().peekable();
        let counts = Rc::new(Counts::default());
        let decoder = Decoder::new(Voice(Rc::clone(&counts)));
        let mut player = Box::new(Player::<_, 24, 16, 960>::new(
            decoder,
            JitterConfig::default(),
        ));
        let mut lateness = Lateness::new();
        let mut delays = Vec::new();
        let mut pcm = [0; READ];
        // The sound card does not run in step with the packets.
        for now in (7_000..PACKETS * FRAME_MS * 1_000).step_by(10_000) {
            while let Some((at, n)) = arrivals.next_if(|(at, _)| *at <= now) {
                let _ = player.push(
                    Instant::from_micros(at),
                    Packet {
                        sequence: n,
                        timestamp: n * FRAME_MS * 48,
                        duration: FRAME_MS as u32 * 48,
                        codec: Codec::Opus,
                        speaker: Some(1),
                        marker: n == 0,
                        payload: &n.to_be_bytes(),
                    },
                    &mut lateness,
                );
            }
            player.read(Instant::from_micros(now), &mut pcm);
            delays.push(f64::from(player.statistics().delay) / 48.0);
        }
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        delays.sort_by(f64::total_cmp);
        let heard = counts.decoded.get() + counts.recovered.get();
        Self {
            delay: mean,
            delay_p95: delays[delays.len() * 95 / 100],
            concealed: counts.concealed.get() as f64 * 100.0
                / (PACKETS as f64 * RATE.samples(FRAME_MS as u16) as f64),
            unheard: PACKETS.saturating_sub(heard) as f64 * 100.0 / PACKETS as f64,
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut values = line.split_whitespace().map(|value| value.parse().ok());
        let mut next = || values.next().flatten();
        Some(Self {
            delay: next()?,
            delay_p95: next()?,
            concealed: next()?,
            unheard: next()?,
        })
    }

    /// Rounding apart: the figures are exact, but a change elsewhere may shift a packet or two.
    fn is_worse_than(&self, before: &Self) -> bool {
        let ms = |now: f64, before: f64| now > before + 1.0;
        let percent = |now: f64, before: f64| now > before * 1.02 + 0.02;
        ms(self.delay, before.delay)
            || ms(self.delay_p95, before.delay_p95)
            || percent(self.concealed, before.concealed)
            || percent(self.unheard, before.unheard)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            delay,
            delay_p95,
            concealed,
            unheard,
        } = self;
        write!(
            f,
            "{delay:>6.1} {delay_p95:>6.1} {concealed:>6.2} {unheard:>6.2}"
        )
    }
}

#[test]
fn no_network_is_heard_worse_than_before() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("baselines/playout.txt");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let before = |name: &str| {
        let line = before.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| Figures::parse(line.trim_start_matches(':')))
    };
    let mut text = String::from(
        "# Delay behind the fastest packet: mean and 95 % in ms; concealed and unheard in %. See tests/playout.rs.\n",
    );
    let mut worse = Vec::new();
    for ((name, network), seed) in NETWORKS.into_iter().zip(1..) {
        let figures = Figures::of(seed, network);
        println!("{name:<18} {figures}");
        writeln!(text, "{name}: {figures}").unwrap();
        match before(name) {
            Some(before) if !figures.is_worse_than(&before) => {}
            before => worse.push(format!("{name}: {figures}, before {before:?}")),
        }
    }
    if std::env::var("PARLOUR_BASELINES").is_ok_and(|wish| wish == "write") {
        std::fs::write(&path, text).unwrap();
    } else {
        assert!(
            worse.is_empty(),
            "worse than {}: {worse:#?}",
            path.display()
        );
    }
}
