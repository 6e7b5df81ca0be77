//! Files of pictures that Chromium's encoders have made, read by FFmpeg and by an EBML parser.

use std::process::Command;

use proptest::prelude::*;
use webm_iterable::WebmIterator;

use super::*;

/// The files of `tests/video/frames`, their codecs and how many pictures they have.
const FRAMES: [(&str, Codec, usize); 5] = [
    ("vp8-l1t1", Codec::Vp8, 48),
    ("vp8-l1t3", Codec::Vp8, 48),
    ("h264-l1t1", Codec::H264, 48),
    ("h264-l1t3", Codec::H264, 48),
    ("jpeg", Codec::Jpeg, 4),
];
/// Of 30 pictures a second, in 1/90,000 s.
const STEP: u64 = 3_000;

/// The pictures of a file: whether it is a key picture, and the bytes.
fn frames(name: &str) -> Vec<(bool, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/video/frames");
    let file = std::fs::read(format!("{folder}/{name}.bin")).unwrap();
    let mut rest = &file[..];
    let mut pictures = Vec::new();
    while let Some((&[a, b, c, d, key, _layer], behind)) = rest.split_first_chunk() {
        let (bytes, behind) = behind.split_at(u32::from_le_bytes([a, b, c, d]) as usize);
        pictures.push((key == 1, bytes.to_vec()));
        rest = behind;
    }
    pictures
}

fn picture(codec: Codec, timestamp: u64, (key, bytes): &(bool, Vec<u8>)) -> RecordedPicture<'_> {
    RecordedPicture {
        codec,
        timestamp,
        key: *key,
        discardable: false,
        bytes,
    }
}

/// A file of pictures, and where each of them ends in it. Timestamps begin anywhere.
fn written(codec: Codec, frames: &[(bool, Vec<u8>)]) -> (Vec<u8>, Vec<usize>) {
    let mut file = PictureFile::new(Vec::new());
    let mut ends = Vec::new();
    for (number, frame) in (5_000_000_000..).step_by(STEP as usize).zip(frames) {
        assert!(file.push(&picture(codec, number, frame)).unwrap());
        ends.push(file.get_ref().len());
    }
    (file.finish().unwrap(), ends)
}

/// A picture that a parser finds: its time in ms, whether it is a key picture, and its bytes.
type Read = (u64, bool, Vec<u8>);

/// The pictures of a file up to its end, or to where it is cut off.
fn read(file: &[u8]) -> Vec<Read> {
    let (mut cluster, mut pictures) = (0, Vec::new());
    for tag in WebmIterator::new(file, &[]) {
        match tag {
            Ok(MatroskaSpec::Timestamp(time)) => cluster = time,
            Ok(tag @ MatroskaSpec::SimpleBlock(_)) => {
                let block = SimpleBlock::try_from(&tag).unwrap();
                let time = cluster.strict_add_signed(block.timestamp.into());
                pictures.push((time, block.keyframe, block.raw_frame_data().to_vec()));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    pictures
}

/// What FFmpeg says: codec, width, height and how many pictures it has decoded; and its complaints.
fn probe(file: &[u8]) -> Option<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film");
    std::fs::write(&path, file).unwrap();
    let probed = Command::new("ffprobe")
        .args(["-loglevel", "error", "-count_frames", "-of", "csv=p=0"])
        .args([
            "-show_entries",
            "stream=codec_name,width,height,nb_read_frames",
        ])
        .arg(&path)
        .output();
    match probed {
        Ok(said) => {
            let [out, err] =
                [said.stdout, said.stderr].map(|text| String::from_utf8(text).unwrap());
            Some((out.trim().to_owned(), err))
        }
        Err(_) => {
            eprintln!("skipped: there is no ffmpeg");
            None
        }
    }
}

fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::Vp8 => "vp8",
        Codec::H264 => "h264",
        _ => "mjpeg",
    }
}

#[test]
fn ffmpeg_decodes_all_pictures() {
    for (file, codec, count) in FRAMES {
        let (film, _) = written(codec, &frames(file));
        let Some((said, complaints)) = probe(&film) else {
            return;
        };
        assert_eq!(complaints, "", "{file}");
        assert_eq!(said, format!("{},320,180,{count}", name(codec)), "{file}");
    }
}

#[test]
fn ffmpeg_decodes_what_is_before_a_cut() {
    for (file, codec, count) in FRAMES {
        let (film, ends) = written(codec, &frames(file));
        for kept in [1, count / 2, count - 1] {
            // Amid the next picture.
            let cut = ends[kept - 1].midpoint(ends[kept]);
            let Some((said, _)) = probe(&film[..cut]) else {
                return;
            };
            // FFmpeg passes on the beginning of a picture, too, and may make something of it.
            let wanted = [kept, kept + 1].map(|kept| format!("{},320,180,{kept}", name(codec)));
            assert!(wanted.contains(&said), "{file} cut behind {kept}: {said}");
            let Some((said, complaints)) = probe(&film[..ends[kept - 1]]) else {
                return;
            };
            assert_eq!(complaints, "", "{file} cut behind {kept}");
            assert_eq!(said, wanted[0], "{file}");
        }
    }
}

#[test]
fn a_file_cut_anywhere_has_all_pictures_before_the_cut() {
    for (file, codec, _) in FRAMES {
        let (film, ends) = written(codec, &frames(file));
        let whole = read(&film);
        assert_eq!(whole.len(), ends.len());
        // Every byte around the ends of pictures, and many between.
        let around = ends
            .iter()
            .flat_map(|&end| end.saturating_sub(20)..end + 20);
        for cut in around.chain((0..film.len()).step_by(97)) {
            let cut = cut.min(film.len());
            let kept = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(read(&film[..cut]), whole[..kept], "{file} cut at {cut}");
        }
    }
}

#[test]
fn each_picture_is_there_with_its_time_and_its_bytes() {
    let frames = frames("vp8-l1t3");
    let (film, _) = written(Codec::Vp8, &frames);
    let wanted = (0..).zip(frames).map(|(n, (key, bytes))| {
        let time = (n * STEP + 45) / 90;
        (time, key, bytes)
    });
    assert_eq!(read(&film), wanted.collect::<Vec<_>>());
}

#[test]
fn what_no_later_picture_needs_is_marked() {
    let mut file = PictureFile::new(Vec::new());
    for (n, frame) in (0..).zip(&frames("vp8-l1t3")) {
        let mut picture = picture(Codec::Vp8, n * STEP, frame);
        picture.discardable = n % 2 == 1;
        file.push(&picture).unwrap();
    }
    let film = file.finish().unwrap();
    let blocks = WebmIterator::new(&film[..], &[]).filter_map(|tag| {
        let tag = tag.unwrap();
        let block = SimpleBlock::try_from(&tag).ok()?;
        Some(block.discardable)
    });
    let wanted = (0..48).map(|n| n % 2 == 1);
    assert_eq!(blocks.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
}

#[test]
fn a_cluster_begins_at_each_key_picture_and_each_second() {
    let frames = frames("vp8-l1t1");
    let mut file = PictureFile::new(Vec::new());
    // A key picture at 24 of 48; 10 pictures a second. The times go back once, and later far ahead.
    for (n, frame) in (0..).zip(&frames) {
        let timestamp = match n {
            30 => 0,
            47 => 1 << 40,
            n => n * 9_000,
        };
        file.push(&picture(Codec::Vp8, timestamp, frame)).unwrap();
    }
    let film = file.finish().unwrap();
    let clusters = WebmIterator::new(&film[..], &[]).filter_map(|tag| match tag.unwrap() {
        MatroskaSpec::Timestamp(time) => Some(time),
        _ => None,
    });
    let last = ((1 << 40) + 45) / 90;
    assert_eq!(
        clusters.collect::<Vec<_>>(),
        [0, 1_000, 2_000, 2_400, 3_400, 4_400, last]
    );
    let times: Vec<_> = read(&film).into_iter().map(|(time, ..)| time).collect();
    assert_eq!(times[29..32], [2_900, 2_900, 3_100]);
    assert!(times.is_sorted());
}

#[test]
fn a_file_begins_with_the_first_key_picture() {
    let frames = frames("vp8-l1t1");
    let mut file = PictureFile::new(Vec::new());
    for (n, frame) in (0..).zip(&frames).skip(10) {
        let is_in = file.push(&picture(Codec::Vp8, n * STEP, frame)).unwrap();
        assert_eq!(is_in, n >= 24);
        assert_eq!(file.format().is_some(), n >= 24);
    }
    let found = read(&file.finish().unwrap());
    assert_eq!(found.len(), 24);
    assert_eq!(found[0].0, 0);
    assert!(PictureFile::new(Vec::new()).finish().unwrap().is_empty());
}

#[test]
fn another_size_or_codec_is_for_another_file() {
    let (vp8, jpeg) = (frames("vp8-l1t1"), frames("jpeg"));
    let mut file = PictureFile::new(Vec::new());
    file.push(&picture(Codec::Vp8, 0, &vp8[0])).unwrap();
    let before = file.get_ref().len();
    let mut larger = vp8[0].clone();
    larger.1[6..8].copy_from_slice(&640_u16.to_le_bytes());
    let changed = file.push(&picture(Codec::Vp8, 1, &larger)).unwrap_err();
    assert!(matches!(&changed, PictureFileError::Changed { now, .. } if now.width() == 640));
    assert!(
        changed.to_string().contains("Vp8 of 640 × 180"),
        "{changed}"
    );
    let changed = file.push(&picture(Codec::Jpeg, 1, &jpeg[0])).unwrap_err();
    assert!(matches!(changed, PictureFileError::Changed { .. }));
    let amid = picture(Codec::H264, 1, &vp8[1]);
    let changed = file.push(&amid).unwrap_err();
    assert!(matches!(
        changed,
        PictureFileError::ChangedAmid {
            now: Codec::H264,
            ..
        }
    ));
    let none = file.push(&picture(Codec::Vp8, 1, &(false, vec![])));
    assert!(matches!(none, Err(PictureFileError::Malformed { .. })));
    assert_eq!(file.get_ref().len(), before);
    // The stream goes on.
    assert!(file.push(&picture(Codec::Vp8, STEP, &vp8[1])).unwrap());
    assert_eq!(read(&file.finish().unwrap()).len(), 2);
}

#[test]
fn what_is_no_picture_is_refused() {
    let mut file = PictureFile::new(Vec::new());
    let no_sets = vec![0, 0, 0, 1, 0x65, 7];
    for (codec, bytes) in [
        (Codec::Vp8, vec![]),
        (Codec::Vp8, vec![0; 20]),
        (Codec::H264, no_sets),
        (Codec::H264, vec![0, 0, 1, 0x67, 0x42, 0, 0, 1, 0x68, 1]),
        (Codec::Jpeg, vec![0xFF, 0xD8, 0xFF, 0xD9]),
    ] {
        let refused = file.push(&picture(codec, 0, &(true, bytes)));
        assert!(
            matches!(refused, Err(PictureFileError::Malformed { .. })),
            "{codec:?}"
        );
    }
    let sound = file.push(&picture(Codec::Opus, 0, &(true, vec![1])));
    assert!(matches!(sound, Err(PictureFileError::Unsupported { .. })));
    assert!(file.finish().unwrap().is_empty());
}

/// A disk with room for so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        match taken {
            0 => Err(io::ErrorKind::StorageFull.into()),
            taken => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_follows_what_is_half_written() {
    let frames = frames("vp8-l1t1");
    for room in [0, 100, 1_000] {
        let mut file = PictureFile::new(Disk(room));
        let first = picture(Codec::Vp8, 0, &frames[0]);
        let full = file.push(&first).unwrap_err();
        assert!(
            matches!(&full, PictureFileError::Write(error) if error.kind() == io::ErrorKind::StorageFull)
        );
        assert!(matches!(file.push(&first), Err(PictureFileError::Failed)));
        assert!(matches!(file.finish(), Err(PictureFileError::Failed)));
    }
}

/// The avcC of a profile with fields of its own for the chroma, by the example of its standard.
#[test]
fn a_high_profile_has_its_chroma_in_the_head() {
    let Ok(encoded) = Command::new("ffmpeg")
        .args([
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=322x178:rate=10",
        ])
        .args([
            "-t",
            "1",
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-profile:v",
            "high",
        ])
        .args([
            "-bf",
            "0",
            "-x264-params",
            "slices=1:aud=1",
            "-f",
            "h264",
            "-",
        ])
        .output()
    else {
        eprintln!("skipped: there is no ffmpeg");
        return;
    };
    assert!(
        encoded.status.success(),
        "{}",
        String::from_utf8_lossy(&encoded.stderr)
    );
    // Each access unit begins with a delimiter.
    let delimiter = [0, 0, 0, 1, 9];
    let found = encoded.stdout.windows(delimiter.len()).enumerate();
    let begins = found
        .filter(|(_, bytes)| *bytes == delimiter)
        .map(|(at, _)| at);
    let mut begins: Vec<_> = begins.collect();
    begins.push(encoded.stdout.len());
    let units = begins
        .windows(2)
        .enumerate()
        .map(|(n, range)| (n == 0, encoded.stdout[range[0]..range[1]].to_vec()));
    let units: Vec<_> = units.collect();
    let key = picture(Codec::H264, 0, &units[0]);
    let record = Head::of(&key).unwrap().codec_private.unwrap();
    // 4:2:0, 8 bits, no extensions.
    assert_eq!(
        (record[1], &record[record.len() - 4..]),
        (100, &[0xFD, 0xF8, 0xF8, 0][..])
    );
    let (film, _) = written(Codec::H264, &units);
    let (said, complaints) = probe(&film).unwrap();
    assert_eq!((&*said, &*complaints), ("h264,322,178,10", ""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_it_panic(
        pictures in prop::collection::vec((0..6_u8, any::<u64>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 1..6),
    ) {
        let mut file = PictureFile::new(Vec::new());
        let mut pushed = 0;
        for (kind, timestamp, key, bytes) in pictures {
            // What makes it get further than the first byte.
            let (codec, head): (_, &[u8]) = match kind {
                0 => (Codec::Vp8, &[0x10, 0, 0, 0x9D, 0x01, 0x2A]),
                1 => (Codec::H264, &[0, 0, 1, 0x68, 1, 0, 0, 1, 0x67]),
                2 => (Codec::H264, &[0, 0, 1, 0x68, 1, 0, 0, 1, 0x67, 100, 0, 40]),
                3 => (Codec::Jpeg, &[0xFF, 0xD8, 0xFF, 0xC0]),
                4 => (Codec::H264, &[]),
                _ => (Codec::Jpeg, &[]),
            };
            let frame = (key, [head, &bytes].concat());
            pushed += usize::from(file.push(&picture(codec, timestamp, &frame)).unwrap_or(false));
        }
        let film = file.finish().unwrap();
        prop_assert_eq!(read(&film).len(), pushed);
    }

    #[test]
    fn a_damaged_key_picture_is_written_or_refused(
        file in 0..FRAMES.len(), at in 0..80_usize, damage in 1..=255_u8, cut in any::<prop::sample::Index>(),
    ) {
        let (name, codec, _) = FRAMES[file];
        let mut first = frames(name).swap_remove(0);
        first.1[at] ^= damage;
        for len in [first.1.len(), cut.index(first.1.len())] {
            let cut = (true, first.1[..len].to_vec());
            let mut film = PictureFile::new(Vec::new());
            let is_in = film.push(&picture(codec, 0, &cut)).unwrap_or(false);
            prop_assert_eq!(read(&film.finish().unwrap()).len(), usize::from(is_in));
        }
    }
}
