use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const RATE: u32 = 48_000;

fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

/// Full sequence numbers in order of arrival, all within reach of the highest; lost ones are
/// missing, late and repeated ones stand where they arrive. The first is the lowest.
fn arrivals() -> impl Strategy<Value = Vec<u64>> {
    let steps = prop::collection::vec((0u64..40, 0u64..99), 0..400);
    (any::<u16>(), steps).prop_map(|(first, steps)| {
        let first = u64::from(first);
        let mut highest = first;
        let mut numbers = std::vec![first];
        for (kind, reach) in steps {
            let number = match kind {
                0..30 => highest + 1,
                30..35 => highest + 1 + reach,
                _ => highest.saturating_sub(reach).max(first),
            };
            highest = highest.max(number);
            numbers.push(number);
        }
        numbers
    })
}

proptest! {
    #[test]
    fn counts_follow_the_model(numbers in arrivals(), reports in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let mut stats = ReceptionStats::new(9, RATE);
        let reports: Vec<usize> = reports.iter().map(|index| index.index(numbers.len())).collect();
        let (mut late, mut duplicates, mut reported) = (0, 0, 0);
        for (index, &number) in numbers.iter().enumerate() {
            let before = &numbers[..index];
            if before.contains(&number) {
                duplicates += 1;
            } else if before.iter().any(|&other| other > number) {
                late += 1;
            }
            stats.handle_packet(at(0), number as u16, 0);
            let so_far = &numbers[..=index];
            let highest = *so_far.iter().max().unwrap();
            let expected = highest - numbers[0] + 1;
            prop_assert_eq!(stats.highest_sequence(), Some(highest));
            prop_assert_eq!(stats.expected(), expected);
            prop_assert_eq!(stats.received(), so_far.len() as u64);
            prop_assert_eq!(stats.lost(), expected as i64 - so_far.len() as i64);
            prop_assert_eq!((stats.late(), stats.duplicates()), (late, duplicates));

            if reports.contains(&index) {
                let interval = &numbers[reported..=index];
                let highest_before = numbers[..reported].iter().max().map_or(numbers[0], |highest| highest + 1);
                let expected_now = (highest + 1 - highest_before) as f64;
                let lost_now = expected_now - interval.len() as f64;
                let fraction = if lost_now > 0.0 { (lost_now / expected_now * 256.0) as u8 } else { 0 };
                let block = stats.report_block(at(0)).unwrap();
                prop_assert_eq!(block.fraction_lost, fraction);
                prop_assert_eq!(i64::from(block.cumulative_lost), stats.lost());
                prop_assert_eq!(u64::from(block.highest_sequence), highest);
                reported = index + 1;
            }
        }
    }

    #[test]
    fn jitter_follows_the_definition(
        steps in prop::collection::vec((0u64..100_000, 0u32..5_000), 1..200),
        start: u32,
    ) {
        let mut stats = ReceptionStats::new(9, RATE);
        let (mut arrival, mut timestamp) = (1_000_000_000, start);
        stats.handle_packet(at(arrival), 0, timestamp);
        let mut jitter = 0.0;
        for (sequence, (micros, samples)) in (1..).zip(steps) {
            arrival += micros;
            timestamp = timestamp.wrapping_add(samples);
            stats.handle_packet(at(arrival), sequence, timestamp);
            let difference = micros as f64 * f64::from(RATE) / 1e6 - f64::from(samples);
            jitter += (difference.abs() - jitter) / 16.0;
            // Each step rounds two arrivals to whole units, and the sixteenth part once.
            prop_assert!((f64::from(stats.jitter()) - jitter).abs() < 3.0, "{} {jitter}", stats.jitter());
        }
    }

    #[test]
    fn anything_is_counted_without_panic(
        rate: u32,
        packets in prop::collection::vec((any::<u64>(), any::<u16>(), any::<u32>(), any::<u64>()), 0..100),
    ) {
        let mut stats = ReceptionStats::new(9, rate);
        for (now, sequence, timestamp, ntp) in packets {
            stats.handle_packet(at(now), sequence, timestamp);
            stats.handle_packet(at(now), sequence.wrapping_add(1), timestamp);
            stats.handle_sender_report(at(now), ntp);
            prop_assert!(stats.report_block(at(timestamp.into())).is_some());
            prop_assert!(stats.duplicates() + stats.late() <= stats.received());
            stats.jitter_duration();
        }
    }
}

#[test]
fn nothing_received_is_nothing_to_report() {
    let mut stats = ReceptionStats::new(9, RATE);
    stats.handle_sender_report(at(0), 1 << 32);
    assert_eq!(stats.report_block(at(0)), None);
    assert_eq!((stats.expected(), stats.lost()), (0, 0));
    assert_eq!(stats.highest_sequence(), None);
}

#[test]
fn a_sender_report_is_quoted_with_its_age() {
    let mut stats = ReceptionStats::new(9, RATE);
    stats.handle_packet(at(0), 1, 0);
    let block = stats.report_block(at(0)).unwrap();
    assert_eq!((block.last_sr, block.delay_since_last_sr), (0, 0));
    stats.handle_sender_report(at(1_000_000), 0x1111_2222_3333_4444);
    let block = stats.report_block(at(1_500_000)).unwrap();
    assert_eq!(block.ssrc, 9);
    assert_eq!(block.last_sr, 0x2222_3333);
    assert_eq!(block.delay_since_last_sr, 32_768);
}

#[test]
fn a_far_jump_counts_only_when_its_successor_confirms_it() {
    for (jump, counts) in [(2_999, true), (3_000, false), (-99, true), (-100, false)] {
        let mut stats = ReceptionStats::new(9, RATE);
        stats.handle_packet(at(0), 30_000, 0);
        stats.handle_packet(at(0), 30_000u16.wrapping_add_signed(jump), 0);
        assert_eq!(stats.received(), 1 + u64::from(counts), "{jump}");
    }

    let mut stats = ReceptionStats::new(9, RATE);
    stats.handle_packet(at(0), 0, 0);
    stats.handle_packet(at(0), 0, 0);
    stats.handle_packet(at(0), 40_000, 0);
    stats.handle_packet(at(0), 50_000, 0);
    assert_eq!((stats.received(), stats.highest_sequence()), (2, Some(0)));
    // The old numbers go on: the jump was a stray.
    stats.handle_packet(at(0), 1, 0);
    stats.handle_packet(at(0), 50_001, 0);
    assert_eq!((stats.received(), stats.highest_sequence()), (3, Some(1)));
    stats.handle_packet(at(0), 50_002, 0);
    assert_eq!((stats.expected(), stats.received()), (1, 1));
    assert_eq!((stats.duplicates(), stats.late()), (0, 0));
    assert_eq!(stats.highest_sequence(), Some(50_002));
}

#[test]
fn a_new_beginning_does_not_count_as_jitter() {
    let mut stats = ReceptionStats::new(9, RATE);
    stats.handle_packet(at(0), 0, 0);
    stats.handle_packet(at(20_000), 1, 960);
    stats.handle_packet(at(40_000), 50_000, 1 << 30);
    stats.handle_packet(at(60_000), 50_001, (1 << 30) + 960);
    stats.handle_packet(at(80_000), 50_002, (1 << 30) + 1920);
    assert_eq!((stats.received(), stats.jitter()), (2, 0));
}

#[test]
fn jitter_as_time_uses_the_clock() {
    let mut stats = ReceptionStats::new(9, 8_000);
    stats.handle_packet(at(0), 0, 0);
    // One difference of 160 units: a sixteenth of it is 10, which is 1.25 ms.
    stats.handle_packet(at(20_000), 1, 0);
    assert_eq!(stats.jitter(), 10);
    assert_eq!(stats.jitter_duration(), Duration::from_micros(1_250));
}
