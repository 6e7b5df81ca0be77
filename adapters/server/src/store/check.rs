//! Whether a database is as this program writes it.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};

use super::{OpenError, Place, backup, connect, migrate};

/// Problems that are told at most.
const MOST: usize = 100;

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Sessions that it has looked at.
    pub sessions: u64,
    /// Events that it has looked at.
    pub events: u64,
    /// What is wrong, at most 100 things.
    pub problems: Vec<String>,
}

/// What must not be in the tables: each finds the ids of sessions.
const NEVER: &[(&str, &str)] = &[
    (
        "its count of participants is not that of those in it",
        "SELECT id FROM sessions WHERE present <> (SELECT COUNT(*) FROM participants \
         WHERE participants.session = sessions.id AND state <> 'left')",
    ),
    (
        "it has ended, but somebody is in it",
        "SELECT id FROM sessions WHERE ended_at IS NOT NULL AND present <> 0",
    ),
    (
        "it ended before it began",
        "SELECT id FROM sessions WHERE ended_at < started_at",
    ),
    (
        "somebody in it has not exactly one open stay",
        "SELECT session AS id FROM participants WHERE state <> 'left' AND (SELECT COUNT(*) FROM stays \
         WHERE stays.session = participants.session AND stays.participant = participants.participant AND left_at IS NULL) <> 1",
    ),
    (
        "somebody has left it, but has an open stay",
        "SELECT participants.session AS id FROM participants JOIN stays ON stays.session = participants.session \
         AND stays.participant = participants.participant WHERE state = 'left' AND stays.left_at IS NULL",
    ),
    (
        "a participant has no session",
        "SELECT session AS id FROM participants WHERE session NOT IN (SELECT id FROM sessions)",
    ),
];

/// Looks at all of a database, in one state of it: a server may use it meanwhile. `progress` is told how many
/// events it has seen, and how many there are.
///
/// # Errors
/// [`OpenError`] if it cannot be read at all.
pub async fn check(
    place: &Place,
    mut progress: impl FnMut(u64, u64),
) -> Result<Checked, OpenError> {
    let opened = |error| OpenError::of(place, error);
    if let Place::Sqlite(path) = place {
        let missing = || OpenError::Missing { path: path.clone() };
        path.exists().then_some(()).ok_or_else(missing)?;
    }
    let mut connection = connect(place).await.map_err(opened)?;
    let version = migrate::version(&mut connection, place).await;
    migrate::check_version(version.map_err(|error| error.told(place))?, place)?;
    let mut checked = Checked::default();
    if let Place::Sqlite(_) = place {
        checked.problems = backup::integrity(&mut connection).await.map_err(opened)?;
    }
    let begin = match place {
        Place::Sqlite(_) => "BEGIN",
        Place::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    // A damaged file fails in the middle of it, and what was found says more than that.
    let looked = async {
        connection.execute(begin).await?;
        tables(&mut connection, &mut checked).await?;
        journal(&mut connection, &mut checked, &mut progress).await?;
        connection.execute("COMMIT").await
    };
    match looked.await {
        Ok(_) => connection.close().await?,
        Err(error) if checked.problems.is_empty() => return Err(opened(error)),
        Err(error) => checked.problems.push(error.to_string()),
    }
    checked.problems.truncate(MOST);
    Ok(checked)
}

async fn tables(connection: &mut AnyConnection, checked: &mut Checked) -> Result<(), sqlx::Error> {
    checked.sessions = count(connection, "SELECT COUNT(*) FROM sessions").await?;
    for (what, select) in NEVER {
        for row in connection.fetch_all(*select).await? {
            let id: String = row.try_get("id")?;
            checked.problems.push(format!("session {id}: {what}"));
        }
    }
    Ok(())
}

async fn count(connection: &mut AnyConnection, select: &'static str) -> Result<u64, sqlx::Error> {
    let count: i64 = connection.fetch_one(select).await?.try_get(0)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The journal of one session, as far as it was read.
#[derive(Default)]
struct Reading {
    session: String,
    number: i64,
    at: i64,
    /// Whether the oldest events are there: retention takes them away.
    is_whole: bool,
    /// Who is in it, as far as is known.
    present: BTreeMap<String, bool>,
}

async fn journal(
    connection: &mut AnyConnection,
    checked: &mut Checked,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(), sqlx::Error> {
    let total = count(connection, "SELECT COUNT(*) FROM events").await?;
    let mut rows = connection.fetch(
        "SELECT events.session, events.session_seq, events.at, events.type, events.participant, sessions.events, \
         sessions.ended_at FROM events JOIN sessions ON sessions.id = events.session ORDER BY events.session, events.seq",
    );
    let (mut reading, mut last) = (Reading::default(), (0, None::<i64>));
    while let Some(row) = rows.try_next().await? {
        checked.events += 1;
        progress(checked.events, total);
        let session: String = row.try_get("session")?;
        let number: Option<i64> = row.try_get("session_seq")?;
        let number = number.unwrap_or(0);
        if session != reading.session {
            reading.end(last, &mut checked.problems);
            reading = Reading {
                session,
                number: number - 1,
                is_whole: number == 1,
                ..Reading::default()
            };
        }
        last = (row.try_get("events")?, row.try_get("ended_at")?);
        let (kind, participant): (String, Option<String>) =
            (row.try_get("type")?, row.try_get("participant")?);
        reading.event(
            number,
            row.try_get("at")?,
            &kind,
            participant.unwrap_or_default(),
            &mut checked.problems,
        );
    }
    reading.end(last, &mut checked.problems);
    Ok(())
}

impl Reading {
    fn event(
        &mut self,
        number: i64,
        at: i64,
        kind: &str,
        participant: String,
        problems: &mut Vec<String>,
    ) {
        let mut wrong = |what: String| problems.push(format!("session {}: {what}", self.session));
        let expected = self.number + 1;
        if number != expected {
            wrong(format!("event {number} follows {}", self.number));
        }
        if at < self.at {
            wrong(format!("event {number} is earlier than the one before it"));
        }
        (self.number, self.at) = (number, at);
        let was_present = match kind {
            "participant.joined" => self.present.insert(participant.clone(), true),
            "participant.left" => self.present.insert(participant.clone(), false),
            _ => return,
        };
        match (kind, was_present) {
            ("participant.joined", Some(true)) => {
                wrong(format!("event {number}: {participant:?} joins twice"));
            }
            ("participant.joined", _) | (_, Some(true)) => {}
            // It may have joined in the part that is gone.
            (_, None) if !self.is_whole => {}
            _ => wrong(format!(
                "event {number}: {participant:?} leaves and was not there"
            )),
        }
    }

    /// After the last event. `events` of the session are counted, and it may have ended.
    fn end(&self, (events, ended): (i64, Option<i64>), problems: &mut Vec<String>) {
        if self.session.is_empty() {
            return;
        }
        let mut wrong = |what: String| problems.push(format!("session {}: {what}", self.session));
        if self.number != events {
            wrong(format!("its last event is {} of {events}", self.number));
        }
        if ended.is_some() {
            for (participant, _) in self.present.iter().filter(|(_, is_present)| **is_present) {
                wrong(format!("it has ended, but {participant:?} never left"));
            }
        }
    }
}
