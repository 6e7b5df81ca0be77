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

const QEMU: &str = "qemu-system-riscv32";
const TARGET: &str = "riscv32imac-unknown-none-elf";
/// Set where these tests must run: what is missing then fails them.
const REQUIRED: &str = "PARLOUR_REQUIRE_DEVICE";
/// Firmware that has been built already.
const BUILT: &str = "PARLOUR_FIRMWARE";

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

/// Builds the firmware; an error says what is missing.
fn build() -> Result<PathBuf, String> {
    if !succeeds(command(QEMU).arg("--version")) {
        return Err(format!(
            "there is no {QEMU}: install the package qemu-system-misc"
        ));
    }
    if let Some(built) = std::env::var_os(BUILT) {
        return Ok(built.into());
    }
    let sysroot = command("rustup")
        .args(["run", "nightly", "rustc", "--print", "sysroot"])
        .output();
    let sysroot = sysroot.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let source = PathBuf::from(sysroot.unwrap_or_default())
        .join("lib/rustlib/src/rust/library/core/src/lib.rs");
    if !source.exists() {
        return Err(
            "there is no source of Rust's core: rustup component add rust-src --toolchain nightly"
                .into(),
        );
    }
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
            "provisioning",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(repository().join("examples/firmware/qemu-virt"))
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the firmware does not build"
    );
    Ok(target.join(TARGET).join("release/parlour-qemu-virt"))
}

/// The firmware; `None`, with the reason printed, where it cannot be built or run.
pub(crate) fn firmware() -> Option<&'static Path> {
    static FIRMWARE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FIRMWARE.get_or_init(build) {
        Ok(firmware) => Some(firmware),
        Err(missing) => {
            assert!(std::env::var_os(REQUIRED).is_none(), "{missing}");
            eprintln!("SKIPPED: {missing}");
            None
        }
    }
}

/// A device that runs. Dropping it takes its power away.
pub(crate) struct Machine {
    qemu: Child,
    input: ChildStdin,
    output: Receiver<String>,
    /// Its lines that the test did not wait for.
    skipped: RefCell<Vec<String>>,
    directory: TempDir,
}

impl Machine {
    /// A device with `ticket` that has started.
    pub(crate) fn start(firmware: &Path, ticket: &str) -> Self {
        let machine = Self::power_on(firmware, ticket);
        machine.expect("ready");
        machine
    }

    /// A device with `ticket`.
    pub(crate) fn power_on(firmware: &Path, ticket: &str) -> Self {
        Self::run(firmware, &[format!("ticket={ticket}")])
    }

    /// A device with these arguments, as `./run` of the firmware starts it.
    pub(crate) fn run(firmware: &Path, arguments: &[String]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let monitor = directory.path().join("monitor");
        let heard = directory.path().join("heard");
        let mut qemu = command("examples/firmware/qemu-virt/run")
            .current_dir(repository())
            .arg(firmware)
            .args(arguments)
            .arg(format!("out={}", heard.display()))
            .env(
                "MONITOR",
                format!("unix:{},server=on,wait=off", monitor.display()),
            )
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

    /// Has it end with `code`.
    pub(crate) fn exit(mut self, code: u8) {
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
