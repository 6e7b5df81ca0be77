//! Wireshark's dissectors: every field of RTP and RTCP as they read it, out of a capture file.

use std::fs;
use std::process::Command;

use parlour_core::audio::g711::Law;
use parlour_core::rtp::{AUDIO_LEVEL_ID, ReportBlock, RtpPacket, write_report};
use parlour_core::time::Duration;

use crate::capture::Capture;
use crate::flow::{Encoder, Flow, Packet, SSRC};
use crate::peer::is_there;

const RTP: u16 = 5004;
const RTCP: u16 = 5005;

/// The values of `fields` in each packet of `capture`; fails if tshark has an objection to any.
fn dissect(capture: &Capture, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    if !is_there(&["tshark", "--version"], "tshark") {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("flow.pcap");
    fs::write(&file, capture.bytes()).unwrap();
    let mut command = Command::new("tshark");
    command
        .arg("-n")
        .arg("-r")
        .arg(&file)
        .args(["-T", "fields"]);
    command.args([
        "-d",
        &format!("udp.port=={RTP},rtp"),
        "-d",
        &format!("udp.port=={RTCP},rtcp"),
    ]);
    for field in fields
        .iter()
        .chain(&["_ws.expert.message", "_ws.malformed"])
    {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let rows = String::from_utf8(output.stdout).unwrap();
    let rows = rows.lines().map(|row| {
        let mut values: Vec<String> = row.split('\t').map(str::to_owned).collect();
        let objections = values.split_off(fields.len());
        assert!(
            objections.iter().all(String::is_empty),
            "{values:?}: {objections:?}"
        );
        values
    });
    Some(rows.collect())
}

const RTP_FIELDS: [&str; 12] = [
    "rtp.version",
    "rtp.padding",
    "rtp.cc",
    "rtp.marker",
    "rtp.p_type",
    "rtp.seq",
    "rtp.timestamp",
    "rtp.ssrc",
    "rtp.csrc.item",
    "rtp.ext.profile",
    "rtp.ext.rfc5285.id",
    "rtp.ext.rfc5285.data",
];

/// Fails unless tshark reads `packets` as the core does.
pub(crate) fn assert_dissected(packets: &[Packet]) {
    let mut capture = Capture::new();
    for packet in packets {
        capture.add(packet.at, RTP, &packet.bytes);
    }
    let Some(rows) = dissect(&capture, &RTP_FIELDS) else {
        return;
    };
    assert_eq!(rows.len(), packets.len());
    for (row, packet) in rows.iter().zip(packets) {
        let ours = RtpPacket::parse(&packet.bytes).unwrap();
        let csrcs: Vec<String> = ours.csrcs().map(|csrc| format!("0x{csrc:08x}")).collect();
        let level = ours.audio_level().expect("a level in each packet");
        let expected = [
            "2".into(),
            "0".into(),
            csrcs.len().to_string(),
            u8::from(ours.marker()).to_string(),
            ours.payload_type().to_string(),
            ours.sequence().to_string(),
            ours.timestamp().to_string(),
            format!("0x{:08x}", ours.ssrc()),
            csrcs.join(","),
            "0xbede".into(),
            AUDIO_LEVEL_ID.to_string(),
            format!("{:02x}", level.to_byte()),
        ];
        assert_eq!(row, &expected);
    }
    println!("tshark: {} packets", rows.len());
}

/// Both codecs, over the wrap-around of sequence numbers and timestamps, with silence that is left out. Tests
/// elsewhere show that our own parser reads the packets, but levels and gaps are checked here once more, against the
/// audio sent.
#[test]
fn tshark_reads_rtp_as_we_do() {
    for encoder in [Encoder::Dtx, Encoder::G711(Law::Mu), Encoder::G711(Law::A)] {
        let flow = Flow::of(encoder);
        assert_dissected(&flow.packets);
        let told = flow.packets.iter().map(|packet| {
            RtpPacket::parse(&packet.bytes)
                .unwrap()
                .audio_level()
                .unwrap()
        });
        assert_eq!(told.collect::<Vec<_>>(), flow.levels);
    }
}

#[test]
fn tshark_reads_rtcp_as_we_wrote_it() {
    let flow = Flow::of(Encoder::G711(Law::Mu));
    let blocks = [
        ReportBlock {
            ssrc: 0xCAFE,
            fraction_lost: 25,
            cumulative_lost: 300,
            highest_sequence: 0x0001_0005,
            jitter: 77,
            last_sr: 0x1234_5678,
            delay_since_last_sr: 65_536,
        },
        ReportBlock {
            ssrc: 0xBEEF,
            cumulative_lost: -3,
            ..ReportBlock::default()
        },
    ];
    let mut capture = Capture::new();
    for (report, _) in &flow.reports {
        capture.add(report.at, RTCP, &report.bytes);
    }
    let mut bytes = [0; 64];
    let len = write_report(SSRC, None, &blocks, &mut bytes).unwrap();
    capture.add(Duration::from_secs(60), RTCP, &bytes[..len]);
    let (_, last) = flow.reports.last().unwrap();
    let len = write_report(SSRC, Some(last), &blocks[..1], &mut bytes).unwrap();
    capture.add(Duration::from_secs(61), RTCP, &bytes[..len]);

    let Some(rows) = dissect(
        &capture,
        &[
            "rtcp.pt",
            "rtcp.senderssrc",
            "rtcp.timestamp.ntp.msw",
            "rtcp.timestamp.ntp.lsw",
            "rtcp.timestamp.rtp",
            "rtcp.sender.packetcount",
            "rtcp.sender.octetcount",
            "rtcp.ssrc.identifier",
            "rtcp.ssrc.fraction",
            "rtcp.ssrc.cum_nr",
            "rtcp.ssrc.ext_high",
            "rtcp.ssrc.jitter",
            "rtcp.ssrc.lsr",
            "rtcp.ssrc.dlsr",
        ],
    ) else {
        return;
    };
    let ssrc = format!("0x{SSRC:08x}");
    let sender = |info: &parlour_core::rtp::SenderInfo| {
        [
            (info.ntp >> 32) as u32,
            info.ntp as u32,
            info.rtp_timestamp,
            info.packets,
            info.octets,
        ]
        .map(|value| value.to_string())
    };
    let reports = flow.reports.iter().map(|(_, info)| {
        let mut row = vec!["200".into(), ssrc.clone()];
        row.extend(sender(info));
        row.resize(14, String::new());
        row
    });
    let mut expected: Vec<Vec<String>> = reports.collect();
    let both = [
        "0x0000cafe,0x0000beef",
        "25,0",
        "300,-3",
        "65541,0",
        "77,0",
        "305419896,0",
        "65536,0",
    ];
    let mut row = vec!["201".into(), ssrc.clone()];
    row.resize(7, String::new());
    row.extend(both.map(str::to_owned));
    expected.push(row);
    let mut row = vec!["200".into(), ssrc];
    row.extend(sender(last));
    row.extend(
        [
            "0x0000cafe",
            "25",
            "300",
            "65541",
            "77",
            "305419896",
            "65536",
        ]
        .map(str::to_owned),
    );
    expected.push(row);
    assert_eq!(rows, expected);
    println!("tshark: {} reports", rows.len());
}
