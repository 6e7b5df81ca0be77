//! The measurements as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::firmware::{Figures, MPS2, Machine, VIRT};
use crate::owner::Part;
use crate::panics::Panics;
use crate::sizes::{Parts, Sizes};

/// An ESP32-C3's clock.
const C3_HZ: f64 = 160e6;
const FRAMES_PER_SECOND: f64 = 50.0;

/// The figures of a machine.
#[derive(Debug, Default)]
pub struct Measured {
    /// By the firmware's variant.
    pub sizes: Vec<(&'static str, Sizes)>,
    /// By the kind of count.
    pub runs: BTreeMap<&'static str, Figures>,
}

#[derive(Debug)]
pub struct Report {
    pub virt: Measured,
    pub mps2: Measured,
    pub panics: Panics,
}

/// A table's name, as in its place in the document, and the table.
pub type Tables = Vec<(&'static str, String)>;

impl Measured {
    fn figure(&self, run: &str, name: &str) -> u64 {
        let figures = self.runs.get(run);
        figures
            .and_then(|figures| figures.get(name))
            .copied()
            .unwrap_or_default()
    }

    /// Checks that the runs measured what they should: instructions of known number, and audio that went both ways
    /// without a loss.
    pub fn check_runs(&self, machine: &Machine) -> Result<()> {
        for known in [1_000, 10_000, 100_000, 1_000_000] {
            let counted = self.figure("loop", &format!("loop/{known}"));
            ensure!(
                counted.abs_diff(known) <= machine.error,
                "loop: {known} instructions are counted as {counted}"
            );
        }
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

    /// Bytes of flash of some parts, of the smallest firmware.
    fn flash(&self, parts: &[Part]) -> u64 {
        let of = |part| {
            let (_, sizes) = self.sizes.first()?;
            sizes.flash.get(part).copied()
        };
        parts.iter().filter_map(of).sum()
    }

    fn json(&self) -> Value {
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
        json!({"sizes": sizes, "runs": self.runs})
    }
}

impl Report {
    fn machines(&self) -> [(&'static Machine, &Measured); 2] {
        [(&VIRT, &self.virt), (&MPS2, &self.mps2)]
    }

    pub fn tables(&self) -> Tables {
        vec![
            ("flash", self.split(|sizes| &sizes.flash)),
            ("ram", self.split(|sizes| &sizes.ram)),
            ("participant", self.participant()),
            ("parts", self.parts()),
            ("opus", self.opus()),
            ("device", self.device()),
            ("device-arm", self.device_arm()),
        ]
    }

    fn split(&self, which: impl Fn(&Sizes) -> &Parts) -> String {
        let mut variants = Vec::new();
        let mut heads = vec!["part".to_owned()];
        for (machine, measured) in self.machines() {
            for (at, (does, sizes)) in measured.sizes.iter().enumerate() {
                variants.push(which(sizes));
                heads.push(if at == 0 {
                    format!("{}: {does}", machine.processor)
                } else {
                    (*does).to_owned()
                });
            }
        }
        let mut table = head(&heads);
        for part in Part::ALL {
            let values: Vec<u64> = variants
                .iter()
                .map(|parts| parts.get(&part).copied().unwrap_or(0))
                .collect();
            if values.iter().any(|value| *value > 0) {
                table.push_str(&row(&part.to_string(), &values));
            }
        }
        let sums: Vec<u64> = variants.iter().map(|parts| parts.values().sum()).collect();
        table.push_str(&row("**all**", &sums));
        table
    }

    /// Protocol state and buffers, without codec and network stack.
    fn participant(&self) -> String {
        let mut columns = Vec::new();
        let mut heads = vec![String::new()];
        for (machine, measured) in self.machines() {
            let size = |name: &str| measured.figure("sizes", &format!("size/{name}"));
            let code = measured.flash(&[Part::Core, Part::Crypto]);
            for (voices, suffix, head) in [
                (1, "/1-slot-4-participants", "one voice, 4 participants"),
                (2, "", "two voices, 8 participants"),
            ] {
                let client = size(&format!("client{suffix}"));
                let jitter = voices * size("jitter") + size("lateness");
                let datagram = size("datagram");
                let resources = size(&format!("resources{suffix}"));
                let sum = client + jitter + datagram;
                columns.push([client, jitter, datagram, sum, code, resources]);
                heads.push(if voices == 1 {
                    format!("{}: {head}", machine.processor)
                } else {
                    head.to_owned()
                });
            }
        }
        let mut table = head(&heads);
        for (at, name) in [
            "RAM: `Client`",
            "RAM: jitter buffers, 12 packets of 160 bytes each, and what they share",
            "RAM: the datagram being read or written",
            "**RAM** (aim: 16,384)",
            "**flash**: core and cryptography (aim: 49,152)",
            "all of `Resources`: with G.711, PCM, the socket's rings",
        ]
        .into_iter()
        .enumerate()
        {
            let values: Vec<u64> = columns.iter().map(|column| column[at]).collect();
            table.push_str(&row(name, &values));
        }
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
            ("echo filter, 8 kHz, 128 taps: 16 ms", "echo-8-16"),
            ("echo filter, 8 kHz, 256 taps: 32 ms", "echo-8-32"),
            ("echo filter, 8 kHz, 512 taps: 64 ms", "echo-8-64"),
            ("echo filter, 16 kHz, 512 taps: 32 ms", "echo-16-32"),
            ("speech gate", "speech"),
            (
                "joining, once: key generation, two X25519, the handshake",
                "join",
            ),
            (
                "the longest call of these, in which no other task runs",
                "join-longest",
            ),
        ];
        let machines = self.machines();
        let mut heads = vec!["instructions per 20 ms".to_owned()];
        heads.extend(machines.map(|(machine, _)| machine.processor.to_owned()));
        let mut table = head(&heads);
        for (name, figure) in rows {
            let figure = format!("parts/{figure}");
            let values = machines.map(|(_, measured)| measured.figure("parts", &figure));
            table.push_str(&row(name, &values));
        }
        table
    }

    fn opus(&self) -> String {
        let mut table = String::from(
            "| complexity | bytes per packet | riscv32imac: encode | MIPS | % of a C3 | decode | MIPS | % of a C3 | \
             Cortex-M4F: encode | MIPS | decode | MIPS |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for complexity in [0, 2, 5] {
            let of = |measured: &Measured, name: &str| {
                measured.figure("opus-parts", &format!("opus/{complexity}/{name}"))
            };
            let [encode, decode] = ["encode", "decode"].map(|name| load(of(&self.virt, name)));
            let [arm_encode, arm_decode] =
                ["encode", "decode"].map(|name| mips(of(&self.mps2, name)));
            let bytes = of(&self.virt, "bytes");
            let _ = writeln!(
                table,
                "| {complexity} | {bytes} | {encode} | {decode} | {arm_encode} | {arm_decode} |",
            );
        }
        table
    }

    /// The device on RISC-V, with its share of a common chip.
    fn device(&self) -> String {
        rooms(&self.virt, " | % of a C3", "|---:", load)
    }

    fn device_arm(&self) -> String {
        rooms(&self.mps2, "", "", mips)
    }

    pub fn json(&self) -> Value {
        let panics: Vec<_> = (self.panics.iter())
            .map(|(panic, lines)| json!({"file": panic.file, "what": panic.what, "lines": lines}))
            .collect();
        let machines = self
            .machines()
            .map(|(machine, measured)| (machine.processor.to_owned(), measured.json()));
        let machines: serde_json::Map<_, _> = machines.into_iter().collect();
        json!({"machines": machines, "panics": panics})
    }
}

/// A device in a room.
fn rooms(measured: &Measured, column: &str, line: &str, load: impl Fn(u64) -> String) -> String {
    let rows = [
        ("G.711 both ways, audio at 8 kHz", "g711-8"),
        ("G.711 both ways, audio at 16 kHz", "g711"),
        ("hears Opus, says G.711, 16 kHz", "opus-g711"),
        ("Opus both ways, 16 kHz, complexity 0", "opus"),
        ("nobody talks, the audio clock runs", "silence"),
        ("nobody talks, no audio clock", "idle"),
    ];
    let mut table = format!(
        "| a device in a room | network stack | `Runner` | audio task | executor | all, per 20 ms | MIPS{column} |\n\
         |---|---:|---:|---:|---:|---:|---:{line}|\n"
    );
    for (name, run) in rows {
        let [stack, runner, audio, executor, all] =
            ["stack", "runner", "audio", "executor", "device"]
                .map(|figure| measured.figure(run, &format!("room/{figure}")));
        let cells = [stack, runner, audio, executor].map(thousands).join(" | ");
        let _ = writeln!(table, "| {name} | {cells} | {} |", load(all));
    }
    let second = measured.figure("idle", "room/second");
    let _ = writeln!(
        table,
        "\nA second in a room where nobody talks: {} instructions.",
        thousands(second)
    );
    table
}

/// The first two lines of a table with numbers.
fn head(columns: &[String]) -> String {
    let numbers = "---:|".repeat(columns.len().saturating_sub(1));
    format!("| {} |\n|---|{numbers}\n", columns.join(" | "))
}

fn row(name: &str, values: &[u64]) -> String {
    let values: Vec<_> = values.iter().copied().map(thousands).collect();
    format!("| {name} | {} |\n", values.join(" | "))
}

/// Instructions in 20 ms.
fn mips(instructions: u64) -> String {
    let per_second = instructions as f64 * FRAMES_PER_SECOND;
    format!("{} | {:.1}", thousands(instructions), per_second / 1e6)
}

/// The same, and the share of a processor that executes one per cycle.
fn load(instructions: u64) -> String {
    let per_second = instructions as f64 * FRAMES_PER_SECOND;
    format!(
        "{} | {:.1} %",
        mips(instructions),
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
