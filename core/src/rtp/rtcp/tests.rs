use super::*;
use proptest::prelude::*;
use std::vec::Vec;

prop_compose! {
    fn infos()(ntp: u64, rtp_timestamp: u32, packets: u32, octets: u32) -> SenderInfo {
        SenderInfo { ntp, rtp_timestamp, packets, octets }
    }
}

prop_compose! {
    fn report_blocks()(
        ssrc: u32,
        fraction_lost: u8,
        cumulative_lost in -0x80_0000..=0x7F_FFFF,
        highest_sequence: u32,
        jitter: u32,
        last_sr: u32,
        delay_since_last_sr: u32,
    ) -> ReportBlock {
        ReportBlock {
            ssrc, fraction_lost, cumulative_lost, highest_sequence, jitter, last_sr,
            delay_since_last_sr,
        }
    }
}

/// An RTCP packet of a type that we do not know, of 4 * (1 + words) bytes.
fn unknown(kind: u8, words: u8) -> Vec<u8> {
    let mut packet = std::vec![0x9F, kind, 0, words];
    packet.resize(4 + 4 * usize::from(words), 0xDD);
    packet
}

proptest! {
    #[test]
    fn written_reports_are_read(
        ssrc: u32,
        sender in prop::option::of(infos()),
        blocks in prop::collection::vec(report_blocks(), 0..100),
        spare in 0usize..9,
    ) {
        let needed = report_len(sender.is_some(), blocks.len());
        let mut bytes = std::vec![0xEE; needed + spare];
        prop_assert_eq!(write_report(ssrc, sender.as_ref(), &blocks, &mut bytes), Ok(needed));
        prop_assert!(bytes[needed..].iter().all(|&byte| byte == 0xEE));

        let reports: Vec<_> = RtcpCompound::parse(&bytes[..needed]).unwrap().collect();
        prop_assert_eq!(reports.len(), blocks.len().div_ceil(31).max(1));
        prop_assert!(reports.iter().all(|report| report.ssrc() == ssrc));
        prop_assert_eq!(reports[0].sender(), sender);
        prop_assert!(reports[1..].iter().all(|report| report.sender().is_none()));
        let read: Vec<_> = reports.iter().flat_map(Report::blocks).collect();
        prop_assert_eq!(read, blocks);
    }

    #[test]
    fn a_small_output_is_left_alone(
        sender in prop::option::of(infos()), count in 0usize..40, cut: prop::sample::Index,
    ) {
        let blocks = std::vec![ReportBlock::default(); count];
        let needed = report_len(sender.is_some(), count);
        let mut small = std::vec![0xEE; cut.index(needed)];
        prop_assert_eq!(
            write_report(1, sender.as_ref(), &blocks, &mut small),
            Err(RtcpWriteError::BufferTooSmall { needed })
        );
        prop_assert!(small.iter().all(|&byte| byte == 0xEE));
    }

    #[test]
    fn unknown_packets_are_skipped(
        sender in infos(),
        kinds in prop::collection::vec((prop_oneof![0u8..200, 202u8..], 0u8..9), 0..4),
        at in 0usize..4,
    ) {
        let mut report = [0; 28];
        write_report(5, Some(&sender), &[], &mut report).unwrap();
        let mut packets: Vec<Vec<u8>> =
            kinds.iter().map(|&(kind, words)| unknown(kind, words)).collect();
        packets.insert(at.min(packets.len()), report.to_vec());
        let bytes = packets.concat();
        let reports: Vec<_> = RtcpCompound::parse(&bytes).unwrap().collect();
        prop_assert_eq!(reports.len(), 1);
        prop_assert_eq!(reports[0].sender(), Some(sender));
    }

    #[test]
    fn every_cut_is_refused_or_ends_between_packets(
        blocks in prop::collection::vec(report_blocks(), 0..70), cut: prop::sample::Index,
    ) {
        let mut bytes = std::vec![0; report_len(false, blocks.len())];
        write_report(1, None, &blocks, &mut bytes).unwrap();
        let cut = cut.index(bytes.len());
        let whole = 8 + 31 * 24;
        match RtcpCompound::parse(&bytes[..cut]) {
            Ok(reports) => prop_assert!(cut > 0 && cut % whole == 0 && reports.count() == cut / whole),
            Err(error) => prop_assert_eq!(error, RtcpParseError::Truncated),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 200u8..203, words in 0u8..60,
    ) {
        for shaped in [false, true] {
            if let (true, Some(head)) = (shaped, bytes.first_chunk_mut::<4>()) {
                *head = [0x80 | head[0] & 0x2F, kind, 0, words];
            }
            if let Ok(reports) = RtcpCompound::parse(&bytes) {
                let blocks: usize = reports.map(|report| report.blocks().len()).sum();
                prop_assert!(blocks * 24 < bytes.len());
            }
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_standard() {
    let info = SenderInfo {
        ntp: 0x0102_0304_0506_0708,
        rtp_timestamp: 0x0910_1112,
        packets: 0x1314_1516,
        octets: 0x1718_1920,
    };
    let block = ReportBlock {
        ssrc: 0x2122_2324,
        fraction_lost: 0x25,
        cumulative_lost: -2,
        highest_sequence: 0x2930_3132,
        jitter: 0x3334_3536,
        last_sr: 0x3738_3940,
        delay_since_last_sr: 0x4142_4344,
    };
    let mut bytes = [0; 52];
    write_report(0xAABB_CCDD, Some(&info), &[block], &mut bytes).unwrap();
    assert_eq!(
        bytes,
        [
            0x81, 200, 0, 12, 0xAA, 0xBB, 0xCC, 0xDD, // head
            1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0x12, // times
            0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x20, // counts
            0x21, 0x22, 0x23, 0x24, 0x25, 0xFF, 0xFF, 0xFE, // block
            0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, //
            0x37, 0x38, 0x39, 0x40, 0x41, 0x42, 0x43, 0x44,
        ]
    );
    let mut bytes = [0; 8];
    write_report(1, None, &[], &mut bytes).unwrap();
    assert_eq!(bytes, [0x80, 201, 0, 1, 0, 0, 0, 1]);
}

#[test]
fn a_loss_beyond_24_bits_is_sent_as_the_nearest() {
    for (lost, sent) in [(i32::MAX, 0x7F_FFFF), (i32::MIN, -0x80_0000), (-1, -1)] {
        let block = ReportBlock {
            fraction_lost: 1,
            cumulative_lost: lost,
            ..ReportBlock::default()
        };
        let mut bytes = [0; 32];
        write_report(1, None, &[block], &mut bytes).unwrap();
        let read = RtcpCompound::parse(&bytes)
            .unwrap()
            .next()
            .and_then(|report| report.blocks().next())
            .unwrap();
        assert_eq!((read.cumulative_lost, read.fraction_lost), (sent, 1));
    }
}

#[test]
fn padding_belongs_to_the_end_and_is_whole_words() {
    let padded = |last| [0xA0, 201, 0, 2, 0, 0, 0, 9, 0, 0, 0, last];
    let read = |bytes: &[u8]| RtcpCompound::parse(bytes).map(|reports| reports.count());
    assert_eq!(read(&padded(4)), Ok(1));
    for wrong in [0, 1, 3, 12] {
        assert_eq!(read(&padded(wrong)), Err(RtcpParseError::Padding));
    }
    // All padding: no room is left for the report's own SSRC.
    assert_eq!(read(&padded(8)), Err(RtcpParseError::Truncated));
    let followed = [&padded(4)[..], &[0x80, 201, 0, 1, 0, 0, 0, 9]].concat();
    assert_eq!(read(&followed), Err(RtcpParseError::Padding));
}

#[test]
fn what_a_profile_appends_is_ignored() {
    let bytes = [0x80, 201, 0, 2, 0, 0, 0, 9, 1, 2, 3, 4];
    let report = RtcpCompound::parse(&bytes).unwrap().next().unwrap();
    assert_eq!((report.ssrc(), report.blocks().len()), (9, 0));
}

#[test]
fn counts_and_versions_are_checked() {
    assert_eq!(
        RtcpCompound::parse(&[]).err(),
        Some(RtcpParseError::Truncated)
    );
    assert_eq!(
        RtcpCompound::parse(&[0x81, 201, 0, 1, 0, 0, 0, 9]).err(),
        Some(RtcpParseError::Truncated)
    );
    assert_eq!(
        RtcpCompound::parse(&[0x80, 200, 0, 1, 0, 0, 0, 9]).err(),
        Some(RtcpParseError::Truncated)
    );
    assert_eq!(
        RtcpCompound::parse(&[0x40, 201, 0, 1, 0, 0, 0, 9]).err(),
        Some(RtcpParseError::Version)
    );
}
