//! The most audio that one participant may send: enough for the best quality, and too little to keep the server busy.

use parlour_core::client::CloseCause;
use parlour_core::room::{CloseReason, Codec, StreamKey};
use parlour_core::rtp::AudioLevel;
use parlour_core::time::Duration;
use parlour_tests::voice::Utterance;
use parlour_tests::{Handle, Options, World};

use crate::s;

/// Has `talker` say a frame of `len` bytes every `gap` for `time`, or until it is out. Gives how many.
fn pour(world: &mut World, talker: Handle, len: usize, gap: Duration, time: Duration) -> usize {
    let key = StreamKey::new("mic").unwrap();
    let level = AudioLevel {
        voice: true,
        level: 30,
    };
    let frames = (time.as_micros() / gap.as_micros()) as usize;
    for number in 0..frames {
        if world.closed(talker).is_some() {
            return number;
        }
        let said = Utterance {
            talker: talker.0 as u16,
            stream: 1,
            number: number as u32,
            said_at: world.now().as_micros(),
        };
        let mut payload = said.encode(Codec::Opus);
        payload.resize(len, 0);
        let timestamp = (gap.as_micros() as u32 * 48 / 1_000) * number as u32;
        let clock = world.clock(talker);
        let device = world.device(talker);
        let sent = device.send_audio(clock, &key, timestamp, level, &payload);
        sent.unwrap();
        world.run_for(gap);
    }
    frames
}

fn room(world: &mut World) -> [Handle; 3] {
    ["mallory", "alice", "bob"].map(|name| {
        let options = Options::default().publishing("mic");
        world.joined(name, options)
    })
}

#[test]
fn a_thousand_bytes_two_thousand_times_a_second_are_limited_and_end_the_stay() {
    let name = "a_thousand_bytes_two_thousand_times_a_second_are_limited_and_end_the_stay";
    let mut world = World::new(name);
    let [mallory, alice, bob] = room(&mut world);
    world.talk(alice, "mic", s(12));
    let gap = Duration::from_micros(500);
    let said = pour(&mut world, mallory, 1_000, gap, s(12));
    let cut_off = CloseCause::Closed(CloseReason::ProtocolError);
    assert_eq!(world.closed(mallory), Some(cut_off));
    assert!(said <= 16_500, "only after {said} frames");
    // The burst, and then 316 a second.
    let heard = world.heard_from(bob, mallory).len();
    assert!((2_500..=3_300).contains(&heard), "{heard} of {said}");
    let limited = world.server().statistics().media_limited as usize;
    // Some were under way when it was cut off.
    assert!(limited.abs_diff(said - heard) <= 100, "{limited} limited");
    world.run_for(s(6));
    assert_eq!(world.heard_from(bob, alice).len(), 600);
}

#[test]
fn the_best_audio_that_there_is_passes_whole() {
    // Opus at its highest rate, 510 kb/s, and each frame once more in the packet after (RED), as long as that fits a datagram.
    for (rate, len) in [(50, 1_148), (100, 1_148), (200, 643), (400, 325)] {
        let mut world = World::new("the_best_audio_that_there_is_passes_whole");
        let [talker, _, bob] = room(&mut world);
        let gap = s(1) / rate;
        let said = pour(&mut world, talker, len, gap, s(10));
        world.run_for(s(1));
        assert_eq!(world.heard_from(bob, talker).len(), said, "{rate} a second");
        assert_eq!(world.server().statistics().media_limited, 0);
    }
}
