use super::*;
use crate::rtp::RtpPacket;
use crate::video::synthetic::{CODECS, Sample, bytes, packets, streams};
use proptest::prelude::*;
use std::vec::Vec;

const SMALL: Picture<'static> = Picture {
    bytes: &[0x11, 0, 0, 1],
    timestamp: 5,
    discardable: true,
    temporal_layer: 2,
    layer: 1,
};

#[test]
fn pictures_of_a_layer_are_numbered_and_those_of_temporal_layer_0_counted() {
    let mut packetizer = PicturePacketizer::new(Codec::Vp8, 9, u16::MAX);
    let mut described = Vec::new();
    for (layer, temporal_layer) in [(0, 0), (1, 0), (0, 2), (0, 1), (0, 0)] {
        let picture = Picture {
            layer,
            temporal_layer,
            ..SMALL
        };
        let mut packets = packetizer.packetize(&picture).unwrap();
        let mut out = [0; 100];
        let len = packets.write_next(&mut out).unwrap().unwrap();
        let packet = RtpPacket::parse(&out[..len]).unwrap();
        let tag = packet.picture_tag().unwrap();
        let tl0 = packet.payload()[4];
        assert_eq!(u16::from(packet.payload()[3]), tag.number);
        described.push((packet.sequence(), tag.layer, tag.number, tl0));
    }
    let expected = [
        (u16::MAX, 0, 0, 1),
        (0, 1, 0, 1),
        (1, 0, 1, 1),
        (2, 0, 2, 1),
        (3, 0, 3, 2),
    ];
    assert_eq!(described, expected);
}

#[test]
fn a_key_picture_is_discardable_only_in_jpeg() {
    for codec in CODECS {
        for key in [true, false] {
            let mut sample = Sample::new(codec, key, 0, 100, 1);
            sample.discardable = true;
            let mut packetizer = PicturePacketizer::new(codec, 1, 0);
            let mut packets = packetizer.packetize(&sample.picture(0)).unwrap();
            let expected = codec == Codec::Jpeg || !key;
            assert_eq!(packets.tag().discardable, expected);
            let mut out = [0; 1_008];
            let len = packets.write_next(&mut out).unwrap().unwrap();
            let packet = RtpPacket::parse(&out[..len]).unwrap();
            assert_eq!(packet.picture_tag().unwrap().discardable, expected);
            if codec == Codec::Vp8 {
                assert_eq!(packet.payload()[0] & 0x20 != 0, expected);
            }
        }
    }
}

#[test]
fn what_is_no_picture_uses_no_number() {
    use PacketizePictureError::{Layer, Malformed, NoParameterSets, NotVideo, TooLong};
    let long = bytes(Codec::Vp8, false, MAX_PICTURE, 0);
    // Each unit is a byte longer when it arrives.
    let grows = [0, 0, 1, 0x41, 1].repeat(MAX_PICTURE / 5);
    let with = |bytes| Picture { bytes, ..SMALL };
    let cases = [
        (Codec::Opus, SMALL, NotVideo),
        (Codec::Vp8, with(&[]), Malformed),
        (Codec::Vp8, with(&long), TooLong),
        (Codec::Vp8, Picture { layer: 4, ..SMALL }, Layer),
        (
            Codec::Vp8,
            Picture {
                temporal_layer: 4,
                ..SMALL
            },
            Layer,
        ),
        (Codec::H264, SMALL, Malformed),
        (Codec::H264, with(&grows), TooLong),
        (Codec::H264, with(&[0, 0, 1]), Malformed),
        (Codec::H264, with(&[0, 0, 1, 0x65, 1]), NoParameterSets),
        (Codec::Jpeg, SMALL, Malformed),
    ];
    for (codec, picture, error) in cases {
        let mut packetizer = PicturePacketizer::new(codec, 1, 1);
        let before = packetizer.clone();
        assert_eq!(packetizer.packetize(&picture), Err(error));
        assert_eq!(packetizer, before);
    }
}

#[test]
fn an_output_that_is_too_small_costs_nothing() {
    let mut packetizer = PicturePacketizer::new(Codec::Vp8, 1, 1);
    let mut packets = packetizer.packetize(&SMALL).unwrap();
    let mut out = [7; 40];
    let refused = Err(RtpWriteError::BufferTooSmall { needed: 30 });
    assert_eq!(packets.write_next(&mut out[..29]), refused);
    assert_eq!(packets.write_again(1, &mut out[..29]), refused);
    assert_eq!(out, [7; 40]);
    assert_eq!(packets.write_next(&mut out[..30]), Ok(Some(30)));
    assert_eq!(packets.write_next(&mut out), Ok(None));
}

#[test]
fn the_largest_picture_fits_the_slots_that_are_advised() {
    for codec in CODECS {
        let around = bytes(codec, true, 1, 7).len() - 1;
        let sample = Sample::new(codec, true, 0, MAX_PICTURE - around, 7);
        assert_eq!(sample.bytes.len(), MAX_PICTURE);
        let mut packetizer = PicturePacketizer::new(codec, 1, 0);
        let count = packetizer.packetize(&sample.picture(0)).unwrap().count();
        assert!((2_180..=MAX_PICTURE_PACKETS).contains(&count), "{count}");
    }
}

#[test]
fn a_picture_of_more_packets_is_refused() {
    // Two packets each.
    let unit = [&[0, 0, 0, 1][..], &[0x41; 961]].concat();
    let count = usize::from(MAX_PICTURE_PACKETS / 2);
    let mut packetizer = PicturePacketizer::new(Codec::H264, 1, 0);
    let most = unit.repeat(count);
    let with = |bytes| Picture { bytes, ..SMALL };
    let packets = packetizer.packetize(&with(&most)).unwrap();
    assert_eq!(packets.count(), MAX_PICTURE_PACKETS);
    let more = unit.repeat(count + 1);
    assert!(more.len() < MAX_PICTURE);
    let refused = packetizer.packetize(&with(&more));
    assert_eq!(refused, Err(PacketizePictureError::TooLong));
}

proptest! {
    #[test]
    fn each_packet_says_what_it_is_of_and_is_written_again_alike(
        (codec, samples) in streams(6), sequence: u16, other: u16,
    ) {
        let mut expected = sequence;
        let mut packetizer = PicturePacketizer::new(codec, 1, sequence);
        for ((n, sample), written) in samples.iter().enumerate().zip(packets(codec, sequence, &samples)) {
            let cut = packetizer.packetize(&sample.picture(n)).unwrap();
            prop_assert_eq!((cut.count(), cut.first_sequence()), (written.len() as u16, expected));
            for (k, bytes) in written.iter().enumerate() {
                let packet = RtpPacket::parse(bytes).unwrap();
                let tag = packet.picture_tag().unwrap();
                prop_assert_eq!(packet.sequence(), expected);
                prop_assert_eq!(packet.marker(), k + 1 == written.len());
                prop_assert_eq!((tag.first, tag.key), (k == 0, sample.key));
                prop_assert_eq!((tag.number, tag.discardable), (n as u16, sample.discardable));
                prop_assert_eq!(tag.temporal_layer, sample.temporal_layer);
                prop_assert_eq!(packet.timestamp(), sample.picture(n).timestamp);
                prop_assert!(packet.payload().len() <= MAX_PICTURE_PAYLOAD);
                let mut out = [0; 1_008];
                let len = cut.write_again(expected, &mut out).unwrap().unwrap();
                prop_assert_eq!(&out[..len], &bytes[..]);
                expected = expected.wrapping_add(1);
            }
            let is_other = other.wrapping_sub(cut.first_sequence()) >= cut.count();
            prop_assert_eq!(cut.write_again(other, &mut [0; 1_008]).unwrap().is_none(), is_other);
        }
    }

    #[test]
    fn any_bytes_are_cut_or_refused(codec in prop::sample::select(CODECS.to_vec()), bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut packetizer = PicturePacketizer::new(codec, 1, 1);
        if let Ok(mut packets) = packetizer.packetize(&Picture { bytes: &bytes, ..SMALL }) {
            let mut count = 0;
            while packets.write_next(&mut [0; 1_008]).unwrap().is_some() {
                count += 1;
            }
            prop_assert_eq!(count, packets.count());
        }
    }
}
