//! The audit log: who did what, and who was refused.

mod common;

use common::*;
use reqwest::Method;
use serde_json::{Value, json};

/// What is done has its entry at once, what is refused has one with the reason, and nobody's secret is in any of them.
#[tokio::test(flavor = "multi_thread")]
async fn each_request_that_changes_something_has_its_entry() {
    for home in Home::all().await {
        let api = home.serve().await;
        let made = api
            .post("/v1/keys", json!({"id": "reader", "scopes": ["read"]}))
            .await;
        api.post("/v1/rooms", json!({"name": "kitchen"})).await;
        api.call(Method::PUT, "/v1/rooms/kitchen/bans/ben", json!({}))
            .await;
        // These are in the tables when they are answered.
        let entries = api.get("/v1/audit?order=asc").await["data"].clone();
        let entries = entries.as_array().unwrap();
        assert_eq!(
            all(entries, "target"),
            [
                "/v1/keys/reader",
                "/v1/rooms/kitchen",
                "/v1/rooms/kitchen/bans/ben"
            ]
        );
        assert_eq!(
            all(entries, "action"),
            [
                "POST /v1/keys",
                "POST /v1/rooms",
                "PUT /v1/rooms/{room}/bans/{participant}"
            ]
        );
        assert!(entries.iter().all(|entry| entry["actor"] == "first"
            && entry["result"] == "done"
            && entry["count"] == 1));
        assert_eq!(entries[2]["participant"], "ben");

        // These write nothing of their own, so that their entries follow.
        api.call(
            Method::PUT,
            "/v1/rooms/kitchen/bans/b%20n%2F",
            json!({"reason": "shouts"}),
        )
        .await;
        let ticket = api.ticket("kitchen", "anna", Value::Null).await;
        let (status, _) = api
            .call(
                Method::POST,
                "/v1/sessions/0/kick",
                json!({"participants": "all"}),
            )
            .await;
        assert_eq!(status, 404);
        let reader = format!("reader.{}", made["secret"].as_str().unwrap());
        let refused = api
            .http
            .delete(format!("{}/v1/rooms/kitchen", api.url))
            .bearer_auth(&reader)
            .header("x-request-id", "mine")
            .send();
        assert_eq!(within(refused).await.unwrap().status(), 403);
        let entries = api
            .until("/v1/audit?order=asc", |entries| entries.len() == 7)
            .await;
        let about = |action: &str| {
            let mut found = entries.iter().filter(|entry| entry["action"] == action);
            found.next_back().unwrap()
        };
        let minted = about("POST /v1/rooms/{room}/tokens");
        assert_eq!(
            (&minted["participant"], &minted["result"]),
            (&json!("anna"), &json!("done"))
        );
        assert_eq!(
            about("POST /v1/sessions/{session}/kick")["result"],
            "not-found"
        );
        let deleted = about("DELETE /v1/rooms/{room}");
        assert_eq!(
            [
                &deleted["actor"],
                &deleted["result"],
                &deleted["request_id"]
            ],
            ["reader", "scope-missing", "mine"]
        );
        let invalid = entries.iter().find(|entry| entry["participant"] == "b n/");
        assert_eq!(invalid.unwrap()["result"], "validation");

        let of_reader = api.get("/v1/audit?actor=reader").await;
        assert_eq!(of_reader["data"].as_array().unwrap().len(), 1);
        let about_anna = api.get("/v1/audit?participant=anna&participant=ben").await;
        assert_eq!(about_anna["data"].as_array().unwrap().len(), 2);
        let none = api.get("/v1/audit?at_before=2026-01-01T00:00:00Z").await;
        assert_eq!(none["data"], json!([]));
        let page = api.get("/v1/audit?limit=3").await;
        let cursor = page["next_cursor"].as_str().unwrap();
        let rest = api.get(&format!("/v1/audit?cursor={cursor}")).await;
        assert_eq!(rest["data"].as_array().unwrap().len(), 4);

        let log = json!(entries).to_string();
        let token = ticket.rsplit('#').next().unwrap();
        for secret in [&reader, &api.key, token] {
            let secret = secret.split_once('.').map_or(secret, |(_, secret)| secret);
            assert!(!log.contains(secret), "{secret}");
        }
        api.stop().await;
    }
}

/// Whoever has no valid key is counted, and cannot fill the disk.
#[tokio::test(flavor = "multi_thread")]
async fn failed_log_ins_are_counted() {
    let home = Home::sqlite();
    let mut api = home.serve().await;
    let right = std::mem::replace(&mut api.key, "first.guess".to_owned());
    for _ in 0..30 {
        let (status, _) = api.call(Method::GET, "/v1/rooms", Value::Null).await;
        assert_eq!(status, 401);
    }
    for n in 0..30 {
        api.key = format!("guess{n}.guess");
        api.call(Method::DELETE, "/v1/rooms/kitchen", Value::Null)
            .await;
    }
    api.post_refused("/v1/tokens/refresh", json!({"refresh_token": "prt_guess"}))
        .await;
    api.key = right;
    let total = |entries: &[Value]| -> i64 {
        let counts = entries.iter().map(|entry| entry["count"].as_i64().unwrap());
        counts.sum()
    };
    let entries = api
        .until("/v1/audit?action=authenticate", |entries| {
            total(entries) == 61
        })
        .await;
    // A minute may have ended meanwhile.
    assert!(entries.len() <= 4, "{entries:?}");
    let mut actors = all(&entries, "actor");
    actors.sort_unstable();
    actors.dedup();
    assert_eq!(actors, ["", "first"]);
    api.stop().await;
}

/// The same answer again is no second deed.
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_answer_is_no_second_deed() {
    let home = Home::sqlite();
    let api = home.serve().await;
    for _ in 0..2 {
        let sent = api
            .http
            .post(format!("{}/v1/rooms", api.url))
            .bearer_auth(&api.key)
            .header("idempotency-key", "once")
            .header("content-type", "application/json")
            .body(r#"{"name": "kitchen"}"#);
        assert_eq!(within(sent.send()).await.unwrap().status(), 201);
    }
    let entries = api
        .until("/v1/audit?order=asc", |entries| entries.len() == 2)
        .await;
    assert_eq!(all(&entries, "result"), ["done", "replayed"]);
    api.stop().await;
}
