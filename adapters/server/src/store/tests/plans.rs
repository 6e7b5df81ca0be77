//! How the databases find the rows of lists: by an index, whatever is asked for.

use std::time::Duration;

use super::*;
use crate::store::list::Select;
use crate::time::Moment;

/// The tables that grow with use.
const GROWING: [&str; 13] = [
    "rooms",
    "bans",
    "sessions",
    "participants",
    "samples",
    "events",
    "refresh_tokens",
    "audit",
    "stays",
    "streams",
    "recordings",
    "compositions",
    "composition_inputs",
];

/// A list that is asked for.
struct Asked {
    name: String,
    select: Select,
    /// Without a filter, or with one that most rows pass, a list is read from one end of an index.
    is_walk: bool,
}

fn some() -> Vec<String> {
    vec!["a".to_owned()]
}

fn many() -> Vec<String> {
    vec!["a".to_owned(), "b".to_owned()]
}

/// Every filter of every list, alone, and those that often come together.
fn all_lists(page: &PageRequest) -> Vec<Asked> {
    let time = Some(Timestamp::from_millis(1));
    let mut all = Vec::new();
    let mut ask = |name: String, select: Select, is_walk: bool| {
        all.push(Asked {
            name,
            select,
            is_walk,
        });
    };
    macro_rules! lists {
        ($filter:ident: $({$($field:ident: $value:expr),*})*) => {
            ask(stringify!($filter).to_owned(), $filter::default().select(page), true);
            $(
                let filter = $filter { $($field: $value,)* ..$filter::default() };
                let name = format!("{filter:?}");
                let is_walk = ["active: Some(false)", "min_duration_ms: Some"]
                    .iter()
                    .any(|most| name.contains(most));
                ask(name, filter.select(page), is_walk);
            )*
        };
    }
    lists! { RoomFilter:
        { states: vec![State::Enabled] }
        { states: vec![State::Enabled, State::Disabled] }
        { active: Some(true) }
        { active: Some(false) }
        { prefix: Some("a".to_owned()) }
        { created_after: time }
        { created_before: time }
    }
    lists! { SessionFilter:
        { rooms: some() }
        { rooms: many() }
        { active: Some(true) }
        { active: Some(false) }
        { participants: some() }
        { participants: many() }
        { started_after: time }
        { started_before: time }
        { ended_after: time }
        { ended_before: time }
        { started_after: time, ended_before: time }
        { rooms: some(), active: Some(true) }
        { rooms: some(), started_after: time }
    }
    lists! { ParticipantFilter:
        { rooms: some() }
        { rooms: many() }
        { sessions: some() }
        { sessions: many() }
        { participants: some() }
        { participants: many() }
        { names: some() }
        { names: many() }
        { states: some() }
        { states: many() }
        { joined_after: time }
        { joined_before: time }
        { left_after: time }
        { left_before: time }
        { joined_before: time, left_after: time }
        { rooms: some(), joined_after: time }
        { rooms: some(), participants: some() }
        { participants: some(), left_after: time }
    }
    lists! { CompositionFilter:
        { rooms: some() }
        { rooms: many() }
        { sessions: some() }
        { sessions: many() }
        { states: some() }
        { states: many() }
        { created_after: time }
        { created_before: time }
        { sessions: some(), states: some() }
    }
    lists! { RecordingFilter:
        { rooms: some() }
        { rooms: many() }
        { sessions: some() }
        { sessions: many() }
        { participants: some() }
        { participants: many() }
        { kinds: some() }
        { states: some() }
        { states: many() }
        { min_duration_ms: Some(1) }
        { started_after: time }
        { started_before: time }
        { ended_after: time }
        { ended_before: time }
        { rooms: some(), started_after: time }
        { rooms: some(), participants: some() }
    }
    lists! { EventFilter:
        { after: Some(1) }
        { kinds: some() }
        { kinds: many() }
        { rooms: some() }
        { rooms: many() }
        { sessions: some() }
        { sessions: many() }
        { sessions: some(), kinds: some() }
    }
    lists! { AuditFilter:
        { actors: some() }
        { actors: many() }
        { actions: some() }
        { targets: some() }
        { participants: some() }
        { at_after: time }
        { at_before: time }
        { actors: some(), at_after: time }
    }
    let samples = |participants, from| SampleFilter {
        session: "s".to_owned(),
        participants,
        from,
        to: from,
        step: Duration::from_secs(60),
    };
    for filter in [
        samples(Vec::new(), None),
        samples(some(), None),
        samples(many(), time),
    ] {
        ask(format!("{filter:?}"), filter.select(page), false);
    }
    all
}

/// What else is done for each request, or now and then, with a table that grows.
const STATEMENTS: [&str; 28] = [
    "SELECT * FROM bans WHERE room = 'a' ORDER BY participant",
    "SELECT id FROM sessions WHERE room = 'a' AND ended_at IS NULL ORDER BY started_at DESC LIMIT 1",
    "SELECT * FROM refresh_tokens WHERE hash = 'a' AND expires_at > 1",
    "DELETE FROM refresh_tokens WHERE room = 'a' AND participant = 'b' AND issued_at < 1",
    "DELETE FROM refresh_tokens WHERE expires_at < 1",
    "DELETE FROM bans WHERE until < 1",
    "DELETE FROM samples WHERE session = 'a' AND at >= 1 AND at < 2 AND at % 60000 <> 0",
    "DELETE FROM samples WHERE session = 'a' AND at <= COALESCE((SELECT at FROM samples WHERE session = 'a' ORDER BY at LIMIT 1 OFFSET 9), 9)",
    "UPDATE samples SET participant = 'b' WHERE session = 'a' AND participant = 'c'",
    "UPDATE stays SET participant = 'b' WHERE session = 'a' AND participant = 'c'",
    "SELECT id FROM sessions WHERE ended_at < 1 ORDER BY ended_at, id LIMIT 9",
    "SELECT seq FROM events WHERE seq BETWEEN 1 AND 9 AND participant = 'a'",
    "SELECT DISTINCT room FROM participants WHERE participant = 'a'",
    "SELECT * FROM recordings WHERE session = 'a' AND deleted_at IS NULL ORDER BY started_at, id",
    "SELECT id FROM recordings WHERE spooled <> 0 AND state <> 'recording'",
    "SELECT id FROM recordings WHERE deleted_at IS NOT NULL",
    "SELECT * FROM recordings WHERE expires_at < 1 AND deleted_at IS NULL ORDER BY expires_at LIMIT 9",
    "SELECT * FROM recordings WHERE participant = 'a' AND room IN ('b', 'c') AND started_at <= 1",
    "SELECT COUNT(*) AS queued FROM compositions WHERE state = 'queued' AND deleted_at IS NULL",
    "SELECT id FROM compositions WHERE state = 'queued' AND deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM recordings \
     WHERE recordings.session = compositions.session AND recordings.state = 'storing' AND recordings.deleted_at IS NULL) \
     ORDER BY created_at, id LIMIT 1",
    "SELECT * FROM compositions WHERE deleted_at IS NOT NULL",
    "SELECT id FROM compositions WHERE state = 'running'",
    "SELECT * FROM compositions WHERE expires_at < 1 AND deleted_at IS NULL ORDER BY expires_at LIMIT 9",
    "SELECT * FROM compositions WHERE id IN (SELECT composition FROM composition_inputs WHERE participant = 'a' AND started_at <= 1)",
    "DELETE FROM composition_inputs WHERE composition = 'a'",
    "SELECT * FROM recordings WHERE session = 'a' AND state = 'ready' AND deleted_at IS NULL ORDER BY started_at, id",
    "SELECT MAX(at) AS at FROM events",
    "SELECT COALESCE(MAX(seq), 0) FROM events",
];

fn pages() -> [PageRequest; 2] {
    [Order::Desc, Order::Asc].map(|order| PageRequest { order, ..page(50) })
}

#[tokio::test]
async fn sqlite_finds_what_is_listed_by_an_index() {
    let fixture = sqlite().await;
    let mut asked: Vec<_> = pages().iter().flat_map(all_lists).collect();
    asked.extend(STATEMENTS.map(|statement| Asked {
        name: statement.to_owned(),
        select: Select::new(statement),
        is_walk: statement.contains("MAX"),
    }));
    for Asked {
        name,
        select,
        is_walk,
    } in asked
    {
        let plan = select.explained("EXPLAIN QUERY PLAN ");
        let plan = plan.fetch_all(&fixture.store.readers).await.unwrap();
        let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
        for step in &steps {
            let scanned = step.strip_prefix("SCAN ").unwrap_or_default();
            let table = scanned.split(' ').next().unwrap_or_default();
            // The open sessions are few, and so are recordings on their way.
            let is_short = [
                "sessions_open",
                "recordings_spooled",
                "recordings_deleted",
                "compositions_deleted",
            ]
            .iter()
            .any(|few| step.ends_with(&format!(" INDEX {few}")));
            let is_ordered = is_walk && step.contains(" INDEX ");
            let looks_at_all = GROWING.contains(&table) && !is_short && !is_ordered;
            assert!(!looks_at_all, "{name}: {steps:#?}");
            // What is found is in order already, or it is found by another column.
            let is_sorted = is_walk && step.contains("TEMP B-TREE FOR ORDER BY");
            assert!(!is_sorted, "{name}: {steps:#?}");
        }
    }
}

/// PostgreSQL is told to do without looking at all rows: where it does so all the same, it has no other way.
#[tokio::test]
async fn postgres_finds_what_is_listed_by_an_index() {
    let Ok(server) = std::env::var("PARLOUR_TEST_POSTGRES") else {
        return;
    };
    let fixture = postgres(&server).await;
    let mut connection = fixture.store.readers.acquire().await.unwrap();
    connection
        .execute("SET enable_seqscan = off")
        .await
        .unwrap();
    let statements = STATEMENTS.map(|statement| (statement.to_owned(), Select::new(statement)));
    let asked = pages();
    let lists = asked.iter().flat_map(all_lists);
    let lists = lists.map(|asked| (asked.name, asked.select));
    for (name, select) in lists.chain(statements) {
        let plan = select
            .explained("EXPLAIN ")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let steps: Vec<String> = plan.iter().map(|step| step.get(0)).collect();
        let looks_at_all = |step: &String| {
            let scanned = step.split("Seq Scan on ").nth(1).unwrap_or_default();
            let table = scanned.split(' ').next().unwrap_or_default();
            GROWING.contains(&table)
        };
        assert!(!steps.iter().any(looks_at_all), "{name}: {steps:#?}");
    }
}

/// A list of several values is that of all of them, page by page, without repetition; and the end sorts what it is asked for.
#[tokio::test]
async fn lists_of_parts_are_whole() {
    for fixture in all().await {
        let store = &fixture.store;
        let written: Result<(), StoreError> = store
            .write(|tx| {
                Box::pin(async move {
                    for n in 0..24_i64 {
                        let (id, room) = (format!("s{n:02}"), ["a", "b", "c"][n as usize % 3]);
                        let start = Timestamp::from_millis(n / 4);
                        tx.begin_session(
                            &id,
                            room,
                            Moment {
                                at: start,
                                up: None,
                            },
                        )
                        .await?;
                        if n >= 4 {
                            // The later it began, the sooner it ends.
                            let end = Timestamp::from_millis(1_000 - n / 3);
                            tx.end_session(&id, end, "left").await?;
                        }
                    }
                    Ok(())
                })
            })
            .await;
        written.unwrap();
        let rooms = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let of_parts = SessionFilter {
            rooms: rooms(&["c", "a", "c", "none"]),
            ..SessionFilter::default()
        };
        let by_end = SessionFilter {
            ended_after: Some(Timestamp::from_millis(994)),
            ..SessionFilter::default()
        };
        for (filter, order, mut expected) in [
            (
                &of_parts,
                Order::Asc,
                (0..24).filter(|n| n % 3 != 1).collect::<Vec<i64>>(),
            ),
            (
                &of_parts,
                Order::Desc,
                (0..24).filter(|n| n % 3 != 1).rev().collect(),
            ),
            (&by_end, Order::Asc, (4..21).collect()),
        ] {
            if filter == &by_end {
                expected.sort_by_key(|n| (1_000 - n / 3, *n));
            }
            let (mut seen, mut request) = (Vec::new(), PageRequest { order, ..page(3) });
            loop {
                let page = store.sessions(filter, &request).await.unwrap();
                seen.extend(page.data.into_iter().map(|session| session.id));
                request.after = page.next;
                if request.after.is_none() {
                    break;
                }
            }
            let expected: Vec<_> = expected.iter().map(|n| format!("s{n:02}")).collect();
            assert_eq!(seen, expected, "{filter:?}");
        }
    }
}
