//! Rooms of scripted talkers in virtual time.

use super::*;
use alloc::vec::Vec;
use proptest::prelude::*;

const HOLD: Duration = Duration::from_secs(2);
const FRAME_MS: u64 = 20;

/// The contents of a 20 ms frame of a stream: a level and the voice bit, or nothing.
type Sound = Option<(u8, bool)>;

const QUIET: Sound = Some((127, false));

fn voice(level: u8) -> Sound {
    Some((level, true))
}

/// Plays `sound(stream, ms)` for `streams` streams until `end` ms; gives the changes with their ms.
fn play(
    streams: usize,
    end: u64,
    sound: impl Fn(usize, u64) -> Sound,
) -> Vec<(u64, Option<usize>)> {
    let mut loudness = alloc::vec![Loudness::new(); streams];
    let mut dominance = Dominance::new(HOLD);
    let mut changes = Vec::new();
    for ms in (FRAME_MS..=end).step_by(FRAME_MS as usize) {
        let now = Instant::from_micros(5_000_000 + ms * 1_000);
        for (stream, loudness) in loudness.iter_mut().enumerate() {
            if let Some((level, voice)) = sound(stream, ms) {
                loudness.observe(now, level, voice);
            }
        }
        let scores = loudness.iter().map(|loudness| loudness.score(now));
        if let Some(change) = dominance.decide(now, scores.enumerate()) {
            changes.push((ms, change.to));
            assert_eq!(dominance.current(), change.to);
        }
    }
    changes
}

/// Talks at `level` in the given spans of ms, else sends silence.
fn during(ms: u64, level: u8, spans: &[(u64, u64)]) -> Sound {
    let talks = spans.iter().any(|&(from, to)| ms > from && ms <= to);
    if talks { voice(level) } else { QUIET }
}

/// A hash for levels that vary without a pattern.
fn noise(stream: usize, ms: u64) -> u64 {
    let mut x = (stream as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ms;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[test]
fn a_steady_talker_is_chosen_within_400_ms() {
    for level in [0, 20, 35, 50, 60] {
        let changes = play(3, 3_000, |stream, ms| match stream {
            1 => during(ms, level, &[(1_000, 3_000)]),
            _ => QUIET,
        });
        assert_eq!(changes.len(), 1, "level {level}");
        assert!(
            changes[0].1 == Some(1) && changes[0].0 <= 1_400,
            "{changes:?}"
        );
    }
}

#[test]
fn turns_change_within_400_ms_whatever_the_levels() {
    for (first, second) in [(20, 20), (20, 50), (50, 20), (35, 45)] {
        let changes = play(2, 9_000, |stream, ms| match stream {
            0 => during(ms, first, &[(0, 3_000), (6_000, 9_000)]),
            _ => during(ms, second, &[(3_000, 6_000)]),
        });
        let who: Vec<_> = changes.iter().map(|change| change.1).collect();
        assert_eq!(who, [Some(0), Some(1), Some(0)], "{first} {second}");
        for (change, start) in changes.iter().zip([0, 3_000, 6_000]) {
            assert!(change.0 <= start + 400, "{changes:?}");
        }
    }
}

#[test]
fn a_cough_or_a_short_yes_steals_nothing() {
    // At any point of the talker's speech, also in its pauses, and louder than it.
    for length in [60, 160, 240] {
        for start in (3_000..5_000).step_by(100) {
            let changes = play(2, 8_000, |stream, ms| match stream {
                0 => during(ms, 40, &[(0, 3_500), (3_800, 4_400), (4_700, 8_000)]),
                _ => during(ms, 5, &[(start, start + length)]),
            });
            assert_eq!(changes.len(), 1, "{length} ms at {start}: {changes:?}");
        }
    }
}

#[test]
fn short_sounds_do_not_become_the_speaker_of_a_silent_room() {
    let changes = play(1, 10_000, |_, ms| {
        during(ms, 0, &[(1_000, 1_060), (3_000, 3_240), (5_000, 5_160)])
    });
    assert_eq!(changes, []);
}

#[test]
fn equal_talkers_do_not_flap() {
    // Both talk all the time, each frame's level anywhere within 24 dB, 10 % of frames inaudible.
    let changes = play(2, 60_000, |stream, ms| {
        let noise = noise(stream, ms);
        voice(if noise.is_multiple_of(10) {
            90
        } else {
            20 + (noise >> 8) as u8 % 24
        })
    });
    assert_eq!(changes.len(), 1, "{changes:?}");
}

#[test]
fn syllables_and_pauses_of_two_who_talk_over_each_other_do_not_flap() {
    // Random syllables of 100 to 300 ms and gaps of 40 to 120 ms, one script per stream.
    let script = |stream: usize| {
        let mut spans = Vec::new();
        let mut ms = 0;
        while ms < 60_000 {
            let end = ms + 100 + noise(stream, ms) % 200;
            spans.push((ms, end));
            ms = end + 40 + noise(stream, end) % 80;
        }
        spans
    };
    let scripts = [script(0), script(1)];
    let changes = play(2, 60_000, |stream, ms| {
        during(ms, 25 + (noise(stream, ms) % 12) as u8, &scripts[stream])
    });
    assert!(
        changes.len() <= 3,
        "{} in a minute: {changes:?}",
        changes.len()
    );
}

#[test]
fn alternating_talkers_change_no_faster_than_their_turns() {
    for turn in [100, 200, 300, 400, 600, 1_000, 3_000] {
        let changes = play(2, 30_000, |stream, ms| {
            let talks = (ms - 1) / turn % 2 == stream as u64;
            if talks { voice(30) } else { QUIET }
        });
        assert!(changes.len() as u64 <= 30_000 / turn, "turns of {turn} ms");
        // Turns as short as syllables and the gaps between them are no turns at all.
        if turn <= 200 {
            assert!(changes.len() <= 3, "turns of {turn} ms: {changes:?}");
        }
        if turn >= 600 {
            assert_eq!(changes.len() as u64, 30_000 / turn, "turns of {turn} ms");
        }
    }
}

#[test]
fn silence_keeps_the_last_speaker_for_the_hold_time() {
    // With packets of silence, and with none at all.
    for silence in [QUIET, None] {
        let changes = play(
            1,
            10_000,
            |_, ms| if ms <= 1_000 { voice(30) } else { silence },
        );
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[1].1, None);
        assert!((3_000..=3_500).contains(&changes[1].0), "{changes:?}");
    }
}

#[test]
fn whoever_stops_sending_is_overtaken() {
    let changes = play(2, 4_000, |stream, ms| match stream {
        0 => (ms <= 2_000).then_some((30, true)),
        _ => (ms > 2_000).then_some((30, true)),
    });
    assert_eq!(changes.len(), 2);
    assert!(
        changes[1].1 == Some(1) && changes[1].0 <= 2_400,
        "{changes:?}"
    );
}

#[test]
fn whoever_leaves_is_not_held() {
    let now = Instant::from_micros(1_000_000);
    let talking = Score {
        rank: 900,
        talking: true,
        ..Score::default()
    };
    let mut dominance = Dominance::new(HOLD);
    assert_eq!(dominance.poll_timeout(), None);
    assert!(dominance.decide(now, [(1, talking)]).is_some());
    assert_eq!(dominance.poll_timeout(), Some(now + HOLD));
    let change = dominance.decide(now, []);
    assert_eq!(
        change,
        Some(SpeakerChange {
            from: Some(1),
            to: None
        })
    );
}

#[test]
fn noise_without_voice_ranks_above_silence_and_never_speaks() {
    let mut noisy = Loudness::new();
    let mut silent = Loudness::new();
    let mut now = Instant::from_micros(0);
    for _ in 0..500 {
        now += Duration::from_millis(20);
        noisy.observe(now, 10, false);
        silent.observe(now, 80, true);
    }
    assert!(!noisy.score(now).is_talking());
    assert!(noisy.score(now).beats(silent.score(now)));
}

/// Noise about `level` as 20 ms of it vary, by a dB either way.
fn fan(stream: usize, ms: u64, level: u8) -> Sound {
    voice(level - 1 + (noise(stream, ms) % 3) as u8)
}

#[test]
fn a_fan_that_always_runs_never_speaks_and_takes_no_slot_from_silence() {
    let changes = play(2, 60_000, |stream, ms| match stream {
        0 => fan(stream, ms, 59),
        _ => QUIET,
    });
    assert_eq!(changes, []);
    let (mut noisy, mut silent) = (Loudness::new(), Loudness::new());
    let mut now = Instant::from_micros(0);
    for ms in (0..10_000).step_by(20) {
        now += Duration::from_millis(20);
        let (level, voice) = fan(0, ms, 59).unwrap();
        noisy.observe(now, level, voice);
        silent.observe(now, 127, false);
    }
    assert!(!noisy.score(now).beats(silent.score(now)));
}

#[test]
fn a_fan_that_is_turned_on_is_silence_after_some_seconds() {
    for (level, seconds) in [(59, 10), (50, 20), (46, 25)] {
        let changes = play(1, 60_000, |stream, ms| match ms {
            ..=5_000 => QUIET,
            _ => fan(stream, ms, level),
        });
        let last = changes.last().unwrap();
        assert_eq!(last.1, None, "{level}: {changes:?}");
        assert!(last.0 <= 5_000 + seconds * 1_000, "{level}: {changes:?}");
    }
}

#[test]
fn a_quiet_talker_speaks_beside_a_fan_and_above_one() {
    // Syllables at −53 to −47 dBov, pauses at the room's −66, or at the noise of a fan of −59.
    for background in [66, 59] {
        let talk = |stream, ms: u64| match ms / 100 % 4 {
            3 => fan(stream, ms, background),
            _ => voice(47 + (noise(stream, ms) % 7) as u8),
        };
        let changes = play(2, 60_000, |stream, ms| match stream {
            0 => fan(stream, ms, 59),
            _ if ms <= 10_000 => fan(stream, ms, background),
            _ => talk(stream, ms),
        });
        assert_eq!(changes.len(), 1, "{background}: {changes:?}");
        let (at, who) = changes[0];
        assert!(who == Some(1) && at <= 11_000, "{background}: {changes:?}");
    }
}

#[test]
fn a_sound_without_voice_does_not_end_a_talk() {
    let mut loudness = Loudness::new();
    let mut now = Instant::from_micros(0);
    for n in 0..60 {
        now += Duration::from_millis(20);
        loudness.observe(now, 30, n % 5 != 4);
    }
    assert!(loudness.score(now).is_talking());
}

#[test]
fn the_rank_ends_at_1000_however_loud() {
    for level in [0, LOUD] {
        let mut loudness = Loudness::new();
        let mut now = Instant::from_micros(0);
        for _ in 0..100 {
            now += Duration::from_millis(20);
            loudness.observe(now, level, true);
        }
        assert_eq!(loudness.score(now).rank(), 1_000);
    }
}

#[test]
fn single_packets_are_no_talk() {
    let changes = play(1, 20_000, |_, ms| (ms % 400 == 0).then_some((10, true)));
    assert_eq!(changes, []);
}

#[test]
fn the_louder_of_two_ranks_higher_by_its_margin() {
    let mut loud = Loudness::new();
    let mut soft = Loudness::new();
    let mut near = Loudness::new();
    let mut now = Instant::from_micros(0);
    for _ in 0..200 {
        now += Duration::from_millis(20);
        loud.observe(now, 25, true);
        near.observe(now, 35, true);
        soft.observe(now, 45, true);
    }
    let [loud, near, soft] = [loud, near, soft].map(|stream| stream.score(now));
    assert!(loud.beats(soft) && !loud.beats(near) && !near.beats(soft));
    assert!(loud.rank() > near.rank() && near.rank() > soft.rank());
}

#[test]
fn many_packets_at_once_gain_nothing() {
    let mut flood = Loudness::new();
    let mut now = Instant::from_micros(0);
    for _ in 0..10_000 {
        now += Duration::from_micros(10);
        flood.observe(now, 0, true);
    }
    assert!(!flood.score(now).is_talking());
}

#[test]
fn packet_duration_makes_little_difference() {
    let fill = |ms: u64| {
        let mut loudness = Loudness::new();
        let mut now = Instant::from_micros(0);
        for _ in 0..240 / ms {
            now += Duration::from_millis(ms);
            loudness.observe(now, 30, true);
        }
        loudness.score(now).rank()
    };
    assert!(fill(10).abs_diff(fill(20)) <= 40);
    assert!(fill(20).abs_diff(fill(60)) <= 80);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any levels at any times, even with a clock that runs backwards: no panic, bounded scores, and
    /// the speaker is always a candidate.
    #[test]
    fn any_input_is_survived(
        steps in proptest::collection::vec((0_usize..3, any::<u64>(), any::<u8>(), any::<bool>()), 1..200),
        near in any::<bool>(),
    ) {
        let mut streams = [Loudness::new(); 3];
        let mut dominance = Dominance::new(HOLD);
        for (stream, at, level, voice) in steps {
            let now = Instant::from_micros(if near { at % 10_000_000 } else { at });
            streams[stream].observe(now, level, voice);
            let scores = streams.map(|loudness| loudness.score(now));
            prop_assert!(scores.iter().all(|score| score.rank() <= 1_000));
            let before = dominance.current();
            let change = dominance.decide(now, scores.into_iter().enumerate());
            prop_assert_eq!(change.is_some(), before != dominance.current());
        }
    }
}
