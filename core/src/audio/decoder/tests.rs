use super::*;
use crate::audio::synth::{self, power, snr};
use proptest::prelude::*;
use std::vec::Vec;

/// A stand-in for Opus that shows which of its methods was called.
struct Marker(SampleRate);

const DECODED: i16 = 1;
const CONCEALED: i16 = 2;
const RECOVERED: i16 = 3;

impl AudioDecoder for Marker {
    fn sample_rate(&self) -> SampleRate {
        self.0
    }

    fn decode(&mut self, _payload: &[u8], pcm: &mut [i16]) -> Result<usize, DecodeError> {
        pcm.fill(DECODED);
        Ok(pcm.len())
    }

    fn conceal(&mut self, pcm: &mut [i16]) {
        pcm.fill(CONCEALED);
    }

    fn recover(&mut self, _next_payload: &[u8], pcm: &mut [i16]) -> bool {
        pcm.fill(RECOVERED);
        true
    }
}

#[test]
fn losses_go_to_the_codec_that_was_heard() {
    let mut decoder = Decoder::new(Marker(SampleRate::Hz16000));
    let mut pcm = [0; 320];
    assert_eq!(decoder.decode(Codec::Opus, &[1], &mut pcm), Ok(320));
    assert_eq!(pcm, [DECODED; 320]);
    assert!(decoder.recover(Codec::Opus, &[1], &mut pcm));
    assert_eq!(pcm, [RECOVERED; 320]);
    decoder.conceal(&mut pcm);
    assert_eq!(pcm, [CONCEALED; 320]);

    // The talker changes to G.711, which never says anything as quiet as the marks.
    assert!(!decoder.recover(Codec::Pcma, &[0xd5; 160], &mut pcm));
    assert_eq!(pcm, [CONCEALED; 320], "it was Opus that was lost");
    for _ in 0..2 {
        assert_eq!(decoder.decode(Codec::Pcma, &[0x55; 160], &mut pcm), Ok(320));
    }
    let heard = pcm[300];
    assert!(heard < -5, "{heard}");
    assert!(!decoder.recover(Codec::Opus, &[1], &mut pcm));
    assert!(
        (pcm[0] - heard).abs() <= 1 && pcm[319] > heard,
        "goes on and fades"
    );
    // A refused payload changes nothing.
    let refused = decoder.decode(Codec::H264, &[1], &mut pcm);
    assert_eq!(refused, Err(DecodeError::UnsupportedCodec));
    decoder.conceal(&mut pcm);
    assert_ne!(pcm[0], CONCEALED);
}

#[test]
fn both_laws_sound_at_every_rate() {
    for rate in [
        SampleRate::Hz8000,
        SampleRate::Hz16000,
        SampleRate::Hz24000,
        SampleRate::Hz48000,
    ] {
        for (codec, law) in [(Codec::Pcmu, Law::Mu), (Codec::Pcma, Law::A)] {
            let mut decoder = Decoder::without_opus(rate);
            let said = synth::sine(rate, 440.0, 8000.0, 200);
            let payload: Vec<u8> = synth::sine(SampleRate::Hz8000, 440.0, 8000.0, 200)
                .into_iter()
                .map(|sample| law.encode(sample))
                .collect();
            let mut heard = Vec::new();
            for payload in payload.chunks(160) {
                let mut pcm = std::vec![0; rate.samples(20)];
                assert_eq!(decoder.decode(codec, payload, &mut pcm), Ok(pcm.len()));
                heard.extend(pcm);
            }
            // G.711 leaves noise 38 dB down.
            let delay = rate.samples(2);
            assert!(snr(&said, &heard, delay) > 34.0, "{codec:?} at {rate:?}");
            let mut lost = std::vec![0; rate.samples(10)];
            decoder.conceal(&mut lost);
            assert!(power(&lost) > 0.5 * power(&said), "{codec:?} at {rate:?}");
        }
    }
}

#[test]
fn without_opus_there_is_none() {
    let mut decoder = Decoder::without_opus(SampleRate::Hz8000);
    let mut pcm = [7; 80];
    assert_eq!(
        decoder.decode(Codec::Opus, &[0x48; 9], &mut pcm),
        Err(DecodeError::UnsupportedCodec)
    );
    decoder.conceal(&mut pcm);
    assert_eq!(pcm, [0; 80]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_payload_and_any_loss_plays(
        steps in proptest::collection::vec(
            (0_u8..5, proptest::collection::vec(any::<u8>(), 0..490), 0_usize..3000),
            0..8,
        )
    ) {
        let mut decoder = Decoder::without_opus(SampleRate::Hz48000);
        let mut pcm = [0; 3000];
        for (kind, payload, len) in steps {
            match kind {
                0 => decoder.conceal(&mut pcm[..len]),
                1 => drop(decoder.recover(Codec::Pcmu, &payload, &mut pcm[..len])),
                2 => drop(decoder.decode(Codec::Pcmu, &payload, &mut pcm[..len])),
                3 => drop(decoder.decode(Codec::Pcma, &payload, &mut pcm[..len])),
                _ => drop(decoder.decode(Codec::Opus, &payload, &mut pcm[..len])),
            }
        }
    }
}
