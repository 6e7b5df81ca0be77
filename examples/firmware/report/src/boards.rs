//! The size of an ESP32-C3's image with and without Parlour.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::tables::{Tables, thousands};

/// Makes both images with the public script.
pub fn tables(repository: &Path) -> Result<Tables> {
    let with = size(repository, &["esp32c3"])?;
    let without = size(repository, &["esp32c3", "without-parlour"])?;
    Ok(vec![("images", table(with, without)?)])
}

fn table(with: u64, without: u64) -> Result<String> {
    let parlour = with.checked_sub(without);
    let parlour = parlour.context("an image with Parlour is smaller than one without")?;
    let [with, without, parlour] = [with, without, parlour].map(thousands);
    Ok(format!(
        "| image of the application for an ESP32-C3 | bytes |\n|---|---:|\n\
         | with Parlour | {with} |\n| without | {without} |\n| difference | {parlour} |\n"
    ))
}

/// Bytes of an image.
fn size(repository: &Path, arguments: &[&str]) -> Result<u64> {
    let directory = repository.join("examples/firmware/esp32c3");
    let output = Command::new(directory.join("image"))
        .args(arguments)
        .env("PARLOUR_CONFIG", "config.example.toml")
        .env_remove("RUSTUP_TOOLCHAIN")
        .stderr(Stdio::inherit())
        .output()
        .context("examples/firmware/esp32c3/image does not start")?;
    ensure!(output.status.success(), "no image of {arguments:?}");
    said(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("the image of {arguments:?} has no size"))
}

/// The size in a line such as `target/esp32c3.bin: 659920 bytes`.
fn said(text: &str) -> Option<u64> {
    let words = text.lines().last()?.strip_suffix(" bytes")?;
    words.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints_becomes_a_table() {
        assert_eq!(said("target/esp32c3.bin: 659920 bytes\n"), Some(659_920));
        assert_eq!(said("esptool: no such file\n"), None);
        assert!(
            table(5_000, 3_000)
                .unwrap()
                .ends_with("| without | 3,000 |\n| difference | 2,000 |\n")
        );
        assert!(table(1, 2).is_err());
    }
}
