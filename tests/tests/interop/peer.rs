//! A foreign program that receives RTP and gives back sound.

use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use parlour_core::rtp::{Report, RtcpCompound};
use parlour_examples::measure::RATE;

use crate::flow::Flow;

/// Set where these tests must run: what is missing then fails them.
const REQUIRED: &str = "PARLOUR_REQUIRE_INTEROP";
/// After this long without a sign of life, the other program is taken to hang.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most audio that may be sent and not yet returned: fits the buffer of a socket.
const AHEAD: Duration = Duration::from_secs(2);
/// After this many reports in vain there is no hope for another one.
const REPORTS: usize = 10;
/// How lines begin or are marked in which FFmpeg and GStreamer object to something.
const OBJECTIONS: [&str; 6] = [
    "[warning]",
    "[error]",
    "[fatal]",
    "WARNING",
    "ERROR",
    "CRITICAL",
];
/// Sound that may stay in the other program's buffers when all has been sent.
const HELD_BACK: Duration = Duration::from_millis(200);

const fn samples(duration: Duration) -> usize {
    duration.as_millis() as usize * RATE.hz() as usize / 1_000
}

/// Whether `command` succeeds. If not, its test is skipped, or fails if it is required to run.
pub(crate) fn is_there(command: &[&str], package: &str) -> bool {
    let there = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        let reason = format!("`{}` does not work: install {package}", command.join(" "));
        assert!(std::env::var_os(REQUIRED).is_none(), "{reason}");
        println!("SKIPPED: {reason}");
    }
    there
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Sockets on an even port and the odd one above it: for RTP and for RTCP (RFC 3550 section 11).
fn bind_pair() -> (UdpSocket, UdpSocket) {
    // Those that do not fit are kept, so that the system gives others.
    let mut unfit = Vec::new();
    loop {
        let rtp = UdpSocket::bind(local(0)).unwrap();
        let port = rtp.local_addr().unwrap().port();
        match UdpSocket::bind(local(port | 1)) {
            Ok(rtcp) if port.is_multiple_of(2) => return (rtp, rtcp),
            _ => unfit.push(rtp),
        }
    }
}

/// The socket that sends plain RTP, and receives the other end's reports.
#[derive(Debug)]
pub(crate) struct Tap {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// The port on which the other end listens for RTP; RTCP is one above.
    pub(crate) port: u16,
    /// The port to which it may send its reports.
    pub(crate) report_port: u16,
}

impl Tap {
    pub(crate) fn open() -> Self {
        let (rtp, rtcp) = bind_pair();
        let report_port = rtcp.local_addr().unwrap().port();
        let (theirs, their_rtcp) = bind_pair();
        let port = theirs.local_addr().unwrap().port();
        drop((theirs, their_rtcp));
        Self {
            rtp,
            rtcp,
            port,
            report_port,
        }
    }

    pub(crate) fn send(&self, packet: &[u8]) {
        self.rtp.send_to(packet, local(self.port)).unwrap();
    }

    pub(crate) fn send_report(&self, packet: &[u8]) {
        self.rtcp.send_to(packet, local(self.port + 1)).unwrap();
    }

    /// The first of the other end's reports that `choose` wants something of.
    pub(crate) fn await_report<T>(&self, choose: impl Fn(&Report<'_>) -> Option<T>) -> T {
        self.rtcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = [0; 1500];
        for _ in 0..REPORTS {
            let len = self.rtcp.recv(&mut bytes).expect("a report");
            let mut reports = RtcpCompound::parse(&bytes[..len]).expect("RTCP");
            if let Some(chosen) = reports.find_map(|report| choose(&report)) {
                return chosen;
            }
        }
        panic!("none of {REPORTS} reports was of any use");
    }
}

/// The other program's decoded audio, as it comes.
#[derive(Debug)]
pub(crate) struct Sound {
    pcm: Vec<i16>,
    chunks: Receiver<Vec<u8>>,
    odd: Option<u8>,
}

impl Sound {
    /// To be sent to the port by TCP, as 16-bit little-endian mono PCM at [`RATE`].
    pub(crate) fn listen() -> (Self, u16) {
        let listener = TcpListener::bind(local(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (give, chunks) = channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut chunk = [0; 4096];
            while let Ok(len @ 1..) = stream.read(&mut chunk) {
                if give.send(chunk[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        let sound = Self {
            pcm: Vec::new(),
            chunks,
            odd: None,
        };
        (sound, port)
    }

    fn receive(&mut self, program: &mut Program) {
        let Ok(chunk) = self.chunks.recv_timeout(PATIENCE) else {
            panic!(
                "no more sound after {} samples; it said:\n{}",
                self.pcm.len(),
                program.said()
            );
        };
        let mut bytes: Vec<u8> = self.odd.take().into_iter().collect();
        bytes.extend(chunk);
        let (samples, odd) = bytes.as_chunks();
        self.pcm
            .extend(samples.iter().copied().map(i16::from_le_bytes));
        self.odd = odd.first().copied();
    }

    /// Sends `flow` as fast as `program` decodes it, and returns what it decoded.
    pub(crate) fn of(mut self, program: &mut Program, tap: &Tap, flow: &Flow) -> Vec<i16> {
        let mut reports = flow.reports.iter().map(|(report, _)| report).peekable();
        for packet in &flow.packets {
            while samples(packet.at) > self.pcm.len() + samples(AHEAD) {
                self.receive(program);
            }
            if let Some(report) = reports.next_if(|report| report.at <= packet.at) {
                tap.send_report(&report.bytes);
            }
            tap.send(&packet.bytes);
        }
        while self.pcm.len() + samples(HELD_BACK) < flow.said.len() {
            self.receive(program);
        }
        self.pcm
    }
}

/// A running program, stopped when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.env("LC_ALL", "C").stdin(Stdio::null());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (give, lines) = channel();
        pass_on(child.stdout.take().unwrap(), give.clone());
        pass_on(child.stderr.take().unwrap(), give);
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits for `count` lines that `contain` this.
    pub(crate) fn await_lines(&mut self, contain: &str, count: usize) {
        while self
            .said
            .iter()
            .filter(|line| line.contains(contain))
            .count()
            < count
        {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.said.push(line),
                Err(_) => panic!(
                    "it never said {contain:?} {count} times, but:\n{}",
                    self.said()
                ),
            }
        }
    }

    /// All that it has said.
    pub(crate) fn said(&mut self) -> String {
        self.said.extend(self.lines.try_iter());
        self.said.join("\n")
    }

    /// Fails if it has objected to anything.
    pub(crate) fn assert_content(&mut self) {
        let said = self.said();
        let objects = |line: &&str| OBJECTIONS.iter().any(|mark| line.contains(mark));
        let objections: Vec<&str> = said.lines().filter(objects).collect();
        assert_eq!(objections, [""; 0]);
    }
}

fn pass_on(output: impl Read + Send + 'static, give: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The receiver is gone once the test is over.
            if give.send(line).is_err() {
                return;
            }
        }
    });
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
