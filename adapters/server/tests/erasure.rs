//! Erasures: afterwards nobody finds the participant in the database.

mod common;

use common::*;
use parlour_server::store::Place;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

const ID: &str = "zoe-7f3a";
const NAME: &str = "Zoë Quist";
const OTHER: &str = "ben-91c2";

/// Everything in the database, as text.
async fn dump(home: &Home) -> String {
    let place = home.config().place();
    let (url, tables, columns) = match &place {
        Place::Sqlite(path) => (
            format!("sqlite://{}", path.display()),
            "SELECT name FROM sqlite_schema WHERE type = 'table'",
            "SELECT name FROM pragma_table_info($1)",
        ),
        Place::Postgres(url) => (
            url.clone(),
            "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'",
            "SELECT column_name::text AS name FROM information_schema.columns WHERE table_name = $1",
        ),
    };
    let mut database = AnyConnection::connect(&url).await.unwrap();
    let mut dump = String::new();
    for table in sqlx::query(tables).fetch_all(&mut database).await.unwrap() {
        let table: String = table.get("name");
        let columns = sqlx::query(columns).bind(table.clone());
        for column in columns.fetch_all(&mut database).await.unwrap() {
            let column: String = column.get("name");
            let select = format!("SELECT CAST(\"{column}\" AS TEXT) AS value FROM \"{table}\"");
            let rows = sqlx::query(AssertSqlSafe(select));
            for row in rows.fetch_all(&mut database).await.unwrap() {
                let value: Option<String> = row.get("value");
                dump += &format!("{table}.{column}: {}\n", value.unwrap_or_default());
            }
        }
    }
    database.close().await.unwrap();
    dump
}

fn lines_with<'a>(dump: &'a str, text: &str) -> Vec<&'a str> {
    let lines = dump.lines();
    lines.filter(|line| line.contains(text)).collect()
}

async fn until_done(api: &Api, erasure: &Value) -> Value {
    let path = format!("/v1/erasures/{}", erasure["id"].as_str().unwrap());
    within(async {
        loop {
            let erasure = api.get(&path).await;
            if erasure["state"] == "done" {
                return erasure;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Has the participant leave traces everywhere, and leave.
async fn live(api: &Api, room: &str) {
    let keep = async |key: &str, path: &str, body: Value| {
        let request = api.http.post(format!("{}{path}", api.url));
        let request = request.bearer_auth(&api.key).header("idempotency-key", key);
        let request = request.header("content-type", "application/json");
        let answer = within(request.body(body.to_string()).send()).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        answer
    };
    let minted = keep(
        &format!("mint-{room}"),
        &format!("/v1/rooms/{room}/tokens"),
        json!({"participant": ID, "name": NAME, "refresh_ttl_s": 3600}),
    )
    .await;
    let ben = api.join(room, OTHER).await;
    let ticket = minted["ticket"].as_str().unwrap();
    let zoe = within(parlour_tokio::Room::join(ticket)).await.unwrap();
    within(zoe.set_attribute("mail", "zoe@example.org"))
        .await
        .unwrap();
    let session = zoe.session().unwrap().to_string();
    let joined = format!("/v1/events?session={session}&type=participant.attribute_changed");
    api.until(&joined, |list| !list.is_empty()).await;
    let refused = api
        .post_refused("/v1/erasures", json!({"participant": ID}))
        .await;
    assert_eq!(refused["type"], "urn:parlour:problem:not-possible");
    assert!(refused["detail"].as_str().unwrap().contains(&session));
    keep(
        &format!("kick-{room}"),
        &format!("/v1/sessions/{session}/kick"),
        json!({"participants": [ID]}),
    )
    .await;
    within(ben.leave()).await;
    api.until(&format!("/v1/sessions?room={room}&state=ended"), |list| {
        !list.is_empty()
    })
    .await;
    let ban = format!("/v1/rooms/{room}/bans/{ID}");
    let reason = json!({"reason": format!("{NAME} shouts")});
    let (status, _) = api.call(Method::PUT, &ban, reason).await;
    assert_eq!(status, 200);
    let (status, _) = api.call(Method::DELETE, &ban, Value::Null).await;
    assert_eq!(status, 204);
    api.call(Method::PUT, &ban, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_participant_is_nowhere_in_the_database() {
    for home in Home::all().await {
        let api = home.serve().await;
        let older = api.ticket("kitchen", ID, json!({"name": NAME})).await;
        live(&api, "kitchen").await;
        live(&api, "garden").await;
        let about_it = format!("/v1/audit?participant={ID}");
        api.until(&about_it, |entries| entries.len() > 8).await;

        // First in one room only: the other one keeps what it has.
        let (status, erasure) = api
            .call(
                Method::POST,
                "/v1/erasures",
                json!({"participant": ID, "rooms": ["garden"]}),
            )
            .await;
        assert_eq!((status, &erasure["rooms"]), (202, &json!(["garden"])));
        let done = until_done(&api, &erasure).await;
        let pseudonym = done["pseudonym"].as_str().unwrap();
        assert_eq!(done["participant"], Value::Null);
        let rooms = async |participant: &str| {
            let found = api
                .get(&format!("/v1/participants?participant={participant}"))
                .await;
            let found = found["data"].as_array().unwrap().clone();
            all(&found, "room").join(" ")
        };
        assert_eq!(rooms(ID).await, "kitchen");
        assert_eq!(rooms(pseudonym).await, "garden");
        let bans =
            async |room: &str| api.get(&format!("/v1/rooms/{room}/bans")).await["data"].clone();
        assert_eq!(bans("garden").await, json!([]));
        assert_eq!(bans("kitchen").await[0]["participant"], ID);

        let erasure = api.post("/v1/erasures", json!({"participant": ID})).await;
        assert_ne!(erasure["pseudonym"], json!(pseudonym));
        let done = until_done(&api, &erasure).await;
        let pseudonym = done["pseudonym"].as_str().unwrap();
        assert_eq!(rooms(ID).await, "");
        assert_eq!(rooms(pseudonym).await, "kitchen");
        let events = api
            .get("/v1/events?room=kitchen&type=participant.joined")
            .await;
        let joined = events["data"].as_array().unwrap();
        let mut who = all(joined, "participant");
        who.sort_unstable();
        assert_eq!(who, [OTHER, pseudonym]);

        // The ban is gone with its name, but a token from before opens nothing; one from now does.
        let void = within(parlour_tokio::Room::join(&older)).await.unwrap_err();
        assert!(void.to_string().contains("revoked"), "{void}");
        api.ticket("kitchen", ID, Value::Null).await;
        let log = api.until(&about_it, |entries| entries.len() == 1).await;
        assert_eq!(log[0]["action"], "POST /v1/rooms/{room}/tokens");
        // That was its new life, which the next erasure ends.
        let again = api.post("/v1/erasures", json!({"participant": ID})).await;
        until_done(&api, &again).await;
        api.stop().await;

        let dump = dump(&home).await;
        for text in [ID, NAME, "Quist", "zoe@example.org"] {
            assert_eq!(lines_with(&dump, text), Vec::<&str>::new());
        }
        assert!(!lines_with(&dump, OTHER).is_empty() && !lines_with(&dump, pseudonym).is_empty());
        // What SQLite has freed is overwritten, too.
        if let Place::Sqlite(path) = home.config().place() {
            for file in std::fs::read_dir(path.parent().unwrap()).unwrap() {
                let path = file.unwrap().path();
                let bytes = std::fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                for word in [ID, "Quist", "zoe@example.org"] {
                    assert!(!text.contains(word), "{word} is in {}", path.display());
                }
            }
        }

        // The token is void after a restart as well.
        let api = home.serve().await;
        let ticket = api.ticket("kitchen", "anybody", Value::Null).await;
        let (server, _) = ticket.split_once('#').unwrap();
        let (_, token) = older.split_once('#').unwrap();
        let older = format!("{server}#{token}");
        let void = within(parlour_tokio::Room::join(&older)).await.unwrap_err();
        assert!(void.to_string().contains("revoked"), "{void}");
        api.stop().await;
    }
}

/// What was begun before the process died is finished after the next start.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_outlasts_the_process() {
    for home in Home::all().await {
        let api = home.serve().await;
        let ticket = api.ticket("kitchen", ID, json!({"name": NAME})).await;
        let zoe = within(parlour_tokio::Room::join(&ticket)).await.unwrap();
        within(zoe.leave()).await;
        api.until("/v1/sessions?state=ended", |list| !list.is_empty())
            .await;
        api.stop().await;
        // As if it had been killed in the middle: the events are done, the rest is not.
        let url = match home.config().place() {
            Place::Sqlite(path) => format!("sqlite://{}", path.display()),
            Place::Postgres(url) => url,
        };
        let mut database = AnyConnection::connect(&url).await.unwrap();
        let begun = format!(
            "INSERT INTO erasures (id, participant, pseudonym, rooms, newest, created_at) \
             VALUES ('ers_1', '{ID}', 'erased-1', '[]', 1000000, 1)"
        );
        for statement in [
            begun,
            format!(
                "UPDATE events SET participant = 'erased-1', data = '{{}}' WHERE participant = '{ID}'"
            ),
        ] {
            let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut database);
            done.await.unwrap();
        }
        database.close().await.unwrap();

        let api = home.serve().await;
        until_done(&api, &json!({"id": "ers_1"})).await;
        let found = api.get("/v1/participants?participant=erased-1").await;
        assert_eq!(found["data"][0]["name"], "erased-1");
        api.stop().await;
        let dump = dump(&home).await;
        assert_eq!(lines_with(&dump, ID), Vec::<&str>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_read_strictly() {
    let home = Home::sqlite();
    let api = home.serve().await;
    for body in [
        json!({}),
        json!({"participant": ""}),
        json!({"participant": "a b"}),
        json!({"participant": "a", "room": "b"}),
    ] {
        let problem = api.post_refused("/v1/erasures", body.clone()).await;
        assert_eq!(problem["type"], "urn:parlour:problem:validation", "{body}");
    }
    // Nobody has ever seen it: there is nothing to do.
    let erasure = api.post("/v1/erasures", json!({"participant": ID})).await;
    until_done(&api, &erasure).await;
    let list = api.get("/v1/erasures").await;
    assert_eq!(list["data"][0]["id"], erasure["id"]);
    api.stop().await;
}
