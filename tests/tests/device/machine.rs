//! The device: firmware in QEMU, told what to do and asked what happened over its console.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use tempfile::TempDir;

/// Set where these tests must run: what is missing then fails them.
const REQUIRED: &str = "PARLOUR_REQUIRE_DEVICE";

/// A board that QEMU emulates, and the firmware for it.
#[derive(Debug)]
pub(crate) struct Board {
    /// Of the firmware.
    directory: &'static str,
    package: &'static str,
    target: &'static str,
    qemu: &'static str,
    /// Debian's package with QEMU for it.
    debian: &'static str,
    /// The variable with the path of firmware that has been built already.
    built: &'static str,
    /// The most bytes of stack that the device may have used, whatever it did.
    pub(crate) stack: usize,
    firmware: OnceLock<Result<PathBuf, String>>,
}

pub(crate) static VIRT: Board = Board {
    directory: "examples/firmware/qemu-virt",
    package: "parlour-qemu-virt",
    target: "riscv32imac-unknown-none-elf",
    qemu: "qemu-system-riscv32",
    debian: "qemu-system-misc",
    built: "PARLOUR_FIRMWARE_VIRT",
    stack: 40 << 10,
    firmware: OnceLock::new(),
};

pub(crate) static MPS2: Board = Board {
    directory: "examples/firmware/mps2",
    package: "parlour-mps2",
    target: "thumbv7em-none-eabihf",
    qemu: "qemu-system-arm",
    debian: "qemu-system-arm",
    built: "PARLOUR_FIRMWARE_MPS2",
    stack: 40 << 10,
    firmware: OnceLock::new(),
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A command without the environment by which cargo tells its tests about the toolchain they were built with.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO") && text != "CARGO_HOME"
            || text.starts_with("RUST") && text != "RUSTUP_HOME"
        {
            command.env_remove(&name);
        }
    }
    command
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Looks for the source of Rust's core; an error says what is missing.
fn find_core() -> Result<(), String> {
    let sysroot = command("rustup")
        .args(["run", "nightly", "rustc", "--print", "sysroot"])
        .output();
    let sysroot = sysroot.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let source = PathBuf::from(sysroot.unwrap_or_default())
        .join("lib/rustlib/src/rust/library/core/src/lib.rs");
    if source.exists() {
        return Ok(());
    }
    Err(
        "there is no source of Rust's core: rustup component add rust-src --toolchain nightly"
            .into(),
    )
}

impl Board {
    /// The firmware; `None`, with the reason printed, where it cannot be built or run.
    pub(crate) fn firmware(&self) -> Option<&Path> {
        match self.firmware.get_or_init(|| self.build()) {
            Ok(firmware) => Some(firmware),
            Err(missing) => {
                assert!(std::env::var_os(REQUIRED).is_none(), "{missing}");
                eprintln!("SKIPPED: {missing}");
                None
            }
        }
    }

    /// Builds the firmware; an error says what is missing.
    fn build(&self) -> Result<PathBuf, String> {
        if !succeeds(command(self.qemu).arg("--version")) {
            return Err(format!(
                "there is no {}: install the package {}",
                self.qemu, self.debian
            ));
        }
        if let Some(built) = std::env::var_os(self.built) {
            return Ok(built.into());
        }
        find_core()?;
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("firmware");
        let status = command("rustup")
            .args([
                "run",
                "nightly",
                "cargo",
                "build",
                "--locked",
                "--release",
                "-Zbuild-std=core",
                "--features",
                "provisioning,obstacles",
                "--target-dir",
            ])
            .arg(&target)
            .current_dir(repository().join(self.directory))
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the firmware in {} does not build",
            self.directory
        );
        Ok(target.join(self.target).join("release").join(self.package))
    }
}

/// A device that runs. Dropping it takes its power away.
pub(crate) struct Machine {
    board: &'static Board,
    qemu: Child,
    input: ChildStdin,
    output: Receiver<String>,
    /// Its lines that the test did not wait for.
    skipped: RefCell<Vec<String>>,
    directory: TempDir,
}

impl Machine {
    /// A device with `ticket` that has started.
    pub(crate) fn start(board: &'static Board, ticket: &str) -> Self {
        let machine = Self::power_on(board, ticket);
        machine.expect("ready");
        machine
    }

    /// A device with `ticket`.
    pub(crate) fn power_on(board: &'static Board, ticket: &str) -> Self {
        Self::power_on_in("user", board, &[format!("ticket={ticket}")])
    }

    /// A device with these arguments, in a network with these options, as `./run` of the firmware starts it.
    pub(crate) fn power_on_in(network: &str, board: &'static Board, arguments: &[String]) -> Self {
        let firmware = board.firmware().expect("the test has asked for it");
        let directory = tempfile::tempdir().unwrap();
        let monitor = directory.path().join("monitor");
        let heard = directory.path().join("heard");
        let mut qemu = command("./run")
            .current_dir(repository().join(board.directory))
            .arg(firmware)
            .args(arguments)
            .arg(format!("out={}", heard.display()))
            .env(
                "MONITOR",
                format!("unix:{},server=on,wait=off", monitor.display()),
            )
            .env("NETWORK", network)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = qemu.stdin.take().unwrap();
        let lines = BufReader::new(qemu.stdout.take().unwrap()).lines();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("device: {line}");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            board,
            qemu,
            input,
            output,
            skipped: RefCell::default(),
            directory,
        }
    }

    /// Types a line on its console.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Sends bytes to its console.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
    }

    /// Waits for a line that starts with `beginning`, and gives the rest of it. Others are skipped.
    pub(crate) fn expect(&self, beginning: &str) -> String {
        self.expect_within(Duration::from_secs(60), beginning)
    }

    pub(crate) fn expect_within(&self, limit: Duration, beginning: &str) -> String {
        loop {
            match self.output.recv_timeout(limit) {
                Ok(line) => {
                    if let Some(rest) = line.trim().strip_prefix(beginning) {
                        return rest.trim().to_owned();
                    }
                    assert!(
                        !line.contains("panicked") && !line.starts_with("failed"),
                        "{line}"
                    );
                    self.skipped.borrow_mut().push(line);
                }
                Err(RecvTimeoutError::Timeout) => panic!("the device does not say {beginning:?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the device is gone before {beginning:?}")
                }
            }
        }
    }

    /// The number of its lines that start with `beginning`, and that the test did not wait for.
    pub(crate) fn times_said(&self, beginning: &str) -> usize {
        let skipped = self.skipped.borrow();
        let found = skipped.iter().filter(|line| line.starts_with(beginning));
        found.count()
    }

    /// Pulls the network cable, or plugs it in; waits until the device has noticed.
    pub(crate) fn set_link(&mut self, up: bool) {
        let state = if up { "on" } else { "off" };
        let mut monitor = UnixStream::connect(self.directory.path().join("monitor")).unwrap();
        writeln!(monitor, "set_link nic {state}").unwrap();
        let wanted = if up { "up" } else { "down" };
        while {
            self.tell("link");
            self.expect("link") != wanted
        } {}
    }

    /// All that its loudspeaker has played since it started, 16 kHz.
    pub(crate) fn heard(&self) -> Vec<i16> {
        let bytes = std::fs::read(self.directory.path().join("heard")).unwrap();
        let samples = bytes.chunks_exact(2);
        samples
            .map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]))
            .collect()
    }

    /// Has it end with `code`, after its stack was never deeper than the board's documentation says.
    pub(crate) fn exit(mut self, code: u8) {
        self.tell("stack");
        let stack: usize = self.expect("stack").parse().unwrap();
        assert!((1..=self.board.stack).contains(&stack), "{stack} of stack");
        self.tell(&format!("exit {code}"));
        self.ends_with(code);
    }

    /// Waits for its end, which is one with `code`.
    pub(crate) fn ends_with(mut self, code: u8) {
        let ended = self.qemu.wait().unwrap();
        assert_eq!(ended.code(), Some(code.into()));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
