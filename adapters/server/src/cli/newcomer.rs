//! The introduction that `serve --dev` prints: commands that work as they stand.

use std::env;
use std::path::{Path, PathBuf};

use super::context::Context;

/// The voice that comes with the source code.
const VOICE: &str = "examples/assets/host.wav";

/// The text for a server of this context. `page` leads guests to the page of the room `kitchen`, below the server's address.
pub(super) fn introduction(context: &Context, page: &str) -> String {
    let Context { url, key, .. } = context;
    let program = program();
    let sound = match Path::new(VOICE).is_file() {
        true => format!("--play {VOICE} --loop"),
        false => "--tone 440".to_owned(),
    };
    format!(
        "API      {url}/v1   described in {url}/openapi.json
key      {key}
portal   {url}/portal/   rooms, people and what happens, in a browser

Talk in the room `kitchen` in a browser; each window is another guest:
  {url}{page}

Commands in this folder use both. Talk in the same room, in two more terminals:
  {program} join --room kitchen --as ben --record heard.wav
  {program} join --room kitchen --as anna {sound}
`--play FILE` plays WAV or Ogg Opus. More commands:
  {program} room list
  {program} token create kitchen carla --ticket     a ticket to the room `kitchen` for `carla`
  {program} event tail                              what happens
"
    )
}

/// This program, as a shell in this folder finds it: by its name if that finds this one, else by its path.
fn program() -> String {
    let Ok(this) = env::current_exe().and_then(|path| path.canonicalize()) else {
        return "parlour".to_owned();
    };
    let name = PathBuf::from(this.file_name().unwrap_or_default());
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&path).map(|folder| folder.join(&name));
    let found = found.find(|path| path.is_file());
    if found.and_then(|found| found.canonicalize().ok()) == Some(this.clone()) {
        return quoted(&name);
    }
    let here = env::current_dir().and_then(|here| here.canonicalize());
    let here = here.unwrap_or_default();
    match this.strip_prefix(&here) {
        Ok(below) => quoted(&Path::new(".").join(below)),
        Err(_) => quoted(&this),
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let text = match text.strip_prefix("./") {
        // With a slash in it, it is a path without that.
        Some(below) if below.contains('/') => below.to_owned(),
        _ => text,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:\\".contains(c);
    if text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        for (path, word) in [
            ("parlour", "parlour"),
            ("./parlour", "./parlour"),
            ("./target/release/parlour", "target/release/parlour"),
            ("/opt/anna b/it's", r"'/opt/anna b/it'\''s'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
