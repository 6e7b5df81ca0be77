use parlour_core::client::{Message, RequestFailure};
use parlour_core::room::{ParticipantId, Topic};
use parlour_core::signal::{Outcome, Refusal, RequestId};

use super::settings;
use crate::{Refresh, SENDER, TOPIC};

fn message<'a>(from: &str, topic: &str, body: &'a [u8]) -> Message<'a> {
    Message {
        from: ParticipantId::new(from).unwrap(),
        topic: Topic::new(topic).unwrap(),
        body,
    }
}

#[test]
fn only_the_server_offers_tokens() {
    assert_eq!(
        Refresh::offered(&message(SENDER, TOPIC, b"d.e.f")),
        Some("d.e.f")
    );
    assert_eq!(Refresh::offered(&message("anna", TOPIC, b"d.e.f")), None);
    assert_eq!(Refresh::offered(&message(SENDER, "chat", b"d.e.f")), None);
    assert_eq!(Refresh::offered(&message(SENDER, TOPIC, &[0xff])), None);
}

#[test]
fn a_token_counts_once_the_server_has_taken_it() {
    let mut refresh = Refresh::new();
    let (mut settings, before) = (settings(1), settings(1));
    let done = Ok(Outcome::Done);
    refresh.asked("d.e.f", Some(RequestId(7)));
    assert!(!refresh.replied(RequestId(6), &done, &mut settings));
    assert_eq!(settings, before);
    assert!(refresh.replied(RequestId(7), &done, &mut settings));
    assert_eq!(settings.ticket().token, "d.e.f");
    assert_eq!(settings.ticket().host, before.ticket().host);
    // The same number belongs to another request next time.
    assert!(!refresh.replied(RequestId(7), &done, &mut settings));
}

#[test]
fn a_token_that_the_server_refuses_changes_nothing() {
    let mut refresh = Refresh::new();
    let mut settings = settings(1);
    let before = settings.clone();
    let refused = Err(RequestFailure::Refused(Refusal::InvalidToken));
    refresh.asked("forged", Some(RequestId(7)));
    assert!(!refresh.replied(RequestId(7), &refused, &mut settings));
    // No request could be made.
    refresh.asked("d.e.f", None);
    assert!(!refresh.replied(RequestId(7), &Ok(Outcome::Done), &mut settings));
    assert_eq!(settings, before);
}
