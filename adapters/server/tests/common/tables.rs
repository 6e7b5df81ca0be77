//! The tables that history fills: as they are, and as the journal alone tells them.
//!
//! [`History::read`] takes both in one transaction, so that it may be called at any moment, also while a server writes, or
//! after one was killed. It needs a journal from its beginning: before anything was swept away or made anonymous.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use parlour_server::config::Config;
use parlour_server::rooms::RoomSettings;
use parlour_server::store::Place;
use parlour_server::time::Timestamp;
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection as _, Row as _};

/// How a column is read.
#[derive(Clone, Copy)]
enum Column {
    Int,
    Text,
    Json,
}
use Column::{Int, Json, Text};

/// A table, its columns, and how many of them, from the first on, are its key.
struct Table {
    name: &'static str,
    key: usize,
    columns: &'static [(&'static str, Column)],
}

const TABLES: [Table; 7] = [
    Table {
        name: "rooms",
        key: 1,
        columns: &[
            ("name", Text),
            ("state", Text),
            ("settings", Json),
            ("auto_created", Int),
            ("created_at", Int),
            ("updated_at", Int),
        ],
    },
    Table {
        name: "bans",
        key: 2,
        columns: &[
            ("room", Text),
            ("participant", Text),
            ("until", Int),
            ("reason", Text),
            ("created_at", Int),
        ],
    },
    Table {
        name: "marks",
        key: 2,
        columns: &[
            ("room", Text),
            ("participant", Text),
            ("issued_before", Int),
        ],
    },
    Table {
        name: "sessions",
        key: 1,
        columns: &[
            ("id", Text),
            ("room", Text),
            ("started_at", Int),
            ("ended_at", Int),
            ("end_reason", Text),
            ("present", Int),
            ("peak", Int),
            ("uniques", Int),
            ("events", Int),
        ],
    },
    Table {
        name: "participants",
        key: 2,
        columns: &[
            ("session", Text),
            ("participant", Text),
            ("room", Text),
            ("name", Text),
            ("state", Text),
            ("grants", Json),
            ("censored", Int),
            ("attributes", Json),
            ("path", Text),
            ("joined_at", Int),
            ("left_at", Int),
        ],
    },
    Table {
        name: "stays",
        key: 3,
        columns: &[
            ("session", Text),
            ("participant", Text),
            ("joined_at", Int),
            ("left_at", Int),
            ("reason", Text),
        ],
    },
    Table {
        name: "streams",
        key: 4,
        columns: &[
            ("session", Text),
            ("participant", Text),
            ("stream", Text),
            ("published_at", Int),
            ("kind", Text),
            ("codec", Text),
            ("muted", Int),
            ("unpublished_at", Int),
        ],
    },
];

/// One row of the journal.
#[derive(Debug, Clone)]
pub struct Told {
    pub seq: i64,
    pub at: i64,
    pub kind: String,
    pub room: String,
    pub session: Option<String>,
    pub session_seq: Option<i64>,
    pub participant: String,
    pub data: Value,
}

/// The rows of all tables, by table and key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tables(BTreeMap<(&'static str, Vec<String>), Value>);

/// A database at one moment.
#[derive(Debug)]
pub struct History {
    pub journal: Vec<Told>,
    pub tables: Tables,
}

impl History {
    /// What the database of a server with this configuration holds.
    pub async fn read(config: &Config) -> Self {
        sqlx::any::install_default_drivers();
        let (url, begin) = match config.place() {
            Place::Sqlite(path) => (format!("sqlite://{}", path.display()), "BEGIN"),
            Place::Postgres(url) => (url, "BEGIN ISOLATION LEVEL REPEATABLE READ"),
        };
        let mut database = AnyConnection::connect(&url).await.unwrap();
        let mut moment = database.begin_with(begin).await.unwrap();
        let journal = sqlx::query("SELECT * FROM events ORDER BY seq");
        let journal = journal.fetch_all(&mut *moment).await.unwrap();
        let journal = journal.iter().map(told).collect();
        let mut tables = Tables::default();
        for table in &TABLES {
            let select = sqlx::AssertSqlSafe(format!("SELECT * FROM {}", table.name));
            for row in sqlx::query(select).fetch_all(&mut *moment).await.unwrap() {
                let columns = table.columns.iter();
                let values =
                    columns.map(|(name, column)| ((*name).to_owned(), value(&row, name, *column)));
                tables.put(table.name, values.collect());
            }
        }
        moment.rollback().await.unwrap();
        database.close().await.unwrap();
        Self { journal, tables }
    }

    /// Fails if the journal tells other tables than there are, or tells in an order that it promises not to.
    ///
    /// * `seq` rises, and `session_seq` counts from 1 without a gap;
    /// * a session begins with `session.started` and ends with `session.ended`, but for what becomes of its files;
    /// * each `participant.joined` has exactly one `participant.left`, later. `all_over` says that none is still there.
    ///
    /// # Errors
    /// A list of all that is wrong.
    pub fn check(&self, all_over: bool) -> Result<(), String> {
        let mut wrong = String::new();
        for fault in order(&self.journal, all_over) {
            let _ = writeln!(wrong, "{fault}");
        }
        for difference in Tables::of(&self.journal).differences(&self.tables) {
            let _ = writeln!(wrong, "{difference}");
        }
        if wrong.is_empty() {
            return Ok(());
        }
        for told in &self.journal {
            let _ = writeln!(wrong, "  {told:?}");
        }
        Err(wrong)
    }
}

fn told(row: &AnyRow) -> Told {
    let text = |name| row.try_get::<Option<String>, _>(name).unwrap();
    Told {
        seq: row.try_get("seq").unwrap(),
        at: row.try_get("at").unwrap(),
        kind: row.try_get("type").unwrap(),
        room: text("room").unwrap_or_default(),
        session: text("session"),
        session_seq: row.try_get("session_seq").unwrap(),
        participant: text("participant").unwrap_or_default(),
        data: serde_json::from_str(row.try_get("data").unwrap()).unwrap(),
    }
}

fn value(row: &AnyRow, name: &str, column: Column) -> Value {
    match column {
        Int => json!(row.try_get::<Option<i64>, _>(name).unwrap()),
        Text => json!(row.try_get::<Option<String>, _>(name).unwrap()),
        Json => serde_json::from_str(row.try_get(name).unwrap()).unwrap(),
    }
}

/// What is wrong with the order of the journal.
fn order(journal: &[Told], all_over: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last_seq = 0;
    let mut sessions: BTreeMap<&str, (i64, bool)> = BTreeMap::new();
    let mut present: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for told in journal {
        if told.seq <= last_seq {
            wrong.push(format!("seq {} comes behind {last_seq}", told.seq));
        }
        last_seq = told.seq;
        let Some(session) = &told.session else {
            continue;
        };
        let (count, is_over) = sessions.entry(session).or_default();
        *count += 1;
        if told.session_seq != Some(*count) {
            let number = told.session_seq;
            wrong.push(format!(
                "event {count} of {session} has the number {number:?}"
            ));
        }
        if (*count == 1) != (told.kind == "session.started") {
            wrong.push(format!("event {count} of {session} is {}", told.kind));
        }
        let is_of_a_file =
            told.kind.starts_with("recording.") || told.kind.starts_with("composition.");
        if *is_over && !is_of_a_file {
            wrong.push(format!("{} comes behind the end of {session}", told.kind));
        }
        *is_over |= told.kind == "session.ended";
        let who = present.entry((session, &told.participant)).or_default();
        match told.kind.as_str() {
            "participant.joined" => *who += 1,
            "participant.left" => *who -= 1,
            _ => {}
        }
        if !(0..=1).contains(who) {
            wrong.push(format!(
                "{} is there {who} times in {session}",
                told.participant
            ));
        }
    }
    if all_over {
        let open = sessions.iter().filter(|(_, (_, is_over))| !is_over);
        wrong.extend(open.map(|(session, _)| format!("{session} has no end")));
        let there = present.iter().filter(|(_, count)| **count != 0);
        wrong.extend(there.map(|((session, who), _)| format!("{who} never left {session}")));
    }
    wrong
}

impl Tables {
    /// The tables as a journal tells them.
    pub fn of(journal: &[Told]) -> Self {
        let mut tables = Self::default();
        for told in journal {
            tables.take(told);
        }
        // What holds no more is forgotten without a word.
        let now = Timestamp::now().as_millis();
        let holds = |until: &Value| until.as_i64().is_none_or(|until| until >= now);
        tables
            .0
            .retain(|(table, _), row| *table != "bans" || holds(&row["until"]));
        tables
    }

    /// The rows of one table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = &Value> {
        let of_table = move |((name, _), _): &(&(&'static str, _), _)| *name == table;
        self.0.iter().filter(of_table).map(|(_, row)| row)
    }

    fn put(&mut self, name: &'static str, row: serde_json::Map<String, Value>) {
        let table = TABLES.iter().find(|table| table.name == name).unwrap();
        let columns = table.columns[..table.key].iter();
        let key = columns.map(|(column, _)| row[*column].to_string());
        self.0.insert((name, key.collect()), Value::Object(row));
    }

    fn row(&mut self, name: &'static str, key: &[&dyn ToString]) -> Option<&mut Value> {
        let key = key.iter().map(|part| part.to_string()).collect();
        self.0.get_mut(&(name, key))
    }

    /// Changes the rows of a table that match.
    fn change(
        &mut self,
        name: &'static str,
        matches: impl Fn(&Value) -> bool,
        by: &[(&str, Value)],
    ) {
        let rows = self.0.iter_mut();
        let rows = rows.filter(|((table, _), row)| *table == name && matches(row));
        for (_, row) in rows {
            for (column, value) in by {
                row[*column] = value.clone();
            }
        }
    }

    fn put_json(&mut self, name: &'static str, row: Value) {
        let Value::Object(row) = row else { return };
        self.put(name, row);
    }

    fn take(&mut self, told: &Told) {
        let Told { at, room, .. } = told;
        let text = |value: &str| json!(value);
        match told.kind.as_str() {
            "room.created" | "room.updated" => {
                let is_automatic = told.data["auto_created"] == true;
                let settings = if is_automatic {
                    json!(RoomSettings::default())
                } else {
                    told.data.clone()
                };
                let former = self.row("rooms", &[&text(room)]).cloned();
                let made = former.unwrap_or_else(
                    || json!({"auto_created": i64::from(is_automatic), "created_at": at}),
                );
                self.put_json(
                    "rooms",
                    json!({
                        "name": room, "state": settings["state"], "settings": settings, "updated_at": at,
                        "auto_created": made["auto_created"], "created_at": made["created_at"],
                    }),
                );
            }
            "room.deleted" => self.0.retain(|(table, _), row| {
                let of = if *table == "rooms" { "name" } else { "room" };
                !["rooms", "bans", "marks"].contains(table) || row[of] != json!(room)
            }),
            "participant.banned" => {
                let former = self.row("bans", &[&text(room), &text(&told.participant)]);
                let created_at = former.map_or(json!(at), |ban| ban["created_at"].clone());
                self.put_json(
                    "bans",
                    json!({
                        "room": room, "participant": told.participant, "until": millis(&told.data["until"]),
                        "reason": told.data["reason"], "created_at": created_at,
                    }),
                );
            }
            "participant.unbanned" => {
                let key = vec![text(room).to_string(), text(&told.participant).to_string()];
                self.0.remove(&("bans", key));
            }
            "tokens.revoked" => {
                let former = self.row("marks", &[&text(room), &text(&told.participant)]);
                let former = former.and_then(|mark| mark["issued_before"].as_i64());
                let mark = former.max(millis(&told.data["issued_before"]));
                self.put_json(
                    "marks",
                    json!({"room": room, "participant": told.participant, "issued_before": mark}),
                );
            }
            _ => {}
        }
        if let Some(session) = told.session.clone() {
            self.take_of_session(told, &session);
        }
    }

    fn take_of_session(&mut self, told: &Told, session: &str) {
        let Told {
            at,
            participant,
            data,
            ..
        } = told;
        if told.kind == "session.started" {
            self.put_json(
                "sessions",
                json!({
                    "id": session, "room": told.room, "started_at": at, "ended_at": null, "end_reason": null,
                    "present": 0, "peak": 0, "uniques": 0, "events": 0,
                }),
            );
        }
        if let Some(row) = self.row("sessions", &[&json!(session)]) {
            row["events"] = json!(row["events"].as_i64().unwrap() + 1);
        }
        let of_it =
            |row: &Value| row["session"] == session && row["participant"] == participant.as_str();
        let stream = data["stream"]["key"].clone();
        let of_stream =
            |row: &Value| of_it(row) && row["stream"] == stream && row["unpublished_at"].is_null();
        match told.kind.as_str() {
            "session.ended" => self.change(
                "sessions",
                |row| row["id"] == session,
                &[
                    ("ended_at", json!(at)),
                    ("end_reason", data["reason"].clone()),
                ],
            ),
            "participant.joined" => self.joined(told, session),
            "participant.left" => {
                self.change(
                    "participants",
                    of_it,
                    &[("state", json!("left")), ("left_at", json!(at))],
                );
                let is_open = |row: &Value| of_it(row) && row["left_at"].is_null();
                self.change(
                    "stays",
                    is_open,
                    &[("left_at", json!(at)), ("reason", data["reason"].clone())],
                );
                let is_published = |row: &Value| of_it(row) && row["unpublished_at"].is_null();
                self.change("streams", is_published, &[("unpublished_at", json!(at))]);
                let row = self.row("sessions", &[&json!(session)]).unwrap();
                row["present"] = json!(row["present"].as_i64().unwrap() - 1);
            }
            "participant.resumed" => self.change(
                "participants",
                of_it,
                &[
                    ("path", data["path"].clone()),
                    ("state", json!("connected")),
                ],
            ),
            "participant.connected" => {
                self.change("participants", of_it, &[("state", json!("connected"))])
            }
            "participant.reconnecting" => {
                self.change("participants", of_it, &[("state", json!("reconnecting"))])
            }
            "participant.censored" => self.change("participants", of_it, &[("censored", json!(1))]),
            "participant.uncensored" => {
                self.change("participants", of_it, &[("censored", json!(0))])
            }
            "participant.grants_changed" => {
                self.change("participants", of_it, &[("grants", data["grants"].clone())]);
            }
            "participant.attribute_changed" => {
                let row = self.row("participants", &[&json!(session), &json!(participant)]);
                let attributes = row.unwrap()["attributes"].as_object_mut().unwrap();
                let (key, value) = (data["key"].as_str().unwrap(), data["value"].clone());
                if value == "" {
                    attributes.remove(key);
                } else {
                    attributes.insert(key.to_owned(), value);
                }
            }
            "stream.published" => {
                self.change("streams", of_stream, &[("unpublished_at", json!(at))]);
                let stream = &data["stream"];
                self.put_json(
                    "streams",
                    json!({
                        "session": session, "participant": participant, "stream": stream["key"], "kind": stream["kind"],
                        "codec": stream["codec"], "muted": i64::from(stream["muted"] == true), "published_at": at,
                        "unpublished_at": null,
                    }),
                );
            }
            "stream.unpublished" => {
                self.change("streams", of_stream, &[("unpublished_at", json!(at))])
            }
            "stream.muted" => self.change("streams", of_stream, &[("muted", json!(1))]),
            "stream.unmuted" => self.change("streams", of_stream, &[("muted", json!(0))]),
            _ => {}
        }
    }

    fn joined(&mut self, told: &Told, session: &str) {
        let Told {
            at,
            participant,
            data,
            ..
        } = told;
        let is_new = self
            .row("participants", &[&json!(session), &json!(participant)])
            .is_none();
        self.put_json(
            "participants",
            json!({
                "session": session, "participant": participant, "room": told.room, "name": data["name"],
                "state": "connected", "grants": data["grants"], "censored": i64::from(data["censored"] == true),
                "attributes": {}, "path": data["path"], "joined_at": at, "left_at": null,
            }),
        );
        self.put_json(
            "stays",
            json!({"session": session, "participant": participant, "joined_at": at, "left_at": null, "reason": null}),
        );
        let row = self.row("sessions", &[&json!(session)]).unwrap();
        let present = row["present"].as_i64().unwrap() + 1;
        row["present"] = json!(present);
        row["peak"] = json!(present.max(row["peak"].as_i64().unwrap()));
        row["uniques"] = json!(row["uniques"].as_i64().unwrap() + i64::from(is_new));
    }

    /// How these, as they are told, differ from others, as they are.
    pub fn differences(&self, there: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (key, told) in &self.0 {
            match there.0.get(key) {
                None => differences.push(format!("told, but not there: {key:?} {told}")),
                Some(row) if row != told => {
                    differences.push(format!("{key:?} is told as\n  {told}, and is\n  {row}"));
                }
                Some(_) => {}
            }
        }
        let more = there.0.iter().filter(|(key, _)| !self.0.contains_key(key));
        differences.extend(more.map(|(key, row)| format!("there, but not told: {key:?} {row}")));
        differences
    }
}

/// A time as the journal writes it, in milliseconds since 1970.
fn millis(text: &Value) -> Option<i64> {
    let time: Option<Timestamp> = serde_json::from_value(text.clone()).unwrap();
    time.map(Timestamp::as_millis)
}
