//! The picture of a composition: who is there, with their names, and who of them speaks.
//!
//! ```text
//! recordings ──► levels ──► Activity, Dominance ──► layout: tiles ──► Canvas ──► ffmpeg
//!                                                       names ──► plates ──┘
//! ```
//!
//! Who has no picture is a plate with its name, and pictures are not recorded yet. A participant is there from the beginning of
//! its first recording to the end of its last one.

mod canvas;
mod layout;
mod plates;

use std::path::{Path, PathBuf};

use parlour_tokio::core::audio::level::level;
use parlour_tokio::core::audio::{Activity, Dominance, Loudness};
use parlour_tokio::core::rtp::AudioLevel;
use parlour_tokio::core::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

use super::ffmpeg::Ffmpeg;
use super::mixdown::Mixdown;
use super::{BLOCK, ComposeError, Format, Job, Side};
use canvas::{Canvas, SPEAKING};
use layout::{Tile, tiles};
use plates::Plates;

/// The least and the greatest width and height of a picture, in pixels. Both are even.
pub const WIDTHS: std::ops::RangeInclusive<u32> = 160..=1_920;
/// See [`WIDTHS`].
pub const HEIGHTS: std::ops::RangeInclusive<u32> = 90..=1_080;
/// The pictures in a second.
pub const RATES: std::ops::RangeInclusive<u32> = 1..=30;
/// Regions of a picture at most.
pub const MAX_REGIONS: usize = 32;
/// Columns and rows of a region at most.
pub const MAX_CELLS: u8 = 16;
/// Silence of so long ends that somebody is the active speaker.
const HOLD: Duration = Duration::from_millis(2_000);
/// The height of the picture in relation to the mark around who speaks.
const MARK: u32 = 90;

/// The picture of a composition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// Its width in pixels: one of [`WIDTHS`].
    pub width: u32,
    /// Its height in pixels: one of [`HEIGHTS`].
    pub height: u32,
    /// How many there are in a second: one of [`RATES`].
    pub fps: u32,
    /// Who stands where.
    pub layout: Layout,
}

/// Who stands where in the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// All who are there, in a grid.
    Grid,
    /// The active speaker large, the others in a column beside it.
    Speaker,
    /// The active speaker only.
    Single,
    /// Those that are named, each in its place.
    Regions(Vec<Region>),
}

/// A part of the picture, in which participants stand in a grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Pixels from the left.
    pub x: u32,
    /// Pixels from above.
    pub y: u32,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Regions with a higher number stand in front.
    #[serde(default)]
    pub z: i32,
    /// The columns of its grid; as many as there is need of, if they are left out.
    #[serde(default)]
    pub columns: Option<u8>,
    /// The rows of its grid; as many as there is need of, if they are left out.
    #[serde(default)]
    pub rows: Option<u8>,
    /// Who stands in it; `rest` is who stands in no region by name.
    pub sources: Side,
}

/// A picture cannot be made so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// Its width.
    #[error("it has to be even, and from {} to {}", WIDTHS.start(), WIDTHS.end())]
    Width,
    /// Its height.
    #[error("it has to be even, and from {} to {}", HEIGHTS.start(), HEIGHTS.end())]
    Height,
    /// How many there are in a second.
    #[error("it has to be from {} to {}", RATES.start(), RATES.end())]
    Rate,
    /// The number of regions.
    #[error("there have to be from 1 to {MAX_REGIONS} regions")]
    Regions,
    /// The region of that index reaches out of the picture, or has no pixels.
    #[error("it has to have at least 2 × 2 pixels, all within the picture")]
    Region(usize),
    /// The columns of the region of that index.
    #[error("there have to be from 1 to {MAX_CELLS}")]
    Columns(usize),
    /// The rows of the region of that index.
    #[error("there have to be from 1 to {MAX_CELLS}")]
    Rows(usize),
}

impl Video {
    /// Whether it can be made.
    ///
    /// # Errors
    /// [`VideoError`]
    pub fn check(&self) -> Result<(), VideoError> {
        let is_one = |number: u32, range: std::ops::RangeInclusive<u32>| {
            range.contains(&number) && number.is_multiple_of(2)
        };
        if !is_one(self.width, WIDTHS) {
            return Err(VideoError::Width);
        }
        if !is_one(self.height, HEIGHTS) {
            return Err(VideoError::Height);
        }
        if !RATES.contains(&self.fps) {
            return Err(VideoError::Rate);
        }
        let Layout::Regions(regions) = &self.layout else {
            return Ok(());
        };
        if !(1..=MAX_REGIONS).contains(&regions.len()) {
            return Err(VideoError::Regions);
        }
        for (index, region) in regions.iter().enumerate() {
            let fits = |from: u32, length: u32, all: u32| {
                length >= 2 && from.checked_add(length).is_some_and(|end| end <= all)
            };
            if !(fits(region.x, region.width, self.width)
                && fits(region.y, region.height, self.height))
            {
                return Err(VideoError::Region(index));
            }
            let is_count =
                |count: Option<u8>| count.is_none_or(|count| (1..=MAX_CELLS).contains(&count));
            if !is_count(region.columns) {
                return Err(VideoError::Columns(index));
            }
            if !is_count(region.rows) {
                return Err(VideoError::Rows(index));
            }
        }
        Ok(())
    }

    /// The participants that its regions name.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        let regions = match &self.layout {
            Layout::Regions(regions) => regions.as_slice(),
            _ => &[],
        };
        let sides = regions.iter().map(|region| match &region.sources {
            Side::Only(ids) => ids.as_slice(),
            _ => &[],
        });
        sides.flatten().map(String::as_str)
    }
}

/// A participant as it is seen.
#[derive(Debug)]
struct Seen<'a> {
    id: &'a str,
    name: &'a str,
    /// From when to when it is there, in ms.
    from: i64,
    to: i64,
    activity: Activity,
    loudness: Loudness,
    /// How loud it is now, in −dBov.
    level: u8,
}

/// The participants of a job, in the order in which they come.
fn participants(job: &Job) -> Vec<Seen<'_>> {
    let mut all: Vec<Seen<'_>> = Vec::new();
    for input in &job.inputs {
        let end = input.start_ms.saturating_add_unsigned(input.duration_ms);
        match all.iter_mut().find(|seen| seen.id == input.participant) {
            Some(seen) => {
                seen.from = seen.from.min(input.start_ms);
                seen.to = seen.to.max(end);
            }
            None => all.push(Seen {
                id: &input.participant,
                name: match input.name.trim() {
                    "" => &input.participant,
                    name => name,
                },
                from: input.start_ms,
                to: end,
                activity: Activity::new(Instant::from_micros(0)),
                loudness: Loudness::new(),
                level: AudioLevel::SILENCE.level,
            }),
        }
    }
    all.sort_by_key(|seen| (seen.from, seen.id));
    all
}

/// What can be seen at a moment: who stands where, and which of them speak.
type Scene = Vec<(Tile, bool)>;

/// Draws a job, and has ffmpeg join it with the sound, which is a file already.
pub(super) fn film(
    job: &Job,
    video: &Video,
    sound: &Path,
    mut progress: impl FnMut(f32),
) -> Result<(), ComposeError> {
    let mut seen = participants(job);
    let names = seen.iter().map(|seen| seen.name).collect();
    let mut plates = Plates::new(&job.ffmpeg, beside(&job.output, "name"), names);
    let of = vec![vec![0]; job.inputs.len()];
    let mut mixdown = Mixdown::new(job, 0, &of);
    let mut ffmpeg = Ffmpeg::start(&job.ffmpeg, arguments(job, video, sound))?;
    let mut dominance = Dominance::new(HOLD);
    let mut canvas = Canvas::new(video.width, video.height);
    let (mut drawn, mut block): (Option<Scene>, _) = (None, Vec::new());
    let length = job.to_ms.saturating_sub(job.from_ms).unsigned_abs();
    let pictures = (length * u64::from(video.fps)).div_ceil(1_000);
    let (mut heard_ms, block_ms) = (0, BLOCK as u64 / 48);
    for picture in 0..pictures {
        let at_ms = picture * 1_000 / u64::from(video.fps);
        while heard_ms <= at_ms && mixdown.next(&mut block)? {
            let now = Instant::from_micros(heard_ms * 1_000);
            hear(&mut seen, &mixdown, now);
            let scores = seen.iter().enumerate();
            dominance.decide(
                now,
                scores.map(|(who, seen)| (who, seen.loudness.score(now))),
            );
            heard_ms += block_ms;
        }
        let now = Instant::from_micros(at_ms * 1_000);
        let scene = scene(job, video, &mut seen, at_ms, now, dominance.current());
        if drawn.as_ref() != Some(&scene) {
            draw(&mut canvas, &mut plates, &scene, video.height / MARK)?;
            drawn = Some(scene);
        }
        ffmpeg.write(canvas.bytes())?;
        if (picture + 1) % u64::from(video.fps) == 0 {
            progress((picture + 1) as f32 / pictures as f32);
        }
    }
    ffmpeg.finish()
}

/// Takes in how loud everybody is in this block.
fn hear(seen: &mut [Seen<'_>], mixdown: &Mixdown<'_>, now: Instant) {
    for seen in seen.iter_mut() {
        seen.level = AudioLevel::SILENCE.level;
    }
    for (participant, pcm) in mixdown.blocks() {
        if let Some(seen) = seen.iter_mut().find(|seen| seen.id == participant) {
            // Of several streams the loudest counts.
            seen.level = seen.level.min(level(pcm));
        }
    }
    for seen in seen {
        let level = seen.level;
        seen.loudness.observe(now, level, true);
        seen.activity
            .hear(now, 20, Some(AudioLevel { voice: true, level }));
    }
}

fn scene(
    job: &Job,
    video: &Video,
    seen: &mut [Seen<'_>],
    at_ms: u64,
    now: Instant,
    speaker: Option<usize>,
) -> Scene {
    for seen in seen.iter_mut() {
        if seen.activity.ends().is_some_and(|ends| ends <= now) {
            seen.activity.end();
        }
    }
    let at = job.from_ms.saturating_add_unsigned(at_ms);
    let present = seen
        .iter()
        .enumerate()
        .filter(|(_, seen)| (seen.from..seen.to).contains(&at));
    let present: Vec<_> = present.map(|(who, _)| who).collect();
    let speaker = speaker.filter(|who| present.contains(who));
    let id = |who: usize| seen.get(who).map_or("", |seen| seen.id);
    let tiles = tiles(video, &present, speaker, |region, who| {
        match &region.sources {
            Side::All => true,
            Side::Only(ids) => ids.iter().any(|own| own == id(who)),
            Side::Rest => !video.named().any(|named| named == id(who)),
        }
    });
    let speaks = |tile: Tile| {
        let speaks = seen
            .get(tile.who)
            .is_some_and(|seen| seen.activity.is_speaking());
        (tile, speaks)
    };
    tiles.into_iter().map(speaks).collect()
}

fn draw(
    canvas: &mut Canvas,
    plates: &mut Plates<'_>,
    scene: &Scene,
    mark: u32,
) -> Result<(), ComposeError> {
    canvas.clear();
    for (tile, speaks) in scene {
        canvas.lay(plates.plate(tile.who, tile.rect)?, tile.rect);
        if *speaks {
            canvas.frame(tile.rect, mark, SPEAKING);
        }
    }
    Ok(())
}

/// A file beside the output, with another ending.
pub(super) fn beside(output: &Path, ending: &str) -> PathBuf {
    output.with_extension(ending)
}

/// What ffmpeg is to do: pictures come on its stdin, and their sound is encoded already.
fn arguments(job: &Job, video: &Video, sound: &Path) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = Vec::new();
    let size = format!("{}x{}", video.width, video.height);
    let fps = video.fps.to_string();
    let pictures = [
        "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-r", &fps, "-i", "pipe:0", "-i",
    ];
    arguments.extend(pictures.map(Into::into));
    arguments.push(sound.into());
    let (codec, most): (&[&str], _) = match job.format {
        Format::Webm => (
            &[
                "-c:v",
                "libvpx",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-b:v",
                "1M",
                "-f",
                "webm",
            ],
            job.max_bytes.to_string(),
        ),
        _ => (
            &[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-crf",
                "23",
                "-movflags",
                "+faststart",
                "-f",
                "mp4",
            ],
            job.max_bytes.to_string(),
        ),
    };
    let joined = [
        "-map", "0:v", "-map", "1:a", "-c:a", "copy", "-threads", "1", "-fs", &most,
    ];
    arguments.extend(joined.map(Into::into));
    arguments.extend(codec.iter().map(Into::into));
    arguments.push("-y".into());
    arguments.push(job.output.as_path().into());
    arguments
}
