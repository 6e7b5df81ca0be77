//! One mix: for all listeners with the same excluded talkers, encoded once.

use alloc::boxed::Box;

use super::block::BLOCK_MS;
use super::config::MixConfig;
use super::talkers::Talkers;
use super::voice::{MAX_BLOCK, Voice};
use crate::audio::codec::{AudioEncoder, Encoded, FrameDuration, SampleRate};
use crate::audio::g711::{G711Encoder, Law};
use crate::audio::level::level;
use crate::audio::mixer::Mixer;
use crate::audio::opus::{FullbandEncoder, MAX_PAYLOAD};
use crate::audio::resample::Resampler;
use crate::room::Codec;
use crate::rtp::{AudioLevel, RtpHeader};
use crate::server::member::media::{MAX_CONTRIBUTORS, keep_packet};
use crate::server::pool::{Payload, Pool};

/// The encoder of a group's mix.
enum Encoder {
    Opus(Box<FullbandEncoder>),
    Pcmu(Box<Resampler>),
}

/// See the [module](self).
pub(super) struct Group {
    pub(super) codec: Codec,
    pub(super) without: Talkers,
    encoder: Encoder,
    /// The tick in which it was last asked for.
    pub(super) tick: u64,
    /// The resulting RTP packet, for all listeners of this mix.
    pub(super) sound: Option<Payload>,
}

impl Group {
    /// Bytes that one takes: almost all is the Opus encoder's state, as measured.
    pub(super) const BYTES: usize = size_of::<Self>() + 38 * 1024;

    /// `None` if mixes are not made in this codec.
    pub(super) fn new(codec: Codec, without: Talkers, config: &MixConfig) -> Option<Self> {
        let encoder = match codec {
            Codec::Opus => {
                Encoder::Opus(Box::new(FullbandEncoder::new(config.opus.config()).ok()?))
            }
            Codec::Pcmu => Encoder::Pcmu(Box::new(Resampler::new(
                config.opus.rate(),
                SampleRate::Hz8000,
            ))),
            _ => return None,
        };
        Some(Self {
            codec,
            without,
            encoder,
            tick: 0,
            sound: None,
        })
    }

    /// Mixes and encodes the voices of this tick, except those left out. Returns whether there was anything to
    /// encode.
    pub(super) fn make<'v>(
        &mut self,
        voices: impl Iterator<Item = (u32, &'v Voice)>,
        samples: usize,
        pool: &mut Pool,
    ) -> bool {
        let mut sums = [0; MAX_BLOCK];
        let mut mixer = Mixer::new(sums.get_mut(..samples).unwrap_or_default());
        let mut heard = heapless::Vec::<(u8, u32), MAX_CONTRIBUTORS>::new();
        for (ssrc, voice) in voices {
            // A voice's block is as long as the mix, and there are no more voices than places.
            if let Some(block) = voice.sound(samples)
                && mixer.add(block).is_ok()
            {
                let _ = heard.push((voice.level, ssrc));
            }
        }
        if heard.is_empty() {
            return false;
        }
        heard.sort_unstable();
        let mut mixed = [0; MAX_BLOCK];
        let mixed = match mixer.finish(&mut mixed) {
            Ok(len) => mixed.get(..len).unwrap_or_default(),
            Err(_) => return false,
        };
        let mut bytes = [0; MAX_PAYLOAD];
        let encoded = self.encode(mixed, &mut bytes);
        // The loudest first.
        let csrcs: heapless::Vec<u32, MAX_CONTRIBUTORS> =
            heard.iter().map(|(_, ssrc)| *ssrc).collect();
        let header = RtpHeader {
            // Each listener has these of its own.
            marker: false,
            sequence: 0,
            timestamp: 0,
            ssrc: 0,
            payload_type: self.codec.payload_type(),
            csrcs: &csrcs,
            audio_level: Some(AudioLevel {
                voice: true,
                level: level(mixed),
            }),
        };
        self.sound = encoded.and_then(|payload| keep_packet(pool, &header, None, payload));
        true
    }

    fn encode<'b>(&mut self, mixed: &[i16], bytes: &'b mut [u8]) -> Option<&'b [u8]> {
        let encoded = match &mut self.encoder {
            Encoder::Opus(encoder) => encoder.encode(mixed, bytes).ok()?,
            Encoder::Pcmu(narrow) => {
                let mut pcm = [0; SampleRate::Hz8000.samples(BLOCK_MS)];
                let len = narrow.process(mixed, &mut pcm).ok()?;
                let mut encoder = G711Encoder::new(Law::Mu, FrameDuration::Ms20);
                encoder.encode(pcm.get(..len)?, bytes).ok()?
            }
        };
        match encoded {
            Encoded::Payload(len) => bytes.get(..len),
            Encoded::Silence => None,
        }
    }
}
