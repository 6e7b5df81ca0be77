//! Progress bars, for what takes long: load, downloads, backups.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr that shows how many of `total` are done, which `unit` names: `bytes`, or a plural. It is silent when stderr
/// is no terminal. Call `inc` and `set_message` on it, and `finish_and_clear` at the end.
pub(crate) fn bar(total: u64, unit: &str) -> ProgressBar {
    let counted = if unit == "bytes" {
        "{bytes}/{total_bytes} {bytes_per_sec}".to_owned()
    } else {
        format!("{{pos}}/{{len}} {unit}")
    };
    let template = format!("{{wide_bar}} {counted} {{eta}} {{msg}}");
    let bar = ProgressBar::new(total);
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
