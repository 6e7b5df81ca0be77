//! The core's packets for a recording: RTP packets, and a sender report for each second.

use std::path::Path;

use parlour_core::audio::codec::{AudioEncoder, FrameDuration, SampleRate};
use parlour_core::audio::g711::{G711Encoder, Law};
use parlour_core::audio::level::level;
use parlour_core::audio::opus::{EncoderConfig, FullbandEncoder, MAX_PAYLOAD, OpusEncoder};
use parlour_core::room::Codec;
use parlour_core::rtp::{AudioLevel, Packetizer, SenderInfo, ntp_timestamp, write_report};
use parlour_core::time::{Duration, Instant};
use parlour_examples::measure::RATE;
use parlour_examples::wav;

/// The flow's name in each of its packets.
pub(crate) const SSRC: u32 = 0x0050_4152;
/// Its numbers and its time wrap soon.
const FIRST_SEQUENCE: u16 = 65_500;
const FIRST_TIMESTAMP: u32 = u32::MAX - 100_000;

/// The encoder and its settings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Encoder {
    /// Opus of a computer: 48 kHz.
    Fullband(FrameDuration),
    /// The same, which leaves out silence.
    Dtx,
    /// Opus of a device: 16 kHz.
    Wideband(FrameDuration),
    /// G.711, 20 ms.
    G711(Law),
}

impl Encoder {
    pub(crate) const fn codec(self) -> Codec {
        match self {
            Self::G711(Law::Mu) => Codec::Pcmu,
            Self::G711(Law::A) => Codec::Pcma,
            _ => Codec::Opus,
        }
    }

    fn make(self) -> Box<dyn AudioEncoder> {
        let config = EncoderConfig::default();
        let desktop = EncoderConfig {
            sample_rate: SampleRate::Hz48000,
            bitrate: 32_000,
            ..config
        };
        match self {
            Self::Fullband(frame) => {
                Box::new(FullbandEncoder::new(EncoderConfig { frame, ..desktop }).unwrap())
            }
            Self::Dtx => Box::new(
                FullbandEncoder::new(EncoderConfig {
                    dtx: true,
                    ..desktop
                })
                .unwrap(),
            ),
            Self::Wideband(frame) => {
                Box::new(OpusEncoder::new(EncoderConfig { frame, ..config }).unwrap())
            }
            Self::G711(law) => Box::new(G711Encoder::new(law, FrameDuration::Ms20)),
        }
    }
}

/// A packet of RTP, or of RTCP.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    /// Since the flow began.
    pub(crate) at: Duration,
    pub(crate) bytes: Vec<u8>,
}

/// All that is sent of a recording.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) codec: Codec,
    /// The audio sent, at [`RATE`].
    pub(crate) said: Vec<i16>,
    pub(crate) packets: Vec<Packet>,
    /// Sender reports, one for each second, and their contents.
    pub(crate) reports: Vec<(Packet, SenderInfo)>,
    /// The level that each of `packets` tells.
    pub(crate) levels: Vec<AudioLevel>,
}

impl Flow {
    /// The audio sent, once.
    pub(crate) fn recording(rate: SampleRate) -> Vec<i16> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/assets/host.wav");
        wav::read(&path, rate).unwrap()
    }

    /// The recording, from its beginning to its end.
    pub(crate) fn of(encoder: Encoder) -> Self {
        // Unoptimised builds copy the encoder's large state about the stack as it is made.
        let thread = std::thread::Builder::new().stack_size(16 << 20);
        let flow = thread.spawn(move || Self::encode(encoder)).unwrap();
        flow.join().unwrap()
    }

    fn encode(encoder: Encoder) -> Self {
        let codec = encoder.codec();
        let mut encoder = encoder.make();
        let rate = encoder.sample_rate();
        let pcm = Self::recording(rate);
        let mut packetizer = Packetizer::new(codec, SSRC, FIRST_SEQUENCE, FIRST_TIMESTAMP);
        let mut flow = Self {
            codec,
            said: Self::recording(RATE),
            packets: Vec::new(),
            reports: Vec::new(),
            levels: Vec::new(),
        };
        let frame = encoder.frame_samples();
        // In the codec's RTP clock, which runs at 48 kHz for any Opus (RFC 7587 section 4.1).
        let units = frame as u32 * codec.clock_rate() / rate.hz();
        let mut payload = [0; MAX_PAYLOAD];
        let mut packet = [0; MAX_PAYLOAD + 64];
        for (index, pcm) in pcm.chunks_exact(frame).enumerate() {
            let at = Duration::from_micros(
                index as u64 * frame as u64 * 1_000_000 / u64::from(rate.hz()),
            );
            if at.as_secs() as usize == flow.reports.len() {
                let timestamp = FIRST_TIMESTAMP.wrapping_add(index as u32 * units);
                flow.report(packetizer.sender_info(ntp(at), timestamp), at);
            }
            let encoded = encoder.encode(pcm, &mut payload).unwrap();
            let Some(payload) = encoded.payload(&payload) else {
                packetizer.skip(units);
                continue;
            };
            let level = level(pcm);
            let level = AudioLevel {
                voice: level < 50,
                level,
            };
            let len = packetizer
                .packetize(payload, units, level, &mut packet)
                .unwrap();
            flow.levels.push(level);
            flow.packets.push(Packet {
                at,
                bytes: packet[..len].to_vec(),
            });
        }
        flow
    }

    fn report(&mut self, info: SenderInfo, at: Duration) {
        let mut bytes = [0; 64];
        let len = write_report(SSRC, Some(&info), &[], &mut bytes).unwrap();
        self.reports.push((
            Packet {
                at,
                bytes: bytes[..len].to_vec(),
            },
            info,
        ));
    }
}

/// As if the sender had been started a while ago: a zero would mean that there was no report.
fn ntp(at: Duration) -> u64 {
    ntp_timestamp(Instant::from_micros(3_000_000_000 + at.as_micros() as u64))
}
