//! What is sent: a fact of the journal as [Standard Webhooks](https://www.standardwebhooks.com) has it.

use serde_json::{Map, Value, json};

use super::client::Message;
use crate::store::JournalEvent;

/// `{"type", "timestamp", "data"}`, where `data` has what the event's own data has, and where it belongs.
pub(super) fn message(event: &JournalEvent) -> Message {
    let mut data = match &event.data {
        Value::Object(data) => data.clone(),
        _ => Map::new(),
    };
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            data.insert(name.to_owned(), value);
        }
    };
    put("id", Some(json!(event.id)));
    put("seq", Some(json!(event.seq)));
    put("session_seq", event.session_seq.map(Value::from));
    put("room", event.room.clone().map(Value::from));
    put("session", event.session.clone().map(Value::from));
    put("participant", event.participant.clone().map(Value::from));
    let body = json!({"type": event.kind, "timestamp": event.at, "data": data});
    Message {
        id: event.id.clone(),
        body: body.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn a_message_says_what_the_event_does() {
        let event = JournalEvent {
            seq: 40_117,
            id: "evt_1".to_owned(),
            at: Timestamp::from_millis(1_793_869_391_250),
            kind: "participant.left".to_owned(),
            room: Some("green-room".to_owned()),
            session: Some("9f0c".to_owned()),
            session_seq: Some(9),
            participant: Some("bob".to_owned()),
            data: json!({"reason": "kicked", "duration_ms": 174_020, "id": "not this one"}),
        };
        let sent = message(&event);
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        let expected = json!({"type": "participant.left", "timestamp": "2026-11-05T09:03:11.250Z", "data": {
            "id": "evt_1", "seq": 40_117, "session_seq": 9, "room": "green-room", "session": "9f0c", "participant": "bob",
            "reason": "kicked", "duration_ms": 174_020}});
        assert_eq!((sent.id.as_str(), body), ("evt_1", expected));
        let about_server = JournalEvent {
            room: None,
            session: None,
            session_seq: None,
            participant: None,
            data: json!({}),
            ..event
        };
        let body: Value = serde_json::from_slice(&message(&about_server).body).unwrap();
        assert_eq!(body["data"], json!({"id": "evt_1", "seq": 40_117}));
    }
}
