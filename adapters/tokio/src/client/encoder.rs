//! PCM at any rate to frames of a stream's codec.

use parlour_core::audio::codec::{AudioEncoder, EncodeError, FrameDuration, SampleRate};
use parlour_core::audio::g711::{G711Encoder, Law};
use parlour_core::audio::level::level;
use parlour_core::audio::opus::{
    Adaptation, EncoderConfig, EncoderConfigError, FullbandEncoder, MAX_PAYLOAD,
};
use parlour_core::audio::resample::Resampler;
use parlour_core::rtp::AudioLevel;
use parlour_core::time::Instant;

use super::{AudioCodec, AudioOptions};

/// What one packet holds.
const FRAME: FrameDuration = FrameDuration::Ms20;

#[derive(Debug)]
enum Codec {
    Opus {
        encoder: Box<FullbandEncoder>,
        adaptation: Adaptation,
        fec: bool,
    },
    G711(G711Encoder),
}

/// One frame that was encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EncodedFrame<'a> {
    pub(super) level: AudioLevel,
    /// `None`: silence, which is not sent.
    pub(super) payload: Option<&'a [u8]>,
}

#[derive(Debug)]
pub(super) struct Encoder {
    codec: Codec,
    resampler: Resampler,
    /// PCM of the next frame, as it was written.
    pending: Vec<i16>,
    /// Samples of one frame, as they are written.
    frame: usize,
    /// A frame at the codec's rate, and its payload.
    resampled: Vec<i16>,
    payload: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(options: &AudioOptions) -> Result<Self, EncoderConfigError> {
        let (codec, rate) = match options.codec {
            AudioCodec::Opus { bitrate, dtx, fec } => {
                // Opus does not take what telephones give.
                let rate = options.sample_rate.max(SampleRate::Hz16000);
                let encoder = Box::new(FullbandEncoder::new(EncoderConfig {
                    sample_rate: rate,
                    frame: FRAME,
                    bitrate,
                    dtx,
                    ..EncoderConfig::default()
                })?);
                let codec = Codec::Opus {
                    encoder,
                    adaptation: Adaptation::new(bitrate),
                    fec,
                };
                (codec, rate)
            }
            AudioCodec::Pcmu => (
                Codec::G711(G711Encoder::new(Law::Mu, FRAME)),
                SampleRate::Hz8000,
            ),
            AudioCodec::Pcma => (
                Codec::G711(G711Encoder::new(Law::A, FRAME)),
                SampleRate::Hz8000,
            ),
        };
        let frame = options.sample_rate.samples(FRAME.ms());
        Ok(Self {
            codec,
            resampler: Resampler::new(options.sample_rate, rate),
            pending: Vec::with_capacity(frame),
            frame,
            resampled: vec![0; rate.samples(FRAME.ms())],
            payload: vec![0; MAX_PAYLOAD],
        })
    }

    /// Takes PCM from the front of `pcm` until a frame is complete; `None` if there was not enough.
    ///
    /// # Errors
    /// [`EncodeError`]: the frame is lost, the next one may do.
    pub(super) fn take(
        &mut self,
        pcm: &mut &[i16],
    ) -> Result<Option<EncodedFrame<'_>>, EncodeError> {
        let missing = self.frame - self.pending.len();
        let (taken, rest) = pcm.split_at(missing.min(pcm.len()));
        *pcm = rest;
        self.pending.extend_from_slice(taken);
        if self.pending.len() < self.frame {
            return Ok(None);
        }
        let level = AudioLevel {
            // There is no voice detection here, and this is what the core asks for then.
            voice: true,
            level: level(&self.pending),
        };
        // One frame in gives one frame out: the buffer has its length.
        let resampled = self.resampler.process(&self.pending, &mut self.resampled);
        self.pending.clear();
        if resampled.is_err() {
            return Err(EncodeError::Codec);
        }
        let encoded = match &mut self.codec {
            Codec::Opus { encoder, .. } => encoder.encode(&self.resampled, &mut self.payload)?,
            Codec::G711(encoder) => encoder.encode(&self.resampled, &mut self.payload)?,
        };
        Ok(Some(EncodedFrame {
            level,
            payload: encoded.payload(&self.payload),
        }))
    }

    /// Forgets PCM that is not a whole frame.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }

    /// Adapts to the share of packets that are lost on the way, when it is time for that.
    pub(super) fn adapt(&mut self, now: Instant, loss: impl FnOnce() -> Option<u8>) {
        let Codec::Opus {
            encoder,
            adaptation,
            fec,
        } = &mut self.codec
        else {
            return;
        };
        let Some(adapted) = adaptation.poll(now, loss) else {
            return;
        };
        // Both are within what the encoder took when it was made.
        let _ = encoder.set_bitrate(adapted.bitrate);
        if *fec {
            let _ = encoder.set_expected_loss(adapted.expected_loss);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn tone(samples: usize, hz: usize, rate: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| {
                let phase = (n * hz % rate) as f64 / rate as f64;
                ((phase * std::f64::consts::TAU).sin() * 8_000.0) as i16
            })
            .collect()
    }

    fn encode(options: AudioOptions, pcm: &[i16], chunk: usize) -> Vec<Option<Vec<u8>>> {
        let mut encoder = Encoder::new(&options).unwrap();
        let mut frames = Vec::new();
        for mut chunk in pcm.chunks(chunk) {
            while let Some(frame) = encoder.take(&mut chunk).unwrap() {
                frames.push(frame.payload.map(<[u8]>::to_vec));
            }
            assert!(chunk.is_empty());
        }
        frames
    }

    #[test]
    fn every_rate_becomes_frames_of_20_ms_however_it_is_cut() {
        for rate in [
            SampleRate::Hz8000,
            SampleRate::Hz16000,
            SampleRate::Hz24000,
            SampleRate::Hz48000,
        ] {
            let pcm = tone(rate.samples(200), 440, rate.hz() as usize);
            for options in [AudioOptions::opus(rate), AudioOptions::pcmu(rate)] {
                let whole = encode(options, &pcm, pcm.len());
                assert_eq!(whole.len(), 10);
                assert!(whole.iter().all(Option::is_some), "a tone is not silence");
                assert_eq!(encode(options, &pcm, 77), whole);
            }
        }
    }

    #[test]
    fn g711_is_160_bytes() {
        let pcm = tone(960, 440, 48_000);
        let frames = encode(AudioOptions::pcmu(SampleRate::Hz48000), &pcm, 960);
        assert_eq!(frames[0].as_ref().unwrap().len(), 160);
    }

    #[test]
    fn loss_takes_bits_away_and_no_loss_gives_them_back() {
        let options = AudioOptions {
            codec: AudioCodec::Opus {
                bitrate: 64_000,
                dtx: false,
                fec: false,
            },
            ..AudioOptions::opus(SampleRate::Hz48000)
        };
        let mut encoder = Encoder::new(&options).unwrap();
        let mut bytes = |seconds, loss| {
            encoder.adapt(at(seconds), || Some(loss));
            let pcm = tone(48_000, 440, 48_000);
            let (mut rest, mut bytes) = (&pcm[..], 0);
            while let Some(frame) = encoder.take(&mut rest).unwrap() {
                bytes += frame.payload.map_or(0, <[u8]>::len);
            }
            bytes
        };
        let (none, much, again) = (bytes(2, 0), bytes(4, 80), bytes(6, 0));
        assert!(much * 10 < none * 7, "{much} of {none}");
        assert!(again * 10 > none * 9, "{again} of {none}");
    }

    #[test]
    fn what_the_codec_does_not_do_is_an_error() {
        let options = AudioOptions {
            codec: AudioCodec::Opus {
                bitrate: 1_000,
                dtx: false,
                fec: false,
            },
            ..AudioOptions::opus(SampleRate::Hz48000)
        };
        assert!(matches!(
            Encoder::new(&options),
            Err(EncoderConfigError::Bitrate { .. })
        ));
    }
}
