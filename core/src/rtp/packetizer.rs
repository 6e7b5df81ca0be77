//! Encoded frames of sound to RTP packets: Opus by
//! [RFC 7587](https://www.rfc-editor.org/rfc/rfc7587), G.711 by
//! [RFC 3551](https://www.rfc-editor.org/rfc/rfc3551).
//!
//! Unsent silence (DTX, mute) is a gap in the timestamps but not in the sequence numbers: receivers use that to
//! distinguish it from loss. The packet behind a gap starts a *talkspurt* and has the marker bit ([RFC 3551 section
//! 4.1](https://www.rfc-editor.org/rfc/rfc3551#section-4.1)).

use thiserror::Error;

use super::frame::{FrameError, frame_samples};
use super::level::AudioLevel;
use super::packet::{RtpHeader, RtpWriteError};
use super::rtcp::SenderInfo;
use super::sequence::timestamp_difference;
use crate::room::Codec;

/// Why a frame did not become a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PacketizeError {
    /// The bytes are not a frame of the stream's codec.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The frame is longer or shorter than the caller says.
    #[error("the frame holds {actual} samples per channel, not as many as stated")]
    Samples {
        /// Samples per channel in the codec's RTP clock, by the frame's own bytes.
        actual: u32,
    },
    /// The packet could not be written.
    #[error(transparent)]
    Write(#[from] RtpWriteError),
}

/// Turns one stream's encoded frames into RTP packets.
///
/// ```
/// use parlour_core::room::Codec;
/// use parlour_core::rtp::{AudioLevel, Packetizer, RtpPacket};
///
/// let mut packetizer = Packetizer::new(Codec::Pcmu, 0xCAFE, 7, 1_000);
/// let level = AudioLevel { voice: true, level: 30 };
/// let mut out = [0; 200];
///
/// packetizer.packetize(&[0xFF; 160], 160, level, &mut out)?;
/// packetizer.skip(800); // 100 ms of silence, not sent
/// let len = packetizer.packetize(&[0xFF; 160], 160, level, &mut out)?;
///
/// let packet = RtpPacket::parse(&out[..len])?;
/// assert_eq!((packet.sequence(), packet.timestamp()), (8, 1_960));
/// assert!(packet.marker());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packetizer {
    codec: Codec,
    ssrc: u32,
    sequence: u16,
    /// Where the next frame starts if nothing is left out.
    timestamp: u32,
    /// The next packet starts a talkspurt, at any timestamp.
    silent: bool,
    packets: u32,
    octets: u32,
}

impl Packetizer {
    /// For the flow `ssrc` of a stream of `codec`. The first packet has `initial_sequence`, and
    /// `initial_timestamp` unless it is given another one.
    ///
    /// With a video codec every frame is refused as [`FrameError::NotAudio`].
    pub const fn new(
        codec: Codec,
        ssrc: u32,
        initial_sequence: u16,
        initial_timestamp: u32,
    ) -> Self {
        Self {
            codec,
            ssrc,
            sequence: initial_sequence,
            timestamp: initial_timestamp,
            silent: true,
            packets: 0,
            octets: 0,
        }
    }

    /// Writes the packet of the `frame` that directly follows the last one, or the pause skipped
    /// since. `samples` per channel, in the codec's RTP clock, are what the caller encoded.
    /// Returns the packet's length.
    ///
    /// # Errors
    /// [`PacketizeError`] if `frame` is invalid, does not hold `samples`, or does not fit `out`; then neither `out` nor
    /// the flow has changed.
    pub fn packetize(
        &mut self,
        frame: &[u8],
        samples: u32,
        level: AudioLevel,
        out: &mut [u8],
    ) -> Result<usize, PacketizeError> {
        let actual = frame_samples(self.codec, frame)?;
        if samples != actual {
            return Err(PacketizeError::Samples { actual });
        }
        self.write(frame, self.timestamp, actual, level, out)
    }

    /// Writes the packet of a `frame` whose first sample was taken at `timestamp`, in the codec's RTP clock. A
    /// talkspurt starts if at least one frame is missing since the last one, or if time ran backwards by as much; a
    /// smaller difference counts as an uneven clock. Returns the packet's length.
    ///
    /// # Errors
    /// [`PacketizeError`] if `frame` is invalid or does not fit `out`; then neither `out` nor the flow has changed.
    pub fn packetize_at(
        &mut self,
        frame: &[u8],
        timestamp: u32,
        level: AudioLevel,
        out: &mut [u8],
    ) -> Result<usize, PacketizeError> {
        let samples = frame_samples(self.codec, frame)?;
        self.write(frame, timestamp, samples, level, out)
    }

    /// Lets `samples`, in the codec's RTP clock, pass in silence. The next packet starts a
    /// talkspurt.
    pub const fn skip(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.silent = true;
    }

    /// The contents of a sender report at NTP time `ntp`, when a sample taken in that moment would have
    /// `rtp_timestamp`.
    pub const fn sender_info(&self, ntp: u64, rtp_timestamp: u32) -> SenderInfo {
        SenderInfo {
            ntp,
            rtp_timestamp,
            packets: self.packets,
            octets: self.octets,
        }
    }

    fn write(
        &mut self,
        frame: &[u8],
        timestamp: u32,
        samples: u32,
        level: AudioLevel,
        out: &mut [u8],
    ) -> Result<usize, PacketizeError> {
        let gap = timestamp_difference(timestamp, self.timestamp).unsigned_abs();
        let header = RtpHeader {
            marker: self.silent || gap >= samples,
            payload_type: self.codec.payload_type(),
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            csrcs: &[],
            audio_level: Some(level),
        };
        let len = header.write(frame, out)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = timestamp.wrapping_add(samples);
        self.silent = false;
        self.packets = self.packets.wrapping_add(1);
        // Modulo 2^32, as the field of the report is.
        self.octets = self.octets.wrapping_add(frame.len() as u32);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::RtpPacket;
    use proptest::prelude::*;
    use std::vec::Vec;

    const LEVEL: AudioLevel = AudioLevel {
        voice: true,
        level: 40,
    };
    /// SILK wideband, one frame of 20 ms.
    const OPUS_20_MS: [u8; 4] = [0x48, 1, 2, 3];

    /// The visible parts of a packet: its number, its time and whether a talkspurt starts.
    fn seen(bytes: &[u8]) -> (u16, u32, bool) {
        let packet = RtpPacket::parse(bytes).unwrap();
        (packet.sequence(), packet.timestamp(), packet.marker())
    }

    fn packetize_at(packetizer: &mut Packetizer, timestamp: u32) -> (u16, u32, bool) {
        let mut out = [0; 64];
        let len = packetizer
            .packetize_at(&OPUS_20_MS, timestamp, LEVEL, &mut out)
            .unwrap();
        seen(&out[..len])
    }

    #[test]
    fn a_packet_has_all_of_its_frame() {
        let mut packetizer = Packetizer::new(Codec::Opus, 5, 9, 100);
        let mut out = [0; 64];
        let len = packetizer
            .packetize(&OPUS_20_MS, 960, LEVEL, &mut out)
            .unwrap();
        let packet = RtpPacket::parse(&out[..len]).unwrap();
        assert_eq!(packet.payload_type(), 111);
        assert_eq!(packet.ssrc(), 5);
        assert_eq!(packet.csrcs().len(), 0);
        assert_eq!(packet.audio_level(), Some(LEVEL));
        assert_eq!(packet.payload(), OPUS_20_MS);
        assert_eq!(seen(&out[..len]), (9, 100, true));
    }

    #[test]
    fn talkspurts_start_at_gaps_in_given_time() {
        let mut packetizer = Packetizer::new(Codec::Opus, 5, 65_535, 0);
        let start = u32::MAX - 100;
        assert_eq!(packetize_at(&mut packetizer, start), (65_535, start, true));
        let mut next = start.wrapping_add(960);
        assert_eq!(packetize_at(&mut packetizer, next), (0, next, false));
        // An uneven clock: not a whole frame too late or too early.
        next = next.wrapping_add(960 + 959);
        assert_eq!(packetize_at(&mut packetizer, next), (1, next, false));
        next = next.wrapping_add(1);
        assert_eq!(packetize_at(&mut packetizer, next), (2, next, false));
        // One frame left out, and then time set back.
        next = next.wrapping_add(960 + 960);
        assert_eq!(packetize_at(&mut packetizer, next), (3, next, true));
        assert_eq!(packetize_at(&mut packetizer, 0), (4, 0, true));
    }

    #[test]
    fn what_is_refused_leaves_all_as_it_was() {
        let mut opus = Packetizer::new(Codec::Opus, 5, 9, 100);
        let mut g711 = Packetizer::new(Codec::Pcma, 5, 9, 100);
        let mut video = Packetizer::new(Codec::Vp8, 5, 9, 100);
        let before = (opus.clone(), g711.clone(), video.clone());
        let mut out = [0xEE; 400];
        let frame = |error| Err(PacketizeError::Frame(error));
        assert_eq!(
            opus.packetize(&[], 960, LEVEL, &mut out),
            frame(FrameError::Empty)
        );
        assert_eq!(
            opus.packetize(&[3], 960, LEVEL, &mut out),
            frame(FrameError::Malformed)
        );
        assert_eq!(
            opus.packetize(&OPUS_20_MS, 480, LEVEL, &mut out),
            Err(PacketizeError::Samples { actual: 960 })
        );
        assert_eq!(
            opus.packetize_at(&OPUS_20_MS, 0, LEVEL, &mut out[..23]),
            Err(PacketizeError::Write(RtpWriteError::BufferTooSmall {
                needed: 24
            }))
        );
        assert_eq!(
            g711.packetize(&[0; 160], 161, LEVEL, &mut out),
            Err(PacketizeError::Samples { actual: 160 })
        );
        assert_eq!(
            g711.packetize_at(&[0; 961], 0, LEVEL, &mut out),
            frame(FrameError::TooLong)
        );
        assert_eq!(
            video.packetize(&[0; 160], 160, LEVEL, &mut out),
            frame(FrameError::NotAudio)
        );
        assert_eq!(before, (opus, g711, video));
        assert!(out.iter().all(|&byte| byte == 0xEE));
    }

    #[test]
    fn the_sender_report_counts_packets_and_payload() {
        let mut packetizer = Packetizer::new(Codec::Opus, 5, 9, 100);
        packetize_at(&mut packetizer, 0);
        packetize_at(&mut packetizer, 960);
        let info = packetizer.sender_info(1 << 40, 2_000);
        assert_eq!((info.packets, info.octets), (2, 8));
        assert_eq!((info.ntp, info.rtp_timestamp), (1 << 40, 2_000));
    }

    proptest! {
        #[test]
        fn sequences_are_unbroken_and_time_is_true(
            sequence: u16,
            start: u32,
            acts in prop::collection::vec((1u32..=960, prop::option::of(1u32..100_000)), 1..50),
        ) {
            let mut packetizer = Packetizer::new(Codec::Pcmu, 5, sequence, start);
            let (mut sequence, mut time) = (sequence, start);
            let mut first = true;
            for (samples, silence) in acts {
                if let Some(silence) = silence {
                    packetizer.skip(silence);
                    time = time.wrapping_add(silence);
                }
                let frame: Vec<u8> = std::vec![0xD5; samples as usize];
                let mut out = [0; 1000];
                let len = packetizer.packetize(&frame, samples, LEVEL, &mut out).unwrap();
                let talkspurt = first || silence.is_some();
                prop_assert_eq!(seen(&out[..len]), (sequence, time, talkspurt));
                sequence = sequence.wrapping_add(1);
                time = time.wrapping_add(samples);
                first = false;
            }
        }
    }
}
