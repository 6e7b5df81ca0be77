//! The room as it is now, and figures of the connection, as objects.

use std::collections::BTreeMap;

use parlour_core::client::{self, Client, Desktop};
use parlour_core::room::{Grants, ParticipantId};
use parlour_core::time::{Duration, Instant};
use serde::Serialize;

use crate::command::texts;
use crate::error::name_of;
use crate::event::connection;

/// All that is known of the room.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// `joining`, `waiting` in the lobby, `joined`, `reconnecting` or `closed`.
    pub connection: &'static str,
    /// The participant's own id; none before the first join.
    pub me: Option<String>,
    /// The run of the room.
    pub session: Option<String>,
    /// What the participant may do.
    pub grants: Vec<String>,
    /// Those in the room, oneself among them, as far as they are told.
    pub participants: Vec<Participant>,
    /// How many there are.
    pub count: u32,
    /// The active speaker.
    pub active_speaker: Option<String>,
    /// The active presenter.
    pub presenter: Option<String>,
    /// The participant to show large.
    pub main: Option<String>,
    /// The holder of the floor.
    pub floor: Option<String>,
    /// Whether the session is recorded.
    pub recorded: bool,
    /// Those who speak now.
    pub speakers: Vec<String>,
    /// Those who wait in the lobby, if one may admit them.
    pub lobby: Vec<Waiting>,
    /// How many wait in the lobby.
    pub waiting: u32,
}

/// One party.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whether its end is in touch: `connected` or `reconnecting`.
    pub connection: String,
    /// Silenced by a moderator.
    pub censored: bool,
    /// What it publishes.
    pub streams: Vec<Stream>,
    /// Its attributes that are text.
    pub attributes: BTreeMap<String, String>,
}

/// One published flow of media.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stream {
    /// Its name among its publisher's.
    pub key: String,
    /// `audio`, `video` or `screen`.
    pub kind: String,
    /// `opus`, `pcmu`, `pcma`, `vp8`, `h264` or `jpeg`.
    pub codec: String,
    /// Silenced by its publisher.
    pub muted: bool,
}

/// One who waits in the lobby.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waiting {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
}

/// What differs between two states: fields that are absent are the same.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs)] // Those of the state.
pub struct Changes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub me: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<String>>,
    /// Those that are new or other than before, in the order of their ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<Participant>,
    /// The ids of those that are there no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_speaker: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presenter: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speakers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lobby: Option<Vec<Waiting>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u32>,
}

impl Changes {
    /// What makes `after` of `before`.
    pub(crate) fn between(before: &State, after: &State) -> Self {
        fn new<T: PartialEq + Clone>(before: &T, after: &T) -> Option<T> {
            (before != after).then(|| after.clone())
        }
        let was: BTreeMap<_, _> = by_id(before).collect();
        let is: BTreeMap<_, _> = by_id(after).collect();
        let others = is.iter().filter(|(id, one)| was.get(*id) != Some(*one));
        let gone = was.keys().filter(|id| !is.contains_key(*id));
        Self {
            connection: new(&before.connection, &after.connection),
            me: new(&before.me, &after.me),
            session: new(&before.session, &after.session),
            grants: new(&before.grants, &after.grants),
            participants: others.map(|(_, one)| (*one).clone()).collect(),
            gone: gone.map(|id| (*id).to_owned()).collect(),
            count: new(&before.count, &after.count),
            active_speaker: new(&before.active_speaker, &after.active_speaker),
            presenter: new(&before.presenter, &after.presenter),
            main: new(&before.main, &after.main),
            floor: new(&before.floor, &after.floor),
            recorded: new(&before.recorded, &after.recorded),
            speakers: new(&before.speakers, &after.speakers),
            lobby: new(&before.lobby, &after.lobby),
            waiting: new(&before.waiting, &after.waiting),
        }
    }
}

fn by_id(state: &State) -> impl Iterator<Item = (&str, &Participant)> {
    let participants = state.participants.iter();
    participants.map(|participant| (participant.id.as_str(), participant))
}

impl Default for State {
    /// Before anything is known.
    fn default() -> Self {
        Self {
            connection: "joining",
            me: None,
            session: None,
            grants: Vec::new(),
            participants: Vec::new(),
            count: 0,
            active_speaker: None,
            presenter: None,
            main: None,
            floor: None,
            recorded: false,
            speakers: Vec::new(),
            lobby: Vec::new(),
            waiting: 0,
        }
    }
}

impl State {
    pub(crate) fn of(client: &Client<Desktop>) -> Self {
        let (state, lobby) = (client.state(), client.lobby());
        let id = |id: Option<&ParticipantId>| id.map(ToString::to_string);
        let participant = |participant: &parlour_core::room::Participant| Participant {
            id: participant.id.to_string(),
            name: participant.name.to_string(),
            connection: connection(participant.connection),
            censored: participant.censored,
            streams: participant.streams.iter().map(stream).collect(),
            attributes: texts(state.attributes(&participant.id)),
        };
        let waiting = |waiting: &parlour_core::room::Waiting| Waiting {
            id: waiting.participant.to_string(),
            name: waiting.name.to_string(),
        };
        Self {
            connection: status(client),
            me: id(client.me()),
            session: client.session().map(|session| session.to_string()),
            grants: grants(client.grants()),
            participants: state.participants().map(participant).collect(),
            count: state.participant_count(),
            active_speaker: id(state.active_speaker()),
            presenter: id(state.active_presenter()),
            main: id(client.main_participant()),
            floor: id(state.floor()),
            recorded: state.is_recorded(),
            speakers: client.speakers().map(ToString::to_string).collect(),
            lobby: lobby.waiting.iter().map(waiting).collect(),
            waiting: lobby.count,
        }
    }
}

fn stream(stream: &parlour_core::room::Stream) -> Stream {
    Stream {
        key: stream.key.to_string(),
        kind: name_of(stream.kind),
        codec: name_of(stream.codec),
        muted: stream.muted,
    }
}

fn status(client: &Client<Desktop>) -> &'static str {
    if client.closed().is_some() {
        "closed"
    } else if client.is_joined() {
        "joined"
    } else if client.is_waiting() {
        "waiting"
    } else if client.me().is_some() {
        "reconnecting"
    } else {
        "joining"
    }
}

/// The names of single rights, in camel case.
pub(crate) fn grants(grants: Grants) -> Vec<String> {
    let names = [
        (Grants::PUBLISH_AUDIO, "publishAudio"),
        (Grants::PUBLISH_VIDEO, "publishVideo"),
        (Grants::PUBLISH_SCREEN, "publishScreen"),
        (Grants::SUBSCRIBE, "subscribe"),
        (Grants::SEND_MESSAGES, "sendMessages"),
        (Grants::REQUEST_FLOOR, "requestFloor"),
        (Grants::KICK, "kick"),
        (Grants::CENSOR, "censor"),
        (Grants::END_SESSION, "endSession"),
        (Grants::ADMIT, "admit"),
        (Grants::SET_ATTRIBUTES, "setAttributes"),
    ];
    let granted = names.iter().filter(|(grant, _)| grants.contains(*grant));
    granted.map(|(_, name)| (*name).to_owned()).collect()
}

/// How loud those heard now are, in dBov: 0 to −127. `own` is the level of this end's microphone, 127 for silence.
pub(crate) fn levels(client: &Client<Desktop>, now: Instant, own: u8) -> BTreeMap<String, i16> {
    let level = |participant: &parlour_core::room::Participant| {
        let level = client.level_of(now, &participant.id)?;
        Some((participant.id.to_string(), -i16::from(level)))
    };
    let mut levels: BTreeMap<_, _> = client.state().participants().filter_map(level).collect();
    if let Some(me) = client.me().filter(|_| own < 127) {
        levels.insert(me.to_string(), -i16::from(own));
    }
    levels
}

/// Figures about the connection, since the join. Times are milliseconds, shares 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs)] // Those of the core.
pub struct Statistics {
    pub rtt: Option<f64>,
    pub datagrams_sent: u64,
    pub bytes_sent: u64,
    pub datagrams_received: u64,
    pub bytes_received: u64,
    pub packets_unsent: u32,
    pub datagrams_dropped: u32,
    pub uplink_loss: Option<f64>,
    pub uplink_jitter: f64,
    pub downlink_loss: Option<f64>,
    pub quality: Option<u8>,
}

impl Statistics {
    pub(crate) fn of(client: &Client<Desktop>) -> Self {
        let client::Statistics {
            sent,
            received,
            drops,
            ..
        } = client.statistics();
        let figures = client.statistics();
        let share = |loss: u8| f64::from(loss) / 256.0;
        let dropped = [
            drops.malformed,
            drops.unexpected,
            drops.forged,
            drops.replayed,
        ];
        Self {
            rtt: figures.rtt.map(ms),
            datagrams_sent: sent.datagrams,
            bytes_sent: sent.bytes,
            datagrams_received: received.datagrams,
            bytes_received: received.bytes,
            packets_unsent: figures.unsent,
            datagrams_dropped: dropped
                .iter()
                .fold(0, |sum: u32, count| sum.saturating_add(*count)),
            uplink_loss: figures.uplink_loss.map(share),
            uplink_jitter: ms(figures.uplink_jitter),
            downlink_loss: figures.downlink_loss.map(share),
            quality: figures.quality,
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
