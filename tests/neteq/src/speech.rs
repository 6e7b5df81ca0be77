//! What is said: synthetic voices, as Opus packets.

use std::path::Path;

use parlour_core::audio::codec::{AudioEncoder as _, Encoded, SampleRate};
use parlour_core::audio::opus::{EncoderConfig, FullbandEncoder, MAX_PAYLOAD};
use parlour_core::audio::resample::Resampler;

use crate::Error;

const RATE: SampleRate = SampleRate::Hz48000;
/// Of speech and pauses, where there are pauses.
const TURN_SECONDS: usize = 3;

pub struct Packet {
    pub frame: usize,
    pub begins: bool,
    pub payload: Vec<u8>,
}

impl Packet {
    /// Whether there is sound in it. A packet of one byte ends a talkspurt.
    pub fn has_sound(&self) -> bool {
        has_sound(&self.payload)
    }
}

pub fn has_sound(payload: &[u8]) -> bool {
    payload.len() > 2
}

/// A voice, at 48 kHz, and its packets.
pub struct Speech {
    pub pcm: Vec<i16>,
    pub packets: Vec<Packet>,
}

impl Speech {
    pub fn load(voice: &str, seconds: usize, pauses: bool) -> Result<Self, Error> {
        let path = format!("../../examples/assets/{voice}.wav");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let mut file = hound::WavReader::open(path)?;
        let rate = SampleRate::from_hz(file.spec().sample_rate).ok_or("a rate of the core")?;
        let pcm = file.samples().collect::<Result<Vec<i16>, _>>()?;
        let mut resampler = Resampler::new(rate, RATE);
        let mut wide = Vec::new();
        for frame in pcm.chunks_exact(rate.samples(20)) {
            let mut out = [0; RATE.samples(20)];
            resampler.process(frame, &mut out)?;
            wide.extend_from_slice(&out);
        }
        let second = RATE.hz() as usize;
        let mut pcm: Vec<i16> = wide.into_iter().cycle().take(seconds * second).collect();
        if pauses {
            for pause in pcm.chunks_mut(TURN_SECONDS * second).skip(1).step_by(2) {
                pause.fill(0);
            }
        }
        Self::encode(pcm, pauses)
    }

    fn encode(pcm: Vec<i16>, pauses: bool) -> Result<Self, Error> {
        let mut encoder = FullbandEncoder::new(EncoderConfig {
            sample_rate: RATE,
            bitrate: 32_000,
            complexity: 9,
            expected_loss: 10,
            dtx: pauses,
            ..EncoderConfig::default()
        })?;
        let mut packets: Vec<Packet> = Vec::new();
        let mut out = [0; MAX_PAYLOAD];
        for (frame, pcm) in pcm.chunks_exact(encoder.frame_samples()).enumerate() {
            let last = packets.last().filter(|last| last.frame + 1 == frame);
            let goes_on = last.is_some_and(Packet::has_sound);
            let payload = match encoder.encode(pcm, &mut out)? {
                Encoded::Payload(len) => out[..len].to_vec(),
                // The end of a talkspurt: the first byte of a packet, as WebRTC's senders send it.
                Encoded::Silence if goes_on => {
                    last.map_or(vec![], |last| last.payload[..1].to_vec())
                }
                Encoded::Silence => continue,
            };
            packets.push(Packet {
                frame,
                begins: !goes_on && has_sound(&payload),
                payload,
            });
        }
        Ok(Self { pcm, packets })
    }

    /// The frames that can be played.
    pub fn frames(&self) -> usize {
        self.packets
            .iter()
            .filter(|packet| packet.has_sound())
            .count()
    }
}
