//! How long an hour with four talkers takes to be composed:
//!
//! ```sh
//! cargo test --release -p parlour-files --test hour -- --ignored --nocapture
//! ```

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use parlour_files::compose::{Anchor, Audio, Format, Input, Job, Side, compose};
use parlour_files::recording::{FileStart, RecordedPacket, StreamFile};
use parlour_tokio::Codec;
use parlour_tokio::core::audio::codec::{AudioEncoder as _, SampleRate};
use parlour_tokio::core::audio::opus::{EncoderConfig, FullbandEncoder, MAX_PAYLOAD};
use tokio::time::Instant;

const SECONDS: u64 = 3_600;
/// Packets of what is said over and over, 20 ms each.
const PACKETS: u64 = 500;

/// Something like speech, in packets.
fn said(hz: f32) -> Vec<Vec<u8>> {
    let config = EncoderConfig {
        sample_rate: SampleRate::Hz48000,
        bitrate: 32_000,
        ..EncoderConfig::default()
    };
    let mut encoder = FullbandEncoder::new(config).unwrap();
    let mut out = [0; MAX_PAYLOAD];
    let sample = |n: u64| {
        let at = n as f32 / 48_000.0;
        let tone = |k: u8| (at * hz * f32::from(k) * std::f32::consts::TAU).sin() / f32::from(k);
        let loudness = (at * 2.5).sin().max(0.0) * 6_000.0;
        ((1..9).map(tone).sum::<f32>() * loudness) as i16
    };
    let packets = (0..PACKETS).map(|packet| {
        let pcm: Vec<_> = (packet * 960..(packet + 1) * 960).map(sample).collect();
        let encoded = encoder.encode(&pcm, &mut out).unwrap();
        encoded.payload(&out).unwrap().to_vec()
    });
    packets.collect()
}

/// Records it for an hour, by a clock that is so many ppm too fast.
fn record(path: &Path, hz: f32, ppm: u64) -> Vec<Anchor> {
    let said = said(hz);
    let start = FileStart {
        codec: Codec::Opus,
        serial: 1,
        comments: &[],
    };
    let mut file = StreamFile::create(File::create_new(path).unwrap(), &start).unwrap();
    for number in 0..SECONDS * 50 {
        let at = Duration::from_millis(number * 20 * 1_000_000 / (1_000_000 + ppm));
        let packet = RecordedPacket {
            sequence: number as u16,
            timestamp: (number * 960) as u32,
            level: None,
            payload: &said[(number % PACKETS) as usize],
        };
        file.packet(at, packet).unwrap();
    }
    let finished = file.finish(Duration::from_secs(SECONDS)).unwrap();
    let ms = |time: Duration| time.as_millis() as u64;
    let anchor = |anchor: &parlour_files::recording::Anchor| Anchor {
        place_ms: ms(anchor.place),
        at_ms: ms(anchor.at),
    };
    finished.anchors.iter().map(anchor).collect()
}

#[test]
#[ignore = "it measures, and takes minutes"]
fn an_hour_with_four_talkers() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = (0_u8..4).map(|talker| {
        let path = folder.path().join(talker.to_string());
        let hz = 90.0 + 35.0 * f32::from(talker);
        Input {
            anchors: record(&path, hz, u64::from(talker) * 60),
            path,
            participant: talker.to_string(),
            name: String::new(),
            stream: "mic".to_owned(),
            start_ms: i64::from(talker) * 700,
            duration_ms: SECONDS * 1_000,
        }
    });
    let inputs: Vec<_> = inputs.collect();
    let dual = Audio::Dual {
        left: Side::Only(vec!["0".to_owned()]),
        right: Side::Rest,
    };
    for (name, format, audio) in [
        ("mix, ogg", Format::Ogg, Audio::Mix),
        ("dual, ogg", Format::Ogg, dual),
        ("tracks, wav", Format::Wav, Audio::Tracks),
    ] {
        let job = Job {
            output: folder.path().join(name),
            format,
            audio,
            video: None,
            ffmpeg: "ffmpeg".into(),
            from_ms: 0,
            to_ms: SECONDS as i64 * 1_000,
            max_bytes: 1 << 32,
            inputs: inputs.clone(),
        };
        let began = Instant::now();
        let composed = compose(&job, |_| {}).unwrap();
        let seconds = began.elapsed().as_secs_f32();
        println!("{name}: {seconds:.1} s, {} bytes", composed.size);
        std::fs::remove_file(&job.output).unwrap();
    }
}
