//! Builds the firmware, and runs the counting one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

const TARGET: &str = "riscv32imac-unknown-none-elf";
const QEMU: &str = "qemu-system-riscv32";

/// The measurements of the bench, each in its own run.
pub const RUNS: &[&str] = &[
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

    /// Builds a package with its relocations, and returns its path.
    pub fn build(&self, package: &str, features: &str) -> Result<PathBuf> {
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
            .current_dir(self.repository.join("examples/firmware/qemu-virt"))
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO_TARGET_DIR")
            .status()
            .context("install rustup")?;
        ensure!(
            status.success(),
            "{package} with features [{features}] does not build"
        );
        let built = self.target.join(TARGET).join("release").join(package);
        // The next features are built to the same path.
        let kept = self.target.join(format!("{package}-{features}.elf"));
        std::fs::copy(built, &kept)?;
        Ok(kept)
    }
}

/// Lets the bench count `what`: on a clock that advances by a nanosecond per instruction, and skips waiting.
pub fn count(bench: &Path, what: &str) -> Result<Figures> {
    let output = Command::new(QEMU)
        .args([
            "-M", "virt", "-bios", "none", "-display", "none", "-serial", "stdio", "-monitor",
            "none",
        ])
        .args(["-icount", "shift=0,sleep=off", "-semihosting-config"])
        .arg(format!("enable=on,target=native,arg=bench,arg={what}"))
        .arg("-kernel")
        .arg(bench)
        .stdin(std::process::Stdio::null())
        .output()
        .with_context(|| format!("there is no {QEMU}: install the package qemu-system-misc"))?;
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
