//! Plates with names, in the place of pictures that were not recorded. `ffmpeg` draws them, with whatever font the system has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::super::ffmpeg;
use super::canvas::{Canvas, len};
use super::layout::Rect;
use crate::FileError;
use crate::compose::ComposeError;

/// Bytes of plates that are kept.
const KEPT: usize = 64 << 20;
/// The longest name that is shown, in characters.
const LONGEST_NAME: usize = 40;
/// The colours of plates; each participant has one of them.
const COLOURS: [&str; 6] = [
    "0x37474f", "0x4e342e", "0x283593", "0x00695c", "0x6a1b9a", "0x9e5a00",
];

/// The plates that were needed so far, by participant and size.
#[derive(Debug)]
pub(super) struct Plates<'a> {
    ffmpeg: &'a Path,
    /// Where a name lies while it is drawn: as a file, it is text and nothing else.
    text: PathBuf,
    names: Vec<&'a str>,
    drawn: BTreeMap<(usize, u32, u32), Canvas>,
    bytes: usize,
}

impl<'a> Plates<'a> {
    pub(super) fn new(ffmpeg: &'a Path, text: PathBuf, names: Vec<&'a str>) -> Self {
        Self {
            ffmpeg,
            text,
            names,
            drawn: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// The plate of a participant.
    pub(super) fn plate(&mut self, who: usize, rect: Rect) -> Result<&Canvas, ComposeError> {
        let key = (who, rect.width, rect.height);
        if !self.drawn.contains_key(&key) {
            if self.bytes > KEPT {
                self.drawn.clear();
                self.bytes = 0;
            }
            let plate = self.draw(who, rect)?;
            self.bytes += plate.bytes().len();
            self.drawn.insert(key, plate);
        }
        // It is there by now.
        self.drawn
            .get(&key)
            .ok_or_else(|| ComposeError::Ffmpeg("it has drawn nothing".to_owned()))
    }

    fn draw(&self, who: usize, rect: Rect) -> Result<Canvas, ComposeError> {
        let Rect { width, height, .. } = rect;
        let name = self.names.get(who).copied().unwrap_or_default();
        let name = shown(name);
        fs::write(&self.text, &name).map_err(FileError::write(&self.text))?;
        // Most letters are narrower than six tenths of their height.
        let widest = name.chars().count().max(4) as u32 * 6;
        let size = (height / 6).min(width * 9 / widest).max(6);
        let colour = COLOURS.get(who % COLOURS.len()).copied().unwrap_or("black");
        let text = escaped(&self.text.to_string_lossy());
        let filter = format!(
            "drawtext=textfile={text}:expansion=none:fontcolor=white:fontsize={size}:x=(w-text_w)/2:y=(h-text_h)/2"
        );
        let mut command = ffmpeg::command(self.ffmpeg);
        command
            .args(["-f", "lavfi", "-i"])
            .arg(format!("color=c={colour}:s={width}x{height}"))
            .arg("-vf")
            .arg(filter)
            .args([
                "-frames:v",
                "1",
                "-pix_fmt",
                "yuv420p",
                "-f",
                "rawvideo",
                "pipe:1",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let output = command
            .output()
            .map_err(|error| ffmpeg::not_started(&error))?;
        if !output.status.success() {
            return Err(ComposeError::Ffmpeg(output.status.to_string()));
        }
        let drawn = output.stdout.len();
        Canvas::of(width, height, output.stdout).ok_or_else(|| {
            let expected = len(width, height);
            ComposeError::Ffmpeg(format!(
                "it has drawn {drawn} bytes in the place of {expected}"
            ))
        })
    }
}

impl Drop for Plates<'_> {
    fn drop(&mut self) {
        // There is none if nobody was there.
        let _ = fs::remove_file(&self.text);
    }
}

/// A text as the value of an option, in a filter: each of them takes its own special characters out.
fn escaped(text: &str) -> String {
    let escape = |text: &str, special: &str| -> String {
        let each = text.chars().flat_map(|c| {
            let escape = special.contains(c).then_some('\\');
            escape.into_iter().chain([c])
        });
        each.collect()
    };
    escape(&escape(text, "\\':"), "\\'[],;")
}

/// A name on one line.
fn shown(name: &str) -> String {
    let printable = name.chars().filter(|c| !c.is_control());
    printable.take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_bounded_length() {
        assert_eq!(shown("Änna\n%{pts}\u{1b}[2J"), "Änna%{pts}[2J");
        assert_eq!(escaped("/a b/c"), "/a b/c");
        assert_eq!(escaped("a:b,c'd"), r"a\\:b\,c\\\'d");
        assert_eq!(shown(&"x".repeat(500)).len(), LONGEST_NAME);
    }
}
