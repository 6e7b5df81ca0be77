use super::*;
use crate::audio::synth::power;
use proptest::prelude::*;
use std::vec::Vec;

const LAWS: [Law; 2] = [Law::Mu, Law::A];

/// The segment end points of G.711's tables 1a (A-law) and 2a (µ-law), as 16-bit output values
/// with the codes that the tables give for them.
#[test]
fn the_standards_table_values() {
    // µ-law, positive then negative: quantizer values 8031, 4063, 2015, 991, 479, 223, 95, 31, 0.
    for (code, value) in [
        (0x80, 8031 * 4),
        (0x8f, 4191 * 4),
        (0x9f, 2079 * 4),
        (0xaf, 1023 * 4),
        (0xbf, 495 * 4),
        (0xcf, 231 * 4),
        (0xdf, 99 * 4),
        (0xef, 33 * 4),
        (0xfe, 2 * 4),
        (0xff, 0),
        (0x00, -8031 * 4),
        (0x7e, -2 * 4),
    ] {
        assert_eq!(Law::Mu.decode(code), value as i16, "µ-law {code:#x}");
    }
    // A-law: 4032, 2112, 1056, 528, 264, 132, 66, 1 of 4096, with even bits inverted.
    for (code, value) in [
        (0xff_u8, 4032 * 8),
        (0xf0, 2112 * 8),
        (0xe0, 1056 * 8),
        (0xd0, 528 * 8),
        (0xc0, 264 * 8),
        (0xb0, 132 * 8),
        (0xa0, 66 * 8),
        (0x80, 8),
        (0x7f, -4032 * 8),
        (0x00, -8),
    ] {
        assert_eq!(Law::A.decode(code ^ 0x55), value as i16, "A-law {code:#x}");
    }
}

#[test]
fn decoding_and_encoding_again_gives_the_same_code() {
    for law in LAWS {
        for code in 0..=u8::MAX {
            let again = law.encode(law.decode(code));
            // µ-law has two zeros; the negative one is never encoded.
            let expected = if law == Law::Mu && code == 0x7f {
                0xff
            } else {
                code
            };
            assert_eq!(again, expected, "{law:?} {code:#x}");
        }
    }
}

#[test]
fn every_sample_gets_the_nearest_code_but_at_the_edges_of_steps() {
    for law in LAWS {
        let mut previous = i16::MIN;
        for sample in i16::MIN..=i16::MAX {
            let value = law.decode(law.encode(sample));
            assert!(value >= previous, "{law:?} is not monotone at {sample}");
            previous = value;
            // Half a step: 1/32 of the sample, at least half the smallest step, and what clips.
            let error = (i32::from(value) - i32::from(sample)).abs();
            let allowed = (i32::from(sample).abs() / 32 + 8)
                .max((i32::from(sample).abs() - 32_124).max(0) + 16);
            assert!(error <= allowed, "{law:?} {sample} became {value}");
        }
    }
}

/// A voiced sound: harmonics of 125 Hz (64 samples), so that every period is alike.
fn voice(from: usize, len: usize) -> Vec<i16> {
    (from..from + len)
        .map(|i| {
            let phase = (i % 64) as f64 / 64.0 * core::f64::consts::TAU;
            let wave = phase.sin() + 0.5 * (2.0 * phase).sin() + 0.3 * (5.0 * phase).cos();
            (wave * 6000.0) as i16
        })
        .collect()
}

fn play(decoder: &mut G711Decoder, pcm: &[i16]) -> Vec<i16> {
    let payload: Vec<u8> = pcm.iter().map(|&s| decoder.law.encode(s)).collect();
    let mut out = std::vec![0; pcm.len()];
    assert_eq!(decoder.decode(&payload, &mut out), Ok(pcm.len()));
    out
}

#[test]
fn a_gap_in_a_voice_goes_on_in_phase_and_fades_out() {
    for law in LAWS {
        let mut decoder = G711Decoder::new(law);
        play(&mut decoder, &voice(0, 400));
        let mut gap = std::vec![0; 480];
        for part in gap.chunks_mut(160) {
            decoder.conceal(part);
        }
        let truth = voice(400, 480);
        let start_error: Vec<i16> = (0..80).map(|i| gap[i] - truth[i]).collect();
        assert!(
            power(&start_error) < 0.05 * power(&truth[..80]),
            "the first 10 ms continue the wave"
        );
        let (early, late) = (power(&gap[..64]), power(&gap[416..]));
        assert!(late < 0.02 * early, "faded after 60 ms: {late} of {early}");
        decoder.conceal(&mut gap);
        assert!(gap.iter().all(|&s| s == 0), "silent after 60 ms");
        // The voice comes back from silence without a step, then exactly.
        let said = voice(880, 160);
        let coded: Vec<i16> = said.iter().map(|&s| law.decode(law.encode(s))).collect();
        let back = play(&mut decoder, &said);
        assert!(back[0].abs() < 200 && back[39] != 0);
        assert_eq!(back[40..], coded[40..]);
        assert_eq!(play(&mut decoder, &said), coded);
    }
}

#[test]
fn the_period_is_that_of_the_present_not_of_something_louder_before() {
    let wave = |i: usize, period: usize| (i as f64 / period as f64 * core::f64::consts::TAU).sin();
    let history: [i16; HISTORY] = core::array::from_fn(|i| {
        let sample = match i {
            0..70 => 8000.0 * wave(i, 100),
            _ => 1000.0 * wave(i, 50),
        };
        sample as i16
    });
    assert_eq!(period(&history), 50);
    assert_eq!(
        period(&[i16::MIN; HISTORY]),
        MIN_PERIOD,
        "nothing overflows"
    );
}

#[test]
fn a_cross_fade_ends_the_gap() {
    let mut decoder = G711Decoder::new(Law::A);
    play(&mut decoder, &voice(0, 320));
    let mut gap = [0; 80];
    decoder.conceal(&mut gap);
    // The wave comes back turned over; no sample-to-sample step exceeds what the wave has itself.
    let back: Vec<i16> = voice(400, 160).iter().map(|s| -s).collect();
    let out = play(&mut decoder, &back);
    let joined: Vec<i16> = gap.iter().chain(&out).copied().collect();
    let step = |pcm: &[i16]| {
        pcm.windows(2)
            .map(|w| (i32::from(w[1]) - i32::from(w[0])).abs())
            .max()
            .unwrap()
    };
    assert!(step(&joined) <= step(&back) * 11 / 10);
}

#[test]
fn lengths_outside_the_contract_are_refused() {
    let mut decoder = G711Decoder::new(Law::Mu);
    let mut pcm = [0; 480];
    assert_eq!(decoder.decode(&[], &mut pcm), Err(DecodeError::Empty));
    assert_eq!(
        decoder.decode(&[0; 481], &mut pcm),
        Err(DecodeError::FrameTooLong)
    );
    assert_eq!(
        decoder.decode(&[0; 160], &mut pcm[..159]),
        Err(DecodeError::OutputTooSmall { needed: 160 })
    );
    let mut encoder = G711Encoder::new(Law::Mu, FrameDuration::Ms10);
    assert_eq!(
        encoder.encode(&[0; 79], &mut [0; 80]),
        Err(EncodeError::FrameLength { needed: 80 })
    );
    assert_eq!(
        encoder.encode(&[0; 80], &mut [0; 79]),
        Err(EncodeError::OutputTooSmall { needed: 80 })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_mix_of_payloads_and_losses_plays(
        steps in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..500)),
            0..12,
        )
    ) {
        let mut decoder = G711Decoder::new(Law::A);
        let mut pcm = [0; 480];
        for (lost, bytes) in steps {
            if lost {
                let len = bytes.len().min(480);
                prop_assert!(!decoder.recover(&bytes, &mut pcm[..len]));
            } else {
                let played = decoder.decode(&bytes, &mut pcm);
                prop_assert_eq!(played.is_ok(), (1..=480).contains(&bytes.len()));
            }
        }
    }
}
