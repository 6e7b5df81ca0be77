//! Builds the firmware, and runs the counting one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A board that QEMU emulates, and its firmware.
pub struct Machine {
    /// The processor, as in the tables.
    pub processor: &'static str,
    /// Of its firmware, in examples/firmware.
    directory: &'static str,
    pub package: &'static str,
    pub bench: &'static str,
    target: &'static str,
    qemu: &'static str,
    debian: &'static str,
    /// Runs at a rate of instructions that the bench counts on, and skips waiting.
    arguments: &'static [&'static str],
    /// The largest error of a count, in instructions.
    pub error: u64,
}

pub const VIRT: Machine = Machine {
    processor: "riscv32imac",
    directory: "qemu-virt",
    package: "parlour-qemu-virt",
    bench: "parlour-qemu-virt-bench",
    target: "riscv32imac-unknown-none-elf",
    qemu: "qemu-system-riscv32",
    debian: "qemu-system-misc",
    arguments: &[
        "-M",
        "virt",
        "-bios",
        "none",
        "-icount",
        "shift=0,sleep=off",
    ],
    error: 20,
};

pub const MPS2: Machine = Machine {
    processor: "Cortex-M4F",
    directory: "mps2",
    package: "parlour-mps2",
    bench: "parlour-mps2-bench",
    target: "thumbv7em-none-eabihf",
    qemu: "qemu-system-arm",
    debian: "qemu-system-arm",
    arguments: &["-M", "mps2-an386", "-icount", "shift=3,sleep=off"],
    error: 20,
};

/// The measurements of the bench, each in its own run.
pub const RUNS: &[&str] = &[
    "loop",
    "sizes",
    "parts",
    "opus-parts",
    "idle",
    "silence",
    "g711-8",
    "g711",
    "opus-g711",
    "opus",
];

/// Figures by name.
pub type Figures = BTreeMap<String, u64>;

pub struct Firmware {
    pub repository: PathBuf,
    target: PathBuf,
}

impl Firmware {
    pub fn new() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let repository = here.join("../../..").canonicalize()?;
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => std::path::absolute(target)?,
            None => here.join("target"),
        };
        Ok(Self {
            repository,
            target: target.join("firmware"),
        })
    }

    /// Builds a package for a machine with its relocations, and returns its path.
    pub fn build(&self, machine: &Machine, package: &str, features: &str) -> Result<PathBuf> {
        let status = Command::new("rustup")
            .args([
                "run",
                "nightly",
                "cargo",
                "rustc",
                "--locked",
                "--release",
                "-Zbuild-std=core,alloc",
            ])
            .args(["--package", package, "--features", features, "--target-dir"])
            .arg(&self.target)
            .args(["--", "-C", "link-arg=--emit-relocs"])
            .current_dir(
                self.repository
                    .join("examples/firmware")
                    .join(machine.directory),
            )
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO_TARGET_DIR")
            .status()
            .context("install rustup")?;
        ensure!(
            status.success(),
            "{package} with features [{features}] does not build"
        );
        let built = self
            .target
            .join(machine.target)
            .join("release")
            .join(package);
        // The next features are built to the same path.
        let kept = self.target.join(format!("{package}-{features}.elf"));
        std::fs::copy(built, &kept)?;
        Ok(kept)
    }
}

/// Lets the bench count `what`.
pub fn count(machine: &Machine, bench: &Path, what: &str) -> Result<Figures> {
    let output = Command::new(machine.qemu)
        .args(machine.arguments)
        .args(["-display", "none", "-serial", "stdio", "-monitor", "none"])
        .arg("-semihosting-config")
        .arg(format!("enable=on,target=native,arg=bench,arg={what}"))
        .arg("-kernel")
        .arg(bench)
        .stdin(std::process::Stdio::null())
        .output()
        .with_context(|| {
            format!(
                "there is no {}: install the package {}",
                machine.qemu, machine.debian
            )
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{what} ends with {}: {text}",
        output.status
    );
    let figures = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("figure ")?.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    });
    Ok(figures.collect())
}
