//! The talker of a stream: the core's, with the encoder that the options ask for.

use std::time::Duration;

use parlour_core::audio::codec::{FrameDuration, SampleRate};
use parlour_core::audio::encoder::Encoder;
use parlour_core::audio::g711::{G711Encoder, Law};
use parlour_core::audio::opus::{
    Adaptation, Adaptive, EncoderConfig, EncoderConfigError, FullbandEncoder,
};

use super::{AudioCodec, AudioOptions};

/// What one packet holds.
const DURATION: FrameDuration = FrameDuration::Ms20;
/// The same.
pub(super) const FRAME: Duration = Duration::from_millis(DURATION.ms() as u64);

pub(super) type Talker = parlour_core::audio::Talker<
    Encoder<Adaptive<FullbandEncoder>>,
    { SampleRate::Hz48000.samples(DURATION.ms()) },
>;

/// # Errors
/// [`EncoderConfigError`] for a bit rate that Opus does not have.
pub(super) fn talker(options: &AudioOptions) -> Result<Box<Talker>, EncoderConfigError> {
    let encoder = match options.codec {
        AudioCodec::Opus { bitrate, dtx, fec } => {
            let encoder = FullbandEncoder::new(EncoderConfig {
                // Opus does not take what telephones give.
                sample_rate: options.sample_rate.encoded().max(SampleRate::Hz16000),
                frame: DURATION,
                bitrate,
                dtx,
                ..EncoderConfig::default()
            })?;
            Encoder::Opus(Adaptive::new(encoder, Adaptation::new(bitrate), fec))
        }
        AudioCodec::Pcmu => Encoder::G711(G711Encoder::new(Law::Mu, DURATION)),
        AudioCodec::Pcma => Encoder::G711(G711Encoder::new(Law::A, DURATION)),
    };
    let clock_rate = options.codec.core().clock_rate();
    let talker = Talker::new(encoder, options.sample_rate.encoded(), clock_rate);
    talker.map(Box::new).ok_or(EncoderConfigError::Codec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_core::audio::opus::MAX_PAYLOAD;
    use parlour_core::time::Instant;

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
        let mut talker = talker(&options).unwrap();
        let (mut frames, mut payload) = (Vec::new(), [0; MAX_PAYLOAD]);
        talker.begin(at(0), || None);
        for mut chunk in pcm.chunks(chunk) {
            while let Some(spoken) = talker.take(&mut chunk, &mut payload).unwrap() {
                frames.push(spoken.payload.map(<[u8]>::to_vec));
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
        let mut talker = talker(&options).unwrap();
        let mut bytes = |seconds, loss| {
            talker.begin(at(seconds), || Some(loss));
            let pcm = tone(48_000, 440, 48_000);
            let (mut rest, mut bytes, mut payload) = (&pcm[..], 0, [0; MAX_PAYLOAD]);
            while let Some(spoken) = talker.take(&mut rest, &mut payload).unwrap() {
                bytes += spoken.payload.map_or(0, <[u8]>::len);
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
            talker(&options),
            Err(EncoderConfigError::Bitrate { .. })
        ));
    }
}
