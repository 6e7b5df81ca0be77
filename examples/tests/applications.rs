//! The six applications as processes: a meeting that `tickets` opens, in which the others play their parts.
#![expect(clippy::disallowed_methods, reason = "processes live in real time")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::level::level;
use parlour_examples::wav;

/// Nothing here takes as long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);
const RATE: SampleRate = SampleRate::Hz48000;

/// An application that runs, and the lines that it prints. It is killed when this is dropped.
struct Application {
    name: &'static str,
    process: Child,
    lines: Receiver<String>,
}

impl Application {
    fn start(name: &'static str, arguments: &[&str], stdin: Stdio, stdout: Option<Stdio>) -> Self {
        // Beside the folder of this test.
        let folder = std::env::current_exe()
            .unwrap()
            .parent()
            .unwrap()
            .with_file_name("examples");
        let prints_sound = stdout.is_some();
        let mut process = Command::new(folder.join(name))
            .args(arguments)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .stdin(stdin)
            .stdout(stdout.unwrap_or_else(Stdio::piped))
            .stderr(if prints_sound {
                Stdio::piped()
            } else {
                Stdio::inherit()
            })
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let (sender, lines) = channel();
        let output: Box<dyn std::io::Read + Send> = match process.stdout.take() {
            Some(output) => Box::new(output),
            None => Box::new(process.stderr.take().unwrap()),
        };
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            name,
            process,
            lines,
        }
    }

    /// Waits for a line that has this in it.
    fn line(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut printed = Vec::new();
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if line.contains(part) {
                return line;
            }
            printed.push(line);
        }
        panic!("{} does not print {part:?}, but {printed:#?}", self.name);
    }

    fn tell(&mut self, line: &str) {
        let input = self.process.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
    }

    /// Waits until it ends, well.
    fn end(mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().unwrap() {
                assert!(status.success(), "{}: {status}", self.name);
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} does not end", self.name);
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `tickets` answers: its status line, and the body.
fn post(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.lines().next().unwrap().to_owned(),
        body.trim().to_owned(),
    )
}

fn raw(pcm: &[i16]) -> Vec<u8> {
    pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A participant that says what is in a file, and writes what it hears to another.
fn walkie_talkie(folder: &Path, who: &str, ticket: &str, says: &[i16]) -> (Application, PathBuf) {
    let (said, heard) = (
        folder.join(format!("{who}-says")),
        folder.join(format!("{who}-hears")),
    );
    std::fs::write(&said, raw(says)).unwrap();
    let input = std::fs::File::open(said).unwrap().into();
    let output = std::fs::File::create(&heard).unwrap().into();
    (
        Application::start("walkie_talkie", &[ticket], input, Some(output)),
        heard,
    )
}

/// Seconds of a file that are no silence, in frames of 20 ms.
fn loud(path: &Path) -> f32 {
    let bytes = std::fs::read(path).unwrap();
    let pairs = bytes.chunks_exact(2);
    let pcm: Vec<i16> = pairs
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    loud_seconds(&pcm)
}

fn loud_seconds(pcm: &[i16]) -> f32 {
    let is_loud = |frame: &&[i16]| level(frame) < 50;
    pcm.chunks(960).filter(is_loud).count() as f32 / 50.0
}

/// How long the stream in an Ogg file lasts, in seconds, and how many packets it has.
fn ogg(path: &Path) -> (f32, usize) {
    let mut reader = ogg::PacketReader::new(std::fs::File::open(path).unwrap());
    let (mut packets, mut end) = (0, 0);
    while let Some(packet) = reader.read_packet().unwrap() {
        packets += 1;
        end = packet.absgp_page();
        assert!(!packet.last_in_stream() || packets > 2);
    }
    (end as f32 / 48_000.0, packets - 2)
}

#[test]
fn six_applications_hold_a_meeting() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    let speech = wav::read(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/device.wav")),
        RATE,
    )
    .unwrap();

    let free = "127.0.0.1:0";
    let tickets = Application::start(
        "tickets",
        &["--rooms", free, "--http", free],
        Stdio::null(),
        None,
    );
    let address = tickets
        .line("http://")
        .split_once("http://")
        .unwrap()
        .1
        .to_owned();
    let ticket = |who: &str| {
        let (status, ticket) = post(&address, &format!("/rooms/kitchen/tickets/{who}"));
        assert_eq!(status, "HTTP/1.1 200 OK", "{ticket}");
        ticket
    };
    for (path, says) in [
        (
            "/rooms/kitchen/tickets/x?grants=fly",
            "no grant named \"fly\"",
        ),
        ("/rooms/kitchen/tickets/x?color=red", "color"),
        ("/rooms/%20/tickets/x?name=%00", "not allowed here"),
    ] {
        let (status, body) = post(&address, path);
        assert_eq!(status, "HTTP/1.1 400 Bad Request", "{path}: {body}");
        assert!(body.contains(says), "{path}: {body}");
    }

    let mut moderator = Application::start(
        "moderator",
        &[&ticket("mod?grants=kick,censor,admit,end_session")],
        Stdio::piped(),
        None,
    );
    moderator.tell("list");
    moderator.line("0 others");
    let recorder = Application::start(
        "recorder",
        &[&ticket("recorder"), "--folder", recording.to_str().unwrap()],
        Stdio::null(),
        None,
    );
    moderator.line("recorder joined");
    let greeter = Application::start("greeter", &[&ticket("greeter")], Stdio::null(), None);
    moderator.line("greeter joined");

    // A guest that says nothing hears the greeting whole.
    let silence = vec![0; RATE.samples(20) * 500];
    let (anna, heard) = walkie_talkie(folder.path(), "anna", &ticket("anna"), &silence);
    moderator.line("greeter speaks");
    let greeted = greeter.line("greeted anna");
    anna.end();
    moderator.line("anna left");
    let whole = wav::read(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/host.wav")),
        RATE,
    )
    .unwrap();
    let whole = whole.len() as f32 / 48_000.0;
    assert!(
        greeted.ends_with(&format!("{whole:.1} s of {whole:.1} s")),
        "{greeted}"
    );
    let heard = loud(&heard);
    assert!(
        heard > 0.6 * whole && heard <= whole + 0.5,
        "{heard} s of {whole} s"
    );

    // Two desktops without sound cards say what is in files, and hear each other.
    let desks = ["left", "right"].map(|who| {
        let said = format!("{}/assets/host.wav", env!("CARGO_MANIFEST_DIR"));
        let heard = folder.path().join(format!("{who}-heard.wav"));
        let files = ["--input", &said, "--output", heard.to_str().unwrap()];
        let ticket = ticket(who);
        let arguments = [&[&*ticket], &files[..]].concat();
        let talk = Application::start("talk", &arguments, Stdio::null(), None);
        (talk, heard)
    });
    for (talk, heard) in desks {
        talk.line("greeter is here");
        talk.end();
        let heard = wav::read(&heard, RATE).unwrap();
        let seconds = loud_seconds(&heard);
        assert!(seconds > 0.3 * whole, "{seconds} s of {whole} s");
    }
    moderator.line("left left");

    // One who waits in the lobby is let in, and interrupts the greeting.
    let (ben, _) = walkie_talkie(folder.path(), "ben", &ticket("ben?lobby=true"), &speech);
    moderator.line("ben waits in the lobby");
    moderator.tell("lobby");
    moderator.line("ben waits");
    moderator.tell("admit nobody-here");
    moderator.line("admit nobody-here: ");
    moderator.tell("admit ben");
    moderator.line("admit: 1 participants");
    moderator.line("ben speaks");
    let greeted = greeter.line("greeted ben");
    assert!(
        !greeted.ends_with(&format!("{whole:.1} s of {whole:.1} s")),
        "{greeted}"
    );
    moderator.tell("say welcome");
    moderator.line("say: ");
    moderator.tell("kick ben");
    moderator.line("kick: 1 participants");
    ben.line("the room is closed: Closed(Kicked)");
    ben.end();

    moderator.tell("end");
    moderator.line("the session is over");
    recorder.line("frames are missing");
    recorder.end();
    greeter.end();
    moderator.end();
    let (seconds, packets) = ogg(&recording.join("greeter-greeting.opus"));
    assert!(
        seconds > whole && packets > 50,
        "{seconds} s in {packets} packets"
    );
    assert!(ogg(&recording.join("ben-mic.opus")).0 > 0.5);
    assert!(ogg(&recording.join("left-mic.opus")).0 > whole - 0.5);
}

#[test]
fn a_parrot_joins_where_its_own_machine_is_not_reached_by_the_tickets_address() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("parrot.key");
    // An address for documentation, which nobody reaches.
    let mut arguments = vec!["192.0.2.1", "--port", "0", "--key-file"];
    arguments.push(key.to_str().unwrap());
    arguments.extend(["--secret", "0123456789abcdef0123456789abcdef"]);
    let parrot = Application::start("parrot", &arguments, Stdio::null(), None);
    let ticket = parrot.line("ticket = ");
    let ticket = ticket.split('"').nth(1).unwrap();
    assert!(ticket.starts_with("parlour://192.0.2.1:"), "{ticket}");
    parrot.line("the parrot is in its room");
    // The device reaches this machine by another way.
    let ticket = ticket.replace("192.0.2.1", "127.0.0.1");
    let _device = walkie_talkie(folder.path(), "device", &ticket, &[]);
    parrot.line("came");
}
