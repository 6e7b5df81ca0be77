//! History: what happens in the rooms is in tables and journal, also after the server was killed or restarted.

mod common;

use common::*;
use parlour_server::serve::Running;
use parlour_server::store::Place;
use parlour_tokio::{AudioOptions, SampleRate};
use reqwest::Method;
use serde_json::{Value, json};

/// Two participants come, speak, are censored and kicked; each fact is in the journal, in order, and in the tables.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_written_down_whole() {
    for home in Home::all().await {
        let api = home.serve().await;
        let anna = api.join("kitchen", "anna").await;
        let ben = api.join("kitchen", "ben").await;
        let options = AudioOptions::opus_voice(SampleRate::Hz48000);
        let mic = within(ben.publish_audio("mic", options)).await.unwrap();
        within(mic.set_muted(true)).await.unwrap();
        within(ben.set_attribute("hand", "up")).await.unwrap();

        let sessions = api
            .until("/v1/sessions?room=kitchen&state=active", |list| {
                !list.is_empty()
            })
            .await;
        let session = sessions[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(anna.session().unwrap().to_string(), session);
        let of_session = format!("/v1/events?session={session}&order=asc");
        api.until(&of_session, |events| {
            all(events, "type").contains(&"participant.attribute_changed")
        })
        .await;
        let room = api.get("/v1/rooms/kitchen").await;
        assert_eq!(
            (&room["active_session"], &room["auto_created"]),
            (&json!(session), &json!(true))
        );

        let ben_is = format!("/v1/sessions/{session}/participants/ben");
        let details = api.get(&ben_is).await;
        assert_eq!(details["state"], "connected");
        assert_eq!(details["attributes"], json!({"hand": "up"}));
        assert_eq!(details["streams"][0]["key"], "mic");
        assert_eq!(details["streams"][0]["muted"], true);
        assert_eq!(details["streams"][0]["codec"], "opus");

        let act = |what: &str| format!("/v1/sessions/{session}/{what}");
        let censored = api
            .post(&act("censor"), json!({"participants": ["ben", "nobody"]}))
            .await;
        assert_eq!(
            censored,
            json!({"affected": ["ben"], "unchanged": [], "unknown": ["nobody"]})
        );
        let again = api
            .post(&act("censor"), json!({"participants": ["ben"]}))
            .await;
        assert_eq!(again["unchanged"], json!(["ben"]));
        api.post(
            &act("messages"),
            json!({"to": "all", "topic": "chat", "body": "hello"}),
        )
        .await;
        let kicked = api
            .post(
                &act("kick"),
                json!({"participants": "all", "except": ["anna"]}),
            )
            .await;
        assert_eq!(kicked["affected"], json!(["ben"]));
        within(anna.leave()).await;

        let ended = api
            .until("/v1/sessions?room=kitchen&state=ended", |list| {
                !list.is_empty()
            })
            .await;
        assert_eq!(ended[0]["end_reason"], "left");
        assert_eq!(ended[0]["peak_participants"], 2);
        assert_eq!(
            (&ended[0]["unique_participants"], &ended[0]["participants"]),
            (&json!(2), &json!(0))
        );
        let events = api.get(&of_session).await["data"]
            .as_array()
            .unwrap()
            .clone();
        assert_eq!(
            all(&events, "type"),
            [
                "session.started",
                "participant.joined",
                "participant.joined",
                "stream.published",
                "stream.muted",
                "participant.attribute_changed",
                "participant.censored",
                "participant.left",
                "participant.left",
                "session.ended"
            ]
        );
        let numbers: Vec<_> = events
            .iter()
            .map(|event| event["session_seq"].as_i64().unwrap())
            .collect();
        assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
        assert_eq!(events[7]["data"]["reason"], "kicked");
        let details = api.get(&ben_is).await;
        assert_eq!(
            (&details["state"], &details["censored"]),
            (&json!("left"), &json!(true))
        );
        assert_eq!(details["stays"][0]["reason"], "kicked");
        assert!(details["streams"][0]["unpublished_at"].is_string());

        let (status, problem) = api
            .call(Method::POST, &act("kick"), json!({"participants": "all"}))
            .await;
        assert_eq!(
            (status, problem["type"].as_str()),
            (409, Some("urn:parlour:problem:session-ended"))
        );
        api.stop().await;
    }
}

/// A refused join is written down with its reason, and the participant is told.
#[tokio::test(flavor = "multi_thread")]
async fn those_who_are_not_let_in_are_written_down() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let ticket = api.ticket("kitchen", "ben", Value::Null).await;
    let (status, ban) = api
        .call(
            Method::PUT,
            "/v1/rooms/kitchen/bans/ben",
            json!({"reason": "shouts"}),
        )
        .await;
    assert_eq!((status, &ban["reason"]), (200, &json!("shouts")));
    let refused = within(parlour_tokio::Room::join(&ticket))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("banned"), "{refused}");
    let events = api
        .until("/v1/events?type=participant.refused", |list| {
            !list.is_empty()
        })
        .await;
    assert_eq!(
        (&events[0]["participant"], &events[0]["data"]["reason"]),
        (&json!("ben"), &json!("banned"))
    );
    let (status, _) = api
        .call(Method::DELETE, "/v1/rooms/kitchen/bans/ben", Value::Null)
        .await;
    assert_eq!(status, 204);
    let ben = within(parlour_tokio::Room::join(&ticket)).await.unwrap();
    // A revoked token is void, its bearer is removed, and the next token is good at once.
    let revoked = api
        .call(
            Method::POST,
            "/v1/rooms/kitchen/tokens/revoke",
            json!({"participant": "ben"}),
        )
        .await;
    assert_eq!(revoked.0, 204);
    let void = within(parlour_tokio::Room::join(&ticket))
        .await
        .unwrap_err();
    assert!(void.to_string().contains("revoked"), "{void}");
    within(async { while ben.events().next().await.is_some() {} }).await;
    api.join("kitchen", "ben").await;
    api.stop().await;
}

/// A process that dies leaves sessions open; the next one ends them where the last heartbeat was.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_left_open_is_ended_once() {
    for home in Home::all().await {
        let api = home.serve().await;
        let anna = api.join("kitchen", "anna").await;
        let session = anna.session().unwrap().to_string();
        api.until("/v1/participants?state=connected", |list| !list.is_empty())
            .await;
        api.stop().await;
        drop(anna);
        // As if it had been killed before it wrote how that ended.
        reopen(&home, &session).await;

        for _ in 0..2 {
            let api = home.serve().await;
            let session = api.get(&format!("/v1/sessions/{session}")).await;
            assert_eq!(
                (&session["state"], &session["end_reason"]),
                (&json!("ended"), &json!("server_lost"))
            );
            let of_session = format!(
                "/v1/events?session={}&type=participant.left",
                session["id"].as_str().unwrap()
            );
            let left = api.get(&of_session).await;
            // The end that was written properly first, and the one that was inferred.
            let reconciled: Vec<_> = left["data"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|event| event["data"]["reconciled"] == true)
                .collect();
            assert_eq!(reconciled.len(), 1);
            let participant = api.get("/v1/participants?participant=anna").await;
            assert_eq!(participant["data"][0]["state"], "left");
            api.stop().await;
        }
    }
}

async fn reopen(home: &Home, session: &str) {
    use sqlx::Connection as _;
    let url = match home.config().place() {
        Place::Sqlite(path) => format!("sqlite://{}", path.display()),
        Place::Postgres(url) => url,
    };
    let mut database = sqlx::AnyConnection::connect(&url).await.unwrap();
    for statement in [
        "UPDATE sessions SET ended_at = NULL, end_reason = NULL, present = 1 WHERE id = $1",
        "UPDATE participants SET state = 'connected', left_at = NULL WHERE session = $1",
        "UPDATE stays SET left_at = NULL, reason = NULL WHERE session = $1",
    ] {
        let reopened = sqlx::query(statement).bind(session.to_owned());
        reopened.execute(&mut database).await.unwrap();
    }
    database.close().await.unwrap();
}

/// Without its key file, a database is not opened: a new key would void all that was sealed under the former one.
#[tokio::test]
async fn a_database_without_its_key_file_is_refused() {
    let home = Home::sqlite();
    home.serve().await.stop().await;
    std::fs::remove_file(home.path().join("parlour.key")).unwrap();
    let refused = Running::start(&home.config()).await.unwrap_err();
    assert!(
        refused.to_string().contains("restore the key file"),
        "{refused}"
    );
}

/// Keys, rooms, bans and refresh tokens are there after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_nothing() {
    for home in Home::all().await {
        let api = home.serve().await;
        let (status, _) = api
            .call(
                Method::PUT,
                "/v1/rooms/green",
                json!({"max_participants": 1}),
            )
            .await;
        assert_eq!(status, 201);
        api.call(Method::PUT, "/v1/rooms/green/bans/eve", json!({}))
            .await;
        let refreshable = json!({"participant": "anna", "refresh_ttl_s": 3600});
        let minted = api.post("/v1/rooms/green/tokens", refreshable).await;
        let (key, refresh_token) = (api.key.clone(), minted["refresh_token"].clone());
        api.stop().await;

        let api = home.serve().await;
        assert_eq!(api.key, key);
        let refreshed = api
            .post(
                "/v1/tokens/refresh",
                json!({"refresh_token": refresh_token}),
            )
            .await;
        let anna = within(parlour_tokio::Room::join(
            refreshed["ticket"].as_str().unwrap(),
        ))
        .await
        .unwrap();
        let (status, problem) = api
            .call(
                Method::POST,
                "/v1/rooms/green/tokens",
                json!({"participant": "eve"}),
            )
            .await;
        assert_eq!(
            (status, problem["type"].as_str()),
            (409, Some("urn:parlour:problem:not-possible"))
        );
        // The room's own limit holds in the rooms.
        let ticket = api.ticket("green", "ben", Value::Null).await;
        let full = within(parlour_tokio::Room::join(&ticket))
            .await
            .unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        within(anna.leave()).await;
        api.stop().await;
    }
}
