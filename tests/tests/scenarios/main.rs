//! Scenarios of rooms, one per file, each over the whole stack.

mod admitted_away;
mod bounds;
mod data_messages;
mod end_session;
mod first_audio_one_rtt;
mod floor;
mod grace_expiry;
mod hostile;
mod join;
mod kick;
mod late_join;
mod leave;
mod limits;
mod liveness;
mod lobby;
mod lobby_known;
mod longest_payload;
mod lost_closed;
mod managed;
mod mix;
mod mix_long_packets;
mod mute_censor;
mod narrow;
mod overload;
mod pictures;
mod publish;
mod raise_hand;
mod reconnect_resume;
mod recorded;
mod redirect;
mod replaced_by_newer_join;
mod retry_cookie;
mod return_after_takeover;
mod roaming;
mod room_full;
mod server_restart;
mod server_shutdown;
mod slots;
mod slow_receiver;
mod statistics;
mod storms;
mod subscribe;
mod token_expiry_refresh;
mod token_refused;
mod version_mismatch;

use parlour_core::room::{ParticipantId, StreamKey};
use parlour_core::signal::{ParticipantList, StreamRef, Targets};
use parlour_core::time::Duration;

/// So many ms.
const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many seconds.
const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The participant called `name`.
fn id(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

/// The stream key `key`.
fn key(key: &str) -> StreamKey {
    StreamKey::new(key).unwrap()
}

/// A participant's stream.
fn stream(participant: &str, of: &str) -> StreamRef {
    StreamRef {
        participant: id(participant),
        key: key(of),
    }
}

/// Participants by name.
fn list(names: &[&str]) -> ParticipantList {
    ParticipantList::of(names.iter().map(|name| id(name))).unwrap()
}

/// Those named.
fn only(names: &[&str]) -> Targets {
    Targets::List(list(names))
}
