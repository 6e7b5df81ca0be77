//! The longest accepted payload is heard, and a longer one is refused by the sender's client.

use parlour_core::client::{MAX_AUDIO_PAYLOAD, SendError};
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::AudioLevel;
use parlour_tests::voice::Utterance;
use parlour_tests::{Options, World};

use crate::ms;

/// A datagram of 1,200 bytes without its header and tag, that of a frame, and 24 of RTP with level and talker.
const LONGEST: usize = 1_148;
const _: () = assert!(LONGEST == MAX_AUDIO_PAYLOAD);

#[test]
fn what_is_taken_is_heard_and_what_is_not_is_an_error() {
    let mut world = World::new("what_is_taken_is_heard_and_what_is_not_is_an_error");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    let key = StreamKey::new("mic").unwrap();
    let level = AudioLevel {
        voice: true,
        level: 20,
    };
    for (number, len) in (LONGEST - 8..LONGEST + 12).enumerate() {
        let said = Utterance {
            talker: 0,
            stream: 1,
            number: number as u32,
            said_at: world.now().as_micros(),
        };
        let mut payload = said.encode(Codec::Opus);
        payload.resize(len, 0);
        let (clock, before) = (world.clock(alice), world.heard(bob).len());
        let timestamp = number as u32 * 4_800;
        let sent = (world.device(alice)).send_audio(clock, &key, timestamp, level, &payload);
        let refused = SendError::TooLong { max: LONGEST };
        assert_eq!(
            sent.err(),
            (len > LONGEST).then_some(refused),
            "{len} bytes"
        );
        world.run_for(ms(100));
        let heard = world.heard(bob).len() - before;
        assert_eq!(heard, usize::from(len <= LONGEST), "{len} bytes");
    }
}
