//! Characters that nobody sees, or that change how others are seen: a name with them looks like another one, or turns the
//! text around it. They are those that Unicode calls default-ignorable or bidirectional controls, and separators of lines
//! ([UAX #9](https://www.unicode.org/reports/tr9/), [UTS #39](https://www.unicode.org/reports/tr39/)).

/// The first such character of `text` that has no business there.
///
/// Some have: joiners inside words of Arabic and Indic scripts and inside emoji, and variation selectors behind emoji and
/// ideographs. There they change what is seen.
pub(super) fn first_hidden(text: &str) -> Option<char> {
    let mut before = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let after = rest.clone().next();
        if is_hidden(c) && !is_at_home(before, c, after) {
            return Some(c);
        }
        before = Some(c);
    }
    None
}

fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}'
        // Fillers and vowels without a shape: Hangul, Khmer, Mongolian.
        | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}'
        // Zero-width spaces, joiners and marks; separators of lines; embeddings and overrides.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        // Invisible operators, isolates, and what is out of use.
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        | '\u{fe00}'..='\u{fe0f}'
        // Controls of shorthand and music, tags, and the other variation selectors.
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_at_home(before: Option<char>, c: char, after: Option<char>) -> bool {
    let Some(before) = before else {
        return false;
    };
    match c {
        '\u{200c}' | '\u{200d}' => after.is_some_and(|after| {
            is_joined(before) && is_joined(after)
                || c == '\u{200d}'
                    && (is_pictured(before) || before == '\u{fe0f}')
                    && is_pictured(after)
        }),
        '\u{fe00}'..='\u{fe02}' => is_pictured(before) || is_ideograph(before),
        // A keycap is a digit, this one and a frame.
        '\u{fe0f}' => is_pictured(before) || is_key(before) && after == Some('\u{20e3}'),
        '\u{e0100}'..='\u{e01ef}' => is_ideograph(before),
        _ => false,
    }
}

/// Of a script whose letters take another shape beside others: Arabic and its relatives, those of India.
const fn is_joined(c: char) -> bool {
    matches!(c, '\u{620}'..='\u{dff}')
}

const fn is_pictured(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

const fn is_key(c: char) -> bool {
    matches!(c, '#' | '*' | '0'..='9')
}

const fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;
    use crate::room::{DisplayName, IdError};

    #[test]
    fn what_is_not_seen_or_turns_the_text_is_found() {
        let bidi = ['\u{61c}', '\u{200e}', '\u{200f}'].into_iter();
        let bidi = bidi
            .chain('\u{202a}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}');
        let invisible = ('\u{200b}'..='\u{200d}').chain('\u{2060}'..='\u{2064}');
        let others = [
            '\u{feff}',
            '\u{ad}',
            '\u{2028}',
            '\u{2029}',
            '\u{e0041}',
            '\u{3164}',
        ];
        for c in bidi.chain(invisible).chain(others) {
            for text in [format!("{c}Anna"), format!("An{c}na"), format!("Anna{c}")] {
                assert_eq!(first_hidden(&text), Some(c), "{text:?}");
                let refused = Err(IdError::Hidden { character: c });
                assert_eq!(DisplayName::visible(&text), refused);
            }
        }
        // The wire takes them: what comes from another server is no reason to lose a participant.
        assert!(DisplayName::new("An\u{202e}na").is_ok());
        assert_eq!(DisplayName::visible("a\nb"), Err(IdError::Forbidden));
    }

    #[test]
    fn what_is_seen_is_not() {
        for text in [
            "",
            "Zo\u{eb} & Ren\u{e9}",
            "\u{627}\u{644}\u{639}\u{631}\u{628}\u{64a}\u{629}",
            "\u{5d3}\u{5df}",
            "\u{738b}\u{5c0f}\u{660e}",
            // A Persian word with a non-joiner, a Sinhala one with a joiner.
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{dc1}\u{dca}\u{200d}\u{dbb}\u{dd3}",
            // A family, a heart, a rainbow flag, a keycap; a variant of an ideograph.
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "\u{2764}\u{fe0f}",
            "Anna\u{2122}\u{fe0f}\u{203c}\u{fe0f}\u{3299}\u{fe0f}",
            "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
            "1\u{fe0f}\u{20e3}",
            "\u{845b}\u{e0100}",
        ] {
            assert_eq!(first_hidden(text), None, "{text:?}");
        }
    }

    #[test]
    fn in_logs_it_is_escaped() {
        for c in [
            '\u{61c}', '\u{200b}', '\u{200d}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{2028}',
        ] {
            let name = DisplayName::new(&format!("An{c}na")).unwrap();
            let shown = format!("{name:?}");
            assert!(!shown.contains(c), "{shown}");
            assert!(
                shown.contains(&format!("\\u{{{:x}}}", u32::from(c))),
                "{shown}"
            );
        }
        let error = IdError::Hidden {
            character: '\u{202e}',
        };
        assert!(format!("{error}").contains("U+202E"), "{error}");
    }
}
