//! The measurements as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::firmware::Figures;
use crate::owner::Part;
use crate::panics::Panics;
use crate::sizes::{Parts, Sizes};

/// An ESP32-C3's clock.
const C3_HZ: f64 = 160e6;
const FRAMES_PER_SECOND: f64 = 50.0;

#[derive(Debug, Default)]
pub struct Report {
    /// By the firmware's variant.
    pub sizes: Vec<(&'static str, Sizes)>,
    /// By the kind of count.
    pub runs: BTreeMap<&'static str, Figures>,
    pub panics: Panics,
}

/// A table's name, as in its place in the document, and the table.
pub type Tables = Vec<(&'static str, String)>;

impl Report {
    fn figure(&self, run: &str, name: &str) -> u64 {
        let figures = self.runs.get(run);
        figures
            .and_then(|figures| figures.get(name))
            .copied()
            .unwrap_or_default()
    }

    /// Checks that the runs measured what they should: audio went both ways, and none was lost.
    pub fn check_runs(&self) -> Result<()> {
        for run in ["g711-8", "g711", "opus-g711", "opus"] {
            let [frames, said, heard, spoilt] = ["frames", "said", "heard", "spoilt"]
                .map(|name| self.figure(run, &format!("room/{name}")));
            let whole = |packets: u64| packets.abs_diff(frames) <= 1;
            ensure!(
                frames > 0 && whole(said) && whole(heard) && spoilt == 0,
                "{run}: of {frames} frames, {said} were said and {heard} heard, {spoilt} spoilt"
            );
        }
        ensure!(
            self.figure("parts", "parts/heard") >= 99,
            "parts: not everything was opened"
        );
        Ok(())
    }

    pub fn tables(&self) -> Tables {
        vec![
            ("flash", self.split(|sizes| &sizes.flash)),
            ("ram", self.split(|sizes| &sizes.ram)),
            ("participant", self.participant()),
            ("parts", self.parts()),
            ("opus", self.opus()),
            ("device", self.device()),
        ]
    }

    fn split(&self, which: impl Fn(&Sizes) -> &Parts) -> String {
        let mut table = String::from("| part |");
        for (does, _) in &self.sizes {
            let _ = write!(table, " {does} |");
        }
        table.push_str("\n|---|");
        table.push_str(&"---:|".repeat(self.sizes.len()));
        let mut row = |name: &str, values: Vec<u64>| {
            let _ = write!(table, "\n| {name} |");
            values.iter().for_each(|value| {
                let _ = write!(table, " {} |", thousands(*value));
            });
        };
        for part in Part::ALL {
            let values: Vec<u64> = self
                .sizes
                .iter()
                .map(|(_, sizes)| which(sizes).get(&part).copied().unwrap_or(0))
                .collect();
            if values.iter().any(|value| *value > 0) {
                row(&part.to_string(), values);
            }
        }
        row(
            "**all**",
            self.sizes
                .iter()
                .map(|(_, sizes)| which(sizes).values().sum())
                .collect(),
        );
        table.push('\n');
        table
    }

    /// Protocol state and buffers, without codec and network stack.
    fn participant(&self) -> String {
        let size = |name: &str| self.figure("sizes", &format!("size/{name}"));
        let flash = |part| {
            self.sizes
                .first()
                .and_then(|(_, sizes)| sizes.flash.get(&part))
                .copied()
                .unwrap_or(0)
        };
        let mut table = String::from(
            "| | one voice, 4 participants | two voices, 8 participants |\n|---|---:|---:|\n",
        );
        let small = size("client/1-slot-4-participants");
        let rows = [
            ("RAM: `Client`", small, size("client")),
            (
                "RAM: jitter buffers, 12 packets of 160 bytes each",
                size("jitter"),
                2 * size("jitter"),
            ),
            (
                "RAM: the datagram being read or written",
                size("datagram"),
                size("datagram"),
            ),
        ];
        for (name, one, two) in rows {
            let _ = writeln!(
                table,
                "| {name} | {} | {} |",
                thousands(one),
                thousands(two)
            );
        }
        let (one, two) = rows
            .iter()
            .fold((0, 0), |sum, row| (sum.0 + row.1, sum.1 + row.2));
        let _ = writeln!(
            table,
            "| **RAM** (aim: 16,384) | {} | {} |",
            thousands(one),
            thousands(two)
        );
        let code = flash(Part::Core) + flash(Part::Crypto);
        let _ = writeln!(
            table,
            "| **flash**: core and cryptography (aim: 49,152) | {0} | {0} |",
            thousands(code)
        );
        let (one, two) = (size("resources/1-slot-4-participants"), size("resources"));
        let _ = writeln!(
            table,
            "| all of `Resources`: with G.711, PCM, the socket's rings | {} | {} |",
            thousands(one),
            thousands(two)
        );
        table
    }

    fn parts(&self) -> String {
        let rows = [
            ("packetize", "packetize"),
            ("compose and seal a datagram", "seal"),
            ("open it, depacketize", "open"),
            ("timers and events of the client", "client-rest"),
            ("jitter buffer: push", "jitter-push"),
            ("jitter buffer: pull", "jitter-pull"),
            ("G.711: encode 160 samples", "g711-encode"),
            ("G.711: decode 160 samples", "g711-decode"),
            ("resample 16 to 8 kHz", "resample-16-to-8"),
            ("resample 8 to 16 kHz", "resample-8-to-16"),
            ("level of 320 samples", "level"),
        ];
        let mut table = String::from("| part | instructions per 20 ms |\n|---|---:|\n");
        for (name, figure) in rows {
            let _ = writeln!(
                table,
                "| {name} | {} |",
                thousands(self.figure("parts", &format!("parts/{figure}")))
            );
        }
        let _ = writeln!(
            table,
            "| joining, once: key generation, two X25519, the handshake | {} |",
            thousands(self.figure("parts", "parts/join"))
        );
        let _ = writeln!(
            table,
            "| the longest call of these, in which no other task runs | {} |",
            thousands(self.figure("parts", "parts/join-longest"))
        );
        table
    }

    fn opus(&self) -> String {
        let mut table = String::from(
            "| complexity | bytes per packet | encode | MIPS | % of a C3 | decode | MIPS | % of a C3 |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for complexity in [0, 2, 5] {
            let of = |name: &str| self.figure("opus-parts", &format!("opus/{complexity}/{name}"));
            let (encode, decode) = (of("encode"), of("decode"));
            let _ = writeln!(
                table,
                "| {complexity} | {} | {} | {} |",
                of("bytes"),
                load(encode),
                load(decode)
            );
        }
        table
    }

    fn device(&self) -> String {
        let rows = [
            ("G.711 both ways, audio at 8 kHz", "g711-8"),
            ("G.711 both ways, audio at 16 kHz", "g711"),
            ("hears Opus, says G.711, 16 kHz", "opus-g711"),
            ("Opus both ways, 16 kHz, complexity 0", "opus"),
            ("nobody talks, the audio clock runs", "silence"),
            ("nobody talks, no audio clock", "idle"),
        ];
        let mut table = String::from(
            "| a device in a room | network stack | `Runner` | audio task | executor | all, per 20 ms | MIPS | % of a C3 |\n|---|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for (name, run) in rows {
            let [stack, runner, audio, executor, all] =
                ["stack", "runner", "audio", "executor", "device"]
                    .map(|figure| self.figure(run, &format!("room/{figure}")));
            let cells = [stack, runner, audio, executor].map(thousands).join(" | ");
            let _ = writeln!(table, "| {name} | {cells} | {} |", load(all));
        }
        let second = self.figure("idle", "room/second");
        let _ = writeln!(
            table,
            "\nA second in a room where nobody talks: {} instructions.",
            thousands(second)
        );
        table
    }

    pub fn json(&self) -> Value {
        let parts = |parts: &Parts| -> Value {
            parts
                .iter()
                .map(|(part, bytes)| (format!("{part:?}"), json!(bytes)))
                .collect()
        };
        let sizes: serde_json::Map<_, _> = (self.sizes.iter())
            .map(|(does, sizes)| {
                (
                    (*does).to_owned(),
                    json!({"flash": parts(&sizes.flash), "ram": parts(&sizes.ram)}),
                )
            })
            .collect();
        let panics: Vec<_> = (self.panics.iter())
            .map(|(panic, lines)| json!({"file": panic.file, "what": panic.what, "lines": lines}))
            .collect();
        json!({"sizes": sizes, "runs": self.runs, "panics": panics})
    }
}

/// Instructions in 20 ms, and the share of a processor that executes one per cycle.
fn load(instructions: u64) -> String {
    let per_second = instructions as f64 * FRAMES_PER_SECOND;
    format!(
        "{} | {:.1} | {:.1} %",
        thousands(instructions),
        per_second / 1e6,
        per_second / C3_HZ * 100.0
    )
}

pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_the_documents() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(load(96_000), "96,000 | 4.8 | 3.0 %");
    }
}
