//! Whole networks in virtual time: a sender's script of packets with their times of arrival, and a
//! sound card that pulls.

use super::*;
use crate::room::Codec;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use proptest::prelude::*;

const MS: u64 = 48;
const FRAME: u64 = 20 * MS;
/// The sender's first timestamp and sequence number.
const TIMESTAMP: u64 = 0xFFFF_0000;
const SEQUENCE: u64 = 65_000;

type Buffer = Receiver<32, 16>;

/// A buffer with a network of its own.
struct Receiver<const P: usize, const B: usize> {
    buffer: JitterBuffer<P, B>,
    lateness: Lateness,
}

impl<const P: usize, const B: usize> Receiver<P, B> {
    fn new(config: JitterConfig) -> Self {
        Self {
            buffer: JitterBuffer::new(config),
            lateness: Lateness::new(),
        }
    }

    fn push(&mut self, now: Instant, packet: Packet<'_>) -> Result<(), PushError> {
        self.buffer.push(now, packet, &mut self.lateness)
    }

    fn pull(&mut self, now: Instant) -> Pull<'_> {
        self.buffer.pull(now)
    }

    fn statistics(&self) -> JitterStatistics {
        self.buffer.statistics()
    }
}

/// A packet on its way, with its arrival in µs.
#[derive(Debug, Clone, Copy)]
struct Sent {
    arrival: u64,
    sequence: u64,
    timestamp: u64,
    duration: u64,
    speaker: Option<u32>,
    marker: bool,
}

impl Sent {
    fn push<const P: usize, const B: usize>(
        &self,
        buffer: &mut Receiver<P, B>,
    ) -> Result<(), PushError> {
        let packet = Packet {
            sequence: self.sequence,
            timestamp: self.timestamp,
            duration: self.duration as u32,
            codec: Codec::Opus,
            speaker: self.speaker,
            marker: self.marker,
            payload: &self.sequence.to_be_bytes(),
        };
        buffer.push(Instant::from_micros(self.arrival), packet)
    }
}

/// `count` packets of `duration` samples, sent without pause from 1 s on, 30 ms on their way.
fn steady(count: u64, duration: u64) -> Vec<Sent> {
    (0..count)
        .map(|n| Sent {
            arrival: 1_030_000 + n * duration * 1_000 / MS,
            sequence: SEQUENCE + n,
            timestamp: TIMESTAMP + n * duration,
            duration,
            speaker: Some(1),
            marker: n == 0,
        })
        .collect()
}

/// SplitMix64: a replayable source of chance for the scripts.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % end
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Played {
    Frame { sequence: u64, timestamp: u64 },
    Lost { fec: bool },
    Silence,
    Buffering,
}

/// One played piece: the time of the pull in µs, the samples, and the delay after it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u64,
    samples: u64,
    played: Played,
    statistics: JitterStatistics,
}

struct Run {
    log: Vec<Entry>,
    statistics: JitterStatistics,
}

impl Run {
    fn frames(&self) -> Vec<(u64, u64)> {
        self.log
            .iter()
            .filter_map(|entry| match entry.played {
                Played::Frame {
                    sequence,
                    timestamp,
                } => Some((sequence, timestamp)),
                _ => None,
            })
            .collect()
    }

    fn count(&self, of: impl Fn(Played) -> bool) -> u64 {
        self.log.iter().filter(|entry| of(entry.played)).count() as u64
    }

    /// The entries pulled from `from` to `to` ms.
    fn between(&self, from: u64, to: u64) -> impl Iterator<Item = &Entry> {
        self.log
            .iter()
            .filter(move |entry| (from * 1_000..to * 1_000).contains(&entry.at))
    }

    /// Mouth to ear of each frame in `from..to` ms, in ms: when it was played, less when it was sent.
    fn latency(&self, from: u64, to: u64) -> Vec<u64> {
        self.between(from, to)
            .filter_map(|entry| match entry.played {
                Played::Frame { timestamp, .. } => {
                    Some(entry.at / 1_000 - 1_000 - (timestamp - TIMESTAMP) / MS)
                }
                _ => None,
            })
            .collect()
    }
}

/// Plays until 500 ms after the last packet. The sound card runs `ppm` fast.
fn run_with(buffer: &mut Buffer, mut sent: Vec<Sent>, ppm: i64) -> Run {
    sent.sort_by_key(|packet| packet.arrival);
    let end = sent.last().map_or(0, |packet| packet.arrival) + 500_000;
    let mut sent = sent.into_iter().peekable();
    // In µs and millionths of µs.
    let mut now = 1_007_000_000_000_u64;
    let mut log = Vec::new();
    while now / 1_000_000 < end {
        let at = now / 1_000_000;
        while let Some(packet) = sent.next_if(|packet| packet.arrival <= at) {
            let _ = packet.push(buffer);
        }
        let (samples, played) = play(buffer, at);
        log.push(Entry {
            at,
            samples,
            played,
            statistics: buffer.statistics(),
        });
        now += samples * 1_000 * (1_000_000 - ppm) as u64 / MS;
    }
    in_order(&log);
    Run {
        log,
        statistics: buffer.statistics(),
    }
}

fn play(buffer: &mut Buffer, at: u64) -> (u64, Played) {
    let pull = buffer.pull(Instant::from_micros(at));
    let samples = u64::from(pull.samples());
    let played = match pull {
        Pull::Frame(frame) => {
            assert_eq!(frame.payload, frame.sequence.to_be_bytes());
            Played::Frame {
                sequence: frame.sequence,
                timestamp: frame.timestamp,
            }
        }
        Pull::Lost { next, .. } => Played::Lost {
            fec: next.is_some(),
        },
        Pull::Silence { .. } => Played::Silence,
        Pull::Buffering { .. } => Played::Buffering,
    };
    (samples, played)
}

/// Frames rise in sequence and timestamp except at a re-base; everything has a duration.
fn in_order(log: &[Entry]) {
    let mut last: Option<(u64, u64, u64)> = None;
    for entry in log {
        assert!((1..=120 * MS).contains(&entry.samples));
        if !matches!(entry.played, Played::Frame { .. }) {
            assert_eq!(entry.samples % 120, 0);
        }
        if let Played::Frame {
            sequence,
            timestamp,
        } = entry.played
        {
            let bases = entry.statistics.rebased;
            if let Some((before, earlier, same)) = last
                && same == bases
            {
                assert!(sequence > before && timestamp > earlier, "{entry:?}");
            }
            last = Some((sequence, timestamp, bases));
        }
    }
}

fn run(sent: Vec<Sent>) -> Run {
    run_with(&mut Buffer::new(JitterConfig::default()), sent, 0)
}

fn fixed(delay: u64) -> JitterConfig {
    JitterConfig {
        start_delay: Duration::from_millis(delay),
        min_delay: Duration::from_millis(delay),
        ..JitterConfig::default()
    }
}

#[test]
fn a_steady_network_plays_every_packet_once() {
    let run = run_with(&mut Buffer::new(fixed(40)), steady(3_000, FRAME), 0);
    let expected: Vec<_> = (0..3_000)
        .map(|n| (SEQUENCE + n, TIMESTAMP + n * FRAME))
        .collect();
    assert_eq!(run.frames(), expected);
    assert!(
        run.latency(2_000, 60_000)
            .iter()
            .all(|&ms| ms < 30 + 40 + 30)
    );
    assert_eq!(
        (
            run.statistics.lost,
            run.statistics.late,
            run.statistics.dropped
        ),
        (0, 0, 0)
    );
}

#[test]
fn starts_at_the_configured_delay_then_shrinks_to_what_the_network_needs() {
    let config = JitterConfig {
        start_delay: Duration::from_millis(80),
        ..JitterConfig::default()
    };
    let run = run_with(&mut Buffer::new(config), steady(3_000, FRAME), 0);
    let first = run
        .between(1_000, 2_000)
        .find(|entry| matches!(entry.played, Played::Frame { .. }));
    let waited = first.unwrap().at - 1_030_000;
    assert!((77_000..=85_000).contains(&waited), "{waited} µs");
    assert_eq!(u64::from(run.statistics.target), 10 * MS);
    let latency = run.latency(5_000, 60_000);
    assert!(latency.iter().all(|&ms| ms <= 30 + 10 + 30), "{latency:?}");
    // Not at once: at most one packet in ten.
    assert!(run.statistics.dropped >= 1);
    let jumps: Vec<_> = run
        .frames()
        .windows(2)
        .map(|pair| pair[1].0 - pair[0].0)
        .collect();
    for ten in jumps.windows(9) {
        assert!(ten.iter().sum::<u64>() <= 10);
    }
}

#[test]
fn packets_of_any_duration_are_played_without_holes() {
    for ms in [10, 20, 40, 60, 120] {
        let count = 30_000 / ms;
        let run = run_with(&mut Buffer::new(fixed(80)), steady(count, ms * MS), 0);
        assert_eq!(run.frames().len() as u64, count, "{ms} ms");
        let holes = run
            .between(1_500, 30_000)
            .filter(|entry| entry.samples != ms * MS)
            .count();
        assert_eq!(holes, 0, "{ms} ms");
    }
}

#[test]
fn jitter_of_40_ms_is_absorbed() {
    let mut chance = Chance(1);
    let mut sent = steady(6_000, FRAME);
    for packet in &mut sent {
        packet.arrival += chance.below(40_000);
    }
    let run = run(sent);
    let statistics = run.statistics;
    assert!(
        (30 * MS..=60 * MS).contains(&u64::from(statistics.target)),
        "{statistics:?}"
    );
    assert!(
        statistics.lost + statistics.late <= 6_000 / 100,
        "{statistics:?}"
    );
    assert!(run.frames().len() as u64 >= 6_000 * 98 / 100);
    assert!(
        run.latency(20_000, 120_000)
            .iter()
            .all(|&ms| ms <= 30 + 60 + 30 + 10)
    );
}

#[test]
fn the_target_is_the_quantile_of_the_lateness() {
    // 90 % within 10 ms, 10 % evenly between 100 and 140: the 0.95 quantile is 120.
    let mut chance = Chance(2);
    let mut sent = steady(6_000, FRAME);
    for packet in &mut sent {
        packet.arrival += match chance.below(10) {
            0 => 100_000 + chance.below(40_000),
            _ => chance.below(10_000),
        };
    }
    let run = run(sent);
    let targets: Vec<_> = run
        .between(20_000, 121_000)
        .map(|entry| u64::from(entry.statistics.target))
        .collect();
    let mean = targets.iter().sum::<u64>() / targets.len() as u64;
    assert!((110 * MS..=145 * MS).contains(&mean), "{} ms", mean / MS);
    let late = run.statistics.late;
    assert!(late < 6_000 * 8 / 100, "{late}");
}

#[test]
fn every_lost_packet_is_reported_once() {
    for seed in 0..5 {
        let mut chance = Chance(seed);
        let mut sent = steady(3_000, FRAME);
        let mut lost = 0;
        sent.retain(|packet| {
            let edge = packet.sequence < SEQUENCE + 10 || packet.sequence >= SEQUENCE + 2_990;
            let keep = edge || chance.below(10) > 0;
            lost += u64::from(!keep);
            keep
        });
        assert!(lost > 200);
        let kept = sent.len();
        let run = run_with(&mut Buffer::new(fixed(80)), sent, 0);
        assert_eq!(run.statistics.lost, lost);
        assert_eq!(run.frames().len(), kept);
        let last = run.frames().last().map(|frame| frame.0).unwrap();
        let end = run
            .log
            .iter()
            .position(
                |entry| matches!(entry.played, Played::Frame { sequence, .. } if sequence == last),
            )
            .unwrap();
        let reported = run.log[..end]
            .iter()
            .filter(|entry| matches!(entry.played, Played::Lost { .. }))
            .count() as u64;
        assert_eq!(reported, lost);
        // All but the first ones of a run of losses have the next packet's FEC.
        let fec = run.count(|played| played == Played::Lost { fec: true });
        let gaps = run
            .frames()
            .windows(2)
            .filter(|pair| pair[1].0 - pair[0].0 > 1)
            .count();
        assert_eq!(fec, gaps as u64);
    }
}

#[test]
fn the_loss_of_a_longer_packet_is_one_report_of_its_duration() {
    let mut sent = steady(100, 60 * MS);
    sent.remove(50);
    let run = run_with(&mut Buffer::new(fixed(80)), sent, 0);
    let lost: Vec<_> = run
        .between(2_000, 6_900)
        .filter(|entry| matches!(entry.played, Played::Lost { .. }))
        .map(|entry| (entry.samples, entry.played))
        .collect();
    assert_eq!(lost, [(60 * MS, Played::Lost { fec: true })]);
}

#[test]
fn reordered_packets_come_out_in_order_and_duplicates_once() {
    let mut chance = Chance(3);
    let mut sent = Vec::new();
    for mut packet in steady(3_000, FRAME) {
        if chance.below(5) == 0 {
            packet.arrival += 50_000;
        }
        sent.push(packet);
        if chance.below(5) == 0 {
            packet.arrival += 1_000;
            sent.push(packet);
        }
    }
    let run = run(sent);
    let frames = run.frames();
    assert!(frames.len() >= 2_970, "{:?}", run.statistics);
    assert!(run.statistics.duplicates > 300);
}

#[test]
fn the_delay_returns_after_a_burst() {
    // At 10 s the network stalls for 300 ms and delivers all at once.
    let mut sent = steady(3_000, FRAME);
    for packet in &mut sent {
        if (10_000_000..10_300_000).contains(&packet.arrival) {
            packet.arrival = 10_300_000;
        }
    }
    let run = run(sent);
    let peak = run.latency(10_300, 11_000).into_iter().max().unwrap();
    assert!(peak > 200, "{peak}");
    let after = run.latency(25_000, 60_000).into_iter().max().unwrap();
    assert!(after <= 30 + 20 + 30, "{after}");
    // Late packets were not lost.
    assert_eq!(run.statistics.lost, 0, "{:?}", run.statistics);
}

#[test]
fn bursts_every_half_second_raise_the_delay_instead_of_starving() {
    let mut sent = steady(3_000, FRAME);
    for packet in &mut sent {
        let phase = packet.arrival % 500_000;
        if phase < 100_000 {
            packet.arrival += 100_000 - phase;
        }
    }
    let run = run(sent);
    let starved = run
        .between(20_000, 60_000)
        .filter(|entry| !matches!(entry.played, Played::Frame { .. }))
        .count();
    assert!(starved <= 20, "{starved}");
    assert!(
        run.latency(20_000, 60_000)
            .iter()
            .all(|&ms| ms <= 30 + 120 + 30)
    );
}

#[test]
fn an_hour_of_skew_changes_neither_delay_nor_order() {
    for ppm in [-200, 200] {
        let packets = 180_000;
        let mut sent = steady(packets, FRAME);
        for packet in &mut sent {
            let elapsed = packet.arrival - 1_030_000;
            packet.arrival = packet
                .arrival
                .strict_add_signed(elapsed as i64 * ppm / 1_000_000);
        }
        let run = run(sent);
        let limit = 20 + 30;
        for entry in run.between(60_000, 3_590_000) {
            let delay = u64::from(entry.statistics.delay);
            assert!(delay <= limit * MS, "{ppm} ppm: {entry:?}");
        }
        // 720 ms over the hour, one packet at a time.
        assert!(run.statistics.dropped <= 36 + 8, "{:?}", run.statistics);
        assert!(
            run.statistics.concealed <= (36 + 8) * FRAME,
            "{:?}",
            run.statistics
        );
        assert!(run.frames().len() as u64 >= packets - 44);
    }
}

#[test]
fn a_skewed_sound_card_is_absorbed_too() {
    for ppm in [-200, 200] {
        let mut sent = steady(60_000, FRAME);
        let mut chance = Chance(4);
        for packet in &mut sent {
            packet.arrival += chance.below(15_000);
        }
        let run = run_with(&mut Buffer::new(JitterConfig::default()), sent, ppm);
        assert!(
            run.latency(60_000, 1_200_000)
                .iter()
                .all(|&ms| ms <= 30 + 60)
        );
        assert!(run.frames().len() >= 59_900, "{:?}", run.statistics);
    }
}

/// Talkspurts of 50 packets and pauses of `pause` ms, without gaps in sequence.
fn talkspurts(pause: u64) -> Vec<Sent> {
    let mut sent = steady(1_000, FRAME);
    for (n, packet) in sent.iter_mut().enumerate() {
        let spurt = n as u64 / 50;
        packet.timestamp += spurt * pause * MS;
        packet.arrival += spurt * pause * 1_000;
        packet.marker = n % 50 == 0;
    }
    sent
}

#[test]
fn silence_of_the_sender_is_no_loss_and_costs_no_packet() {
    for pause in [5, 20, 40, 400, 3_500, 40_000] {
        let run = run(talkspurts(pause));
        assert_eq!(
            run.frames().len() as u64 + run.statistics.dropped,
            1_000,
            "{pause} ms"
        );
        assert_eq!(run.statistics.lost, 0, "{pause} ms");
        assert_eq!(run.statistics.rebased, 0, "{pause} ms");
        assert!(
            run.statistics.dropped <= 3,
            "{pause} ms: {:?}",
            run.statistics
        );
    }
}

#[test]
fn delay_shrinks_in_silences_rather_than_by_dropping() {
    // Between talkspurts the delay falls to its target without any packet left out.
    let config = JitterConfig {
        start_delay: Duration::from_millis(30),
        ..JitterConfig::default()
    };
    let run = run_with(&mut Buffer::new(config), talkspurts(400), 0);
    assert_eq!(run.statistics.dropped, 0);
    let latency = run.latency(8_000, 30_000);
    assert!(
        !latency.is_empty() && latency.iter().all(|&ms| ms <= 30 + 15),
        "{latency:?}"
    );
}

#[test]
fn a_short_pause_that_is_known_in_time_is_silence() {
    let run = run_with(&mut Buffer::new(fixed(100)), talkspurts(40), 0);
    let silence: u64 = run
        .log
        .iter()
        .filter(|entry| entry.played == Played::Silence)
        .map(|entry| entry.samples)
        .sum();
    // To a tick: the first silence also trims the delay to its target.
    assert!((19 * 40 * MS).abs_diff(silence) <= 120, "{silence}");
    // But for the end, nothing is concealed.
    assert!(run.statistics.concealed <= 60 * MS);
}

#[test]
fn a_change_of_speaker_has_no_fec_of_the_other_one() {
    let mut sent = steady(200, FRAME);
    for packet in sent.iter_mut().skip(100) {
        packet.speaker = Some(2);
    }
    sent.remove(99);
    let run = run_with(&mut Buffer::new(fixed(80)), sent, 0);
    assert_eq!(run.count(|played| played == Played::Lost { fec: true }), 0);
    assert_eq!(run.statistics.lost, 1);
}

#[test]
fn a_starved_decoder_conceals_for_200_ms_then_buffers() {
    let run = run_with(&mut Buffer::new(fixed(40)), steady(50, FRAME), 0);
    let last = run
        .log
        .iter()
        .rposition(|entry| matches!(entry.played, Played::Frame { .. }))
        .unwrap();
    let after: Vec<_> = run.log[last + 1..]
        .iter()
        .map(|entry| entry.played)
        .collect();
    assert_eq!(after[..10], [Played::Lost { fec: false }; 10]);
    assert!(
        after.len() > 15
            && after[10..]
                .iter()
                .all(|&played| played == Played::Buffering)
    );
    // Nothing more came: it was no loss.
    assert_eq!((run.statistics.lost, run.statistics.concealed), (0, 0));
}

/// What is played from `from` to `to` ms while every 50 packets `pause` ms follow. The last packet before each pause says
/// so, if `told`, and the first one behind it has the marker.
fn with_pauses(pause: u64, told: bool, from: u64, to: u64) -> (Vec<Played>, JitterStatistics) {
    let mut buffer = Buffer::new(fixed(40));
    let mut sent = talkspurts(pause).into_iter().zip(0_u64..).peekable();
    let (mut at, mut log) = (1_000_000, Vec::new());
    while at < to * 1_000 {
        while let Some((packet, n)) = sent.next_if(|(packet, _)| packet.arrival <= at) {
            let ends = told && n % 50 == 49;
            let payload = packet.sequence.to_be_bytes();
            let pushed = buffer.push(
                Instant::from_micros(packet.arrival),
                Packet {
                    sequence: packet.sequence,
                    timestamp: packet.timestamp,
                    duration: FRAME as u32,
                    codec: Codec::Opus,
                    speaker: Some(1),
                    marker: packet.marker,
                    payload: if ends { &payload[..1] } else { &payload },
                },
            );
            assert_eq!(pushed, Ok(()));
        }
        let pull = buffer.pull(Instant::from_micros(at));
        let played = match pull {
            Pull::Frame(_) => None,
            Pull::Lost { next, .. } => Some(Played::Lost {
                fec: next.is_some(),
            }),
            Pull::Silence { .. } => Some(Played::Silence),
            Pull::Buffering { .. } => Some(Played::Buffering),
        };
        let samples = u64::from(pull.samples());
        log.extend(played.filter(|_| at >= from * 1_000));
        at += samples * 1_000 / MS;
    }
    (log, buffer.statistics())
}

#[test]
fn a_pause_that_was_told_is_not_concealed() {
    let (played, statistics) = with_pauses(500, true, 1_500, 15_000);
    let lost = |played: &&Played| matches!(played, Played::Lost { .. });
    assert!(played.len() > 100 && !played.iter().any(|played| lost(&played)));
    assert_eq!((statistics.lost, statistics.concealed), (0, 0));
}

#[test]
fn a_pause_that_was_not_told_is_concealed_and_not_counted() {
    let (played, statistics) = with_pauses(500, false, 1_500, 15_000);
    assert!(played.contains(&Played::Lost { fec: false }));
    assert_eq!((statistics.lost, statistics.concealed), (0, 0));
}

#[test]
fn after_an_outage_the_last_lost_frame_is_recovered() {
    for outage in [5, 9, 12, 50] {
        let mut sent = steady(500, FRAME);
        sent.drain(200..200 + outage);
        let run = run_with(&mut Buffer::new(fixed(40)), sent, 0);
        assert_eq!(run.statistics.lost, outage as u64);
        let recovered = run.count(|played| played == Played::Lost { fec: true });
        assert_eq!(recovered, 1, "{outage} packets");
        assert!(run.statistics.concealed > 0);
    }
}

#[test]
fn a_longer_path_than_the_longest_delay_costs_one_gap() {
    // Packets that all come 200 ms later than the first ones: nothing is gained by dropping.
    let mut sent = steady(500, FRAME);
    for packet in sent.iter_mut().skip(50) {
        packet.arrival += 200_000;
    }
    let config = JitterConfig {
        max_delay: Duration::from_millis(60),
        ..fixed(40)
    };
    let run = run_with(&mut Buffer::new(config), sent, 0);
    assert!(run.statistics.dropped <= 3, "{:?}", run.statistics);
}

#[test]
fn silence_shrinks_to_bring_the_delay_to_its_target() {
    let config = JitterConfig {
        start_delay: Duration::from_millis(200),
        ..fixed(40)
    };
    let run = run_with(&mut Buffer::new(config), talkspurts(40), 0);
    let latency = run.latency(10_000, 20_000);
    assert!(
        !latency.is_empty() && latency.iter().all(|&ms| ms <= 30 + 40 + 3),
        "{latency:?}"
    );
}

#[test]
fn concealment_is_left_out_where_the_delay_is_too_long() {
    let config = JitterConfig {
        start_delay: Duration::from_millis(400),
        ..fixed(40)
    };
    let mut sent = steady(1_000, FRAME);
    sent.retain(|packet| packet.sequence % 5 != 0);
    let run = run_with(&mut Buffer::new(config), sent, 0);
    let reported = run.count(|played| matches!(played, Played::Lost { .. }));
    assert_eq!(run.statistics.lost, 199);
    // 200 ms are concealed at the end.
    assert!(reported < 199 - 2 + 10, "{reported}");
}

/// When the target first falls to 40 ms, and how long it takes until the delay follows, in ms.
fn time_to_shrink(sent: Vec<Sent>) -> u64 {
    let config = JitterConfig {
        start_delay: Duration::from_millis(240),
        ..fixed(40)
    };
    let run = run_with(&mut Buffer::new(config), sent, 0);
    let mut fallen = run
        .log
        .iter()
        .filter(|entry| u64::from(entry.statistics.target) <= 40 * MS);
    let start = fallen.next().unwrap().at;
    let end = fallen
        .find(|entry| u64::from(entry.statistics.delay) <= 72 * MS)
        .unwrap()
        .at;
    (end - start) / 1_000
}

/// Makes every `n`th packet the first of another speaker, or of a talkspurt.
fn turning(mut sent: Vec<Sent>, every: usize, marked: bool) -> Vec<Sent> {
    for (n, packet) in sent.iter_mut().enumerate() {
        if marked {
            packet.marker = n % every == 0;
        } else {
            packet.speaker = Some((n / every) as u32);
        }
    }
    sent
}

#[test]
fn turns_of_speech_let_the_delay_shrink_sooner() {
    let alone = time_to_shrink(steady(500, FRAME));
    assert!(alone > 1_000, "{alone}");
    for marked in [false, true] {
        let turning = time_to_shrink(turning(steady(500, FRAME), 5, marked));
        assert!(turning < alone * 3 / 4, "{turning} of {alone}");
    }
}

#[test]
fn turns_of_speech_let_the_delay_grow_by_silence() {
    for marked in [false, true] {
        let mut sent = turning(steady(1_000, FRAME), 10, marked);
        for packet in sent.iter_mut().step_by(8) {
            packet.arrival += 110_000;
        }
        let config = JitterConfig {
            start_delay: Duration::from_millis(20),
            ..JitterConfig::default()
        };
        let run = run_with(&mut Buffer::new(config), sent, 0);
        assert!(run.count(|played| played == Played::Silence) > 0);
    }
}

#[test]
fn the_delay_grows_step_by_step() {
    let mut sent = steady(1_000, FRAME);
    for packet in &mut sent {
        packet.arrival += if packet.sequence % 8 == 0 { 110_000 } else { 0 };
    }
    let config = JitterConfig {
        start_delay: Duration::from_millis(20),
        ..JitterConfig::default()
    };
    let run = run_with(&mut Buffer::new(config), sent, 0);
    let frames: Vec<_> = run
        .log
        .iter()
        .map(|entry| matches!(entry.played, Played::Frame { .. }))
        .collect();
    let from = frames.iter().position(|&frame| frame).unwrap();
    let to = frames.iter().rposition(|&frame| frame).unwrap();
    let longest = frames[from..to]
        .split(|&frame| frame)
        .map(<[bool]>::len)
        .max();
    assert!(longest <= Some(2), "{longest:?}");
    // The upper end of the bucket of 5 ms.
    assert_eq!(u64::from(run.statistics.target), 115 * MS);
}

#[test]
fn pulls_that_are_not_quite_on_time_change_nothing() {
    let mut buffer = Buffer::new(fixed(60));
    let mut chance = Chance(6);
    let mut sent = steady(2_000, FRAME).into_iter().peekable();
    for n in 0..2_000 {
        let at = 1_000_000 + n * 20_000 + chance.below(25_000);
        while let Some(packet) = sent.next_if(|packet| packet.arrival <= at) {
            assert_eq!(packet.push(&mut buffer), Ok(()));
        }
        let _ = buffer.pull(Instant::from_micros(at));
    }
    let statistics = buffer.statistics();
    assert!(
        statistics.concealed <= FRAME && statistics.dropped == 0,
        "{statistics:?}"
    );
}

#[test]
fn full_drops_the_oldest_and_latency_stays_within_the_cells() {
    let mut buffer = Receiver::<4, 16>::new(JitterConfig::default());
    let sent = steady(10, FRAME);
    for packet in &sent {
        assert_eq!(packet.push(&mut buffer), Ok(()));
    }
    assert_eq!(buffer.statistics().dropped, 6);
    let mut older = sent[2];
    older.arrival = sent[9].arrival;
    assert_eq!(older.push(&mut buffer), Err(PushError::Late));
    assert!(u64::from(buffer.statistics().target) <= 3 * FRAME);
    let pull = buffer.pull(Instant::from_micros(sent[9].arrival));
    assert!(
        matches!(pull, Pull::Frame(frame) if frame.sequence == SEQUENCE + 6),
        "{pull:?}"
    );
}

#[test]
fn a_caller_that_slept_catches_up_at_once() {
    let mut buffer = Buffer::new(JitterConfig::default());
    let sent = steady(1_000, FRAME);
    let mut at = 1_000_000;
    let mut pushed = sent.iter().peekable();
    let mut last = 0;
    while at < 20_000_000 {
        // Asleep from 5 to 12 s.
        if at > 5_000_000 && at < 12_000_000 {
            at = 12_000_000;
        }
        while let Some(packet) = pushed.next_if(|packet| packet.arrival <= at) {
            let _ = packet.push(&mut buffer);
        }
        let (samples, played) = play(&mut buffer, at);
        if let Played::Frame { timestamp, .. } = played {
            last = at / 1_000 - 1_000 - (timestamp - TIMESTAMP) / MS;
            if at > 12_000_000 {
                assert!(last <= 30 + 20 + 300 + 30, "{last} ms at {at}");
            }
        }
        at += samples * 1_000 / MS;
    }
    assert!(last <= 30 + 20 + 30, "{last}");
}

#[test]
fn a_sender_that_restarts_is_followed() {
    let mut sent = steady(1_000, FRAME);
    for packet in sent.iter_mut().skip(500) {
        packet.sequence -= 60_000;
        packet.timestamp = packet.timestamp.wrapping_sub(0x7FFF_0000);
    }
    let run = run(sent);
    assert_eq!(run.statistics.rebased, 1);
    // One packet is needed as a warning; up to a few that were held are gone.
    assert!(run.frames().len() >= 1_000 - 10, "{:?}", run.statistics);
}

#[test]
fn a_jump_of_sequence_numbers_alone_is_a_restart_and_no_loss() {
    for jump in [-400, 5_000, 1 << 40] {
        let mut sent = steady(1_000, FRAME);
        for packet in sent.iter_mut().skip(500) {
            packet.sequence = packet.sequence.strict_add_signed(jump);
        }
        let run = run(sent);
        assert_eq!(run.statistics.rebased, 1, "{jump}");
        assert_eq!(run.statistics.lost, 0, "{jump}");
        assert!(
            run.frames().len() >= 1_000 - 10,
            "{jump}: {:?}",
            run.statistics
        );
    }
}

#[test]
fn timestamps_that_contradict_the_sequence_are_not_played() {
    let mut buffer = Buffer::new(fixed(40));
    let sent = steady(10, FRAME);
    let mut contrary = sent[6];
    contrary.timestamp = sent[4].timestamp;
    for mut packet in [sent[9], sent[5], contrary, sent[7]] {
        packet.arrival = sent[9].arrival;
        assert_eq!(packet.push(&mut buffer), Ok(()));
    }
    let mut played = Vec::new();
    for n in 0..20 {
        let (_, pull) = play(&mut buffer, sent[9].arrival + n * 20_000);
        if let Played::Frame { sequence, .. } = pull {
            played.push(sequence - SEQUENCE);
        }
    }
    assert_eq!(played, [5, 7, 9]);
    assert_eq!(buffer.statistics().late, 1);
}

#[test]
fn contrary_timestamps_are_not_played_after_one_of_them_was_dropped() {
    let mut buffer = Receiver::<4, 16>::new(fixed(0));
    let sent = steady(20, FRAME);
    let push = |buffer: &mut Receiver<4, 16>, number: usize, timestamp: usize| {
        let mut packet = sent[number];
        packet.arrival = sent[10].arrival;
        packet.timestamp = sent[timestamp].timestamp;
        assert_eq!(packet.push(buffer), Ok(()));
    };
    push(&mut buffer, 5, 5);
    push(&mut buffer, 9, 9);
    let now = Instant::from_micros(sent[10].arrival);
    let first = buffer.pull(now);
    assert!(
        matches!(first, Pull::Frame(frame) if frame.sequence == SEQUENCE + 5),
        "{first:?}"
    );
    push(&mut buffer, 6, 3);
    push(&mut buffer, 7, 4);
    push(&mut buffer, 8, 8);
    push(&mut buffer, 10, 10); // there is no place for it: the sixth is dropped
    let mut played = Vec::new();
    for _ in 0..20 {
        if let Pull::Frame(frame) = buffer.pull(now) {
            played.push(frame.sequence - SEQUENCE);
        }
    }
    assert_eq!(played, [8, 9, 10]);
}

#[test]
fn one_stray_packet_changes_nothing() {
    let mut sent = steady(1_000, FRAME);
    let mut stray = sent[500];
    stray.sequence += 1 << 40;
    stray.timestamp += 1 << 50;
    sent.insert(500, stray);
    let run = run_with(&mut Buffer::new(fixed(40)), sent, 0);
    assert_eq!(run.statistics.rebased, 0);
    assert_eq!(run.frames().len(), 1_000);
}

#[test]
fn timestamps_that_stand_still_while_muted_are_followed() {
    let mut sent = steady(1_000, FRAME);
    for packet in sent.iter_mut().skip(500) {
        packet.arrival += 30_000_000;
    }
    let run = run(sent);
    assert_eq!(run.statistics.rebased, 1);
    assert_eq!(run.statistics.lost, 0);
    assert!(run.frames().len() as u64 + run.statistics.dropped == 1_000);
}

#[test]
fn refusals_say_why_and_change_nothing() {
    let mut buffer = Receiver::<4, 8>::new(JitterConfig::default());
    let now = Instant::from_micros(0);
    let packet = Packet {
        sequence: 5,
        timestamp: 4_800,
        duration: 960,
        codec: Codec::Opus,
        speaker: None,
        marker: false,
        payload: &[0; 8],
    };
    let mut refuse = |packet| buffer.push(now, packet).unwrap_err();
    assert_eq!(
        refuse(Packet {
            payload: &[0; 9],
            ..packet
        }),
        PushError::TooLarge
    );
    for duration in [0, 5_761, u32::MAX] {
        assert_eq!(refuse(Packet { duration, ..packet }), PushError::Invalid);
    }
    assert_eq!(
        refuse(Packet {
            sequence: 1 << 62,
            ..packet
        }),
        PushError::Invalid
    );
    assert_eq!(
        refuse(Packet {
            timestamp: u64::MAX,
            ..packet
        }),
        PushError::Invalid
    );
    assert_eq!(buffer.statistics().received, 0);
    assert_eq!(buffer.push(now, packet), Ok(()));
    assert_eq!(buffer.push(now, packet), Err(PushError::Duplicate));
}

/// Ten hours of 60 ms packets from a sender whose clock is off by `ppm`, played by a caller that stretches as
/// [`Player`](crate::audio::Player) does: up to 10 ms at a time, 15 % of the time. Returns the longest delay and what was stretched.
fn ten_hours(ppm: i64) -> (u64, u64) {
    let mut buffer = JitterBuffer::<12, 16>::stretching(JitterConfig::default());
    let mut lateness = Lateness::new();
    let (mut at, mut longest, mut stretched, mut steady) = (1_000_000_u64, 0, 0, 0_i64);
    let mut chance = Chance(ppm as u64);
    let arrival = |n: u64| {
        let sent = n * 60_000;
        1_000_000 + sent.strict_add_signed(sent as i64 * ppm / 1_000_000)
    };
    let (mut n, mut next, mut last) = (0, arrival(0), 0);
    while n < 600_000 {
        while next <= at {
            let packet = Packet {
                sequence: n,
                timestamp: n * 60 * MS,
                duration: 60 * MS as u32,
                codec: Codec::Pcmu,
                speaker: None,
                marker: n == 0,
                payload: &[0; 8],
            };
            assert_eq!(
                buffer.push(Instant::from_micros(next), packet, &mut lateness),
                Ok(())
            );
            n += 1;
            next = arrival(n) + chance.below(1_000);
        }
        let pull = buffer.pull(Instant::from_micros(at));
        let mut samples = i64::from(pull.samples());
        if let Pull::Frame(frame) = pull {
            assert!(frame.sequence >= last, "in order and once");
            last = frame.sequence + 1;
            steady -= samples;
            let excess = buffer.excess();
            if steady <= 0 && excess.abs() >= 5 * MS as i64 {
                let lag = (excess.abs() + 120).min(10 * MS as i64);
                buffer.stretch(-excess.signum() * lag);
                samples -= excess.signum() * lag;
                steady = lag * 100 / 15;
                stretched += lag.unsigned_abs();
            }
        }
        if n > 200 {
            longest = longest.max(u64::from(buffer.statistics().delay) / MS);
        }
        at += samples.unsigned_abs() * 1_000 / MS;
    }
    let statistics = buffer.statistics();
    assert_eq!(
        (statistics.dropped, statistics.rebased),
        (0, 0),
        "{statistics:?}"
    );
    assert!(
        statistics.lost == 0 && statistics.concealed <= 60 * MS,
        "{statistics:?}"
    );
    (longest, stretched / MS)
}

#[test]
fn stretching_follows_any_clock_for_ten_hours_and_never_runs_away() {
    for ppm in [-300, 300] {
        let (longest, stretched) = ten_hours(ppm);
        assert!(longest <= 40, "{ppm} ppm: {longest} ms");
        // The clocks differ by 10.8 s.
        assert!(
            (10_000..12_500).contains(&stretched),
            "{ppm} ppm: {stretched} ms"
        );
    }
}

#[test]
fn memory_is_as_documented() {
    let device = size_of::<JitterBuffer<16, 160>>();
    assert!(device <= 16 * (160 + 48) + 450, "{device}");
    assert!(size_of::<JitterBuffer<17, 160>>() - device <= 160 + 48);
}

#[derive(Debug, Clone)]
enum Action {
    Push {
        sequence: u64,
        timestamp: u64,
        duration: u32,
        marker: bool,
        speaker: Option<u32>,
    },
    Pull,
    Wait(u64),
}

/// Packets anywhere from orderly to absurd.
fn action() -> impl Strategy<Value = Action> {
    let orderly =
        (0_u64..200, 0_u64..4).prop_map(|(n, off)| (1_000 + n, 960_000 + n * 960 + off * 240));
    let near = (0_u64..5_000, 0_u64..2_000_000);
    let push = (
        prop_oneof![6 => orderly, 2 => near, 1 => any::<(u64, u64)>()],
        prop_oneof![4 => Just(960_u32), 2 => 1_u32..5_761, 1 => any::<u32>()],
        any::<bool>(),
        proptest::option::of(0_u32..3),
    )
        .prop_map(
            |((sequence, timestamp), duration, marker, speaker)| Action::Push {
                sequence,
                timestamp,
                duration,
                marker,
                speaker,
            },
        );
    prop_oneof![
        4 => push,
        5 => Just(Action::Pull),
        2 => prop_oneof![8 => 0_u64..50_000, 1 => any::<u64>()].prop_map(Action::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// For any pushes at any time: no panic, timestamps rise but for re-bases, every pull has a duration, the target is
    /// bounded, and no more is played than was accepted.
    #[test]
    fn any_input_is_survived(
        actions in proptest::collection::vec(action(), 1..400),
        rate in prop_oneof![Just(48_000_u32), any::<u32>()],
        delays in any::<[u64; 3]>(),
    ) {
        let mut buffer = Receiver::<6, 8>::new(JitterConfig {
            clock_rate: rate,
            start_delay: Duration::from_micros(delays[0]),
            min_delay: Duration::from_micros(delays[1]),
            max_delay: Duration::from_micros(delays[2]),
        });
        let mut now = 0_u64;
        let mut played = 0;
        let mut last: Option<(u64, u64, u64)> = None;
        for action in actions {
            match action {
                Action::Wait(micros) => now = now.wrapping_add(micros),
                Action::Push { sequence, timestamp, duration, marker, speaker } => {
                    let _ = buffer.push(Instant::from_micros(now), Packet {
                        sequence,
                        timestamp,
                        duration,
                        codec: Codec::Pcmu,
                        speaker,
                        marker,
                        payload: &sequence.to_be_bytes(),
                    });
                }
                Action::Pull => {
                    let bases = buffer.statistics().rebased;
                    let pull = buffer.pull(Instant::from_micros(now));
                    prop_assert!(pull.samples() > 0);
                    match pull {
                        Pull::Frame(frame) => {
                            played += 1;
                            prop_assert_eq!(frame.payload, frame.sequence.to_be_bytes());
                            if let Some((sequence, timestamp, same)) = last && same == bases {
                                prop_assert!(frame.sequence > sequence);
                                prop_assert!(frame.timestamp > timestamp);
                            }
                            last = Some((frame.sequence, frame.timestamp, bases));
                        }
                        other => prop_assert!(other.samples() <= 192_000 / 1_000 * 120),
                    }
                }
            }
        }
        let statistics = buffer.statistics();
        prop_assert!(statistics.target <= 192_000);
        prop_assert!(played <= statistics.received);
    }
}
