//! Audio: all talkers are heard, in time, for hours, and nobody hears itself.

use parlour_core::audio::{JitterBuffer, JitterConfig, Lateness, Packet, Pull};
use parlour_core::client::{CommandError, Commands as _, RequestFailure};
use parlour_core::room::{Codec, ParticipantId, StreamKey};
use parlour_core::signal::StreamRef;
use parlour_core::time::{Duration, Instant};
use parlour_tests::{Handle, Heard, LinkConfig, Options, World};

use crate::{ms, s};

#[test]
fn pain_03_the_device_hears_everybody_at_once() {
    let mut world = World::new("pain_03_the_device_hears_everybody_at_once");
    let device = world.joined("device", Options::small());
    let talkers: Vec<Handle> = (0..4)
        .map(|number| world.joined(&format!("t{number}"), Options::default().publishing("mic")))
        .collect();
    for talker in &talkers {
        world.talk(*talker, "mic", s(5));
    }
    world.run_for(s(6));
    for talker in &talkers {
        let heard = world.heard_from(device, *talker);
        assert_eq!(heard, (0..250).collect::<Vec<_>>());
    }
    let slots: std::collections::BTreeSet<_> =
        world.heard(device).iter().map(|frame| frame.slot).collect();
    assert_eq!(slots.len(), 4, "one decoder for each");
}

#[test]
fn pain_05_a_late_joiner_misses_no_stream() {
    let mut world = World::new("pain_05_a_late_joiner_misses_no_stream");
    // More than a small device tracks; publishers are among those that matter.
    for number in 0..20 {
        world.joined(&format!("a{number:02}"), Options::default());
    }
    let publishers: Vec<_> = (0..3)
        .map(|number| world.joined(&format!("z{number}"), Options::default().publishing("mic")))
        .collect();
    world.run_for(s(60));
    let device = world.joined("device", Options::small());
    let facts = world.facts(device);
    assert_eq!(facts.count, 24);
    let key = StreamKey::new("mic").unwrap();
    for publisher in &publishers {
        let id = world.id(*publisher);
        let known = facts.participants.get(&id).and_then(|p| p.stream(&key));
        assert!(known.is_some(), "{id}'s stream is missing");
        world.talk(*publisher, "mic", s(1));
    }
    world.run_for(s(2));
    for publisher in publishers {
        assert_eq!(world.heard_from(device, publisher).len(), 50);
    }
}

/// Plays what was heard, and gives for each frame how late it is played after it was said, and how
/// much had to be concealed.
fn play(heard: &[Heard], until: Instant) -> (Vec<Duration>, u64) {
    let mut jitter = Box::new(JitterBuffer::<32, 200>::new(JitterConfig::default()));
    let mut lateness = Lateness::new();
    let mut played = Vec::new();
    let mut arrivals = heard.iter().peekable();
    let mut now = heard[0].at;
    while now < until {
        while let Some(frame) = arrivals.next_if(|frame| frame.at <= now) {
            let payload = frame.said.said_at.to_be_bytes();
            // Frames that come too late to be played are the buffer's to count.
            let _ = jitter.push(
                frame.at,
                Packet {
                    sequence: frame.sequence,
                    timestamp: frame.timestamp,
                    duration: 960,
                    codec: Codec::Opus,
                    speaker: Some(frame.ssrc),
                    marker: frame.marker,
                    payload: &payload,
                },
                &mut lateness,
            );
        }
        let pull = jitter.pull(now);
        let samples = pull.samples();
        if let Pull::Frame(frame) = pull {
            let said_at = u64::from_be_bytes(frame.payload.try_into().unwrap());
            played.push(now.saturating_duration_since(Instant::from_micros(said_at)));
        }
        now += Duration::from_micros(u64::from(samples) * 1_000 / 48);
    }
    (played, jitter.statistics().concealed)
}

#[test]
fn pain_13_ten_minutes_on_weak_wifi_stay_fluent_and_in_time() {
    let mut world = World::new("pain_13_ten_minutes_on_weak_wifi_stay_fluent_and_in_time");
    let alice = world.joined(
        "alice",
        Options::small().publishing("mic").over(LinkConfig::WEAK),
    );
    let bob = world.joined("bob", Options::small().over(LinkConfig::WEAK));
    world.talk(alice, "mic", s(600));
    world.run_for(s(601));
    let heard = world.heard(bob);
    assert!(
        heard.len() >= 23_000,
        "{} of 30000: more is lost than two links lose",
        heard.len()
    );
    let latest = heard.iter().map(Heard::latency).max().unwrap();
    assert!(latest <= ms(300), "one was {latest:?} under way");

    let (played, concealed) = play(heard, world.now());
    let mean = |part: &[Duration]| part.iter().sum::<Duration>() / part.len() as u32;
    let minute = 2_400;
    let (first, last) = (
        mean(&played[..minute]),
        mean(&played[played.len() - minute..]),
    );
    println!("heard after {first:?} in the first minute and {last:?} in the last");
    assert!(
        last <= first + ms(60),
        "the delay grows: {first:?} to {last:?}"
    );
    assert!(last <= ms(400), "{last:?} from mouth to ear");
    let lost_share = concealed as f64 / (600.0 * 48_000.0);
    assert!(lost_share <= 0.25, "{lost_share} of the time concealed");
    // No silence of a second anywhere.
    for pair in heard.windows(50) {
        let gap = pair[49].at.saturating_duration_since(pair[0].at);
        assert!(gap <= s(2), "stutter: {gap:?} for 50 frames");
    }
}

#[test]
fn pain_14_nobody_hears_itself() {
    let mut world = World::new("pain_14_nobody_hears_itself");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::small().publishing("mic"));
    let mine = StreamRef {
        participant: ParticipantId::new("alice").unwrap(),
        key: StreamKey::new("mic").unwrap(),
    };
    // Not even if it asks for it.
    let asked = world.device(alice).subscribe(&mine);
    assert!(!matches!(asked, Err(CommandError::Closed)));
    let _ = world.device(alice).pin(Some(&mine));
    world.run_for(s(1));
    if let Ok(Some(request)) = asked {
        let reply = world.reply(alice, request).expect("it is answered");
        assert!(matches!(reply, Ok(_) | Err(RequestFailure::Refused(_))));
    }
    world.talk(alice, "mic", s(5));
    world.run_for(s(3));
    world.talk(bob, "mic", s(5));
    world.run_for(s(10));
    let own = world.device(alice).published_ssrc(&mine.key).unwrap();
    assert!(world.heard(alice).iter().all(|frame| frame.ssrc != own));
    assert_eq!(
        world.heard_from(alice, bob).len(),
        250,
        "the pin of her own takes a slot"
    );
    assert_eq!(world.heard_from(bob, alice).len(), 250);
}
