use super::*;
use crate::rtp::PictureTag;
use crate::video::synthetic::{Sample, packets, streams};
use crate::video::{Picture, PicturePacketizer};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

type Held = Assembler<Vec<Slot>>;

fn assembler(slots: usize) -> Held {
    Assembler::new(vec![Slot::EMPTY; slots])
}

fn put(assembler: &mut Held, bytes: &[u8]) {
    let packet = RtpPacket::parse(bytes).unwrap();
    assembler.handle_packet(&packet).unwrap();
}

/// Numbers and bytes of the pictures that can be given out now.
fn polled(assembler: &mut Held) -> Vec<(u16, Vec<u8>)> {
    let mut out = vec![0; 12_000];
    let mut pictures = Vec::new();
    while let Some(picture) = assembler.poll_picture(&mut out).unwrap() {
        pictures.push((picture.number, picture.bytes.to_vec()));
    }
    pictures
}

fn numbers(assembler: &mut Held) -> Vec<u16> {
    polled(assembler)
        .into_iter()
        .map(|(number, _)| number)
        .collect()
}

/// The same when nothing more will come.
fn flushed(assembler: &mut Held) -> Vec<(u16, Vec<u8>)> {
    let mut pictures = polled(assembler);
    while assembler.skip_unneeded() || assembler.skip_missing() {
        pictures.extend(polled(assembler));
    }
    pictures
}

fn flushed_numbers(assembler: &mut Held) -> Vec<u16> {
    let pictures = flushed(assembler);
    pictures.iter().map(|(number, _)| *number).collect()
}

/// A stream of VP8: of each picture whether it is a key picture, its temporal layer, and how many packets it has.
fn stream(pictures: &[(bool, u8, usize)]) -> Vec<Vec<Vec<u8>>> {
    let sample = |&(key, temporal_layer, packets): &(bool, u8, usize)| {
        Sample::new(Codec::Vp8, key, temporal_layer, packets * 950 - 20, 1)
    };
    let samples: Vec<Sample> = pictures.iter().map(sample).collect();
    packets(Codec::Vp8, 65_530, &samples)
}

/// Two periods of three temporal layers.
fn layered() -> Vec<Vec<Vec<u8>>> {
    let delta = |temporal_layer| (false, temporal_layer, 2);
    stream(&[
        (true, 0, 3),
        delta(2),
        delta(1),
        delta(2),
        delta(0),
        delta(2),
        delta(1),
        delta(2),
        delta(0),
    ])
}

#[test]
fn a_picture_has_what_its_packets_said() {
    let sample = Sample::new(Codec::H264, true, 0, 2_000, 9);
    let mut assembler = assembler(8);
    for packet in &packets(Codec::H264, 7, core::slice::from_ref(&sample))[0] {
        assert_eq!(assembler.poll_picture(&mut []), Ok(None));
        put(&mut assembler, packet);
    }
    let needed = sample.bytes.len();
    let refused = Err(PollPictureError::BufferTooSmall { needed });
    assert_eq!(assembler.poll_picture(&mut vec![0; needed - 1]), refused);
    let mut out = vec![0; needed];
    let picture = assembler.poll_picture(&mut out).unwrap().unwrap();
    let expected = AssembledPicture {
        bytes: &sample.bytes,
        codec: Codec::H264,
        timestamp: (1 << 32) + (u64::from(u32::MAX) - 8_999),
        key: true,
        discardable: false,
        temporal_layer: 0,
        layer: 0,
        number: 0,
    };
    assert_eq!(picture, expected);
    assert_eq!(assembler.poll_picture(&mut []), Ok(None));
}

#[test]
fn what_is_no_packet_of_a_picture_is_refused() {
    let mut assembler = assembler(4);
    let header = crate::rtp::RtpHeader {
        marker: true,
        payload_type: 96,
        sequence: 1,
        timestamp: 1,
        ssrc: 1,
        csrcs: &[],
        audio_level: None,
    };
    let sound = crate::rtp::RtpHeader {
        payload_type: 111,
        ..header
    };
    let tag = PictureTag::from_bytes([0x80, 0, 0]);
    let mut refusal = |write: &dyn Fn(&mut [u8]) -> usize| {
        let mut out = [0; 1_200];
        let len = write(&mut out);
        assembler
            .handle_packet(&RtpPacket::parse(&out[..len]).unwrap())
            .unwrap_err()
    };
    let untagged = refusal(&|out| header.write(&[1], out).unwrap());
    assert_eq!(untagged, AssembleError::NoTag);
    let other = refusal(&|out| sound.write_picture(tag, &[1], out).unwrap());
    assert_eq!(other, AssembleError::NotVideo);
    for len in [0, 961] {
        let payload = vec![1; len];
        let wrong = refusal(&|out| header.write_picture(tag, &payload, out).unwrap());
        assert_eq!(wrong, AssembleError::PayloadLength);
    }
    assert_eq!(assembler.wants_key(), None);
}

#[test]
fn a_late_discardable_picture_is_left_out_and_others_are_waited_for() {
    let packets = layered();
    let mut assembler = assembler(64);
    for (n, packet) in packets.iter().enumerate() {
        // The second half of number 1, which is discardable, and of number 2 is late.
        let late = usize::from(n == 1 || n == 2);
        for bytes in &packet[..packet.len() - late] {
            if n < 4 {
                put(&mut assembler, bytes);
            }
        }
    }
    assert_eq!(numbers(&mut assembler), [0]);
    assert!(!assembler.skip_unneeded(), "number 2 is not complete");
    put(&mut assembler, &packets[2][1]);
    assert_eq!(numbers(&mut assembler), []);
    assert!(assembler.skip_unneeded());
    assert_eq!(numbers(&mut assembler), [2, 3]);
    put(&mut assembler, &packets[1][1]);
    assert_eq!(numbers(&mut assembler), []);
    assert!(!assembler.skip_unneeded() && !assembler.skip_missing());
}

#[test]
fn a_temporal_layer_that_is_lost_comes_back_with_the_next_picture_of_layer_0() {
    let packets = layered();
    let mut assembler = assembler(64);
    for packet in packets[..2].iter().chain(&packets[3..4]).flatten() {
        put(&mut assembler, packet);
    }
    put(&mut assembler, &packets[2][0]);
    assert_eq!(numbers(&mut assembler), [0, 1]);
    assert!(!assembler.skip_unneeded(), "number 3 needs number 2");
    for packet in packets[4..].iter().flatten() {
        put(&mut assembler, packet);
    }
    assert_eq!(numbers(&mut assembler), []);
    assert!(assembler.skip_unneeded());
    assert_eq!(numbers(&mut assembler), [4, 5, 6, 7, 8]);
    assert_eq!(assembler.wants_key(), None);
}

#[test]
fn a_discardable_picture_of_temporal_layer_0_brings_nothing_back() {
    let temporal_layers = [0, 1, 0, 1, 0, 1];
    let sample = |(n, &temporal_layer): (usize, &u8)| Sample {
        discardable: n == 2,
        ..Sample::new(Codec::Vp8, n == 0, temporal_layer, 1_500, 1)
    };
    let samples: Vec<Sample> = temporal_layers.iter().enumerate().map(sample).collect();
    let packets = packets(Codec::Vp8, 7, &samples);
    let mut assembler = assembler(64);
    for packet in packets[0].iter().chain(&packets[1][..1]) {
        put(&mut assembler, packet);
    }
    for packet in packets[2..4].iter().flatten() {
        put(&mut assembler, packet);
    }
    assert_eq!(numbers(&mut assembler), [0]);
    assert!(!assembler.skip_unneeded(), "number 3 needs number 1");
    assert!(assembler.skip_missing());
    assert_eq!(numbers(&mut assembler), [2]);
    for packet in packets[4..].iter().flatten() {
        put(&mut assembler, packet);
    }
    assert_eq!(numbers(&mut assembler), [4, 5]);
}

#[test]
fn what_is_complete_and_can_be_decoded_is_not_left_out_with_what_is_missing() {
    let pictures = [(true, 0, 1), (false, 2, 2), (false, 1, 1), (false, 0, 1)];
    let sample = |&(key, temporal_layer, packets): &(bool, u8, usize)| Sample {
        discardable: false,
        ..Sample::new(Codec::Vp8, key, temporal_layer, packets * 950 - 20, 1)
    };
    let samples: Vec<Sample> = pictures.iter().map(sample).collect();
    let packets = packets(Codec::Vp8, 7, &samples);
    let mut assembler = assembler(64);
    put(&mut assembler, &packets[0][0]);
    put(&mut assembler, &packets[1][0]);
    put(&mut assembler, &packets[2][0]);
    assert_eq!(numbers(&mut assembler), [0]);
    assert!(
        !assembler.skip_unneeded(),
        "a picture of temporal layer 2 may need number 1"
    );
    put(&mut assembler, &packets[3][0]);
    assert!(assembler.skip_unneeded());
    assert_eq!(numbers(&mut assembler), [2, 3]);
}

#[test]
fn without_its_references_no_picture_is_given_out_before_a_key_picture() {
    let packets = stream(&[
        (true, 0, 1),
        (false, 0, 2),
        (false, 0, 1),
        (true, 0, 2),
        (false, 0, 1),
    ]);
    let mut assembler = assembler(64);
    put(&mut assembler, &packets[0][0]);
    put(&mut assembler, &packets[1][0]);
    put(&mut assembler, &packets[2][0]);
    assert_eq!(numbers(&mut assembler), [0]);
    assert!(!assembler.skip_unneeded());
    assert_eq!(assembler.wants_key(), None);
    assert!(assembler.skip_missing());
    assert_eq!(numbers(&mut assembler), []);
    assert_eq!(assembler.wants_key(), Some(0));
    for packet in packets[3..].iter().flatten() {
        put(&mut assembler, packet);
    }
    assert_eq!(numbers(&mut assembler), [3, 4]);
    assert_eq!(assembler.wants_key(), None);
}

#[test]
fn a_key_picture_under_repair_is_waited_for() {
    let packets = stream(&[(true, 0, 3), (false, 0, 1)]);
    let mut assembler = assembler(8);
    for packet in [&packets[0][0], &packets[0][2], &packets[1][0]] {
        put(&mut assembler, packet);
    }
    assert!(!assembler.skip_unneeded());
    put(&mut assembler, &packets[0][1]);
    assert_eq!(numbers(&mut assembler), [0, 1]);
}

#[test]
fn a_picture_of_which_nothing_came_counts_as_needed() {
    let packets = stream(&[(true, 0, 1), (false, 2, 1), (false, 0, 1)]);
    let mut assembler = assembler(64);
    put(&mut assembler, &packets[0][0]);
    put(&mut assembler, &packets[2][0]);
    assert_eq!(flushed(&mut assembler).len(), 1);
    assert_eq!(assembler.wants_key(), Some(0));
}

#[test]
fn pictures_that_the_server_leaves_out_are_not_missed() {
    let packets = layered();
    let mut assembler = assembler(64);
    let mut sequence = 65_000;
    for n in [0, 4, 8] {
        for packet in &packets[n] {
            let mut packet = packet.clone();
            packet[2..4].copy_from_slice(&u16::to_be_bytes(sequence));
            sequence += 1;
            put(&mut assembler, &packet);
        }
    }
    assert_eq!(numbers(&mut assembler), [0, 4, 8]);
}

#[test]
fn who_joins_in_the_middle_waits_for_a_key_picture() {
    let packets = stream(&[(false, 0, 2), (false, 0, 1), (true, 0, 2)]);
    let mut assembler = assembler(64);
    for (n, packet) in packets.iter().flatten().skip(1).enumerate() {
        assert_eq!(numbers(&mut assembler), []);
        put(&mut assembler, packet);
        // The second packet of number 0, number 1, and both of the key picture.
        assert_eq!(assembler.wants_key(), (n < 2).then_some(0));
    }
    assert!(assembler.skip_unneeded());
    // The first complete one that is not decodable goes by itself.
    assert_eq!(numbers(&mut assembler), [2]);
    assert_eq!(assembler.wants_key(), None);
}

#[test]
fn no_key_picture_is_asked_for_while_one_is_arriving() {
    let packets = stream(&[(true, 0, 1), (false, 0, 2), (true, 0, 3), (true, 0, 1)]);
    let mut assembler = assembler(64);
    put(&mut assembler, &packets[0][0]);
    put(&mut assembler, &packets[1][0]);
    assert_eq!(numbers(&mut assembler), [0]);
    assert!(assembler.skip_missing());
    assert_eq!(assembler.wants_key(), Some(0));
    put(&mut assembler, &packets[2][1]);
    assert_eq!(assembler.wants_key(), None);
    assert!(assembler.skip_missing());
    assert_eq!(assembler.wants_key(), Some(0), "too late for a repair");
    put(&mut assembler, &packets[3][0]);
    assert_eq!(assembler.wants_key(), None, "it is there");
    assert_eq!(flushed(&mut assembler).len(), 1);
    assert_eq!(assembler.wants_key(), None);
}

#[test]
fn another_layer_begins_with_its_key_picture() {
    let mut packetizer = PicturePacketizer::new(Codec::Vp8, 1, 1);
    let mut assembler = assembler(64);
    let mut given = Vec::new();
    for (n, (layer, key)) in [(0, true), (0, false), (1, false), (1, true), (1, false)]
        .into_iter()
        .enumerate()
    {
        let sample = Sample::new(Codec::Vp8, key, 0, 100, 1);
        let picture = Picture {
            layer,
            ..sample.picture(n)
        };
        let mut out = [0; 1_008];
        let len = packetizer
            .packetize(&picture)
            .unwrap()
            .write_next(&mut out)
            .unwrap()
            .unwrap();
        put(&mut assembler, &out[..len]);
        let mut out = [0; 200];
        let picture = assembler.poll_picture(&mut out).unwrap();
        given.push(picture.map(|picture| (picture.layer, picture.number)));
        assert_eq!(assembler.wants_key(), (n == 2).then_some(1));
    }
    assert_eq!(
        given,
        [Some((0, 0)), Some((0, 1)), None, Some((1, 1)), Some((1, 2))]
    );
}

#[test]
fn another_codec_begins_with_its_key_picture() {
    let key = Sample::new(Codec::Vp8, true, 0, 100, 1);
    let other = [false, true, false].map(|key| Sample::new(Codec::H264, key, 0, 100, 1));
    // Numbers of pictures and packets go on without a gap.
    let before = packets(Codec::Vp8, 0, &[key]);
    let behind = packets(Codec::H264, 1, &other);
    let mut assembler = assembler(8);
    for (number, packet) in (0..).zip(before.iter().chain(&behind).flatten()) {
        let mut packet = packet.clone();
        packet[19] = number;
        put(&mut assembler, &packet);
    }
    assert_eq!(numbers(&mut assembler), [0, 2, 3]);
}

#[test]
fn a_picture_that_never_ends_or_is_too_large_goes_for_what_follows() {
    let packets = stream(&[(true, 0, 1), (false, 0, 12), (true, 0, 2), (false, 0, 1)]);
    let mut assembler = assembler(8);
    put(&mut assembler, &packets[0][0]);
    assert_eq!(numbers(&mut assembler), [0]);
    for packet in &packets[1] {
        put(&mut assembler, packet);
        assert_eq!(numbers(&mut assembler), []);
    }
    assert_eq!(assembler.wants_key(), Some(0));
    for packet in packets[2..].iter().flatten() {
        put(&mut assembler, packet);
    }
    assert_eq!(flushed(&mut assembler).len(), 2);
}

#[test]
fn the_largest_output_is_enough_for_any_picture() {
    // Units of one byte, each of which becomes five.
    let units = [&[0x58][..], &[0, 1, 0x41].repeat(319)].concat();
    let count = MAX_PICTURE / (319 * 5) + 1;
    let key = Sample::new(Codec::H264, true, 0, 100, 1);
    let behind = packets(Codec::H264, count as u16, core::slice::from_ref(&key));
    let mut assembler = assembler(count + 1);
    for n in 0..count {
        let header = crate::rtp::RtpHeader {
            marker: n + 1 == count,
            payload_type: Codec::H264.payload_type(),
            sequence: n as u16,
            timestamp: 1,
            ssrc: 1,
            csrcs: &[],
            audio_level: None,
        };
        let first = u8::from(n == 0) << 7;
        let tag = PictureTag::from_bytes([first | 0x40, 0, 0]);
        let mut out = [0; 1_008];
        let len = header.write_picture(tag, &units, &mut out).unwrap();
        put(&mut assembler, &out[..len]);
    }
    put(&mut assembler, &behind[0][0]);
    let mut out = vec![0; MAX_PICTURE];
    let picture = assembler.poll_picture(&mut out).unwrap().unwrap();
    assert_eq!(picture.bytes, key.bytes);
}

#[test]
fn of_too_many_pictures_the_oldest_go() {
    let pictures: Vec<(bool, u8, usize)> = (0..20).map(|_| (true, 0, 1)).collect();
    let packets = stream(&pictures);
    let mut assembler = assembler(64);
    for packet in packets.iter().flatten() {
        put(&mut assembler, packet);
    }
    assert_eq!(numbers(&mut assembler), (8..20).collect::<Vec<_>>());
}

#[test]
fn of_too_many_pictures_that_are_not_complete_the_oldest_go() {
    let pictures: Vec<(bool, u8, usize)> = (0..20).map(|_| (true, 0, 2)).collect();
    let packets = stream(&pictures);
    let mut assembler = assembler(64);
    for picture in &packets {
        put(&mut assembler, &picture[0]);
    }
    put(&mut assembler, &packets[0][1]);
    put(&mut assembler, &packets[7][1]);
    assert_eq!(numbers(&mut assembler), []);
    for picture in &packets[8..] {
        put(&mut assembler, &picture[1]);
    }
    assert_eq!(numbers(&mut assembler), (8..20).collect::<Vec<_>>());
}

#[test]
fn what_calls_itself_a_key_picture_has_to_be_one() {
    let packets = stream(&[(true, 0, 1), (false, 0, 2), (false, 0, 1), (true, 0, 1)]);
    let mut assembler = assembler(64);
    for (n, picture) in packets.iter().enumerate() {
        for packet in picture {
            let mut packet = packet.clone();
            // The second picture is lost, the third says that it needs nothing.
            packet[17] |= if n == 2 { 0x40 } else { 0 };
            if n != 1 {
                put(&mut assembler, &packet);
            }
        }
    }
    assert_eq!(flushed_numbers(&mut assembler), [0, 3]);
}

#[test]
fn packets_of_two_pictures_make_none() {
    let packets = stream(&[(true, 0, 2), (true, 0, 2), (true, 0, 1)]);
    let mut assembler = assembler(64);
    let spliced = [&packets[0][0], &packets[1][1], &packets[2][0]];
    for (sequence, packet) in (7_u16..).zip(spliced) {
        put(&mut assembler, &numbered(packet, sequence));
    }
    assert_eq!(numbers(&mut assembler), [2]);
}

#[test]
fn a_frame_of_vp8_begins_with_its_first_packet() {
    for begins in [[true, false], [false, false], [true, true]] {
        let mut assembler = assembler(64);
        for (mut packet, begins) in stream(&[(true, 0, 2)]).concat().into_iter().zip(begins) {
            packet[20] = packet[20] & !0x10 | u8::from(begins) << 4;
            put(&mut assembler, &packet);
        }
        let is_frame = begins == [true, false];
        assert_eq!(numbers(&mut assembler).len(), usize::from(is_frame));
        assert_eq!(assembler.wants_key(), (!is_frame).then_some(0));
    }
}

#[test]
fn a_packet_that_is_missing_of_a_known_picture_is_of_no_other() {
    let packets = stream(&[(true, 0, 1), (false, 2, 1), (false, 2, 2), (false, 0, 1)]);
    let mut assembler = assembler(64);
    // The server leaves number 1 out, and of number 2 the first packet is lost.
    let arriving = [
        (0, &packets[0][0]),
        (2, &packets[2][1]),
        (3, &packets[3][0]),
    ];
    for (sequence, packet) in arriving {
        put(&mut assembler, &numbered(packet, sequence));
    }
    assert_eq!(flushed_numbers(&mut assembler), [0, 3]);
}

#[test]
fn without_slots_nothing_is_held() {
    let mut assembler = assembler(0);
    for packet in layered().iter().flatten() {
        put(&mut assembler, packet);
    }
    assert_eq!(flushed(&mut assembler), []);
}

/// A packet under another number.
fn numbered(packet: &[u8], sequence: u16) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet
}

/// A packet under another number, so much further.
fn moved(packet: &[u8], by: u16) -> Vec<u8> {
    let sequence = u16::from_be_bytes([packet[2], packet[3]]);
    numbered(packet, sequence.wrapping_add(by))
}

#[test]
fn a_stream_that_jumps_goes_on_behind_the_jump() {
    let packets = stream(&[(true, 0, 1), (false, 0, 1), (true, 0, 1), (false, 0, 1)]);
    let mut assembler = assembler(8);
    for (n, picture) in packets.iter().enumerate() {
        put(
            &mut assembler,
            &moved(&picture[0], if n > 1 { 30_000 } else { 0 }),
        );
    }
    // The jump is further than the slots reach: what was held is gone.
    assert_eq!(flushed_numbers(&mut assembler), [2, 3]);
}

#[test]
fn a_stream_that_jumps_half_the_range_begins_anew() {
    let delta = (false, 0, 1);
    let packets = stream(&[(true, 0, 1), delta, delta, delta, (true, 0, 1), delta]).concat();
    let mut assembler = assembler(8);
    put(&mut assembler, &packets[0]);
    put(&mut assembler, &packets[1]);
    assert_eq!(numbers(&mut assembler), [0, 1]);
    // The first number looks like a late one, the second one tells what it was.
    put(&mut assembler, &moved(&packets[2], 40_000));
    assert_eq!(assembler.wants_key(), None);
    put(&mut assembler, &moved(&packets[3], 40_000));
    assert_eq!(assembler.wants_key(), Some(0));
    put(&mut assembler, &moved(&packets[4], 40_000));
    put(&mut assembler, &moved(&packets[5], 40_000));
    assert!(assembler.skip_unneeded());
    assert_eq!(numbers(&mut assembler), [4, 5]);
}

#[test]
fn late_packets_are_no_jump() {
    let packets = stream(&[(true, 0, 1), (false, 0, 1), (false, 0, 1), (false, 0, 1)]).concat();
    let mut assembler = assembler(8);
    put(&mut assembler, &packets[0]);
    assert_eq!(numbers(&mut assembler), [0]);
    // Too old, but another one came between; one after the other, but not too old; the same one twice.
    let back = |by: u16| moved(&packets[0], by.wrapping_neg());
    let late = [
        back(20),
        packets[1].clone(),
        back(19),
        back(7),
        back(6),
        back(30),
        back(30),
        packets[2].clone(),
    ];
    for packet in &late {
        put(&mut assembler, packet);
    }
    assert_eq!(numbers(&mut assembler), [1, 2]);
    put(&mut assembler, &packets[3]);
    assert_eq!(numbers(&mut assembler), [3]);
}

/// The numbers of the pictures that can be decoded if those of `lost` are not there. Of some of these something has come,
/// which tells what they were; who has seen nothing of one takes it for one of temporal layer 0.
fn decodable(samples: &[Sample], lost: &[Loss]) -> Vec<u16> {
    let mut numbers = Vec::new();
    let mut whole = 0;
    for (n, (sample, loss)) in samples.iter().zip(lost).enumerate() {
        let is_there = *loss == Loss::None && (sample.key || sample.temporal_layer < whole);
        if is_there {
            numbers.push(n as u16);
            if sample.key || sample.temporal_layer == 0 && !sample.discardable {
                whole = 4;
            }
        } else if *loss == Loss::All {
            whole = 0;
        } else if !sample.discardable {
            whole = whole.min(sample.temporal_layer);
        }
    }
    numbers
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    None,
    Some,
    All,
}

proptest! {
    #[test]
    fn any_order_with_duplicates_gives_the_same_pictures(
        (codec, samples) in streams(12),
        sequence: u16,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..100),
    ) {
        let packets: Vec<Vec<u8>> = packets(codec, sequence, &samples).concat();
        let mut shuffled = packets.clone();
        for (n, index) in order.iter().enumerate() {
            let (a, b) = (n % packets.len(), index.index(packets.len()));
            shuffled.swap(a, b);
            shuffled.push(packets[b].clone());
        }
        let expected: Vec<(u16, Vec<u8>)> =
            (0..).zip(samples.iter().map(|sample| sample.bytes.clone())).collect();

        let mut all = assembler(64);
        for packet in &shuffled {
            put(&mut all, packet);
        }
        prop_assert_eq!(polled(&mut all), expected.clone());

        // Polled after every packet, which never goes back: the first one is known to be that.
        let (mut each, mut given) = (assembler(64), Vec::new());
        for packet in packets[..1].iter().chain(&shuffled) {
            put(&mut each, packet);
            given.extend(polled(&mut each));
        }
        prop_assert_eq!(given, expected);
    }

    #[test]
    fn a_loss_costs_exactly_the_pictures_that_need_it(
        (codec, samples) in streams(12),
        losses in prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.2)), 1..4),
        skips in prop::collection::vec(any::<bool>(), 12),
    ) {
        let mut packets = packets(codec, 65_500, &samples);
        let whole: Vec<usize> = packets.iter().map(Vec::len).collect();
        for (index, all) in losses {
            // The first picture stays, or there is no stream.
            let n = index.index(packets.len());
            if n > 0 && !packets[n].is_empty() {
                let k = index.index(packets[n].len());
                packets[n].remove(k);
                if all {
                    packets[n].clear();
                }
            }
        }
        let loss = |(packets, len): (&Vec<Vec<u8>>, &usize)| match packets.len() {
            0 => Loss::All,
            there if there < *len => Loss::Some,
            _ => Loss::None,
        };
        let mut lost: Vec<Loss> = packets.iter().zip(&whole).map(loss).collect();
        // Behind the end nobody knows that there was more.
        while lost.last() == Some(&Loss::All) {
            lost.pop();
        }
        let expected = decodable(&samples, &lost);

        let mut at_the_end = assembler(64);
        let (mut eager, mut given) = (assembler(64), Vec::new());
        for (picture, skip) in packets.iter().zip(skips) {
            for packet in picture {
                put(&mut at_the_end, packet);
                put(&mut eager, packet);
                given.extend(polled(&mut eager));
                while skip && eager.skip_unneeded() {
                    given.extend(polled(&mut eager));
                }
            }
        }
        let mut pictures = Vec::new();
        pictures.extend(polled(&mut at_the_end));
        while at_the_end.skip_missing() {
            pictures.extend(polled(&mut at_the_end));
        }
        let shown: Vec<u16> = pictures.iter().map(|(number, _)| *number).collect();
        prop_assert_eq!(&shown, &expected);
        // Who does not wait loses no more.
        given.extend(flushed(&mut eager));
        let shown: Vec<u16> = given.iter().map(|(number, _)| *number).collect();
        prop_assert_eq!(shown, expected);
        for (number, bytes) in &given {
            prop_assert_eq!(bytes, &samples[usize::from(*number)].bytes);
        }
    }

    #[test]
    fn a_late_packet_is_waited_for_unless_nothing_needs_it(
        (codec, samples) in streams(12),
        late in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..4),
    ) {
        let packets = packets(codec, 65_500, &samples);
        let (picture, packet, by) = late;
        let n = picture.index(packets.len());
        let k = packet.index(packets[n].len());
        let comes = packets.len().min(n + 1 + by);
        // Of the first picture something comes, or nobody knows of it.
        if n == 0 && packets[0].len() == 1 {
            return Ok(());
        }

        let (mut assembler, mut given) = (assembler(64), Vec::new());
        for (m, picture) in packets.iter().enumerate() {
            if m == comes {
                put(&mut assembler, &packets[n][k]);
            }
            for (_, bytes) in picture.iter().enumerate().filter(|&(at, _)| (m, at) != (n, k)) {
                put(&mut assembler, bytes);
            }
            given.extend(numbers(&mut assembler));
            while assembler.skip_unneeded() {
                given.extend(numbers(&mut assembler));
            }
        }
        if comes == packets.len() {
            put(&mut assembler, &packets[n][k]);
        }
        given.extend(numbers(&mut assembler));

        let sample = &samples[n];
        let needs_nothing = |next: &Sample| {
            let is_base = next.temporal_layer == 0 && !next.discardable;
            next.key || sample.discardable || sample.temporal_layer > 0 && is_base
        };
        let mut lost = vec![Loss::None; samples.len()];
        if !given.contains(&(n as u16)) {
            prop_assert!(samples[n + 1..comes].iter().any(needs_nothing), "{n} was not waited for");
            lost[n] = if packets[n].len() > 1 { Loss::Some } else { Loss::All };
        }
        prop_assert_eq!(given, decodable(&samples, &lost));
    }

    #[test]
    fn a_damaged_packet_makes_one_wrong_picture_at_most(
        (codec, samples) in streams(5), packet: prop::sample::Index, bit: prop::sample::Index,
        prefix: bool, header: bool,
    ) {
        let mut packets: Vec<Vec<u8>> = packets(codec, 5, &samples).concat();
        let n = packet.index(packets.len());
        let place = bit.index(if header { 20 } else { packets[n].len() } * 8);
        if prefix {
            packets[n].truncate(place / 8);
        } else {
            packets[n][place / 8] ^= 1 << (place % 8);
        }
        let mut assembler = assembler(64);
        let mut given = Vec::new();
        for bytes in &packets {
            if let Ok(packet) = RtpPacket::parse(bytes) {
                let _ = assembler.handle_packet(&packet);
            }
            given.extend(polled(&mut assembler));
        }
        given.extend(flushed(&mut assembler));
        // The time of a packet, its SSRC and its tag decide what it is part of, not what it is. Its number alone says where
        // in its picture it belongs, and the marker where the picture ends.
        let decides = !prefix && matches!(place / 8, 4..12 | 17..20);
        let is_wrong = |(_, bytes): &&(u16, Vec<u8>)| samples.iter().all(|sample| sample.bytes != *bytes);
        let wrong = given.iter().filter(is_wrong).count();
        prop_assert!(wrong <= usize::from(!decides));
    }

    #[test]
    fn any_packets_are_held_within_the_slots(
        slots in 0usize..20,
        steps in prop::collection::vec(
            (any::<u8>(), prop_oneof![0u16..40, any::<u16>()], any::<u8>(), 0u16..6, prop::collection::vec(any::<u8>(), 1..20)),
            0..60),
    ) {
        let mut assembler = assembler(slots);
        for (what, sequence, flags, number, payload) in steps {
            let header = crate::rtp::RtpHeader {
                marker: what & 1 != 0,
                payload_type: [96, 102, 103, 111][usize::from(what >> 1 & 3)],
                sequence,
                timestamp: u32::from(what >> 6),
                ssrc: 1,
                csrcs: &[],
                audio_level: None,
            };
            let [n0, n1] = number.to_be_bytes();
            let mut out = [0; 64];
            let len = header.write_picture(PictureTag::from_bytes([flags, n0, n1]), &payload, &mut out).unwrap();
            let _ = assembler.handle_packet(&RtpPacket::parse(&out[..len]).unwrap());
            prop_assert!(assembler.end - assembler.next <= slots as u64);
            prop_assert!(assembler.firsts <= MAX_PICTURES && assembler.markers <= MAX_PICTURES);
            let held = |is: fn(&Slot) -> bool| {
                assembler.slots.iter().filter(|slot| slot.len > 0 && is(slot)).count()
            };
            prop_assert_eq!(held(|slot| slot.tag.first), usize::from(assembler.firsts));
            prop_assert_eq!(held(|slot| slot.marker), usize::from(assembler.markers));
            prop_assert_eq!(held(|slot| slot.tag.key), assembler.keys);
            match what >> 3 & 7 {
                0 => drop(polled(&mut assembler)),
                1 => drop(assembler.skip_unneeded()),
                2 => drop(assembler.skip_missing()),
                _ => {}
            }
        }
        let _ = flushed(&mut assembler);
        prop_assert!(assembler.slots.iter().all(|slot| slot.len == 0));
    }
}
