//! Texts: sentences of a stream of tokens, names, backchannels.

/// The longest sentence; a longer one is cut at a space.
const MAX_SENTENCE: usize = 400;

/// Words that answer nothing while somebody else speaks.
const BACKCHANNELS: [&str; 26] = [
    "ah", "aha", "alright", "hm", "hmm", "huh", "i", "mhm", "mm", "mmhm", "nice", "oh", "ok",
    "okay", "really", "right", "see", "sure", "uh", "uhhuh", "uhm", "um", "wow", "yeah", "yep",
    "yes",
];

/// Makes sentences of tokens.
#[derive(Debug, Default)]
pub(crate) struct Sentences {
    text: String,
}

impl Sentences {
    /// Takes the next piece of text; gives the sentences that are whole.
    pub(crate) fn push(&mut self, token: &str) -> Vec<String> {
        let mut whole = Vec::new();
        for c in token.chars() {
            let c = if c.is_control() { ' ' } else { c };
            if c.is_whitespace() && (self.ends_sentence() || self.text.len() >= MAX_SENTENCE) {
                whole.extend(self.take());
            } else {
                self.text.push(c);
            }
            if self.text.len() >= 2 * MAX_SENTENCE {
                // It has no spaces at all.
                whole.extend(self.take());
            }
        }
        whole
    }

    /// What is left at the end.
    pub(crate) fn take(&mut self) -> Option<String> {
        let sentence = std::mem::take(&mut self.text).trim().to_owned();
        (!sentence.is_empty()).then_some(sentence)
    }

    fn ends_sentence(&self) -> bool {
        self.text
            .trim_end_matches(['"', '\'', ')', '”', '’'])
            .ends_with(['.', '!', '?', '…', ':'])
    }
}

/// A text of another program as one line without control characters, at most `max` bytes long.
pub(crate) fn cleaned(text: &str, max: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_control() || c.is_whitespace()) {
        if word.is_empty() {
            continue;
        }
        if line.len() + word.len() + 1 > max {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// The words of a text in lower case, without what is no letter or digit.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().filter_map(|word| {
        let word = word.chars().filter(|c| c.is_alphanumeric());
        let word = word.flat_map(char::to_lowercase).collect::<String>();
        (!word.is_empty()).then_some(word)
    })
}

/// Whether the text is nothing but a sign that somebody listens.
pub(crate) fn is_backchannel(text: &str) -> bool {
    words(text).all(|word| BACKCHANNELS.contains(&word.as_str()))
}

/// Whether a name, of one or more words, is in the text.
pub(crate) fn names(text: &str, name: &str) -> bool {
    let (text, name): (Vec<_>, Vec<_>) = (words(text).collect(), words(name).collect());
    !name.is_empty() && text.windows(name.len()).any(|part| part == name)
}

/// The first `part` of `whole` of a sentence, in whole words.
pub(crate) fn beginning(sentence: &str, part: usize, whole: usize) -> &str {
    let bytes = (sentence.len() as u128 * part as u128 / whole.max(1) as u128) as usize;
    if bytes >= sentence.len() {
        return sentence;
    }
    let ends = sentence.char_indices().filter(|(_, c)| c.is_whitespace());
    let end = ends.map(|(at, _)| at).take_while(|at| *at <= bytes).last();
    &sentence[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sentences_end_with_their_mark_and_a_space() {
        let mut sentences = Sentences::default();
        assert!(sentences.push("It is 3.5 deg").is_empty());
        assert_eq!(
            sentences.push("rees. \"Really?\" Y"),
            ["It is 3.5 degrees.", "\"Really?\""]
        );
        assert_eq!(sentences.push("es!\nNo"), ["Yes!"]);
        assert_eq!(sentences.take().as_deref(), Some("No"));
        assert_eq!(sentences.take(), None);
    }

    #[test]
    fn backchannels_and_names_are_words() {
        assert!(is_backchannel("Uh-huh, I see.") && is_backchannel("Mhm") && is_backchannel(""));
        assert!(!is_backchannel("stop") && !is_backchannel("Yes, but why?"));
        assert!(names("Hey, ROBO-Tom! Stop", "robo-tom") && names("is Old Tom here?", "old tom"));
        assert!(
            !names("tomorrow", "tom") && !names("old and Tom", "old tom") && !names("tom", " ")
        );
    }

    #[test]
    fn the_beginning_of_a_sentence_has_whole_words() {
        assert_eq!(beginning("one two three", 1, 2), "one");
        assert_eq!(beginning("one two three", 2, 2), "one two three");
        assert_eq!(beginning("über alles", 0, 0), "");
        assert_eq!(beginning("über alles", 1, 2), "über");
    }

    #[test]
    fn texts_of_programs_are_made_tame() {
        assert_eq!(cleaned(" a\u{1b}[31m b\0\n c ", 100), "a [31m b c");
        assert_eq!(cleaned("one two three", 8), "one two");
        assert_eq!(cleaned("one two", 6), "one");
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_sentence_is_long(tokens in prop::collection::vec("[a-z. ]{0,40}|[ü?]{0,9}", 0..60)) {
            let mut sentences = Sentences::default();
            let mut whole: Vec<String> = tokens.iter().flat_map(|token| sentences.push(token)).collect();
            whole.extend(sentences.take());
            prop_assert!(whole.iter().all(|sentence| sentence.len() <= 2 * MAX_SENTENCE + 4));
            let all = tokens.concat();
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&whole.concat()), letters(&all));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}", part in any::<usize>(), whole in any::<usize>(), max in 0..50_usize) {
            prop_assert!(text.starts_with(beginning(&text, part, whole)));
            prop_assert!(cleaned(&text, max).len() <= max);
            let _ = (is_backchannel(&text), names(&text, &text));
        }
    }
}
