//! RTP and RTCP, with `rtp-rs` for an oracle.
//!
//! Input: steps of one byte for what follows, a time to let pass, and a packet with its length before it.

use parlour_core::room::Codec;
use parlour_core::rtp::{
    Depacketizer, MAX_CSRCS, ReceptionStats, ReportBlock, RtcpCompound, RtpHeader, RtpPacket,
    SequenceUnwrapper, frame_samples, ntp_timestamp, report_len, write_report,
};
use parlour_core::time::Instant;
use parlour_fuzz::input::Input;

/// Everything that one flow's packets go through on their way in.
struct Flow {
    now: Instant,
    depacketizer: Depacketizer,
    stats: ReceptionStats,
    sequences: SequenceUnwrapper,
}

fn main() {
    parlour_fuzz::search(run);
}

/// Parses, writes again, counts.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let clock_rate = input.choose(&[48_000, 8_000, 90_000, 0, u32::MAX]);
    let mut flow = Flow {
        now: Instant::from_micros(input.u32().into()),
        depacketizer: Depacketizer::new(clock_rate),
        stats: ReceptionStats::new(1, clock_rate),
        sequences: SequenceUnwrapper::new(),
    };
    while let Some(opcode) = input.opcode() {
        flow.now += input.duration();
        match opcode % 4 {
            0 => flow.rtp(input.long_bytes()),
            1 => flow.rtcp(input.long_bytes()),
            2 => flow.built(&mut input),
            _ => flow.report(input.u32()),
        }
    }
}

impl Flow {
    fn rtp(&mut self, bytes: &[u8]) {
        let oracle = rtp_rs::RtpReader::new(bytes);
        let Ok(packet) = RtpPacket::parse(bytes) else {
            return;
        };
        // The oracle also refuses some packets that the RFC allows, those without payload.
        if let Ok(oracle) = oracle {
            assert_eq!(packet.sequence(), u16::from(oracle.sequence_number()));
            assert_eq!(packet.timestamp(), oracle.timestamp());
            assert_eq!(packet.ssrc(), oracle.ssrc());
            assert_eq!(packet.marker(), oracle.mark());
            assert_eq!(packet.payload_type(), oracle.payload_type());
            assert!(packet.csrcs().eq(oracle.csrc()));
            assert_eq!(packet.payload(), oracle.payload());
            assert_eq!(packet.extension(), oracle.extension());
        }
        for (id, element) in packet.extension_elements() {
            assert!(id != 0 && element.len() <= 255);
        }

        let csrcs: Vec<u32> = packet.csrcs().collect();
        let header = RtpHeader {
            marker: packet.marker(),
            payload_type: packet.payload_type(),
            sequence: packet.sequence(),
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
            csrcs: &csrcs,
            audio_level: packet.audio_level(),
        };
        let mut written = vec![0; header.header_len() + packet.payload().len()];
        assert_eq!(
            header.write(packet.payload(), &mut written),
            Ok(written.len())
        );
        let again = RtpPacket::parse(&written).expect("what was written, parses");
        assert_eq!(again.audio_level(), packet.audio_level());
        assert_eq!(again.payload(), packet.payload());
        assert!(again.csrcs().eq(packet.csrcs()));
        self.received(&packet);
    }

    fn received(&mut self, packet: &RtpPacket<'_>) {
        let full = self.sequences.extend(packet.sequence());
        assert_eq!(full as u16, packet.sequence());
        self.stats
            .handle_packet(self.now, packet.sequence(), packet.timestamp());
        // A packet before the first, by its number, is late.
        let beside = self.stats.duplicates() + self.stats.late();
        assert!(self.stats.received() <= self.stats.expected() + beside);
        if let Ok(frame) = self.depacketizer.depacketize(packet) {
            assert_eq!(frame.sequence as u16, packet.sequence());
            assert_eq!(frame.timestamp as u32, packet.timestamp());
            assert!(!frame.payload.is_empty());
            let samples = frame_samples(frame.codec, frame.payload).expect("it is a frame");
            assert!(samples > 0 && samples <= frame.codec.clock_rate() / 1000 * 120);
            assert_eq!(
                Codec::from_payload_type(packet.payload_type()),
                Some(frame.codec)
            );
        }
    }

    /// A packet that parses, so that the statistics see many without the fuzzer having to guess them.
    fn built(&mut self, input: &mut Input<'_>) {
        let count = usize::from(input.below(MAX_CSRCS as u8 + 1));
        let csrcs: Vec<u32> = (0..count).map(|_| u32::from(input.byte())).collect();
        let header = RtpHeader {
            marker: input.flag(),
            payload_type: input.choose(&[111, 0, 8, 96, 102, 3]),
            sequence: input.u16(),
            timestamp: input.u32(),
            ssrc: 1,
            csrcs: &csrcs,
            audio_level: None,
        };
        let mut bytes = [0; 400];
        let len = header.write(input.bytes(), &mut bytes).expect("it fits");
        let packet = RtpPacket::parse(&bytes[..len]).expect("what was written, parses");
        self.received(&packet);
    }

    fn rtcp(&mut self, bytes: &[u8]) {
        let Ok(compound) = RtcpCompound::parse(bytes) else {
            return;
        };
        for report in compound {
            let blocks: Vec<ReportBlock> = report.blocks().collect();
            let sender = report.sender();
            let mut written = vec![0; report_len(sender.is_some(), blocks.len())];
            let len = write_report(report.ssrc(), sender.as_ref(), &blocks, &mut written);
            assert_eq!(len, Ok(written.len()));
            let mut again = RtcpCompound::parse(&written).expect("what was written, parses");
            let first = again.next().expect("there is a report");
            assert_eq!((first.ssrc(), first.sender()), (report.ssrc(), sender));
            assert!(first.blocks().eq(blocks.iter().copied()));
            assert!(again.next().is_none(), "at most 31 blocks fit one report");

            if let Some(sender) = sender {
                self.stats.handle_sender_report(self.now, sender.ntp);
            }
            for block in blocks {
                let _ = block.round_trip(ntp_timestamp(self.now));
            }
        }
    }

    fn report(&mut self, later: u32) {
        let now = self.now + parlour_core::time::Duration::from_micros(later.into());
        let _ = (self.stats.jitter_duration(), self.stats.lost());
        let Some(block) = self.stats.report_block(now) else {
            return;
        };
        let mut written = [0; 64];
        let len = write_report(2, None, &[block], &mut written).expect("one block fits");
        let mut compound = RtcpCompound::parse(&written[..len]).expect("it is one");
        let read = compound.next().and_then(|report| report.blocks().next());
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff);
        assert_eq!(
            read,
            Some(ReportBlock {
                cumulative_lost: lost,
                ..block
            })
        );
    }
}
