use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::audio::Loudness;

const HOLD: Duration = Duration::from_millis(200);
const FRAME: Duration = Duration::from_millis(20);

fn slots(count: u8) -> Slots {
    Slots::new(1000, count, HOLD, &mut ChaCha12Rng::seed_from_u64(7))
}

fn at(ms: u64) -> Instant {
    Instant::from_micros(1_000_000 + ms * 1_000)
}

/// The score of a talker at `level` −dBov without pause.
fn talking(level: u8) -> Score {
    let mut loudness = Loudness::new();
    let mut now = at(0);
    for _ in 0..100 {
        now += FRAME;
        loudness.observe(now, level, true);
    }
    loudness.score(now)
}

fn source(ssrc: u32, sequence: u16, score: Score) -> Arriving {
    Arriving {
        ssrc,
        publisher: Some(MemberKey(ssrc as usize)),
        sequence,
        timestamp: u32::from(sequence) * 960,
        marker: false,
        is_newest: true,
        clock_rate: 48_000,
        score,
    }
}

#[test]
fn a_stream_keeps_its_slot_and_its_distances() {
    let mut slots = slots(2);
    let quiet = Score::default();
    let first = slots.take(at(0), &source(1, 10, quiet)).unwrap();
    assert!(first.stamp.marker && first.changed && slots.owns(first.stamp.ssrc));
    // 11 is lost before the server, 13 overtakes 12.
    for (ms, sequence) in [(40, 13), (45, 12), (400, 14)] {
        let packet = slots.take(at(ms), &source(1, sequence, quiet)).unwrap();
        let steps = sequence - 10;
        assert_eq!(packet.stamp.ssrc, first.stamp.ssrc);
        assert_eq!(
            packet.stamp.sequence,
            first.stamp.sequence.wrapping_add(steps)
        );
        assert_eq!(
            packet.stamp.timestamp,
            first.stamp.timestamp.wrapping_add(u32::from(steps) * 960)
        );
        assert!(!packet.stamp.marker && !packet.changed);
    }
}

#[test]
fn the_louder_takes_the_place_of_the_quieter_and_only_then() {
    let mut slots = slots(1);
    let (quiet, similar, loud) = (talking(50), talking(45), talking(25));
    let first = slots.take(at(0), &source(1, 10, quiet)).unwrap();
    assert_eq!(slots.take(at(5), &source(2, 500, similar)), None);
    let taken = slots.take(at(10), &source(3, 900, loud)).unwrap();
    assert_eq!(taken.stamp.sequence, first.stamp.sequence.wrapping_add(1));
    assert_eq!(
        taken.stamp.timestamp,
        first.stamp.timestamp.wrapping_add(960)
    );
    assert!(taken.stamp.marker && taken.changed);
    assert_eq!(slots.take(at(20), &source(1, 11, quiet)), None);
    assert_eq!(slots.sources().collect::<Vec<_>>(), [3]);
    // A packet from before its turn would collide with packets sent then.
    assert_eq!(slots.take(at(21), &source(3, 899, loud)), None);
}

#[test]
fn silence_frees_a_slot_and_its_time_passes() {
    let mut slots = slots(1);
    let loud = talking(20);
    let first = slots.take(at(0), &source(1, 10, loud)).unwrap();
    assert_eq!(slots.take(at(199), &source(2, 0, talking(40))), None);
    let next = slots
        .take(at(200), &source(2, 0, Score::default()))
        .unwrap();
    assert_eq!(next.stamp.sequence, first.stamp.sequence.wrapping_add(1));
    assert_eq!(
        next.stamp.timestamp,
        first.stamp.timestamp.wrapping_add(9_600)
    );

    slots.release(2);
    let back = slots
        .take(at(210), &source(1, 11, Score::default()))
        .unwrap();
    assert_eq!(back.stamp.sequence, next.stamp.sequence.wrapping_add(1));
}

#[test]
fn a_stream_that_comes_back_gets_the_slot_that_it_had() {
    let mut slots = slots(3);
    let slot_of = |slots: &mut Slots, time: u64, ssrc: u32, sequence: u16| {
        let packet = source(ssrc, sequence, Score::default());
        slots.take(at(time), &packet).unwrap().stamp.ssrc - 1_000
    };
    for ssrc in 1..=3 {
        assert_eq!(slot_of(&mut slots, 0, ssrc, 0), ssrc - 1);
    }
    // Muted, and unmuted in another order: not the slot that was free for longest.
    for ssrc in 1..=3 {
        slots.release(ssrc);
    }
    for (time, ssrc) in [(500, 3), (600, 1), (700, 2)] {
        assert_eq!(slot_of(&mut slots, time, ssrc, 1), ssrc - 1);
    }
    // Another stream has its slot meanwhile.
    slots.forget(3);
    assert_eq!(slot_of(&mut slots, 800, 4, 0), 2);
    assert_eq!(slot_of(&mut slots, 1_000, 3, 2), 0, "free for longest");
}

#[test]
fn free_slots_are_used_before_anybody_is_sent_away() {
    let mut slots = slots(3);
    for ssrc in 1..=3 {
        assert!(
            slots
                .take(at(0), &source(ssrc, 0, Score::default()))
                .is_some()
        );
    }
    assert_eq!(slots.sources().count(), 3);
    assert_eq!(slots.take(at(1), &source(4, 0, Score::default())), None);
}

#[test]
fn a_pinned_stream_gets_a_slot_and_keeps_it() {
    let mut slots = slots(1);
    let (quiet, loud) = (Score::default(), talking(20));
    slots.take(at(0), &source(1, 0, loud)).unwrap();
    slots.pin(Some(2));
    assert!(slots.take(at(1), &source(2, 0, quiet)).is_some());
    assert_eq!(slots.take(at(500), &source(1, 1, loud)), None);
    slots.pin(None);
    assert!(slots.take(at(501), &source(1, 2, loud)).is_some());
}

#[test]
fn g711_is_put_on_the_clock_of_the_slot() {
    let mut slots = slots(1);
    let mut packet = source(1, 65_535, Score::default());
    packet.clock_rate = 8_000;
    packet.timestamp = u32::MAX - 100;
    let first = slots.take(at(0), &packet).unwrap();
    packet.sequence = 0;
    packet.timestamp = packet.timestamp.wrapping_add(160);
    let second = slots.take(at(20), &packet).unwrap();
    assert_eq!(
        second.stamp.timestamp,
        first.stamp.timestamp.wrapping_add(960)
    );
    assert_eq!(second.stamp.sequence, first.stamp.sequence.wrapping_add(1));
}

#[test]
fn without_slots_nothing_is_heard() {
    assert_eq!(slots(0).take(at(0), &source(1, 0, talking(10))), None);
    assert!(!slots(0).owns(1000));
}

proptest! {
    /// Whichever streams take turns, each slot's flow goes on without a break: when the stream changes, the sequence
    /// number goes up by one from the highest, and timestamps never go back.
    #[test]
    fn no_flow_ever_breaks(
        steps in prop::collection::vec((1u32..6, 0u64..400, 0u8..127, any::<bool>()), 1..300),
        count in 1u8..4,
    ) {
        let mut slots = slots(count);
        let mut sequences = [65_500u16; 6];
        let mut last: [Option<SlotPacket>; 4] = [None; 4];
        let mut now = at(0);
        for (ssrc, gap, level, lost) in steps {
            now += Duration::from_millis(gap);
            let sequence = &mut sequences[ssrc as usize];
            *sequence = sequence.wrapping_add(if lost { 2 } else { 1 });
            let mut packet = source(ssrc, *sequence, talking(level));
            packet.timestamp = (now.as_micros() * 48 / 1_000) as u32;
            let Some(sent) = slots.take(now, &packet) else { continue };
            let slot = (sent.stamp.ssrc - 1000) as usize;
            prop_assert!(slot < usize::from(count));
            if let Some(before) = last[slot].replace(sent) {
                let ahead = sequence_difference(sent.stamp.sequence, before.stamp.sequence);
                let allowed = if sent.changed { 1..=1 } else { 1..=2 };
                prop_assert!(allowed.contains(&ahead));
                prop_assert!(timestamp_difference(sent.stamp.timestamp, before.stamp.timestamp) >= 0);
            }
            let mut heard: Vec<_> = slots.sources().collect();
            heard.sort();
            heard.dedup();
            prop_assert_eq!(heard.len(), slots.sources().count());
        }
    }

    /// Any packets at any time: no panic, and no slot beyond those there are.
    #[test]
    fn anything_is_survived(
        packets in prop::collection::vec(any::<(u8, u16, u32, bool, u32, u64)>(), 0..200),
    ) {
        let mut slots = slots(2);
        for (ssrc, sequence, timestamp, marker, clock_rate, now) in packets {
            let score = Score::default();
            let source = Arriving {
                ssrc: ssrc.into(), publisher: None, sequence, timestamp, marker, is_newest: !marker, clock_rate, score,
            };
            if let Some(sent) = slots.take(Instant::from_micros(now), &source) {
                prop_assert!(slots.owns(sent.stamp.ssrc));
            }
        }
    }
}

/// The level that streams send in a 20 ms frame (V bit set), or nothing.
type Sounds<'s> = &'s dyn Fn(u32, u64) -> Option<u8>;

/// Plays `sounds(ssrc, ms)` for SSRCs 1 to `streams` over one slot; returns the holder of the slot over time.
fn play(streams: u32, end: u64, sounds: Sounds<'_>) -> Vec<(u64, u32)> {
    let mut slots = slots(1);
    let mut loudness = alloc::vec![Loudness::new(); streams as usize];
    let mut turns = Vec::new();
    for ms in (0..end).step_by(20) {
        for (ssrc, loudness) in (1..).zip(&mut loudness) {
            let Some(level) = sounds(ssrc, ms) else {
                continue;
            };
            loudness.observe(at(ms), level, true);
            let packet = source(ssrc, (ms / 20) as u16, loudness.score(at(ms)));
            if slots.take(at(ms), &packet).is_some_and(|sent| sent.changed) {
                turns.push((ms, ssrc));
            }
        }
    }
    turns
}

#[test]
fn the_beginning_of_a_far_louder_sentence_is_heard() {
    for (first, second) in [(50, 30), (40, 25), (60, 45), (30, 15), (20, 5)] {
        let turns = play(2, 6_000, &|ssrc, ms| match ssrc {
            1 => Some(first),
            _ => (2_000..4_000).contains(&ms).then_some(second),
        });
        let who: Vec<_> = turns.iter().map(|turn| turn.1).collect();
        assert_eq!(who, [1, 2, 1], "{first} {second}: {turns:?}");
        assert!(turns[1].0 <= 2_060, "{first} {second}: {turns:?}");
        assert!(turns[2].0 <= 4_200, "{first} {second}: {turns:?}");
    }
}

#[test]
fn whoever_speaks_into_silence_is_heard_though_silence_is_sent_too() {
    let turns = play(2, 6_000, &|ssrc, ms| {
        let speaks = ms / 2_000 % 2 == u64::from(ssrc - 1);
        Some(if speaks { 40 } else { 127 })
    });
    let who: Vec<_> = turns.iter().map(|turn| turn.1).collect();
    assert_eq!(who, [1, 2, 1], "{turns:?}");
    for (turn, start) in turns.iter().zip([0, 2_000, 4_000]).skip(1) {
        assert!(turn.0 <= start + 220, "{turns:?}");
    }
}

#[test]
fn small_margins_do_not_change_hands() {
    // 12 dB louder at most, from any moment on; levels vary by as much.
    for start in (1_000..2_000).step_by(100) {
        let turns = play(2, 20_000, &|ssrc, ms| {
            let noise =
                (ms ^ (ms >> 3)).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ u64::from(ssrc)) >> 40;
            let level = 30 + (noise % 12) as u8;
            match ssrc {
                1 => Some(level),
                _ => (ms >= start).then_some(level - 10),
            }
        });
        assert!(turns.len() <= 2, "{turns:?}");
    }
}

#[test]
fn who_took_a_slot_by_being_louder_is_not_thrown_out_for_having_talked_less() {
    // Its loudness varies so that the mean is far louder at first, and then only just louder.
    let turns = play(2, 4_000, &|ssrc, ms| match (ssrc, ms) {
        (1, _) => Some(45),
        (_, 2_000..2_100) => Some(20),
        (_, 2_100..) => Some(38),
        _ => None,
    });
    let who: Vec<_> = turns.iter().map(|turn| turn.1).collect();
    assert_eq!(who, [1, 2], "{turns:?}");
}

#[test]
fn a_click_takes_nothing() {
    let turns = play(2, 4_000, &|ssrc, ms| match ssrc {
        1 => Some(45),
        _ => Some(if ms % 1_000 < 40 { 10 } else { 127 }),
    });
    assert_eq!(turns.len(), 1, "{turns:?}");
}

#[test]
fn what_was_held_back_for_long_is_not_heard() {
    let mut slots = slots(1);
    let quiet = Score::default();
    let first = slots.take(at(0), &source(1, 500, quiet)).unwrap();
    for old in [400, 401, 402, 30] {
        assert_eq!(slots.take(at(10), &source(1, old, quiet)), None);
    }
    let next = slots.take(at(20), &source(1, 501, quiet)).unwrap();
    assert_eq!(next.stamp.sequence, first.stamp.sequence.wrapping_add(1));
}

#[test]
fn no_turn_begins_with_what_is_from_before_the_last() {
    let mut slots = slots(1);
    let quiet = Score::default();
    slots.take(at(0), &source(1, 500, quiet)).unwrap();
    let other = slots.take(at(200), &source(2, 7, quiet)).unwrap();
    let mut old = source(1, 499, quiet);
    old.is_newest = false;
    assert_eq!(slots.take(at(400), &old), None);
    assert_eq!(slots.sources().collect::<Vec<_>>(), [2]);
    let next = slots.take(at(400), &source(1, 501, quiet)).unwrap();
    assert_eq!(next.stamp.sequence, other.stamp.sequence.wrapping_add(1));
}

#[test]
fn one_stray_packet_does_not_move_the_flow() {
    let mut slots = slots(1);
    let quiet = Score::default();
    let first = slots.take(at(0), &source(1, 500, quiet)).unwrap();
    for stray in [390, 5_000, 380] {
        assert_eq!(slots.take(at(10), &source(1, stray, quiet)), None);
    }
    let next = slots.take(at(20), &source(1, 501, quiet)).unwrap();
    assert_eq!(next.stamp.sequence, first.stamp.sequence.wrapping_add(1));
    assert_eq!(
        next.stamp.timestamp,
        first.stamp.timestamp.wrapping_add(960)
    );
    // Two in a row are a stream that has begun anew.
    assert_eq!(slots.take(at(40), &source(1, 5_000, quiet)), None);
    let anew = slots.take(at(60), &source(1, 5_001, quiet)).unwrap();
    assert_eq!(anew.stamp.sequence, next.stamp.sequence.wrapping_add(1));
    assert!(anew.stamp.marker && !anew.changed);
}

/// A packet of a stream of the first participant, which says that it is as loud as can be.
fn faked(ssrc: u32, sequence: u16) -> Arriving {
    Arriving {
        publisher: Some(MemberKey(1)),
        ..source(ssrc, sequence, talking(0))
    }
}

#[test]
fn a_participant_keeps_one_slot_against_all_who_are_heard() {
    let mut slots = slots(4);
    let soft = talking(50);
    for ssrc in 1..=4 {
        assert!(slots.take(at(0), &faked(ssrc, 0)).is_some(), "it is free");
    }
    // A silent stream needs no slot.
    let silent = source(11, 0, Score::default());
    assert_eq!(slots.take(at(1), &silent), None);
    for ssrc in 11..=13 {
        assert!(slots.take(at(20), &source(ssrc, 1, soft)).is_some());
    }
    assert_eq!(
        slots.take(at(20), &source(14, 0, soft)),
        None,
        "all have one"
    );
    for ssrc in 1..=4 {
        slots.take(at(21), &faked(ssrc, 1));
    }
    let mut heard: Vec<_> = slots.sources().collect();
    heard.sort();
    assert_eq!(heard, [4, 11, 12, 13]);
    // A stream that falls silent, and says so, gives way even to another's second stream, and has the slot back as
    // soon as it is heard.
    let silent = source(13, 2, Score::default());
    slots.take(at(40), &silent).unwrap();
    assert!(slots.take(at(41), &faked(1, 2)).is_some());
    assert_eq!(
        slots
            .take(at(60), &source(12, 2, soft))
            .map(|sent| sent.changed),
        Some(false)
    );
    assert!(slots.take(at(60), &source(13, 3, soft)).is_some());
    assert_eq!(slots.take(at(61), &faked(1, 3)), None);
}

#[test]
fn a_slot_in_which_nobody_is_heard_is_taken_before_anothers_second() {
    let mut slots = slots(3);
    for ssrc in 1..=2 {
        slots.take(at(0), &faked(ssrc, 0)).unwrap();
    }
    slots.take(at(0), &source(11, 0, Score::default())).unwrap();
    slots.take(at(20), &source(12, 0, talking(50))).unwrap();
    let mut heard: Vec<_> = slots.sources().collect();
    heard.sort();
    assert_eq!(heard, [1, 2, 12]);
}

#[test]
fn streams_of_one_participant_compete_among_themselves() {
    let mut slots = slots(2);
    let own = |ssrc, sequence, level| Arriving {
        publisher: Some(MemberKey(1)),
        ..source(ssrc, sequence, talking(level))
    };
    slots.take(at(0), &own(1, 0, 40)).unwrap();
    slots.take(at(0), &source(11, 0, talking(45))).unwrap();
    assert_eq!(slots.take(at(1), &own(2, 0, 35)), None);
    assert!(slots.take(at(2), &own(3, 0, 20)).is_some());
    assert_eq!(slots.sources().collect::<Vec<_>>(), [3, 11]);
}
