//! Media of a room that an application taps.

mod common;

use std::time::Duration;

use common::{RATE, Tone, id, meet, serve, within};
use parlour_tokio::core::server::ModerateError;
use parlour_tokio::{
    AudioOptions, AudioWriter, Codec, MediaTap, RoomId, StreamKey, StreamKind, Tapped,
    TappedPacket, TappedStream,
};

fn room() -> RoomId {
    RoomId::new("room").unwrap()
}

/// Sings until a packet of `who` comes out, and gives that and those before.
async fn sing_until(
    writers: &mut [(&mut AudioWriter, &mut Tone)],
    tap: &mut MediaTap,
    who: &str,
) -> Vec<TappedPacket> {
    let mut packets = Vec::new();
    within(async {
        loop {
            for (writer, tone) in &mut *writers {
                writer.write(&tone.frame()).unwrap();
            }
            let wait = Duration::from_millis(20);
            while let Ok(tapped) = tokio::time::timeout(wait, tap.next()).await {
                let Some(Tapped::Packet(packet)) = tapped else {
                    panic!("{tapped:?}");
                };
                let is_last = packet.stream.participant == id(who);
                packets.push(packet);
                if is_last {
                    return;
                }
            }
        }
    })
    .await;
    packets
}

#[tokio::test]
async fn a_tap_gives_what_others_hear_until_the_session_is_over() {
    let server = serve();
    let nobody = server.tap(&room(), |_| true).await;
    assert_eq!(nobody.err(), Some(ModerateError::UnknownRoom));
    let (anna, ben) = meet(&server).await;
    let opus = AudioOptions::opus(RATE);
    let mut annas = within(anna.publish_audio("mic", opus)).await.unwrap();
    let mut bens = within(ben.publish_audio("mic", opus)).await.unwrap();
    let (mut low, mut high) = (Tone::new(440.0), Tone::new(880.0));

    // Late, and of one of them only beside.
    let mut all = within(server.tap(&room(), |_| true)).await.unwrap();
    let only_ben = |stream: &TappedStream| stream.participant == id("ben");
    let mut some = within(server.tap(&room(), only_ben)).await.unwrap();
    assert_eq!(Some(all.session()), anna.session());
    let first = sing_until(&mut [(&mut annas, &mut low)], &mut all, "anna").await;
    let next = sing_until(&mut [(&mut annas, &mut low)], &mut all, "anna").await;
    let (first, next) = (&first[0], &next[0]);
    assert_eq!(first.stream, next.stream);
    assert_eq!(
        (first.stream.kind, first.stream.codec),
        (StreamKind::Audio, Codec::Opus)
    );
    assert_eq!(first.stream.key, StreamKey::new("mic").unwrap());
    assert_eq!(next.sequence, first.sequence.wrapping_add(1));
    assert_eq!(next.timestamp, first.timestamp.wrapping_add(960));
    assert!(next.received >= first.received);
    assert!(!first.payload.is_empty());

    // Audio that nobody hears is not tapped.
    within(server.censor(&room(), &id("anna"))).await.unwrap();
    // Earlier packets wait already.
    while let Ok(Some(_)) = tokio::time::timeout(Duration::ZERO, all.next()).await {}
    let mut both = [(&mut annas, &mut low), (&mut bens, &mut high)];
    for _ in 0..5 {
        let packets = sing_until(&mut both, &mut all, "ben").await;
        assert_eq!(packets.len(), 1, "anna was heard");
    }
    let of_ben = sing_until(&mut [(&mut bens, &mut high)], &mut some, "ben").await;
    assert_eq!(of_ben.len(), 1, "anna was not asked for");

    drop(bens);
    let ended = within(async {
        loop {
            if let Tapped::Ended(stream) = all.next().await.unwrap() {
                return stream;
            }
        }
    })
    .await;
    assert_eq!(ended.participant, id("ben"));
    within(server.end_session(&room())).await.unwrap();
    within(async { while all.next().await.is_some() {} }).await;
    within(async { while some.next().await.is_some() {} }).await;
    assert_eq!((all.missed(), some.missed()), (0, 0));
    let over = server.tap(&room(), |_| true).await;
    assert_eq!(over.err(), Some(ModerateError::UnknownRoom));
}
