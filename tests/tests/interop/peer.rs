//! A foreign program that receives RTP and gives back sound.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use parlour_core::rtp::{Report, RtcpCompound};
use parlour_examples::measure::RATE;

use crate::flow::Flow;

/// Set where these tests must run: what is missing then fails them.
const REQUIRED: &str = "PARLOUR_REQUIRE_INTEROP";
/// After so long without a sign of life, the other program is taken to hang.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How much may be sent and not have come back as sound: fits the buffer of a socket.
const AHEAD: Duration = Duration::from_secs(2);
/// Sound that may stay in the other program's buffers when all has been sent.
const HELD_BACK: Duration = Duration::from_millis(200);

const fn samples(duration: Duration) -> usize {
    duration.as_millis() as usize * RATE.hz() as usize / 1_000
}

/// Whether `command` succeeds. If not, its test is skipped, or fails where it must run.
pub fn is_there(command: &[&str], package: &str) -> bool {
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
            Ok(rtcp) if port % 2 == 0 => return (rtp, rtcp),
            _ => unfit.push(rtp),
        }
    }
}

/// Where plain RTP goes out, and the reports of the other end come in.
#[derive(Debug)]
pub struct Tap {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Where the other end is to listen for RTP; RTCP is one above.
    pub port: u16,
    /// Where it may send its reports.
    pub report_port: u16,
}

impl Tap {
    pub fn open() -> Self {
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

    pub fn send(&self, packet: &[u8]) {
        self.rtp.send_to(packet, local(self.port)).unwrap();
    }

    pub fn send_report(&self, packet: &[u8]) {
        self.rtcp.send_to(packet, local(self.port + 1)).unwrap();
    }

    /// The first of the other end's reports that `choose` wants something of.
    pub fn await_report<T>(&self, choose: impl Fn(&Report<'_>) -> Option<T>) -> T {
        self.rtcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = [0; 1500];
        loop {
            let len = self.rtcp.recv(&mut bytes).expect("a report");
            let mut reports = RtcpCompound::parse(&bytes[..len]).expect("RTCP");
            if let Some(chosen) = reports.find_map(|report| choose(&report)) {
                return chosen;
            }
        }
    }
}

/// What the other program decoded, as it comes.
#[derive(Debug)]
pub struct Sound {
    pcm: Vec<i16>,
    chunks: Receiver<Vec<u8>>,
    odd: Option<u8>,
}

impl Sound {
    /// Where to send 16-bit little-endian mono PCM at [`RATE`], by TCP; `connected` tells when.
    pub fn listen() -> (Self, u16, Receiver<()>) {
        let listener = TcpListener::bind(local(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (give, chunks) = channel();
        let (connect, connected) = channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Nobody listens to either any more once the test is over.
            let _ = connect.send(());
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
        (sound, port, connected)
    }

    fn receive(&mut self, program: &Program) {
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
    pub fn of(mut self, program: &Program, tap: &Tap, flow: &Flow) -> Vec<i16> {
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
pub struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (give, lines) = channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                if give.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for `count` lines that `contain` this; returns all until then.
    pub fn await_lines(&self, contain: &str, count: usize) -> Vec<String> {
        let mut said: Vec<String> = Vec::new();
        while said.iter().filter(|line| line.contains(contain)).count() < count {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => said.push(line),
                Err(_) => panic!(
                    "it never said {contain:?} {count} times, but:\n{}",
                    said.join("\n")
                ),
            }
        }
        said
    }

    /// What it said on stderr and nobody has looked at.
    pub fn said(&self) -> String {
        self.lines.try_iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
