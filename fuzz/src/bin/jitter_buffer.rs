//! The jitter buffer between a network that does what it likes and a sound card that pulls when it likes.
//!
//! Input: two bytes of configuration, then steps: packets near to where the sender is or anywhere, pulls, time.

use std::collections::BTreeMap;

use parlour_core::audio::{JitterBuffer, JitterConfig, Lateness, Packet, Pull, PushError};
use parlour_core::room::Codec;
use parlour_core::time::{Duration, Instant};
use parlour_fuzz::input::Input;

const CODECS: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

struct World {
    buffer: JitterBuffer<8, 16>,
    lateness: Lateness,
    config: JitterConfig,
    now: Instant,
    sequence: u64,
    timestamp: u64,
    /// Payloads that were taken, by their sequence number: what comes out has to be one of them.
    taken: BTreeMap<u64, Vec<Vec<u8>>>,
    /// Sequence and timestamp of the last frame, and how often the buffer had started anew by then.
    last: Option<(u64, u64, u64)>,
    frames: u64,
    /// Packets that were not taken because all that is held is newer: `dropped`, but not `received`.
    refused: u64,
    /// The clock did what clocks do not.
    went_back: bool,
}

fn main() {
    parlour_fuzz::search(run);
}

/// Pushes and pulls.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let config = JitterConfig {
        clock_rate: input.choose(&[48_000, 8_000, 16_000, 192_000, 0, u32::MAX]),
        start_delay: input.duration(),
        min_delay: input.duration(),
        max_delay: input.duration(),
    };
    let mut world = World {
        buffer: JitterBuffer::new(config),
        lateness: Lateness::new(),
        config,
        now: Instant::from_micros(1_000_000),
        sequence: 1 << 16,
        timestamp: 1 << 32,
        taken: BTreeMap::new(),
        last: None,
        frames: 0,
        refused: 0,
        went_back: false,
    };
    while let Some(opcode) = input.opcode() {
        match opcode % 6 {
            0 => world.next_packet(&mut input),
            1 => world.odd_packet(&mut input),
            2 => drop(world.pull()),
            3 => world.now += input.duration(),
            // The common case in one byte: 20 ms, a packet, a pull.
            4 => {
                world.now += Duration::from_millis(20);
                world.next_packet(&mut input);
                world.pull();
            }
            _ => {
                let now = Instant::from_micros(input.u64() >> 2);
                world.went_back |= now < world.now;
                world.now = now;
            }
        }
        let statistics = world.buffer.statistics();
        assert!(statistics.received + world.refused >= world.frames + statistics.dropped);
    }
    // Any input ends in silence: nothing is held for ever. (Clocks that go back are survived, no more.)
    if world.went_back {
        return;
    }
    for _ in 0..1_000 {
        world.now += Duration::from_millis(20);
        let mut played = 0;
        while played < world.rate() / 50 {
            played += world.pull();
        }
    }
    assert!(matches!(
        world.buffer.pull(world.now),
        Pull::Buffering { .. }
    ));
}

impl World {
    fn rate(&self) -> u32 {
        self.config.clock_rate.clamp(8_000, 192_000)
    }

    /// The packet that an undisturbed sender would send, give or take what the input says.
    fn next_packet(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let frame = self.rate() / 1000 * [20, 10, 60, 5][usize::from(how & 3)];
        let skipped = u64::from(how >> 2 & 3);
        let silence = u64::from(how >> 4 & 3) * u64::from(frame);
        self.sequence = self.sequence.saturating_add(1 + skipped);
        self.timestamp = self
            .timestamp
            .saturating_add(u64::from(frame) * (1 + skipped) + silence);
        let packet = Packet {
            sequence: self.sequence,
            timestamp: self.timestamp,
            duration: frame,
            codec: CODECS[usize::from(how >> 6) % 3],
            speaker: Some(u32::from(how >> 7)),
            marker: silence > 0,
            payload: &[how; 3],
        };
        self.push(packet);
    }

    fn odd_packet(&mut self, input: &mut Input<'_>) {
        let (sequence, timestamp) = if input.flag() {
            (input.u64(), input.u64())
        } else {
            let back = u64::from(input.byte());
            let off = u64::from(input.u16());
            (
                self.sequence.wrapping_add(16).wrapping_sub(back),
                self.timestamp.wrapping_add(4_000).wrapping_sub(off),
            )
        };
        let packet = Packet {
            sequence,
            timestamp,
            duration: input.u16().into(),
            codec: input.choose(&CODECS),
            speaker: input.flag().then_some(7),
            marker: input.flag(),
            payload: input.bytes(),
        };
        if input.flag() {
            (self.sequence, self.timestamp) = (sequence, timestamp);
        }
        self.push(packet);
    }

    fn push(&mut self, packet: Packet<'_>) {
        let before = self.buffer.statistics().received;
        let pushed = self.buffer.push(self.now, packet, &mut self.lateness);
        self.refused += u64::from(pushed == Err(PushError::Full));
        let taken = pushed.is_ok();
        assert_eq!(self.buffer.statistics().received, before + u64::from(taken));
        if taken {
            let payloads = self.taken.entry(packet.sequence).or_default();
            payloads.push(packet.payload.to_vec());
        }
    }

    fn pull(&mut self) -> u32 {
        let tick = self.rate() / 400;
        let rebased = self.buffer.statistics().rebased;
        let pull = self.buffer.pull(self.now);
        let samples = pull.samples();
        assert!(samples > 0);
        match pull {
            Pull::Frame(frame) => {
                let payloads = self.taken.get(&frame.sequence).expect("it was pushed");
                assert!(payloads.iter().any(|payload| payload == frame.payload));
                if let Some((sequence, timestamp, before)) = self.last
                    && before == rebased
                {
                    assert!(frame.sequence > sequence, "frames come in order, and once");
                    assert!(frame.timestamp > timestamp);
                }
                self.last = Some((frame.sequence, frame.timestamp, rebased));
                self.frames += 1;
            }
            Pull::Lost { samples, .. }
            | Pull::Silence { samples }
            | Pull::Buffering { samples } => {
                assert_eq!(samples % tick, 0);
                assert!(samples <= self.rate(), "at most a second at a time");
            }
        }
        samples
    }
}
