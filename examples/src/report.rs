//! The results, for people and for programs.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::timeline::Entry;
use crate::verdict::{HEARD, Row, SILENT};

/// The results of a meeting.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether all steps happened as scripted and all audio was heard as expected.
    pub passed: bool,
    /// Chance of a datagram to be lost, 0 to 1.
    pub loss: f64,
    /// Delay of each datagram, in ms.
    pub delay_ms: u16,
    /// Its variation, in ms.
    pub jitter_ms: u16,
    /// The seed of the network's random events.
    pub seed: u64,
    /// The gap in the device's audio when its socket was replaced, in ms.
    pub socket_gap_ms: u64,
    /// The results of each speaker and listener.
    pub heard: Vec<Row>,
    /// The events of the meeting.
    pub timeline: Vec<Entry>,
}

impl Report {
    /// The failures, line by line.
    pub fn complaints(&self) -> Vec<String> {
        let steps = self.timeline.iter().filter(|entry| !entry.ok);
        let rows = self.heard.iter().filter(|row| !row.ok).map(|row| {
            let Row {
                scene,
                speaker,
                hearer,
                similarity,
                level,
                ..
            } = row;
            match row.should_be_heard {
                true => {
                    format!("{scene}: {hearer} did not hear {speaker} (similarity {similarity:.2})")
                }
                false => format!("{scene}: {hearer} heard something of {speaker} ({level} dBov)"),
            }
        });
        steps
            .map(|entry| format!("{}: {}", entry.who, entry.what))
            .chain(rows)
            .collect()
    }

    /// The table of speakers and listeners.
    pub fn table(&self) -> String {
        let mut table = format!(
            "{:<12} {:<25} {:>5} {:>8} {:>5} {:>10} {:>12} {:>10} {:>7}\n",
            "scene",
            "speaker → hearer",
            "sent",
            "received",
            "lost",
            "concealed",
            "mouth to ear",
            "similarity",
            "level",
        );
        for row in &self.heard {
            let pair = format!("{} → {}", row.speaker, row.hearer);
            let delay = row
                .delay_ms
                .map_or("-".to_owned(), |delay| format!("{delay:.0} ms"));
            let lost = row.lost.map_or("-".to_owned(), |lost| lost.to_string());
            let verdict = match (row.should_be_heard, row.ok) {
                (true, true) => "heard",
                (true, false) => "NOT HEARD",
                (false, true) => "not heard, rightly",
                (false, false) => "HEARD",
            };
            table += &format!(
                "{:<12} {pair:<25} {:>5} {:>8} {lost:>5} {:>7} ms {delay:>12} {:>10.2} {:>7}  {verdict}\n",
                row.scene, row.sent, row.received, row.concealed_ms, row.similarity, row.level,
            );
        }
        table
    }

    /// The meaning of the table's figures.
    pub fn legend() -> String {
        format!(
            "Packets are those of the turn. Mouth to ear: found by correlating what was heard with what was said, and \
             the 20 ms\nthat a microphone takes to fill a frame. Similarity, 0 to 1: of how loud both are in 20 bands, \
             100 times a second;\nheard from {HEARD} on. Level in dBov: not heard up to {SILENT}."
        )
    }

    /// Checks that [`write_json`](Self::write_json) can write there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn check_json(path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, "").with_context(|| {
            format!(
                "cannot write {}: choose another file with --json",
                path.display()
            )
        })
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |scene, should_be_heard, ok| Row {
            scene,
            speaker: "host + device".to_owned(),
            hearer: "listener",
            should_be_heard,
            sent: 150,
            received: 148,
            lost: should_be_heard.then_some(2),
            concealed_ms: 40,
            delay_ms: should_be_heard.then_some(123.4),
            similarity: 0.93,
            level: -20,
            ok,
        };
        let entry = |ok| Entry {
            at: 1.0,
            part: "Join",
            who: "host",
            what: "joins".to_owned(),
            ok,
        };
        Report {
            passed: false,
            loss: 0.1,
            delay_ms: 0,
            jitter_ms: 40,
            seed: 1,
            socket_gap_ms: 60,
            heard: vec![row("turn", true, true), row("muted", false, false)],
            timeline: vec![entry(true), entry(false)],
        }
    }

    #[test]
    fn only_what_is_wrong_is_complained_about() {
        let complaints = report().complaints();
        assert_eq!(complaints.len(), 2);
        assert_eq!(complaints[0], "host: joins");
        assert!(complaints[1].contains("muted: listener heard something of host + device"));
    }

    #[test]
    fn the_table_has_a_line_for_each_turn() {
        let table = report().table();
        assert_eq!(table.lines().count(), 3);
        let turn = table.lines().nth(1).unwrap();
        for figure in ["150", "148", "40 ms", "123 ms", "0.93", "heard"] {
            assert!(turn.contains(figure), "{turn}");
        }
    }

    #[test]
    fn json_holds_the_table() {
        let file = tempfile::NamedTempFile::new().unwrap();
        report().write_json(file.path()).unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
        assert_eq!(json["heard"][0]["delay_ms"], 123.4);
        assert_eq!(json["heard"][1]["delay_ms"], serde_json::Value::Null);
        let error = Report::check_json(Path::new("/no/such/file")).unwrap_err();
        assert!(error.to_string().contains("--json"), "{error}");
    }
}
