use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use parlour_tokio::Codec;
use parlour_tokio::core::audio::level::level;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::ogg_page::{FIRST, PageWriter};
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
        name: String::new(),
        stream: "mic".to_owned(),
        start_ms,
        duration_ms: 0,
        anchors: Vec::new(),
    }
}

fn job(folder: &TempDir, format: Format, audio: Audio, to_ms: i64, inputs: Vec<Input>) -> Job {
    Job {
        output: folder.path().join("out"),
        format,
        audio,
        video: None,
        ffmpeg: "ffmpeg".into(),
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
    assert!(matches!(refused, Err(ComposeError::TracksNeedWav)));
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
        ..input(path.clone(), "anna", 500)
    };
    for (input, is_right) in [(with, true), (input(path, "anna", 500), false)] {
        let job = job(&folder, Format::Wav, Audio::Mix, 121_500, vec![input]);
        compose(&job, |_| {}).unwrap();
        let mixed = channels(&job.output).remove(0);
        let onsets = onsets(&mixed);
        assert_eq!(onsets.len(), 119);
        let wrong = onsets
            .iter()
            .zip(1..)
            .map(|(onset, second)| onset.abs_diff(second * SECOND + SECOND / 2));
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
            level: None,
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
            video: None,
            ffmpeg: "ffmpeg".into(),
            from_ms,
            to_ms,
            max_bytes: 7,
            inputs: names.iter().map(|name| input("/c".into(), name, from_ms)).collect(),
        };
        let json = serde_json::to_string(&job).unwrap();
        prop_assert_eq!(serde_json::from_str::<Job>(&json).unwrap(), job);
    }
}

/// Whether ffmpeg is here; a test that needs it says so otherwise.
fn has_ffmpeg() -> bool {
    let version = std::process::Command::new("ffmpeg")
        .arg("-version")
        .output();
    let has = version.is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("skipped: there is no ffmpeg");
    }
    has
}

/// What ffmpeg decodes of a file: of its sound, or of its picture.
fn decoded(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = std::process::Command::new("ffmpeg");
    command
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(arguments);
    let output = command.arg("pipe:1").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn sound(path: &Path) -> Vec<i16> {
    let bytes = decoded(path, &["-f", "s16le", "-ac", "1", "-ar", "48000"]);
    let samples = bytes
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    samples.collect()
}

#[test]
fn aac_is_in_place_and_as_loud_as_it_was() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = wav(&folder, "a", &tone(440.0, 9_000.0, SECOND));
    let inputs = vec![input(path, "anna", 600)];
    let job = job(&folder, Format::M4a, Audio::Mix, 2_000, inputs);
    compose(&job, |_| {}).unwrap();
    // The index is first.
    let bytes = fs::read(&job.output).unwrap();
    let find = |name: &[u8]| bytes.windows(4).position(|four| four == name).unwrap();
    assert!(find(b"moov") < find(b"mdat"));
    let heard = sound(&job.output);
    assert!(heard.len().abs_diff(2 * SECOND) <= 2_048, "{}", heard.len());
    let onset = onsets(&heard)[0].abs_diff(600 * 48);
    assert!(onset < 960, "{onset} samples");
    let inside = level(&heard[850 * 48..][..SECOND / 2]);
    assert!(inside.abs_diff(level(&tone(440.0, 9_000.0, SECOND / 2))) <= 1);
    fs::remove_file(&job.output).unwrap();
    let small = Job {
        max_bytes: 10_000,
        ..job.clone()
    };
    assert!(matches!(
        compose(&small, |_| {}),
        Err(ComposeError::TooLarge { .. })
    ));
    let without = Job {
        ffmpeg: "/nowhere/ffmpeg".into(),
        ..job.clone()
    };
    assert!(matches!(
        compose(&without, |_| {}),
        Err(ComposeError::Ffmpeg(_))
    ));
    let failing = Job {
        ffmpeg: "false".into(),
        ..job
    };
    assert!(matches!(
        compose(&failing, |_| {}),
        Err(ComposeError::Ffmpeg(_))
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn video(layout: Layout) -> Video {
    Video {
        width: 320,
        height: 180,
        fps: 10,
        layout,
    }
}

/// anna speaks in the first second, ben in the third, and ben comes at the end of the second.
#[test]
fn a_picture_shows_who_is_there_and_marks_who_speaks() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let voice = wav(&folder, "a", &tone(300.0, 8_000.0, SECOND));
    let silence = |length: usize| vec![0; length];
    let long = wav(&folder, "b", &silence(SECOND));
    let of = |path: &PathBuf, participant: &str, start_ms| Input {
        // A name that would mean something to a filter, and to a shell.
        name: "%{pts}':,[in];$(x)\\\n".to_owned(),
        duration_ms: 1_000,
        ..input(path.clone(), participant, start_ms)
    };
    let inputs = vec![
        of(&voice, "anna", 0),
        of(&long, "anna", 1_000),
        of(&long, "anna", 2_000),
        of(&voice, "ben", 2_000),
    ];
    for format in [Format::Mp4, Format::Webm] {
        let mut told = 0.0;
        let job = Job {
            video: Some(video(Layout::Grid)),
            ..job(&folder, format, Audio::Mix, 3_000, inputs.clone())
        };
        compose(&job, |done| {
            assert!((told..=1.0).contains(&done), "{told} {done}");
            told = done;
        })
        .unwrap();
        let pictures = decoded(&job.output, &["-f", "rawvideo", "-pix_fmt", "yuv420p"]);
        let size = 320 * 180 * 3 / 2;
        assert_eq!(pictures.len(), 30 * size, "{format:?}");
        // Whether there is a green frame at the left and the right half of the picture: one of two differences is low.
        let marks = |picture: usize| {
            let differences = &pictures[picture * size + 320 * 180..][..160 * 90];
            let is_green = |x: usize| differences[45 * 160 + x].abs_diff(74) < 24;
            [is_green(0), is_green(80), is_green(159)]
        };
        // Alone, anna has the whole picture.
        assert_eq!(marks(6), [true, false, true], "{format:?}");
        assert_eq!(marks(17), [false, false, false], "{format:?}");
        assert_eq!(marks(26), [false, true, true], "{format:?}");
        let heard = onsets(&sound(&job.output));
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[1].abs_diff(2 * SECOND) < 960, "{heard:?}");
        fs::remove_file(&job.output).unwrap();
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing else is left"
    );
}

#[test]
fn other_layouts_are_drawn_and_impossible_ones_are_refused() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = wav(&folder, "a", &[100; 9_600]);
    let inputs: Vec<_> = ["anna", "ben"]
        .map(|name| Input {
            duration_ms: 200,
            ..input(path.clone(), name, 0)
        })
        .into();
    let region = Region {
        x: 0,
        y: 0,
        width: 160,
        height: 180,
        z: 0,
        columns: None,
        rows: Some(2),
        sources: Side::Rest,
    };
    let with = |change: fn(&mut Region)| {
        let mut changed = region.clone();
        change(&mut changed);
        Layout::Regions(vec![changed])
    };
    let job = job(&folder, Format::Webm, Audio::Mix, 200, inputs);
    for layout in [Layout::Speaker, Layout::Single, with(|_| {})] {
        let job = Job {
            video: Some(video(layout)),
            ..job.clone()
        };
        compose(&job, |_| {}).unwrap();
        let pictures = decoded(&job.output, &["-f", "rawvideo", "-pix_fmt", "yuv420p"]);
        assert_eq!(pictures.len(), 2 * 320 * 180 * 3 / 2);
        fs::remove_file(&job.output).unwrap();
    }
    let size = |width, height, fps| Video {
        width,
        height,
        fps,
        layout: Layout::Grid,
    };
    for (video, error) in [
        (size(321, 180, 10), VideoError::Width),
        (size(1_922, 180, 10), VideoError::Width),
        (size(320, 88, 10), VideoError::Height),
        (size(320, 180, 31), VideoError::Rate),
        (size(320, 180, 0), VideoError::Rate),
        (video(Layout::Regions(Vec::new())), VideoError::Regions),
        (video(with(|region| region.x = 162)), VideoError::Region(0)),
        (
            video(with(|region| region.x = u32::MAX)),
            VideoError::Region(0),
        ),
        (
            video(with(|region| region.height = 0)),
            VideoError::Region(0),
        ),
        (
            video(with(|region| region.columns = Some(0))),
            VideoError::Columns(0),
        ),
        (
            video(with(|region| region.rows = Some(17))),
            VideoError::Rows(0),
        ),
    ] {
        assert_eq!(video.check(), Err(error));
        let job = Job {
            video: Some(video),
            ..job.clone()
        };
        assert!(matches!(compose(&job, |_| {}), Err(ComposeError::Video(_))));
    }
    assert!(matches!(compose(&job, |_| {}), Err(ComposeError::NoVideo)));
    let heard = Job {
        format: Format::Ogg,
        video: Some(video(Layout::Grid)),
        ..job
    };
    assert!(matches!(
        compose(&heard, |_| {}),
        Err(ComposeError::NoPicture)
    ));
}

/// A recorder of another version may have written packets whose frames are longer than they are. They are silence.
#[test]
fn a_packet_that_cannot_be_decoded_is_silence() {
    let folder = tempfile::tempdir().unwrap();
    let mut page = PageWriter::new(1, 0);
    page.push(b"OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00");
    let mut bytes = page.take(0, FIRST);
    page.push(b"OpusTags\x00\x00\x00\x00\x00\x00\x00\x00");
    bytes.extend(page.take(0, 0));
    // Two frames of 20 ms, the first of which is longer than the packet.
    for packet in [
        &[0xf8, 0xff, 0xfe][..],
        &[0xfa, 200, 1],
        &[0xf8, 0xff, 0xfe],
    ] {
        page.push(packet);
    }
    bytes.extend(page.take(10_000, 0));
    let path = folder.path().join("recorded");
    fs::write(&path, bytes).unwrap();
    let read = |mut source: Source| {
        let mut pcm = Vec::new();
        while source.read(&mut pcm)? {}
        Ok::<_, FileError>(pcm.len())
    };
    let strict = read(Source::open(&path).unwrap());
    assert!(
        matches!(strict, Err(FileError::Damaged { .. })),
        "{strict:?}"
    );
    let lenient = read(Source::open_recording(&path).unwrap()).unwrap();
    assert!(lenient >= 2 * BLOCK, "{lenient}");
}
