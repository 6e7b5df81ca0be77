//! Tickets and names, as users paste them.
//!
//! Input: text. The first byte chooses what stands before it.

use parlour_core::room::{DisplayName, ParticipantId, RoomId, StreamKey, Topic};
use parlour_core::ticket::Ticket;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Parses and prints again.
pub fn run(data: &[u8]) {
    let Some((&prefix, text)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    names(&text);
    match prefix % 4 {
        0 => ticket(&text),
        1 => ticket(&format!("parlour://{text}")),
        2 => ticket(&format!("parlour://{text}/{KEY}#t")),
        _ => ticket(&format!("parlour://h:1/{KEY}#{text}")),
    }
}

fn ticket(text: &str) {
    let Ok(ticket) = Ticket::parse(text) else {
        return;
    };
    assert!(!ticket.host.is_empty() && ticket.port != 0 && !ticket.token.is_empty());
    let printed = ticket.to_string();
    assert_eq!(Ticket::parse(&printed), Ok(ticket));
    // Nothing of the token shows in what is logged.
    let other = Ticket {
        token: "another",
        ..ticket
    };
    assert_eq!(format!("{ticket:?}"), format!("{other:?}"));
}

fn names(text: &str) {
    macro_rules! check {
        ($name:ident) => {
            if let Ok(name) = $name::new(text) {
                assert_eq!(name.as_str(), text);
                assert_eq!(name.to_string(), text);
                assert!(text.len() <= $name::MAX_LEN);
                assert!(!text.chars().any(char::is_control));
            }
        };
    }
    check!(RoomId);
    check!(ParticipantId);
    check!(StreamKey);
    check!(Topic);
    check!(DisplayName);
}
