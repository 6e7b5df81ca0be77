//! RTP packets to encoded audio frames, with the sender, order, time and length of each.

use thiserror::Error;

use super::frame::{FrameError, frame_samples};
use super::level::AudioLevel;
use super::packet::{Contributors, RtpPacket};
use super::sequence::{SequenceUnwrapper, TimestampUnwrapper};
use crate::room::Codec;

/// Why a packet holds no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DepacketizeError {
    /// No codec has the packet's payload type.
    #[error("no codec has this packet's payload type")]
    PayloadType,
    /// The payload is not a frame of the codec that the payload type names.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// One encoded frame of sound, as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioFrame<'a> {
    /// The codec of the payload. In a slot it may change from frame to frame.
    pub codec: Codec,
    /// The packet's number in its flow, which never wraps; a jump by more than 65,536 is a flow that began anew.
    pub sequence: u64,
    /// When the first sample was taken, in the depacketizer's clock; never wraps.
    pub timestamp: u64,
    /// How long the frame lasts, in units of the same clock.
    pub duration: u32,
    /// The level of the frame, if its publisher sent it.
    pub level: Option<AudioLevel>,
    /// The frame starts a talkspurt: before it there was silence.
    pub marker: bool,
    /// In a slot, the SSRC of the contributing stream, in a mix of the loudest (the first CSRC).
    pub speaker: Option<u32>,
    /// The SSRCs of all contributing streams.
    pub contributors: Contributors<'a>,
    /// The encoded audio. Never empty.
    pub payload: &'a [u8],
}

/// Turns one flow's RTP packets into frames, in the order they arrive: sorting them is the jitter
/// buffer's work.
///
/// A slot, unlike a published stream, may change its codec from packet to packet, and uses a 48 kHz clock for every
/// codec. The clock therefore belongs to the flow:
///
/// ```
/// use parlour_core::room::Codec;
/// use parlour_core::rtp::{Depacketizer, RtpHeader, RtpPacket};
///
/// let mut slot = Depacketizer::new(48_000);
/// let header = RtpHeader {
///     marker: false,
///     payload_type: Codec::Pcmu.payload_type(),
///     sequence: 1,
///     timestamp: 0,
///     ssrc: 1,
///     csrcs: &[0xCAFE],
///     audio_level: None,
/// };
/// let mut bytes = [0; 200];
/// let len = header.write(&[0xFF; 160], &mut bytes)?;
///
/// let frame = slot.depacketize(&RtpPacket::parse(&bytes[..len])?)?;
/// assert_eq!(frame.speaker, Some(0xCAFE));
/// assert_eq!(frame.duration, 960); // 20 ms at 48 kHz
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depacketizer {
    clock_rate: u32,
    sequences: SequenceUnwrapper,
    timestamps: TimestampUnwrapper,
}

impl Depacketizer {
    /// For a flow whose timestamps count `clock_rate` units per second: 48,000 in a slot,
    /// [`Codec::clock_rate`] in a published stream.
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            sequences: SequenceUnwrapper::new(),
            timestamps: TimestampUnwrapper::new(),
        }
    }

    /// For the first packet of a flow that begins anew: its sender was replaced, so its numbers have nothing to do with those
    /// before. The next frame's `sequence` is more than 65,536 above all before, its `timestamp` is any.
    pub const fn restart(&mut self) {
        self.sequences.restart();
        self.timestamps = TimestampUnwrapper::new();
    }

    /// The frame in `packet`, which must be of this flow: the caller checks its SSRC.
    ///
    /// # Errors
    /// [`DepacketizeError`] if the payload is not a frame of an audio codec; the flow's state is then unchanged.
    pub fn depacketize<'a>(
        &mut self,
        packet: &RtpPacket<'a>,
    ) -> Result<AudioFrame<'a>, DepacketizeError> {
        let codec =
            Codec::from_payload_type(packet.payload_type()).ok_or(DepacketizeError::PayloadType)?;
        let samples = frame_samples(codec, packet.payload())?;
        Ok(AudioFrame {
            codec,
            sequence: self.sequences.extend(packet.sequence()),
            timestamp: self.timestamps.extend(packet.timestamp()),
            duration: self.rescale(samples, codec.clock_rate()),
            level: packet.audio_level(),
            marker: packet.marker(),
            speaker: packet.csrcs().next(),
            contributors: packet.contributors(),
            payload: packet.payload(),
        })
    }

    /// `samples` of a clock of `rate`, in units of this flow's clock.
    fn rescale(&self, samples: u32, rate: u32) -> u32 {
        let units = (u64::from(samples) * u64::from(self.clock_rate))
            .checked_div(rate.into())
            .unwrap_or(0);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{Packetizer, RtpHeader};
    use proptest::prelude::*;

    const LEVEL: AudioLevel = AudioLevel {
        voice: true,
        level: 40,
    };

    fn header(codec: Codec, sequence: u16, timestamp: u32) -> RtpHeader<'static> {
        RtpHeader {
            marker: false,
            payload_type: codec.payload_type(),
            sequence,
            timestamp,
            ssrc: 1,
            csrcs: &[],
            audio_level: None,
        }
    }

    #[test]
    fn a_slot_keeps_one_clock_for_all_codecs() {
        let mut slot = Depacketizer::new(48_000);
        let speakers = [
            (Codec::Opus, 0xA, &[0x48, 1, 2][..]),
            (Codec::Pcmu, 0xB, &[0xFF; 160]),
            (Codec::Pcma, 0xC, &[0xD5; 160]),
            (Codec::Opus, 0xA, &[0x48, 3, 4]),
        ];
        let mut expected = None;
        for (n, (codec, speaker, payload)) in (0..).zip(speakers) {
            let timestamp = u32::MAX - 1_000;
            let header = RtpHeader {
                csrcs: &[speaker, 0xFFFF],
                ..header(
                    codec,
                    65_534u16.wrapping_add(n),
                    timestamp.wrapping_add(960 * u32::from(n)),
                )
            };
            let mut bytes = [0; 200];
            let len = header.write(payload, &mut bytes).unwrap();
            let frame = slot
                .depacketize(&RtpPacket::parse(&bytes[..len]).unwrap())
                .unwrap();
            assert_eq!((frame.codec, frame.payload), (codec, payload));
            assert_eq!((frame.speaker, frame.duration), (Some(speaker), 960));
            let (sequence, timestamp) = expected.unwrap_or((frame.sequence, frame.timestamp));
            assert_eq!((frame.sequence, frame.timestamp), (sequence, timestamp));
            expected = Some((sequence + 1, timestamp + 960));
        }
    }

    #[test]
    fn a_published_stream_keeps_its_own_clock() {
        let mut packetizer = Packetizer::new(Codec::Pcmu, 1, 0, 0);
        let mut depacketizer = Depacketizer::new(Codec::Pcmu.clock_rate());
        let mut bytes = [0; 200];
        let len = packetizer
            .packetize(&[0xFF; 160], 160, LEVEL, &mut bytes)
            .unwrap();
        let packet = RtpPacket::parse(&bytes[..len]).unwrap();
        let frame = depacketizer.depacketize(&packet).unwrap();
        assert_eq!((frame.duration, frame.speaker), (160, None));
        assert_eq!((frame.level, frame.marker), (Some(LEVEL), true));
    }

    #[test]
    fn what_is_refused_leaves_the_flow_as_it_was() {
        let mut depacketizer = Depacketizer::new(48_000);
        let before = depacketizer.clone();
        for (codec, payload_type, payload, error) in [
            (Codec::Opus, 110, &[0x48][..], DepacketizeError::PayloadType),
            (Codec::Opus, 111, &[], FrameError::Empty.into()),
            (Codec::Opus, 111, &[3], FrameError::Malformed.into()),
            (Codec::Vp8, 96, &[1, 2], FrameError::NotAudio.into()),
        ] {
            let header = RtpHeader {
                payload_type,
                ..header(codec, 7, 7)
            };
            let mut bytes = [0; 64];
            let len = header.write(payload, &mut bytes).unwrap();
            let packet = RtpPacket::parse(&bytes[..len]).unwrap();
            assert_eq!(depacketizer.depacketize(&packet), Err(error));
        }
        assert_eq!(depacketizer, before);
    }

    proptest! {
        #[test]
        fn what_is_packetized_is_depacketized(
            sequence: u16,
            start: u32,
            frames in prop::collection::vec((1u32..=960, 0u32..100_000), 1..50),
        ) {
            let mut packetizer = Packetizer::new(Codec::Pcma, 5, sequence, start);
            let mut depacketizer = Depacketizer::new(8_000);
            let mut next = None;
            for (samples, silence) in frames {
                packetizer.skip(silence);
                let frame = std::vec![samples as u8; samples as usize];
                let mut out = [0; 1000];
                let len = packetizer.packetize(&frame, samples, LEVEL, &mut out).unwrap();
                let read = depacketizer.depacketize(&RtpPacket::parse(&out[..len]).unwrap()).unwrap();
                prop_assert_eq!(read.payload, &frame[..]);
                prop_assert_eq!(read.duration, samples);
                if let Some((sequence, timestamp)) = next {
                    prop_assert_eq!(read.sequence, sequence);
                    prop_assert_eq!(read.timestamp, timestamp + u64::from(silence));
                }
                next = Some((read.sequence + 1, read.timestamp + u64::from(samples)));
            }
        }

        #[test]
        fn any_packets_are_read_or_refused(
            rate: u32, packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 12..60), 1..20),
        ) {
            let mut depacketizer = Depacketizer::new(rate);
            for mut bytes in packets {
                bytes[0] = 0x80;
                bytes[1] = [0, 8, 111, 96][usize::from(bytes[1] % 4)];
                let packet = RtpPacket::parse(&bytes).unwrap();
                if let Ok(frame) = depacketizer.depacketize(&packet) {
                    prop_assert_eq!(frame.sequence as u16, packet.sequence());
                    prop_assert_eq!(frame.timestamp as u32, packet.timestamp());
                    prop_assert!(!frame.payload.is_empty());
                }
            }
        }
    }
}
