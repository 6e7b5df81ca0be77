//! Publishers that send anything.

use proptest::prelude::*;

use super::contents::packets;
use super::*;

/// A packet, or none, after a time in ms.
#[derive(Debug, Clone)]
struct Step {
    after: u64,
    packet: Option<(u16, u32, Vec<u8>)>,
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![8 => 0..60_u64, 1 => 0..3_000_u64, 1 => 0..100_000_u64];
    let sequence = prop_oneof![6 => 0..40_u16, 1 => any::<u16>()];
    let timestamp = prop_oneof![6 => (0..100_u32).prop_map(|n| n * 960), 1 => any::<u32>()];
    // Configurations of all modes, of one frame, two, and any.
    let opus = (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..100))
        .prop_map(|(toc, rest)| [vec![toc], rest].concat());
    let payload = prop_oneof![
        4 => opus,
        1 => proptest::collection::vec(any::<u8>(), 0..1_300),
        1 => Just(vec![0xfb, 6]),
    ];
    let packet = proptest::option::weighted(0.9, (sequence, timestamp, payload));
    (after, packet).prop_map(|(after, packet)| Step { after, packet })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_comes_a_file_is_as_long_as_it_was_recorded(
        codec in prop::sample::select(&CODECS[..]),
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream");
        let mut file = create(&path, codec);
        let mut now = Duration::ZERO;
        let longest = |now: Duration| now + Duration::from_millis(1_120) + now / 200;
        for step in steps {
            now += Duration::from_millis(step.after);
            match &step.packet {
                Some((sequence, timestamp, payload)) => {
                    let packet = RecordedPacket {
                        sequence: *sequence,
                        timestamp: *timestamp,
                        level: None,
                        payload,
                    };
                    file.packet(now, packet).unwrap();
                }
                None => file.tick(now).unwrap(),
            }
            prop_assert!(file.memory() <= 32 * 1_024, "{}", file.memory());
            prop_assert!(file.placing.time(file.end()) <= longest(now));
        }
        let finished = file.finish(now).unwrap();
        prop_assert!(finished.duration <= longest(now));
        prop_assert!(finished.lost + finished.silent <= finished.duration + Duration::from_millis(1));
        if codec == Codec::Opus {
            let mut end = 0;
            for packet in &packets(&path)[2..] {
                end += u64::from(frame_samples(codec, &packet.data).unwrap());
                prop_assert!(!packet.last_in_page() || packet.absgp_page() == end);
            }
            prop_assert_eq!(Duration::from_micros(end * 125 / 6), finished.duration);
        }
        let mut file = File::options().read(true).write(true).open(&path).unwrap();
        let repaired = repair(&mut file).unwrap();
        prop_assert_eq!((repaired.duration, repaired.size), (finished.duration, finished.size));
    }
}
