//! What a chip can do against echo: the core's filter in integers, in the simulated room.
//!
//! The device hears its own loudspeaker directly, and more of it from the walls: the longer they ring, the more comes
//! after the last tap, which sets a bound to what can be removed.

mod simulated;

use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::level::level as dbov;
use parlour_core::audio::{EchoFilter, HalfDuplex};
use parlour_examples::measure;
use simulated::{Room, level, mixed, speech};

/// From the reference to the microphone, in ms: two rings of 20 ms, half full.
const DELAY: usize = 20;
const SECONDS: usize = 24;
/// When both talk.
const BOTH: std::ops::Range<usize> = 10..18;

/// A loudspeaker in the same case as the microphone: the walls are some 20 dB quieter than in a living room.
const CASE: Room = Room {
    reverberation: 0.15,
    reflected: 0.02,
    delay: 0,
    ..Room::LIVING
};

/// dB of the echo that are removed after five seconds, while both talk, and after that; and how similar the voice is
/// to what is left while both talk.
#[derive(Debug)]
struct Heard {
    alone: f64,
    both: f64,
    after: f64,
    similarity: f64,
}

impl Heard {
    /// Fails if one of them is less.
    fn at_least(&self, name: &str, least: [f64; 4]) {
        let Self {
            alone,
            both,
            after,
            similarity,
        } = *self;
        println!(
            "{name}: {alone:.1} dB, {both:.1} dB while two talk (voice {similarity:.2}), then {after:.1} dB"
        );
        let seen = [alone, both, after, similarity];
        let is_enough = seen.iter().zip(least).all(|(seen, least)| *seen >= least);
        assert!(is_enough, "{name}: {seen:?} for {least:?}");
    }
}

fn hear<const TAPS: usize, const HISTORY: usize>(rate: SampleRate, room: Room) -> Heard {
    let hz = rate.hz() as usize;
    let room = Room {
        hz,
        delay: DELAY * hz / 1_000,
        ..room
    };
    let mut filter = Box::new(EchoFilter::<TAPS, HISTORY>::new());
    assert_eq!(filter.delay(), room.delay);
    let far = speech("host", SECONDS, rate);
    let mut near = speech("device", SECONDS, rate);
    near[..BOTH.start * hz].fill(0);
    near[BOTH.end * hz..].fill(0);
    let echo = mixed(&room.echo(&far), &[]);
    let mut out = mixed(&room.echo(&far), &near);
    for (out, far) in out.chunks_mut(hz / 50).zip(far.chunks(hz / 50)) {
        filter.process(out, far);
    }
    let left: Vec<i16> = out
        .iter()
        .zip(&near)
        .map(|(out, near)| out.saturating_sub(*near))
        .collect();
    let removed = |seconds: std::ops::Range<usize>| {
        let part = seconds.start * hz..seconds.end * hz;
        level(&echo[part.clone()]) - level(&left[part])
    };
    let part = BOTH.start * hz..BOTH.end * hz;
    // Similarity is defined at 16 kHz; at half the rate it compares speech that is twice as fast.
    let similarity = measure::find(&near[part.clone()], &out[part]).similarity;
    Heard {
        alone: removed(5..BOTH.start),
        both: removed(BOTH),
        after: removed(BOTH.end + 2..SECONDS),
        similarity,
    }
}

/// 32 ms at 8 kHz.
fn narrow(room: Room) -> Heard {
    hear::<256, { 256 + DELAY * 8 }>(SampleRate::Hz8000, room)
}

/// 32 ms at 16 kHz.
fn wide(room: Room) -> Heard {
    hear::<512, { 512 + DELAY * 16 }>(SampleRate::Hz16000, room)
}

#[test]
fn echo_in_a_case_is_gone_even_while_two_talk() {
    for (seed, reverberation, least) in [
        (1, 0.05, [27.0, 29.0, 31.0, 0.95]),
        (2, 0.15, [27.0, 24.0, 26.0, 0.95]),
        (3, 0.3, [17.0, 15.0, 17.0, 0.95]),
    ] {
        let room = Room {
            seed,
            reverberation,
            ..CASE
        };
        narrow(room).at_least(&format!("8 kHz, {reverberation} s"), least);
    }
}

#[test]
fn wideband_takes_four_times_the_work_for_as_much() {
    wide(CASE).at_least("16 kHz, 0.15 s", [27.0, 22.0, 27.0, 0.95]);
}

#[test]
fn more_taps_take_more_of_a_room_that_rings() {
    let room = Room {
        reverberation: 0.5,
        seed: 3,
        ..CASE
    };
    narrow(room).at_least("0.5 s, 32 ms of taps", [12.0, 11.0, 12.0, 0.9]);
    let long = hear::<1024, { 1024 + DELAY * 8 }>(SampleRate::Hz8000, room);
    long.at_least("0.5 s, 128 ms of taps", [22.0, 22.0, 22.0, 0.95]);
}

#[test]
fn a_loudspeaker_far_away_is_for_more_than_a_chip() {
    let room = Room {
        reflected: 0.1,
        ..CASE
    };
    narrow(room).at_least("far away", [15.0, 12.0, 15.0, 0.9]);
}

#[test]
fn what_a_loudspeaker_distorts_stays() {
    let room = Room {
        distorts: true,
        ..CASE
    };
    narrow(room).at_least("distorts", [8.0, 8.0, 8.0, 0.9]);
}

#[test]
fn clocks_that_differ_are_not_followed_far() {
    for (ppm, least) in [(20.0, [6.0, 8.0, 10.0, 0.9]), (200.0, [1.0, 0.0, 1.0, 0.8])] {
        let room = Room { ppm, ..CASE };
        narrow(room).at_least(&format!("{ppm} ppm"), least);
    }
}

#[test]
fn a_voice_alone_is_not_touched() {
    let rate = SampleRate::Hz16000;
    let near = speech("device", 10, rate);
    let mut filter = EchoFilter::<512, 832>::new();
    let mut out = near.clone();
    for out in out.chunks_mut(320) {
        filter.process(out, &[0; 320]);
    }
    assert_eq!(out, near);
}

/// The frames of 20 ms that are open while only the far end talks, and those of a near voice while both do.
fn half_duplex(canceller: Option<&mut EchoFilter<256, { 256 + DELAY * 8 }>>) -> [f64; 2] {
    let rate = SampleRate::Hz8000;
    let hz = rate.hz() as usize;
    let room = Room {
        hz,
        delay: DELAY * 8,
        ..CASE
    };
    let far = speech("host", SECONDS, rate);
    let mut near = speech("device", SECONDS, rate);
    near[..BOTH.start * hz].fill(0);
    let mut microphone = mixed(&room.echo(&far), &near);
    let mut canceller = canceller;
    let mut duplex = HalfDuplex::new();
    let [mut leaked, mut alone, mut passed, mut voices] = [0.0; 4];
    let frames = (microphone.chunks_mut(160)).zip(far.chunks(160).zip(near.chunks(160)));
    for (index, (microphone, (far, near))) in frames.enumerate() {
        if let Some(filter) = canceller.as_deref_mut() {
            filter.process(microphone, far);
        }
        let is_open = f64::from(u8::from(duplex.hear(dbov(microphone), dbov(far))));
        // The pauses of the far end are open, and nothing is heard in them.
        if (5 * 50..BOTH.start * 50).contains(&index) && dbov(microphone) < 60 {
            alone += 1.0;
            leaked += is_open;
        }
        if index >= BOTH.start * 50 && dbov(near) < 30 {
            voices += 1.0;
            passed += is_open;
        }
    }
    [leaked * 100.0 / alone, passed * 100.0 / voices]
}

#[test]
fn half_duplex_lets_no_echo_out_and_a_voice_through_where_a_filter_is() {
    let [leaked, passed] = half_duplex(Some(&mut EchoFilter::new()));
    println!("behind a filter: {leaked:.1} % of the echo, {passed:.1} % of the voice");
    assert!(leaked <= 5.0, "{leaked} %");
    assert!(passed >= 90.0, "{passed} %");
    let [leaked, passed] = half_duplex(None);
    println!("alone: {leaked:.1} % of the echo, {passed:.1} % of the voice");
    assert!(leaked <= 5.0, "{leaked} %");
    assert!(passed >= 35.0, "{passed} %");
}
