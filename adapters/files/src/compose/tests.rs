use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use parlour_tokio::Codec;
use parlour_tokio::core::audio::level::level;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::recording::{FileStart, RecordedPacket, StreamFile};
use crate::{Source, WavFile};

const SECOND: usize = 48_000;

/// A tone of a level, for so many samples.
fn tone(hz: f32, peak: f32, samples: usize) -> Vec<i16> {
    let wave = (0..samples).map(|n| {
        let phase = n as f32 * hz / SECOND as f32 * std::f32::consts::TAU;
        (phase.sin() * peak) as i16
    });
    wave.collect()
}

fn wav(folder: &TempDir, name: &str, pcm: &[i16]) -> PathBuf {
    let path = folder.path().join(name);
    let mut file = WavFile::create_new(&path, 48_000).unwrap();
    file.write(pcm).unwrap();
    file.finish().unwrap();
    path
}

fn input(path: PathBuf, participant: &str, start_ms: i64) -> Input {
    Input {
        path,
        participant: participant.to_owned(),
        stream: "mic".to_owned(),
        start_ms,
        anchors: Vec::new(),
    }
}

fn job(folder: &TempDir, format: Format, audio: Audio, to_ms: i64, inputs: Vec<Input>) -> Job {
    Job {
        output: folder.path().join("out"),
        format,
        audio,
        from_ms: 0,
        to_ms,
        max_bytes: 1 << 30,
        inputs,
    }
}

/// The channels of a WAV file.
fn channels(path: &Path) -> Vec<Vec<i16>> {
    let mut reader = hound::WavReader::open(path).unwrap();
    let count = usize::from(reader.spec().channels);
    assert_eq!(reader.spec().sample_rate, 48_000);
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let channel = |index| samples.iter().skip(index).step_by(count).copied().collect();
    (0..count).map(channel).collect()
}

fn mono(path: &Path) -> Vec<i16> {
    let (mut source, mut pcm) = (Source::open(path).unwrap(), Vec::new());
    while source.read(&mut pcm).unwrap() {}
    pcm
}

/// Where each sound begins, in samples, after a pause of a tenth of a second at least.
fn onsets(pcm: &[i16]) -> Vec<usize> {
    let mut onsets = Vec::new();
    let mut last_loud = None;
    for (index, sample) in pcm.iter().enumerate() {
        if sample.unsigned_abs() > 3_000 {
            if last_loud.is_none_or(|last| index - last > SECOND / 10) {
                onsets.push(index);
            }
            last_loud = Some(index);
        }
    }
    onsets
}

#[test]
fn voices_stand_where_they_begin_as_loud_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let (low, high) = (tone(300.0, 8_000.0, SECOND), tone(1_100.0, 4_000.0, SECOND));
    let inputs = vec![
        input(wav(&folder, "a", &low), "anna", 500),
        input(wav(&folder, "b", &high), "ben", 1_000),
        // Before the beginning: the first half of it is left out.
        input(wav(&folder, "c", &high), "carol", -500),
    ];
    let job = job(&folder, Format::Wav, Audio::Mix, 2_500, inputs);
    let mut told = Vec::new();
    let composed = compose(&job, |done| told.push(done)).unwrap();
    assert_eq!((composed.duration_ms, told.len()), (2_500, 2));
    let mixed = channels(&job.output).remove(0);
    assert_eq!(mixed.len(), SECOND * 5 / 2);
    let at = |pcm: &[i16], from: i64, index: usize| {
        let index = usize::try_from(index as i64 - from * 48).ok();
        index.and_then(|index| pcm.get(index)).copied().unwrap_or(0)
    };
    let expected = (0..mixed.len())
        .map(|index| at(&low, 500, index) + at(&high, 1_000, index) + at(&high, -500, index));
    assert!(expected.eq(mixed.iter().copied()));
}

#[test]
fn a_sum_that_is_too_loud_is_limited_and_does_not_wrap() {
    let folder = tempfile::tempdir().unwrap();
    let loud = vec![30_000; SECOND / 10];
    let inputs = ["a", "b"].map(|name| input(wav(&folder, name, &loud), name, 0));
    let job = job(&folder, Format::Wav, Audio::Mix, 100, inputs.into());
    compose(&job, |_| {}).unwrap();
    assert!(
        channels(&job.output)
            .remove(0)
            .iter()
            .all(|sample| *sample == i16::MAX)
    );
}

#[test]
fn an_opus_file_is_as_long_as_asked_for_and_as_loud_and_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = wav(&folder, "a", &tone(440.0, 9_000.0, SECOND));
    for (audio, count) in [
        (Audio::Mix, 1),
        (
            Audio::Dual {
                left: Side::All,
                right: Side::All,
            },
            2,
        ),
    ] {
        // 1,733 ms is no multiple of a frame.
        let inputs = vec![input(path.clone(), "anna", 600)];
        let job = job(&folder, Format::Ogg, audio, 1_733, inputs);
        let composed = compose(&job, |_| {}).unwrap();
        assert_eq!(composed.size, fs::metadata(&job.output).unwrap().len());
        assert_eq!(fs::read(&job.output).unwrap()[37], count, "channels");
        let heard = mono(&job.output);
        assert_eq!(heard.len(), 1_733 * 48);
        let onset = onsets(&heard)[0].abs_diff(600 * 48);
        assert!(onset < 240, "{onset} samples");
        let inside = |from: usize| level(&heard[from * 48..][..SECOND / 2]);
        let expected = level(&tone(440.0, 9_000.0, SECOND / 2));
        assert!(inside(850).abs_diff(expected) <= 1);
        assert!(level(&heard[..500 * 48]) > 70);
        fs::remove_file(&job.output).unwrap();
    }
}

#[test]
fn two_sides_have_those_who_are_named_and_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["anna", "ben", "carol"];
    let inputs: Vec<_> = names
        .into_iter()
        .zip(1_i16..)
        .map(|(name, number)| {
            input(
                wav(&folder, name, &vec![number * 1_000; SECOND / 10]),
                name,
                0,
            )
        })
        .collect();
    let only = |ids: &[&str]| Side::Only(ids.iter().map(ToString::to_string).collect());
    for (left, right, expected) in [
        (only(&["anna"]), Side::Rest, (1_000, 5_000)),
        (Side::Rest, only(&["anna", "ben"]), (3_000, 3_000)),
        (Side::All, Side::Rest, (6_000, 0)),
        (only(&["ben"]), only(&["ben", "nobody"]), (2_000, 2_000)),
        (Side::All, Side::All, (6_000, 6_000)),
    ] {
        let audio = Audio::Dual { left, right };
        let job = job(&folder, Format::Wav, audio.clone(), 100, inputs.clone());
        compose(&job, |_| {}).unwrap();
        let both = channels(&job.output);
        assert_eq!((both[0][500], both[1][500]), expected, "{audio:?}");
        fs::remove_file(&job.output).unwrap();
    }
    let audio = Audio::Dual {
        left: Side::Rest,
        right: Side::Rest,
    };
    let job = job(&folder, Format::Wav, audio, 100, inputs);
    assert!(matches!(compose(&job, |_| {}), Err(ComposeError::BothRest)));
}

#[test]
fn each_stream_is_a_track_whatever_the_number_of_its_recordings() {
    let folder = tempfile::tempdir().unwrap();
    let piece = |name: &str, value: i16| wav(&folder, name, &vec![value; SECOND / 10]);
    let mut inputs = vec![
        input(piece("late", 3), "ben", 200),
        input(piece("first", 1), "anna", 0),
        input(piece("again", 2), "anna", 300),
    ];
    inputs.push(Input {
        stream: "screen".to_owned(),
        ..input(piece("other", 4), "anna", 100)
    });
    let job = |format, inputs| job(&folder, format, Audio::Tracks, 400, inputs);
    let tracks = job(Format::Wav, inputs.clone());
    compose(&tracks, |_| {}).unwrap();
    let tracks = channels(&tracks.output);
    let at = |ms: usize| {
        tracks
            .iter()
            .map(|track| track[ms * 48])
            .collect::<Vec<_>>()
    };
    assert_eq!(
        [at(50), at(150), at(250), at(350)],
        [[1, 0, 0], [0, 4, 0], [0, 0, 3], [2, 0, 0]]
    );
    let refused = compose(&job(Format::Ogg, inputs), |_| {});
    assert!(matches!(refused, Err(ComposeError::TracksInOgg)));
    let many = (0..33).map(|n| input("/none".into(), &n.to_string(), 0));
    let refused = compose(&job(Format::Wav, many.collect()), |_| {});
    assert!(matches!(refused, Err(ComposeError::TooManyTracks(33))));
}

/// A publisher whose clock is 1,000 ppm too fast clicks each second, by the true clock. At the end of two minutes its file is
/// 120 ms wrong.
#[test]
fn drift_is_undone_by_the_anchors() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = vec![0; 121 * SECOND];
    for second in 1..120 {
        let place = (second as f64 * SECOND as f64 * 1.001) as usize;
        said[place..place + 480].copy_from_slice(&tone(1_000.0, 12_000.0, 480));
    }
    let path = wav(&folder, "a", &said);
    let anchors = (0..12).map(|n| Anchor {
        place_ms: n * 10_010,
        at_ms: n * 10_000,
    });
    let with = Input {
        anchors: anchors.collect(),
        ..input(path.clone(), "anna", 0)
    };
    for (input, is_right) in [(with, true), (input(path, "anna", 0), false)] {
        let job = job(&folder, Format::Wav, Audio::Mix, 121_000, vec![input]);
        compose(&job, |_| {}).unwrap();
        let mixed = channels(&job.output).remove(0);
        let onsets = onsets(&mixed);
        assert_eq!(onsets.len(), 119);
        let wrong = onsets
            .iter()
            .zip(1..)
            .map(|(onset, second)| onset.abs_diff(second * SECOND));
        let wrong = wrong.max().unwrap();
        assert_eq!(wrong < 5 * 48, is_right, "{wrong} samples");
        // As loud as it was.
        let click = level(&mixed[onsets[60]..][..440]);
        assert!(click.abs_diff(level(&tone(1_000.0, 12_000.0, 440))) <= 1);
        fs::remove_file(&job.output).unwrap();
    }
}

#[test]
fn what_cannot_be_is_refused_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = wav(&folder, "a", &[1; 4_800]);
    let fine = job(
        &folder,
        Format::Wav,
        Audio::Mix,
        1_000,
        vec![input(path, "anna", 0)],
    );
    for (from_ms, to_ms) in [(0, 0), (5, 4), (0, LONGEST_MS + 1), (i64::MIN, i64::MAX)] {
        let wrong = Job {
            from_ms,
            to_ms,
            ..fine.clone()
        };
        assert!(matches!(
            compose(&wrong, |_| {}),
            Err(ComposeError::Window { .. })
        ));
    }
    for format in [Format::Wav, Format::Ogg] {
        let large = Job {
            max_bytes: 5_000,
            format,
            to_ms: 100_000,
            ..fine.clone()
        };
        let refused = compose(&large, |_| {});
        assert!(
            matches!(refused, Err(ComposeError::TooLarge { most: 5_000 })),
            "{refused:?}"
        );
        assert!(!fine.output.exists());
    }
    // 13 hours in mono are more than a WAV file has.
    let long = Job {
        max_bytes: u64::MAX,
        to_ms: 13 * 3_600_000,
        ..fine.clone()
    };
    assert!(matches!(
        compose(&long, |_| {}),
        Err(ComposeError::TooLarge { .. })
    ));
    let missing = Job {
        inputs: vec![input("/none".into(), "anna", 0)],
        ..fine.clone()
    };
    assert!(matches!(
        compose(&missing, |_| {}),
        Err(ComposeError::File(FileError::Read { .. }))
    ));
    fs::write(&fine.output, "mine").unwrap();
    assert!(matches!(
        compose(&fine, |_| {}),
        Err(ComposeError::File(FileError::Exists { .. }))
    ));
    assert_eq!(fs::read(&fine.output).unwrap(), b"mine");
}

/// A recording of packets that somebody has sent, 20 ms each.
fn recorded(folder: &TempDir, packets: &[Vec<u8>]) -> PathBuf {
    let path = folder.path().join("recorded");
    let file = File::create_new(&path).unwrap();
    let start = FileStart {
        codec: Codec::Opus,
        serial: 1,
        comments: &[],
    };
    let mut file = StreamFile::create(file, &start).unwrap();
    let mut at = Duration::ZERO;
    for (number, payload) in (0..).zip(packets) {
        let timestamp = u32::from(number) * 960;
        let packet = RecordedPacket {
            sequence: number,
            timestamp,
            payload,
        };
        file.packet(at, packet).unwrap();
        at += Duration::from_millis(20);
    }
    file.finish(at).unwrap();
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever sends nonsense to be recorded does not keep the others from being heard.
    #[test]
    fn no_packets_break_a_composition(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let evil = recorded(&folder, &packets);
        let inputs = vec![
            input(evil, "evil", 0),
            input(wav(&folder, "a", &[9; 9_600]), "anna", 0),
        ];
        let job = job(&folder, Format::Wav, Audio::Tracks, 200, inputs);
        compose(&job, |_| {}).unwrap();
        let tracks = channels(&job.output);
        prop_assert!(tracks[0].iter().all(|sample| *sample == 9));
        prop_assert_eq!(tracks[1].len(), 9_600);
    }

    /// Nor do files that are none, or have other bytes than were written: the file has its length, or there is an error.
    #[test]
    fn no_file_breaks_anything_else(
        magic in prop_oneof![Just(&b"OggS"[..]), Just(&b"RIFF"[..]), Just(&b""[..])],
        junk in proptest::collection::vec(any::<u8>(), 0..400),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        is_junk: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let packets = vec![vec![0xf8, 0xff, 0xfe]; 20];
        let path = recorded(&folder, &packets);
        let mut bytes = match is_junk {
            true => [magic, &junk].concat(),
            false => fs::read(&path).unwrap(),
        };
        for (index, value) in flips {
            if let Some(place) = bytes.len().checked_sub(1).map(|last| index.index(last + 1)) {
                bytes[place] = value;
            }
        }
        fs::write(&path, bytes).unwrap();
        let job = job(&folder, Format::Ogg, Audio::Mix, 100, vec![input(path, "anna", 0)]);
        match compose(&job, |_| {}) {
            Ok(_) => prop_assert_eq!(mono(&job.output).len(), 4_800),
            Err(error) => {
                prop_assert!(matches!(error, ComposeError::File(_)), "{error:?}");
                prop_assert!(!job.output.exists());
            }
        }
    }

    #[test]
    fn a_job_is_read_as_it_was_written(from_ms: i64, to_ms: i64, names in proptest::collection::vec("[ -~]{0,9}", 0..4), rest: bool) {
        let side = if rest { Side::Rest } else { Side::Only(names.clone()) };
        let job = Job {
            output: "/a/b".into(),
            format: Format::Ogg,
            audio: Audio::Dual { left: Side::All, right: side },
            from_ms,
            to_ms,
            max_bytes: 7,
            inputs: names.iter().map(|name| input("/c".into(), name, from_ms)).collect(),
        };
        let json = serde_json::to_string(&job).unwrap();
        prop_assert_eq!(serde_json::from_str::<Job>(&json).unwrap(), job);
    }
}
