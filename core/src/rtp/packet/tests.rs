use super::*;
use proptest::prelude::*;
use rtp_rs::{Pad, RtpPacketBuilder, RtpReader, Seq};
use std::vec::Vec;

fn levels() -> impl Strategy<Value = Option<AudioLevel>> {
    prop::option::of(any::<u8>().prop_map(AudioLevel::from_byte))
}

prop_compose! {
    /// A header without its CSRCs, which it would have to borrow.
    fn headers()(
        marker: bool,
        payload_type in 0u8..=127,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        audio_level in levels(),
    ) -> RtpHeader<'static> {
        RtpHeader { marker, payload_type, sequence, timestamp, ssrc, csrcs: &[], audio_level }
    }
}

fn csrc_lists() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 0..=MAX_CSRCS)
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

/// Bytes that come far enough into a parser to be of interest: mostly version 2, few CSRCs.
fn nearly_packets() -> impl Strategy<Value = Vec<u8>> {
    (
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..120),
        0u8..20,
    )
        .prop_map(|(flags, mut bytes, words)| {
            if let Some(first) = bytes.first_mut() {
                *first = 0x80 | flags & 0x33;
            }
            // A short extension, where one stands if there are no CSRCs.
            if let Some(length) = bytes.get_mut(14..16) {
                length.copy_from_slice(&[0, words]);
            }
            bytes
        })
}

/// We and the oracle agree on whether `bytes` are a packet, and on everything in it.
fn assert_agreement(bytes: &[u8]) -> Result<(), TestCaseError> {
    match (RtpPacket::parse(bytes), RtpReader::new(bytes)) {
        (Ok(ours), Ok(oracle)) => {
            prop_assert_eq!(ours.marker(), oracle.mark());
            prop_assert_eq!(ours.payload_type(), oracle.payload_type());
            prop_assert_eq!(ours.sequence(), u16::from(oracle.sequence_number()));
            prop_assert_eq!(ours.timestamp(), oracle.timestamp());
            prop_assert_eq!(ours.ssrc(), oracle.ssrc());
            prop_assert!(ours.csrcs().eq(oracle.csrc()));
            prop_assert_eq!(ours.extension(), oracle.extension());
            prop_assert_eq!(ours.payload(), oracle.payload());
        }
        (Err(_), Err(_)) => {}
        (ours, oracle) => {
            return Err(TestCaseError::fail(std::format!(
                "we say {ours:?}, the oracle {oracle:?}"
            )));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn written_packets_are_read(
        header in headers(), csrcs in csrc_lists(), payload in payloads(), spare in 0usize..9,
    ) {
        let header = RtpHeader { csrcs: &csrcs, ..header };
        let mut bytes = std::vec![0xEE; header.header_len() + payload.len() + spare];
        let len = header.write(&payload, &mut bytes).unwrap();
        prop_assert_eq!(len + spare, bytes.len());
        prop_assert!(bytes[len..].iter().all(|&byte| byte == 0xEE));

        let packet = RtpPacket::parse(&bytes[..len]).unwrap();
        prop_assert_eq!(packet.marker(), header.marker);
        prop_assert_eq!(packet.payload_type(), header.payload_type);
        prop_assert_eq!(packet.sequence(), header.sequence);
        prop_assert_eq!(packet.timestamp(), header.timestamp);
        prop_assert_eq!(packet.ssrc(), header.ssrc);
        prop_assert!(packet.csrcs().eq(csrcs.iter().copied()));
        prop_assert_eq!(packet.audio_level(), header.audio_level);
        prop_assert_eq!(packet.payload(), &payload[..]);
    }

    #[test]
    fn we_write_what_the_oracle_builds(
        header in headers(), csrcs in csrc_lists(), payload in payloads(),
    ) {
        let header = RtpHeader { csrcs: &csrcs, ..header };
        let element;
        let mut builder = RtpPacketBuilder::new()
            .marked(header.marker)
            .payload_type(header.payload_type)
            .sequence(Seq::from(header.sequence))
            .timestamp(header.timestamp)
            .ssrc(header.ssrc)
            .payload(&payload);
        for &csrc in &csrcs {
            builder = builder.add_csrc(csrc);
        }
        if let Some(level) = header.audio_level {
            element = [0x10, level.to_byte(), 0, 0];
            builder = builder.extension(0xBEDE, &element);
        }
        let built = builder.build().unwrap();

        let mut bytes = [0; 400];
        let len = header.write(&payload, &mut bytes).unwrap();
        prop_assert_eq!(&bytes[..len], &built[..]);
    }

    #[test]
    fn padding_of_the_oracle_is_removed(
        payload in payloads(), csrcs in csrc_lists(), round_to in 2u8..=255,
    ) {
        let mut builder = RtpPacketBuilder::new()
            .payload_type(0)
            .padded(Pad::round_to(round_to))
            .payload(&payload);
        for &csrc in &csrcs {
            builder = builder.add_csrc(csrc);
        }
        let built = builder.build().unwrap();
        let packet = RtpPacket::parse(&built).unwrap();
        prop_assert_eq!(packet.payload(), &payload[..]);
    }

    #[test]
    fn we_read_what_the_oracle_reads(bytes in nearly_packets()) {
        assert_agreement(&bytes)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        assert_agreement(&bytes)?;
        if let Ok(packet) = RtpPacket::parse(&bytes) {
            let _ = packet.audio_level();
            prop_assert!(packet.payload().len() <= bytes.len() - FIXED_LEN);
        }
    }

    #[test]
    fn every_cut_of_a_header_is_refused(header in headers(), csrcs in csrc_lists(), cut: prop::sample::Index) {
        let header = RtpHeader { csrcs: &csrcs, ..header };
        let mut bytes = [0; 100];
        let len = header.write_header(&mut bytes).unwrap();
        prop_assert_eq!(
            RtpPacket::parse(&bytes[..cut.index(len)]),
            Err(RtpParseError::Truncated)
        );
    }

    #[test]
    fn a_small_output_is_left_alone(
        header in headers(), csrcs in csrc_lists(), payload in payloads(), cut: prop::sample::Index,
    ) {
        let header = RtpHeader { csrcs: &csrcs, ..header };
        let needed = header.header_len() + payload.len();
        let mut small = std::vec![0xEE; cut.index(needed)];
        prop_assert_eq!(
            header.write(&payload, &mut small),
            Err(RtpWriteError::BufferTooSmall { needed })
        );
        prop_assert!(small.iter().all(|&byte| byte == 0xEE));
    }
}

const HEADER: RtpHeader<'static> = RtpHeader {
    marker: true,
    payload_type: 111,
    sequence: 0x0102,
    timestamp: 0x0304_0506,
    ssrc: 0x0708_090A,
    csrcs: &[0x0B0C_0D0E],
    audio_level: Some(AudioLevel {
        voice: true,
        level: 5,
    }),
};

#[test]
fn the_bytes_are_those_of_the_standard() {
    let mut bytes = [0; 64];
    let len = HEADER.write(&[0xAA, 0xBB], &mut bytes).unwrap();
    assert_eq!(
        bytes[..len],
        [
            0x91, 0xEF, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xBE, 0xDE, 0, 1, 0x10,
            0x85, 0, 0, 0xAA, 0xBB
        ]
    );
}

#[test]
fn a_header_alone_is_the_start_of_the_packet() {
    let mut packet = [0; 64];
    let mut header = [0; 64];
    HEADER.write(&[], &mut packet).unwrap();
    assert_eq!(HEADER.write_header(&mut header), Ok(HEADER.header_len()));
    assert_eq!(packet, header);
}

#[test]
fn headers_that_cannot_be_are_refused() {
    let mut out = [0xEE; 200];
    let header = RtpHeader {
        payload_type: 128,
        ..HEADER
    };
    assert_eq!(header.write(&[], &mut out), Err(RtpWriteError::PayloadType));
    for count in [16, 17, 300] {
        let csrcs = std::vec![0; count];
        let header = RtpHeader {
            csrcs: &csrcs,
            ..HEADER
        };
        let mut out = [0xEE; 1500];
        assert_eq!(
            header.write(&[], &mut out),
            Err(RtpWriteError::TooManyCsrcs)
        );
        assert!(out.iter().all(|&byte| byte == 0xEE));
    }
    assert!(out.iter().all(|&byte| byte == 0xEE));
}

#[test]
fn the_padding_must_lie_in_the_payload() {
    let mut bytes = [0; 15];
    bytes[0] = 0xA0;
    for (padding, payload) in [
        (0, Err(RtpParseError::Padding)),
        (1, Ok(2)),
        (3, Ok(0)),
        (4, Err(RtpParseError::Padding)),
        (15, Err(RtpParseError::Padding)),
    ] {
        bytes[14] = padding;
        assert_eq!(
            RtpPacket::parse(&bytes).map(|packet| packet.payload().len()),
            payload
        );
    }
    assert_eq!(RtpPacket::parse(&bytes[..12]), Err(RtpParseError::Padding));
}

#[test]
fn other_versions_are_refused() {
    for version in [0u8, 1, 3] {
        let mut bytes = [0; 12];
        bytes[0] = version << 6;
        assert_eq!(RtpPacket::parse(&bytes), Err(RtpParseError::Version));
    }
}

#[test]
fn the_level_is_found_among_other_elements_in_both_forms() {
    let level = Some(AudioLevel {
        voice: false,
        level: 64,
    });
    for (profile, elements, found) in [
        ([0xBE, 0xDE], [0x31, 9, 9, 0, 0x10, 64, 0, 0], level),
        ([0x10, 0x07], [3, 0, 0, 1, 1, 64, 0, 0], level),
        // Two bytes are no level, and another profile's bytes are no elements.
        ([0xBE, 0xDE], [0x11, 64, 64, 0, 0, 0, 0, 0], None),
        ([0xAB, 0xCD], [0x31, 9, 9, 0, 0x10, 64, 0, 0], None),
    ] {
        let mut bytes = [0; 24];
        bytes[0] = 0x90;
        bytes[12..14].copy_from_slice(&profile);
        bytes[15] = 2;
        bytes[16..].copy_from_slice(&elements);
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.audio_level(), found);
        assert!(packet.payload().is_empty());
    }
}
