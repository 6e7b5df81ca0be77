use super::*;
use crate::rtp::PictureTag;

/// Bytes of a packet.
const LEN: usize = 520;

fn camera() -> Publish {
    Publish {
        key: StreamKey::new("camera").unwrap(),
        kind: StreamKind::Video,
        codec: Codec::Vp8,
        muted: false,
    }
}

/// A world in which Anna's camera is watched by Ben.
struct Watched {
    world: World,
    anna: usize,
    ben: usize,
    ssrc: u32,
}

impl Watched {
    fn new() -> Self {
        Self::with(Config::default())
    }

    /// Nothing is paced.
    fn with(config: Config) -> Self {
        let mut world = World::with(Config {
            video_rate_start: 1_000_000_000,
            video_rate_max: 1_000_000_000,
            ..config
        });
        let anna = world.join(&Hello {
            publish: Vec::from([camera()]),
            ..Hello::new("room/anna")
        });
        let ben = world.join(&Hello::new("room/ben"));
        let ssrc = world.peers[anna].ssrc();
        let subscribe = Operation::Subscribe(StreamRef {
            participant: pid("anna"),
            key: camera().key,
        });
        world.ask(ben, subscribe).unwrap();
        world.run();
        Self {
            world,
            anna,
            ben,
            ssrc,
        }
    }

    /// A packet of Anna's camera, 520 bytes long.
    fn packet(&self, sequence: u16, key: bool, (first, last): (bool, bool)) -> Vec<u8> {
        let header = RtpHeader {
            marker: last,
            payload_type: 96,
            sequence,
            timestamp: 0,
            ssrc: self.ssrc,
            csrcs: &[],
            audio_level: None,
        };
        let tag = PictureTag {
            first,
            key,
            discardable: false,
            temporal_layer: 0,
            layer: 0,
            number: 0,
        };
        let mut bytes = [0; LEN];
        header.write_picture_header(tag, &mut bytes).unwrap();
        bytes.to_vec()
    }

    /// Anna sends a picture of `count` packets, but for those in `lost`. It begins with packet number `sequence`.
    fn send(&mut self, sequence: u16, key: bool, count: u16, lost: &[u16]) {
        for n in 0..count {
            let sequence = sequence.wrapping_add(n);
            if !lost.contains(&sequence) {
                let packet = self.packet(sequence, key, (n == 0, n + 1 == count));
                self.world.peers[self.anna].outbox.push((true, packet));
                self.world.run();
            }
        }
    }

    /// The numbers of the packets that Ben got.
    fn got(&mut self) -> Vec<u16> {
        let media = self.world.peers[self.ben].take_media();
        media
            .into_iter()
            .map(|(.., sequence, _)| sequence)
            .collect()
    }

    /// What Anna was asked for.
    fn asked(&mut self) -> Vec<Result<Vec<u16>, u8>> {
        let feedback = core::mem::take(&mut self.world.peers[self.anna].feedback);
        let asked = feedback.into_iter().map(|(ssrc, asked)| {
            assert_eq!(ssrc, self.ssrc);
            asked
        });
        asked.collect()
    }

    fn ask(&mut self, asked: Result<Vec<u16>, u8>) {
        let ssrc = self.ssrc;
        self.world.peers[self.ben].asks.push((ssrc, asked));
        self.world.run();
    }
}

#[test]
fn a_watcher_begins_with_a_key_picture() {
    let mut watched = Watched::new();
    assert_eq!(watched.asked(), [Err(0)], "for the subscription");
    watched.send(65_530, false, 3, &[]);
    assert_eq!((watched.got(), watched.asked()), (Vec::new(), Vec::new()));
    // The first request may be lost.
    watched.world.advance(ms(300));
    assert_eq!(watched.asked(), [Err(0)]);
    watched.send(65_533, true, 2, &[]);
    watched.send(65_535, false, 2, &[]);
    assert_eq!(watched.got(), [65_533, 65_534, 65_535, 0]);
    watched.world.advance(ms(2_000));
    assert_eq!(watched.asked(), []);
}

#[test]
fn a_key_picture_that_does_not_come_is_not_asked_for_for_ever() {
    let mut watched = Watched::new();
    watched.world.advance(ms(10_000));
    assert_eq!(watched.asked().len(), 5);
}

#[test]
fn a_lost_packet_is_sent_again_and_not_twice_in_a_round_trip() {
    let mut watched = Watched::new();
    watched.send(5, true, 4, &[]);
    assert_eq!(watched.got(), [5, 6, 7, 8]);
    watched.ask(Ok(Vec::from([7])));
    watched.ask(Ok(Vec::from([7])));
    assert_eq!(watched.got(), [7]);
    watched.world.advance(ms(101));
    watched.ask(Ok(Vec::from([4, 7, 9])));
    assert_eq!(watched.got(), [7], "neither what was not sent");
    watched.world.advance(ms(400));
    watched.ask(Ok(Vec::from([7])));
    assert_eq!(watched.got(), [], "nor what was sent too long ago");
    assert_eq!(watched.world.server.statistics().media_repaired, 2);
}

#[test]
fn who_does_not_watch_gets_no_repairs_and_no_key_pictures() {
    let mut watched = Watched::new();
    watched.send(5, true, 4, &[]);
    watched.asked();
    let carol = watched.world.join(&Hello::new("room/carol"));
    let ssrc = watched.ssrc;
    watched.world.peers[carol].asks.extend([
        (ssrc, Ok(Vec::from([5, 6]))),
        (ssrc, Err(0)),
        (9, Err(0)),
    ]);
    watched.world.advance(ms(400));
    assert_eq!(watched.world.peers[carol].take_media(), []);
    assert_eq!(watched.asked(), []);
}

#[test]
fn what_is_lost_before_the_server_is_asked_for_and_stays_a_gap_until_it_comes() {
    let mut watched = Watched::new();
    watched.send(65_534, true, 6, &[0, 2]);
    watched.asked();
    assert_eq!(watched.got(), [65_534, 65_535, 1, 3]);
    watched.ask(Ok(Vec::from([0])));
    assert_eq!(watched.got(), [], "it is not there yet");
    watched.world.advance(ms(5));
    assert_eq!(watched.asked(), [Ok(Vec::from([0, 2]))]);
    watched.send(2, true, 1, &[]);
    assert_eq!(watched.got(), [2]);
    watched.world.advance(ms(25));
    assert_eq!(watched.asked(), [Ok(Vec::from([0]))]);
}

#[test]
fn what_came_late_is_given_up_late_and_time_goes_on() {
    let mut watched = Watched::new();
    watched.send(0, true, 3, &[0]);
    watched.world.advance(ms(300));
    watched.send(0, true, 1, &[]);
    watched.world.advance(ms(300));
    assert_eq!(watched.world.server.accounting().kept_pictures, 3);
    watched.world.advance(ms(300));
    assert_eq!(watched.world.server.accounting().kept_pictures, 0);
}

#[test]
fn storms_of_questions_are_bounded() {
    let mut watched = Watched::new();
    watched.send(0, true, 100, &[]);
    watched.got();
    watched.asked();
    let mut repaired = 0;
    let mut keys = 0;
    for round in 0..200_u16 {
        watched.world.advance(ms(10));
        watched.send(100 + round, false, 1, &[]);
        for n in 0..5 {
            let first = (100 + round).saturating_sub(60 * (n + 1) / 5);
            watched.ask(Ok((first..first + 16).collect()));
            watched.ask(Err(0));
        }
        repaired += watched.got().len() - 1;
        keys += watched.asked().len();
    }
    // 64 KiB at first, and a quarter of 300 packets.
    let most = ((64 << 10) + 300 * LEN / 4) / LEN + 1;
    assert!(repaired <= most, "{repaired} of {most}");
    assert!(repaired >= most / 2, "{repaired}: the storm was none");
    assert!((6..=7).contains(&keys), "{keys} in 2 s");
}

#[test]
fn packets_without_a_picture_tag_go_on_as_they_are() {
    let mut watched = Watched::new();
    let ssrc = watched.ssrc;
    watched.world.peers[watched.anna].sequence = 500;
    for _ in 0..3 {
        watched.world.peers[watched.anna].send_rtp(ssrc, 96, 0, b"a payload");
        watched.world.run();
    }
    assert_eq!(watched.got(), [500, 501, 502]);
    watched.ask(Ok(Vec::from([501])));
    assert_eq!(watched.got(), [], "nobody keeps them");
}

#[test]
fn who_is_too_slow_goes_on_with_a_key_picture_and_sees_no_gap() {
    let config = Config {
        queued_video: 10,
        ..Config::default()
    };
    let mut watched = Watched::with(config);
    watched.send(0, true, 5, &[]);
    assert_eq!(watched.got(), [0, 1, 2, 3, 4]);
    watched.asked();
    watched.world.advance(ms(300));
    // Its output is not taken for a while.
    for sequence in 5..30 {
        let packet = watched.packet(sequence, false, (true, true));
        let Watched { world, anna, .. } = &mut watched;
        world.peers[*anna].outbox.push((true, packet));
        let mut datagram = world.compose(*anna).unwrap();
        let from = world.peers[*anna].path;
        world.deliver(from, &mut datagram).unwrap();
    }
    watched.world.run();
    assert_eq!(watched.got(), [], "all were given up");
    assert_eq!(watched.asked(), [Err(0)]);
    watched.send(30, true, 2, &[]);
    assert_eq!(watched.got(), [5, 6]);
    watched.ask(Ok(Vec::from([6])));
    assert_eq!(watched.got(), [6]);
}
