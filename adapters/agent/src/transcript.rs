//! What was said, as messages to all: JSON of the topic [`TOPIC`], in as many parts as a message's size wants.
//!
//! ```json
//! {"id":7,"part":0,"last":true,"who":"anna","from_ms":12340,"text":"turn on the lamp","final":true}
//! ```
//!
//! | member | means |
//! |---|---|
//! | `id` | counts the transcripts of this sender |
//! | `part`, `last` | counts the parts of one transcript from 0, and marks the last one: their texts, one after the other, are the text |
//! | `who` | who said it: another participant, or the sender itself |
//! | `from_ms` | when it began, in ms since the sender began to listen |
//! | `final` | whether the text will not change any more. One that is not final is replaced by the next with its `id` |

use std::collections::BTreeMap;

use parlour_core::signal::MAX_BODY;
use parlour_tokio::ParticipantId;
use serde::{Deserialize, Serialize};

/// The topic of transcripts.
pub const TOPIC: &str = "transcript";

/// Bytes of a text; of a longer one, the rest is dropped.
pub const MAX_TEXT: usize = 16 * 1024;
/// Senders whose transcripts may be incomplete at a time.
const MAX_SENDERS: usize = 32;

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// Counts the transcripts of this sender.
    pub id: u64,
    /// The participant who said it.
    pub who: ParticipantId,
    /// When it began, in ms since the sender began to listen.
    pub from_ms: u64,
    /// What was said. Of an agent's reply, what was heard of it.
    pub text: String,
    /// Whether the text will not change any more.
    pub is_final: bool,
}

/// One message.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    id: u64,
    part: u32,
    last: bool,
    who: ParticipantId,
    from_ms: u64,
    text: String,
    #[serde(rename = "final")]
    is_final: bool,
}

impl Transcript {
    /// The bodies of the messages that say it, of at most [`MAX_BODY`] bytes each.
    pub fn to_messages(&self) -> Vec<Vec<u8>> {
        let mut part = Part {
            id: self.id,
            part: u32::MAX,
            last: false,
            who: self.who.clone(),
            from_ms: self.from_ms,
            text: String::new(),
            is_final: false,
        };
        // As long as it gets, without a text. Serializing names and numbers does not fail.
        let frame = serde_json::to_vec(&part).map_or(MAX_BODY, |json| json.len());
        let room = MAX_BODY.saturating_sub(frame);
        let mut texts = vec![String::new()];
        let (mut taken, mut len) = (0, 0);
        for c in self.text.chars() {
            taken += c.len_utf8();
            if taken > MAX_TEXT {
                break;
            }
            let escaped = escaped_len(c);
            if len + escaped > room {
                texts.push(String::new());
                len = 0;
            }
            len += escaped;
            if let Some(text) = texts.last_mut() {
                text.push(c);
            }
        }
        let last = texts.len() - 1;
        part.is_final = self.is_final;
        let bodies = texts.into_iter().enumerate().map(|(index, text)| {
            (part.part, part.last, part.text) = (index as u32, index == last, text);
            serde_json::to_vec(&part).unwrap_or_default()
        });
        bodies.collect()
    }
}

/// Bytes of a character in a string of JSON.
fn escaped_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if u32::from(c) < 0x20 => 6,
        c => c.len_utf8(),
    }
}

/// Puts the parts of transcripts together again.
///
/// Any participant that may send messages may send transcripts, also of what was never said: ask the sender's id before you
/// believe them. Parts of one sender never become part of another's transcript.
///
/// ```
/// use parlour_agent::{Transcript, Transcripts};
/// use parlour_agent::parlour_core::room::ParticipantId;
///
/// let agent = ParticipantId::new("agent")?;
/// let text = "That is a long story. ".repeat(100);
/// let said = Transcript { id: 1, who: agent.clone(), from_ms: 0, text, is_final: true };
/// let mut transcripts = Transcripts::default();
/// let messages = said.to_messages();
/// let whole = messages.iter().filter_map(|body| transcripts.take(&agent, body)).next();
/// assert_eq!(whole, Some(said));
/// # Ok::<(), parlour_agent::parlour_core::room::IdError>(())
/// ```
#[derive(Debug, Default)]
pub struct Transcripts {
    open: BTreeMap<ParticipantId, (u32, Transcript)>,
}

impl Transcripts {
    /// Takes the body of a message of the topic [`TOPIC`]; gives the transcript of which it is the last part. What is no part, or
    /// not the next one, is dropped.
    pub fn take(&mut self, from: &ParticipantId, body: &[u8]) -> Option<Transcript> {
        let part: Part = serde_json::from_slice(body).ok()?;
        let (count, mut whole) = match self.open.remove(from) {
            Some((count, open))
                if (count, open.id, &open.who) == (part.part, part.id, &part.who) =>
            {
                (count, open)
            }
            _ if part.part == 0 => (
                0,
                Transcript {
                    id: part.id,
                    who: part.who,
                    from_ms: part.from_ms,
                    text: String::new(),
                    is_final: part.is_final,
                },
            ),
            _ => return None,
        };
        whole.text.push_str(&part.text);
        if whole.text.len() > MAX_TEXT {
            return None;
        }
        if part.last {
            return Some(whole);
        }
        if self.open.len() >= MAX_SENDERS {
            self.open.pop_first();
        }
        self.open.insert(from.clone(), (count + 1, whole));
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(who: &str) -> ParticipantId {
        ParticipantId::new(who).unwrap()
    }

    fn said(id_: u64, text: &str) -> Transcript {
        Transcript {
            id: id_,
            who: id(&"w".repeat(ParticipantId::MAX_LEN)),
            from_ms: u64::MAX,
            text: text.to_owned(),
            is_final: true,
        }
    }

    #[test]
    fn what_is_no_next_part_is_dropped() {
        let (anna, ben) = (id("anna"), id("ben"));
        let (first, other) = (said(1, &"a".repeat(900)), said(1, &"b".repeat(900)));
        let (first_parts, other_parts) = (first.to_messages(), other.to_messages());
        assert!(first_parts.len() > 1);
        let mut transcripts = Transcripts::default();
        assert_eq!(transcripts.take(&anna, &first_parts[0]), None);
        // An imitator's parts are its own.
        assert_eq!(transcripts.take(&ben, &other_parts[0]), None);
        let mut got = None;
        for body in &first_parts[1..] {
            got = transcripts.take(&anna, body);
        }
        assert_eq!(got, Some(first));
        // Out of order, and nonsense.
        let last = other_parts.last().unwrap();
        assert_eq!(transcripts.take(&anna, last), None);
        assert_eq!(transcripts.take(&anna, b"{\"id\":\"x\"}"), None);
        assert_eq!(transcripts.take(&anna, b"\xff\0"), None);
    }

    #[test]
    fn a_part_that_is_missing_is_noticed_and_escapes_are_counted() {
        let quotes = said(1, &"\"".repeat(2_000)).to_messages();
        assert!(quotes.len() > 2 && quotes.iter().all(|body| body.len() <= MAX_BODY));
        let mut transcripts = Transcripts::default();
        let without_second = quotes.iter().enumerate().filter(|(part, _)| *part != 1);
        for (_, body) in without_second {
            assert_eq!(transcripts.take(&id("anna"), body), None);
        }
    }

    #[test]
    fn a_sender_without_end_is_dropped() {
        let mut transcripts = Transcripts::default();
        for part in 0..1_000_u32 {
            let text = "x".repeat(300);
            let part = Part {
                id: 1,
                part,
                last: false,
                who: id("a"),
                from_ms: 0,
                text,
                is_final: true,
            };
            assert_eq!(
                transcripts.take(&id("a"), &serde_json::to_vec(&part).unwrap()),
                None
            );
            assert!(
                transcripts
                    .open
                    .values()
                    .all(|(_, open)| open.text.len() <= MAX_TEXT)
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_whole(text in "(\\PC|[\"\\\\\\n\\x01ü😀]){0,900}", number in any::<u64>()) {
            let said = said(number, &text);
            let mut transcripts = Transcripts::default();
            let messages = said.to_messages();
            prop_assert!(messages.iter().all(|body| body.len() <= MAX_BODY));
            let mut got: Vec<_> = messages.iter().map(|body| transcripts.take(&id("a"), body)).collect();
            prop_assert_eq!(got.pop().flatten(), Some(said));
            prop_assert!(got.iter().all(Option::is_none));
        }
    }
}
