//! NetEQ of Debian's `libtgowt-dev`, in a program of its own that is compiled here.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Delivery, Error, Heard, PHASE_US, READ_US};

const HEADERS: &str = "/usr/include/tg_owt";
/// libwebrtc's own choice for calls since 2023; the package is older.
const TRIALS: &str = "WebRTC-Audio-NetEqDecisionLogicConfig/enable_stable_playout_delay:true/";
/// What `libtg_owt.a` needs.
const LIBRARIES: &str = "opus ssl crypto avcodec avformat avutil swscale swresample vpx X11 Xcomposite Xdamage Xext \
                         Xfixes Xrender Xrandr Xtst srtp2 glib-2.0 gio-2.0 gobject-2.0 pthread dl m";

pub struct NetEq {
    program: PathBuf,
}

impl NetEq {
    /// Compiles the program. `Err` gives the reason for which it cannot be.
    pub fn build() -> Result<Self, String> {
        if !Path::new(HEADERS).exists() {
            return Err("install libtgowt-dev, libopus-dev and g++ of Debian".to_owned());
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = here.join("target");
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let program = folder.join("neteq");
        let libraries = installed().ok_or("libtgowt-dev has no list of its definitions")?;
        let output = Command::new("g++")
            .args(["-std=c++20", "-O1", "-w"])
            .args(&libraries.definitions)
            .args([
                format!("-I{HEADERS}"),
                format!("-I{HEADERS}/third_party/abseil-cpp"),
            ])
            .arg(here.join("src/neteq.cc"))
            .arg("-o")
            .arg(&program)
            .args(["-Wl,--gc-sections", "-ltg_owt", "-Wl,--start-group"])
            .args(&libraries.abseil)
            .arg("-Wl,--end-group")
            .args(LIBRARIES.split_whitespace().map(|name| format!("-l{name}")))
            .output()
            .map_err(|error| format!("g++: {error}"))?;
        if output.status.success() {
            Ok(Self { program })
        } else {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!("src/neteq.cc does not compile: {errors}"))
        }
    }

    pub fn play(&self, deliveries: &[Delivery<'_>], until_us: u64) -> Result<Heard, Error> {
        let mut input = String::new();
        for Delivery {
            at,
            sequence,
            packet,
        } in deliveries
        {
            let payload: String = packet
                .payload
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let (timestamp, begins) = (packet.frame * 960, u8::from(packet.begins));
            input += &format!("{at} {sequence} {timestamp} {begins} {payload}\n");
        }
        let mut child = Command::new(&self.program)
            .args([PHASE_US, READ_US, until_us].map(|us| us.to_string()))
            .env("FIELD_TRIALS", TRIALS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // It reads everything before it writes.
        let mut stdin = child.stdin.take().ok_or("its input is piped")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        let frames = told
            .lines()
            .last()
            .and_then(|line| line.strip_prefix("frames "));
        let frames = frames.and_then(|frames| frames.trim().parse().ok());
        let samples = output.stdout.chunks_exact(2);
        Ok(Heard {
            pcm: samples
                .map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]))
                .collect(),
            frames: frames.ok_or_else(|| format!("NetEQ failed: {told}"))?,
        })
    }
}

struct Installed {
    definitions: Vec<String>,
    abseil: Vec<String>,
}

/// How the package was compiled, by what it tells CMake, and the parts of Abseil that are there.
fn installed() -> Option<Installed> {
    let architecture = Command::new("g++").arg("-print-multiarch").output().ok()?;
    let architecture = String::from_utf8(architecture.stdout).ok()?;
    let folder = Path::new("/usr/lib").join(architecture.trim());
    let targets = std::fs::read_to_string(folder.join("cmake/tg_owt/tg_owtTargets.cmake")).ok()?;
    let lists = targets.split("INTERFACE_COMPILE_DEFINITIONS \"").skip(1);
    let list = lists.filter_map(|rest| rest.split('"').next());
    let definitions = list
        .into_iter()
        .find(|list| list.contains("WEBRTC_LINUX"))?;
    let mut abseil: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| {
            Some(format!(
                "-labsl_{}",
                name.strip_prefix("libabsl_")?.split('.').next()?
            ))
        })
        .collect();
    abseil.sort();
    abseil.dedup();
    Some(Installed {
        definitions: definitions
            .split(';')
            .map(|name| format!("-D{name}"))
            .collect(),
        abseil,
    })
}
