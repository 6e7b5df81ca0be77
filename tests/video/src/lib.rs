//! Parlour's packets of video beside those of str0m and of webrtc-rs, on pictures that Chromium has encoded.
//!
//! ```sh
//! cd tests/video && cargo test
//! node frames.mjs                # encodes the pictures in `frames` anew
//! ```
#![cfg(test)]

use bytes::Bytes;
use parlour_core::room::Codec;
use parlour_core::rtp::{PictureTag, RtpHeader, RtpPacket};
use parlour_core::video::{Assembler, MAX_PICTURE_PAYLOAD, Picture, PicturePacketizer, Slot};
use rtp::packetizer::{Depacketizer as _, Payloader as _};
use str0m::format::CodecExtra;
use str0m::unversioned::{Depacketizer as _, Packetizer as _};

struct Encoded {
    key: bool,
    temporal_layer: u8,
    bytes: Vec<u8>,
}

/// The files in `frames`, and what `frames.mjs` has put into them.
const VIDEO: [(&str, Codec); 4] = [
    ("vp8-l1t1", Codec::Vp8),
    ("vp8-l1t3", Codec::Vp8),
    ("h264-l1t1", Codec::H264),
    ("h264-l1t3", Codec::H264),
];

fn pictures(name: &str) -> Vec<Encoded> {
    let path = format!("{}/frames/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[..];
    let mut pictures = Vec::new();
    while let Some((&[a, b, c, d, key, temporal_layer], behind)) = rest.split_first_chunk() {
        let (bytes, behind) = behind.split_at(u32::from_le_bytes([a, b, c, d]) as usize);
        pictures.push(Encoded {
            key: key == 1,
            temporal_layer,
            bytes: bytes.to_vec(),
        });
        rest = behind;
    }
    assert!(rest.is_empty() && pictures.iter().filter(|picture| picture.key).count() >= 2);
    pictures
}

/// The payloads that Parlour sends.
fn sent(codec: Codec, pictures: &[Encoded]) -> Vec<Vec<Vec<u8>>> {
    let mut packetizer = PicturePacketizer::new(codec, 1, 65_000);
    let cut = |encoded: &Encoded| {
        let mut packets = packetizer.packetize(&picture(encoded)).unwrap();
        assert_eq!(packets.tag().key, encoded.key);
        let mut out = [0; 1_008];
        let mut payloads = Vec::new();
        while let Some(len) = packets.write_next(&mut out).unwrap() {
            let packet = RtpPacket::parse(&out[..len]).unwrap();
            payloads.push(packet.payload().to_vec());
        }
        payloads
    };
    pictures.iter().map(cut).collect()
}

fn picture(encoded: &Encoded) -> Picture<'_> {
    Picture {
        bytes: &encoded.bytes,
        timestamp: 0,
        discardable: encoded.temporal_layer == 2,
        temporal_layer: encoded.temporal_layer,
        layer: 0,
    }
}

/// What Parlour makes of payloads that somebody else has cut.
fn assembled(codec: Codec, pictures: &[Encoded], payloads: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let mut assembler = Assembler::new(vec![Slot::EMPTY; 64]);
    let (mut sequence, mut out) = (65_500_u16, vec![0; 20_000]);
    let mut assembled = Vec::new();
    for (number, (encoded, payloads)) in (0..).zip(pictures.iter().zip(payloads)) {
        for (n, payload) in payloads.iter().enumerate() {
            let header = RtpHeader {
                marker: n + 1 == payloads.len(),
                payload_type: codec.payload_type(),
                sequence,
                timestamp: u32::from(number) * 3_000,
                ssrc: 1,
                csrcs: &[],
                audio_level: None,
            };
            let tag = PictureTag {
                first: n == 0,
                key: encoded.key,
                discardable: encoded.temporal_layer == 2,
                temporal_layer: encoded.temporal_layer,
                layer: 0,
                number,
            };
            let mut bytes = [0; 1_100];
            let len = header.write_picture(tag, payload, &mut bytes).unwrap();
            let packet = RtpPacket::parse(&bytes[..len]).unwrap();
            assembler.handle_packet(&packet).unwrap();
            sequence = sequence.wrapping_add(1);
        }
        if let Some(picture) = assembler.poll_picture(&mut out).unwrap() {
            assembled.push(picture.bytes.to_vec());
        }
    }
    assembled
}

/// A picture so that two with the same contents are equal: start codes of H.264 have three or four bytes.
fn contents(codec: Codec, bytes: &[u8]) -> Vec<Vec<u8>> {
    if codec != Codec::H264 {
        return vec![bytes.to_vec()];
    }
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|&at| bytes[at..].starts_with(&[0, 0, 1]))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let unit = |(&start, end): (&usize, usize)| {
        let mut unit = bytes[start + 3..end].to_vec();
        while unit.last() == Some(&0) {
            unit.pop();
        }
        unit
    };
    starts.iter().zip(ends).map(unit).collect()
}

fn assert_same(codec: Codec, pictures: &[Encoded], read: &[Vec<u8>]) {
    assert_eq!(read.len(), pictures.len());
    for (n, (read, encoded)) in read.iter().zip(pictures).enumerate() {
        let expected = contents(codec, &encoded.bytes);
        assert!(contents(codec, read) == expected, "picture {n}");
    }
}

#[test]
fn str0m_reads_what_we_send() {
    for (name, codec) in VIDEO {
        let pictures = pictures(name);
        let read = |payloads: &Vec<Vec<u8>>| {
            let mut picture = Vec::new();
            let mut vp8 = str0m::unversioned::Vp8Depacketizer::default();
            let mut h264 = str0m::unversioned::H264Depacketizer::default();
            for payload in payloads {
                let mut extra = CodecExtra::None;
                let read = match codec {
                    Codec::Vp8 => vp8.depacketize(payload, &mut picture, &mut extra),
                    _ => h264.depacketize(payload, &mut picture, &mut extra),
                };
                read.unwrap();
            }
            picture
        };
        let read: Vec<Vec<u8>> = sent(codec, &pictures).iter().map(read).collect();
        assert_same(codec, &pictures, &read);
    }
}

#[test]
fn webrtc_rs_reads_what_we_send() {
    for (name, codec) in VIDEO {
        let pictures = pictures(name);
        let (mut read, mut base) = (Vec::new(), 0_u8);
        for (n, (payloads, encoded)) in sent(codec, &pictures).iter().zip(&pictures).enumerate() {
            let mut picture = Vec::new();
            let mut vp8 = rtp::codecs::vp8::Vp8Packet::default();
            let mut h264 = rtp::codecs::h264::H264Packet::default();
            base += u8::from(encoded.temporal_layer == 0);
            for payload in payloads {
                let payload = Bytes::copy_from_slice(payload);
                picture.extend(match codec {
                    Codec::Vp8 => vp8.depacketize(&payload).unwrap(),
                    _ => h264.depacketize(&payload).unwrap(),
                });
                if codec == Codec::Vp8 {
                    assert_eq!((vp8.picture_id, vp8.tl0_pic_idx), (n as u16, base));
                    assert_eq!(vp8.tid, encoded.temporal_layer);
                    assert_eq!(vp8.n, u8::from(encoded.temporal_layer == 2));
                }
            }
            read.push(picture);
        }
        assert_same(codec, &pictures, &read);
    }
}

#[test]
fn we_read_what_str0m_sends() {
    for (name, codec) in VIDEO {
        let pictures = pictures(name);
        let mut vp8 = str0m::unversioned::Vp8Packetizer::default();
        let mut h264 = str0m::unversioned::H264Packetizer::default();
        let cut = |encoded: &Encoded| match codec {
            Codec::Vp8 => vp8.packetize(MAX_PICTURE_PAYLOAD, &encoded.bytes).unwrap(),
            _ => h264.packetize(MAX_PICTURE_PAYLOAD, &encoded.bytes).unwrap(),
        };
        let payloads: Vec<Vec<Vec<u8>>> = pictures.iter().map(cut).collect();
        assert_same(codec, &pictures, &assembled(codec, &pictures, &payloads));
    }
}

#[test]
fn we_read_what_webrtc_rs_sends() {
    for (name, codec) in VIDEO {
        let pictures = pictures(name);
        let mut vp8 = rtp::codecs::vp8::Vp8Payloader::default();
        vp8.enable_picture_id = true;
        let mut h264 = rtp::codecs::h264::H264Payloader::default();
        let cut = |encoded: &Encoded| {
            let bytes = Bytes::copy_from_slice(&encoded.bytes);
            let payloads = match codec {
                Codec::Vp8 => vp8.payload(MAX_PICTURE_PAYLOAD, &bytes).unwrap(),
                _ => h264.payload(MAX_PICTURE_PAYLOAD, &bytes).unwrap(),
            };
            payloads.iter().map(|payload| payload.to_vec()).collect()
        };
        let payloads: Vec<Vec<Vec<u8>>> = pictures.iter().map(cut).collect();
        assert_same(codec, &pictures, &assembled(codec, &pictures, &payloads));
    }
}

#[test]
fn we_read_what_we_send() {
    let jpeg = ("jpeg", Codec::Jpeg);
    for (name, codec) in VIDEO.into_iter().chain([jpeg]) {
        let pictures = pictures(name);
        let payloads = sent(codec, &pictures);
        let (count, most) = payloads.iter().fold((0, 0), |(count, most), payloads| {
            (count + payloads.len(), most.max(payloads.len()))
        });
        println!(
            "{name}: {} pictures, {count} packets, at most {most} a picture",
            pictures.len()
        );
        assert!(most > 1);
        assert_same(codec, &pictures, &assembled(codec, &pictures, &payloads));
    }
}
