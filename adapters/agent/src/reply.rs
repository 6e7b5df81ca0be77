//! The reply under way: what it answers, and which of its text was heard.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::agent::{Said, SpeechEnd};
use crate::engine::Line;
use crate::text::beginning;
use crate::turns::Epoch;
use crate::work::{Made, Work};

/// A text that the application wants to be said.
#[derive(Debug)]
pub(crate) struct Saying {
    pub(crate) number: u64,
    pub(crate) text: String,
    pub(crate) progress: watch::Sender<Said>,
}

impl Saying {
    pub(crate) fn tell(&self, heard: Duration, end: Option<SpeechEnd>) {
        self.progress.send_if_modified(|said| {
            let now = Said { heard, end };
            std::mem::replace(said, now) != now
        });
    }
}

/// One reply, from the end of a turn on.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) epoch: Epoch,
    /// The lines that it answers; none if the agent speaks by itself.
    pub(crate) asked: Vec<Line>,
    pub(crate) saying: Option<Saying>,
    /// `None` once all is made.
    pub(crate) made: Option<mpsc::Receiver<Made>>,
    pub(crate) _work: Work<()>,
    pub(crate) script: Script,
    /// When its first sound came, in ms since the agent began.
    pub(crate) began_ms: Option<u64>,
}

/// The text of a reply along its sound.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Sentences, and the number of samples before each.
    sentences: Vec<(String, usize)>,
    samples: usize,
}

impl Script {
    pub(crate) fn sentence(&mut self, text: String) {
        self.sentences.push((text, self.samples));
    }

    pub(crate) fn sound(&mut self, samples: usize) {
        self.samples += samples;
    }

    /// The text of the first `heard` samples: whole sentences, and of the one that was cut as many words as its share.
    pub(crate) fn heard(&self, heard: usize) -> String {
        let ends = self.sentences.iter().skip(1).map(|(_, begins)| *begins);
        let ends = ends.chain([self.samples]);
        let heard = self
            .sentences
            .iter()
            .zip(ends)
            .filter_map(|((text, begins), end)| {
                let part = heard.saturating_sub(*begins);
                (part > 0).then(|| beginning(text, part, end - begins))
            });
        heard
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_is_whole_sentences_and_a_share_of_one() {
        let mut script = Script::default();
        assert_eq!(script.heard(0), "");
        script.sentence("The lamp is on.".to_owned());
        script.sound(1_000);
        script.sentence("It is late now.".to_owned());
        script.sound(600);
        script.sound(400);
        script.sentence("Good night.".to_owned());
        assert_eq!(script.heard(0), "");
        assert_eq!(script.heard(600), "The lamp");
        assert_eq!(script.heard(1_000), "The lamp is on.");
        assert_eq!(script.heard(1_600), "The lamp is on. It is");
        // The last one has no sound yet.
        assert_eq!(script.heard(2_000), "The lamp is on. It is late now.");
        assert_eq!(
            script.heard(9_999),
            "The lamp is on. It is late now. Good night."
        );
    }
}
