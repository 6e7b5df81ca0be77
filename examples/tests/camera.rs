//! `camera` and `watch` as processes: what one films, the other sees, and FFmpeg decodes it.
#![expect(clippy::disallowed_methods, reason = "processes live in real time")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{Server, ServerConfig};

/// Nothing here takes as long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program of the examples, killed when this is dropped.
struct Program(Child);

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Self {
        // Beside the folder of this test.
        let test = std::env::current_exe().unwrap();
        let folder: PathBuf = test.parent().unwrap().with_file_name("examples");
        let started = Command::new(folder.join(name))
            .args(arguments)
            .stdin(Stdio::null())
            .spawn();
        Self(started.unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    fn ends_well(mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_camera_films_is_watched_and_decoded() {
    if Command::new("ffprobe").arg("-version").output().is_err() {
        eprintln!("skipped: there is no ffmpeg");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.ivf");
    let [webm, killed] = ["film.webm", "killed.webm"].map(|name| folder.path().join(name));
    let key = ApiKey::new("app", "0123456789abcdef0123456789abcdef").unwrap();
    let server = ServerConfig::new("127.0.0.1:0".parse().unwrap(), key);
    let server = Server::bind(server).unwrap();
    let ticket = |who| {
        let claims = Claims::new("studio", who, Duration::from_secs(600)).unwrap();
        server.ticket(&claims).unwrap()
    };
    let output = ["--output", film.to_str().unwrap(), "--count", "60"];
    let both = [&output[..], &["--record", webm.to_str().unwrap()]].concat();
    let watch = Program::start("watch", &[&[&*ticket("ben")], &both[..]].concat());
    let record = ["--record", killed.to_str().unwrap()];
    let crash = Program::start("watch", &[&[&*ticket("carl")], &record[..]].concat());
    let camera = Program::start("camera", &[&ticket("anna"), "--time", "20"]);
    watch.ends_well();
    // Killed amid its work, as the camera still films: it has a second of it at least.
    let deadline = Instant::now() + PATIENCE;
    while std::fs::metadata(&killed).map_or(0, |file| file.len()) < 80_000 {
        assert!(Instant::now() < deadline, "nothing is recorded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(crash);
    drop(camera);

    assert_eq!(probe(&film), "vp8,640,360,60");
    assert_eq!(probe(&webm), "vp8,640,360,60");
    let left = probe(&killed);
    let count = left.strip_prefix("vp8,640,360,").map(str::parse::<u32>);
    assert!(count.is_some_and(|count| count.unwrap() > 15), "{left}");
    let refused = Program::start("camera", &[&ticket("anna"), "--input", "/dev/null"])
        .0
        .wait();
    assert!(!refused.unwrap().success(), "no film");
    // What is recorded is never overwritten.
    let refused = Program::start("watch", &["-", "--record", webm.to_str().unwrap()])
        .0
        .wait();
    assert!(!refused.unwrap().success(), "there is such a file");
    assert_eq!(probe(&webm), "vp8,640,360,60");
}

/// What FFmpeg decodes of a file: codec, width, height and how many pictures.
fn probe(film: &Path) -> String {
    let decoded = Command::new("ffprobe")
        .args(["-loglevel", "error", "-count_frames", "-of", "csv=p=0"])
        .args([
            "-show_entries",
            "stream=codec_name,width,height,nb_read_frames",
        ])
        .arg(film)
        .output()
        .expect("ffprobe is installed");
    assert_eq!(String::from_utf8_lossy(&decoded.stderr), "", "decoded");
    String::from_utf8_lossy(&decoded.stdout).trim().to_owned()
}
