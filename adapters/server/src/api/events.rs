//! The journal, as a list and as a stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{self, KeepAlive};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::caller::{Caller, Read};
use super::extract::Query;
use super::list::{List, Order, page_request};
use super::problem::{Kind, Problem};
use super::speakers::{SpeakerChange, Speakers};
use crate::store::{self, EventFilter, JournalEvent, PageRequest};
use crate::time::Timestamp;

/// Events that a stream reads at a time.
const BATCH: u32 = 200;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often a stream that waits looks whether its caller's credentials have expired.
const RECHECK: Duration = Duration::from_secs(5);

/// A fact.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    /// `evt_…`
    id: String,
    /// Its place in the journal.
    seq: i64,
    /// The type, such as `participant.joined`.
    r#type: String,
    at: Timestamp,
    #[schema(required)]
    room: Option<String>,
    #[schema(required)]
    session: Option<String>,
    /// Its place among the events of that session, from 1 on.
    #[schema(required)]
    session_seq: Option<i64>,
    #[schema(required)]
    participant: Option<String>,
    data: serde_json::Value,
}

impl From<JournalEvent> for Event {
    fn from(event: JournalEvent) -> Self {
        Self {
            id: event.id,
            seq: event.seq,
            r#type: event.kind,
            at: event.at,
            room: event.room,
            session: event.session,
            session_seq: event.session_seq,
            participant: event.participant,
            data: event.data,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Events behind this `seq`.
    after: Option<i64>,
    /// Events of these types.
    #[serde(default, rename = "type")]
    kind: Vec<String>,
    /// Events of these rooms.
    #[serde(default)]
    room: Vec<String>,
    /// Events of these sessions.
    #[serde(default)]
    session: Vec<String>,
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

/// Lists events
#[utoipa::path(get, path = "/v1/events", tag = "events",
    operation_id = "list_events", security(("key" = ["read"])),
    params(EventQuery), responses(
    (status = OK, body = List<Event>),
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Query(query): Query<EventQuery>,
) -> Result<Json<List<Event>>, Problem> {
    let page = page_request(
        query.limit,
        query.cursor.as_deref(),
        query.order,
        EventFilter::SORT,
    )?;
    let filter = EventFilter {
        after: query.after,
        kinds: query.kind,
        rooms: query.room,
        sessions: query.session,
    };
    let page = app.history().await.events(&filter, &page).await?;
    Ok(Json(List::new(page, Event::from)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// Events behind this `seq`; without it, those from now on. The header `Last-Event-ID` goes before.
    after: Option<i64>,
    /// Events of these types.
    #[serde(default, rename = "type")]
    kind: Vec<String>,
    /// Events of these rooms.
    #[serde(default)]
    room: Vec<String>,
    /// Events of these sessions.
    #[serde(default)]
    session: Vec<String>,
    /// `1`: tells also who speaks in these rooms and sessions.
    speaker: Option<Switch>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
pub(crate) enum Switch {
    #[serde(rename = "1", alias = "true")]
    On,
    #[serde(rename = "0", alias = "false")]
    Off,
}

/// Streams events as they are committed
///
/// Server-sent events, each with its `seq` as its id: a client that connects again with `Last-Event-ID` misses none. The stream
/// ends when the key is revoked, or its secret is not valid any more.
///
/// With `speaker=1` there are also messages without an id: `{"type": "speaker.changed", "at", "room", "session",
/// "participant"}`, first of each session as it is, then whenever another participant is the loudest. `participant` is `null` if
/// nobody speaks. These are no events of the journal, and the filter `type` does not concern them.
#[utoipa::path(get, path = "/v1/events/stream", tag = "events",
    operation_id = "stream_events", security(("key" = ["read"])),
    params(StreamQuery, ("Last-Event-ID" = Option<i64>, Header, description = "The `seq` of the last event that was read.")), responses(
    (status = OK, content_type = "text/event-stream", body = Event),
))]
pub(super) async fn stream(
    caller: Caller<Read>,
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let last = headers.get("last-event-id").map(|id| {
        let id = id.to_str().ok().and_then(|id| id.parse().ok());
        id.ok_or_else(|| Problem::new(Kind::Malformed, "Last-Event-ID is no `seq`"))
    });
    let newest = *app.store().committed().borrow();
    let filter = EventFilter {
        after: Some(last.transpose()?.or(query.after).unwrap_or(newest)),
        kinds: query.kind,
        rooms: query.room,
        sessions: query.session,
    };
    let speakers = (query.speaker == Some(Switch::On))
        .then(|| Speakers::new(app.clone(), filter.rooms.clone(), filter.sessions.clone()));
    let reader = Reader::new(app, caller, filter, speakers);
    let events = futures_util::stream::unfold(reader, Reader::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Reads events as they are committed.
struct Reader {
    app: App,
    caller: Caller<Read>,
    keys: watch::Receiver<()>,
    committed: watch::Receiver<i64>,
    closing: watch::Receiver<bool>,
    filter: EventFilter,
    read: std::vec::IntoIter<JournalEvent>,
    /// Who speaks, if that is asked for.
    speakers: Option<Speakers>,
}

impl Reader {
    fn new(
        app: App,
        caller: Caller<Read>,
        filter: EventFilter,
        speakers: Option<Speakers>,
    ) -> Self {
        Self {
            keys: app.registry().keys_changed(),
            caller,
            committed: app.store().committed(),
            closing: app.closing(),
            app,
            filter,
            read: Vec::new().into_iter(),
            speakers,
        }
    }

    /// The next event. A stream that cannot go on ends, and its client connects again.
    async fn next(mut self) -> Option<(Result<sse::Event, Infallible>, Self)> {
        loop {
            self.keys.mark_unchanged();
            if !self.caller.is_still_valid(&self.app) {
                return None;
            }
            if let Some(event) = self.read.next() {
                self.filter.after = Some(event.seq);
                let event = Event::from(event);
                let json = serde_json::to_string(&event).unwrap_or_default();
                let event = sse::Event::default().id(event.seq.to_string()).data(json);
                return Some((Ok(event), self));
            }
            // A commit from here on wakes the wait below.
            let newest = *self.committed.borrow_and_update();
            let page = PageRequest {
                after: None,
                limit: BATCH,
                order: store::Order::Asc,
            };
            let page = self.app.store().events(&self.filter, &page).await.ok()?;
            let is_empty = page.data.is_empty();
            self.read = page.data.into_iter();
            if is_empty {
                // None of those up to here matches.
                self.filter.after = self.filter.after.max(Some(newest));
                let spoken = tokio::select! {
                    changed = self.committed.changed() => {
                        changed.ok()?;
                        None
                    }
                    changed = self.keys.changed() => {
                        changed.ok()?;
                        None
                    }
                    () = tokio::time::sleep(RECHECK) => None,
                    change = speaking(self.speakers.as_mut()) => Some(change),
                    _ = self.closing.wait_for(|is_closing| *is_closing) => return None,
                };
                if let Some(change) = spoken {
                    let json = serde_json::to_string(&change).unwrap_or_default();
                    return Some((Ok(sse::Event::default().data(json)), self));
                }
            }
        }
    }
}

/// The next change of a speaker; never, if that is not asked for or the rooms are closed.
async fn speaking(speakers: Option<&mut Speakers>) -> SpeakerChange {
    if let Some(speakers) = speakers
        && let Some(change) = speakers.next().await
    {
        return change;
    }
    std::future::pending().await
}
