//! The API over HTTP: who may, what is strict, and what is answered twice.

mod common;

use common::*;
use futures_util::StreamExt as _;
use parlour_server::api::{openapi, reference};
use parlour_tokio::{AudioOptions, Room, SampleRate};
use reqwest::Method;
use serde_json::{Value, json};

/// The description of the API is the one in the repository, and so is the page that is made of it.
#[test]
fn the_committed_description_is_the_true_one() {
    let true_one = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
    assert!(
        include_str!("../openapi.json") == true_one,
        "run `cargo run -p parlour-server -- openapi > adapters/server/openapi.json`"
    );
    assert!(
        include_str!("../../../docs/API.md") == reference().unwrap(),
        "run `cargo run -p parlour-server -- openapi --markdown > docs/API.md`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_read_strictly_and_errors_say_where() {
    let home = Home::sqlite();
    let api = home.serve().await;
    for (method, path, body, status, kind, says) in [
        (
            Method::GET,
            "/v1/rooms?stat=enabled",
            Value::Null,
            400,
            "unknown-parameter",
            "stat",
        ),
        (
            Method::GET,
            "/v1/rooms?limit=0",
            Value::Null,
            400,
            "unknown-parameter",
            "1 to 200",
        ),
        (
            Method::GET,
            "/v1/rooms?cursor=x",
            Value::Null,
            400,
            "unknown-parameter",
            "cursor",
        ),
        (
            Method::GET,
            "/v1/rooms/nowhere",
            Value::Null,
            404,
            "not-found",
            "nowhere",
        ),
        (
            Method::GET,
            "/v2",
            Value::Null,
            404,
            "not-found",
            "openapi.json",
        ),
        (
            Method::PATCH,
            "/v1/rooms",
            json!({}),
            405,
            "method-not-allowed",
            "openapi.json",
        ),
        (
            Method::POST,
            "/v1/rooms",
            json!({"name": "a b"}),
            422,
            "validation",
            "/name",
        ),
        (
            Method::POST,
            "/v1/rooms",
            json!({"titel": "x"}),
            422,
            "validation",
            "/titel",
        ),
        (
            Method::POST,
            "/v1/rooms",
            json!({"max_participants": 0}),
            422,
            "validation",
            "/max_participants",
        ),
        (
            Method::POST,
            "/v1/rooms",
            json!([]),
            422,
            "validation",
            "map",
        ),
        (
            Method::PATCH,
            "/v1/rooms/nowhere",
            json!({}),
            404,
            "not-found",
            "nowhere",
        ),
        (
            Method::POST,
            "/v1/rooms/a/tokens",
            json!({}),
            422,
            "validation",
            "participant",
        ),
        (
            Method::POST,
            "/v1/rooms/a/tokens",
            json!({"participant": "b", "grants": ["fly"]}),
            422,
            "validation",
            "/grants/0",
        ),
        (
            Method::POST,
            "/v1/rooms/a/tokens",
            json!({"participant": "b", "ttl_s": 0}),
            422,
            "validation",
            "/ttl_s",
        ),
        (
            Method::POST,
            "/v1/rooms/a/tokens",
            json!({"participant": "b", "name": "a\u{202e}b"}),
            422,
            "validation",
            "/name",
        ),
        (
            Method::POST,
            "/v1/tokens/refresh",
            json!({"refresh_token": "prt_x"}),
            401,
            "unauthenticated",
            "refresh",
        ),
        (
            Method::POST,
            "/v1/sessions/0/end",
            json!({}),
            404,
            "not-found",
            "session",
        ),
        (
            Method::POST,
            "/v1/rooms/a/lobby/admit",
            json!({}),
            422,
            "validation",
            "/participants",
        ),
        (
            Method::POST,
            "/v1/rooms/a/lobby/admit",
            json!({"participants": ["b"], "except": ["c"]}),
            422,
            "validation",
            "/except",
        ),
        (
            Method::POST,
            "/v1/keys",
            json!({"scopes": ["everything"]}),
            422,
            "validation",
            "everything",
        ),
        (
            Method::POST,
            "/v1/keys",
            json!({"scopes": []}),
            422,
            "validation",
            "/scopes",
        ),
        (
            Method::GET,
            "/v1/rooms?created_before=",
            Value::Null,
            400,
            "unknown-parameter",
            "`created_before` has no value",
        ),
        (
            Method::DELETE,
            "/v1/rooms/a%20b",
            Value::Null,
            422,
            "validation",
            "/room",
        ),
        (
            Method::GET,
            "/v1/rooms/a%20b/bans",
            Value::Null,
            422,
            "validation",
            "/room",
        ),
        (
            Method::PATCH,
            "/v1/rooms/a",
            json!([]),
            422,
            "validation",
            "object",
        ),
        (
            Method::POST,
            "/v1/keys/nobody/rotate",
            json!({}),
            404,
            "not-found",
            "nobody",
        ),
        (
            Method::DELETE,
            "/v1/keys/first",
            Value::Null,
            409,
            "not-possible",
            "another",
        ),
    ] {
        let (got, problem) = api.call(method.clone(), path, body).await;
        assert_eq!(got, status, "{method} {path}: {problem}");
        assert_eq!(
            problem["type"],
            format!("urn:parlour:problem:{kind}"),
            "{method} {path}"
        );
        assert!(
            problem.to_string().contains(says),
            "{method} {path}: {problem} lacks {says:?}"
        );
    }
    let plain = api
        .http
        .post(format!("{}/v1/rooms", api.url))
        .bearer_auth(&api.key)
        .body("{}");
    let problem = within(plain.send()).await.unwrap();
    assert_eq!(problem.status(), 400);
    assert_eq!(
        problem.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(problem.headers()["x-content-type-options"], "nosniff");
    assert!(problem.headers().contains_key("x-request-id"));
    for (header, value) in [("idempotency-key", "a\tb"), ("idempotency-key", "")] {
        let odd = api
            .http
            .post(format!("{}/v1/rooms", api.url))
            .bearer_auth(&api.key)
            .header(header, value);
        let odd = odd.header("content-type", "application/json").body("{}");
        assert_eq!(within(odd.send()).await.unwrap().status(), 400, "{value:?}");
    }
    let large = json!({"title": "x".repeat(2 << 20)});
    let (status, _) = api.call(Method::POST, "/v1/rooms", large).await;
    assert_eq!(status, 413);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_changed_by_who_has_read_it_last() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let made = api
        .send(
            Method::PUT,
            "/v1/rooms/green",
            Some(&json!({"title": "Green"})),
        )
        .await;
    assert_eq!(
        (made.status().as_u16(), &made.headers()["location"]),
        (201, &"/v1/rooms/green".parse().unwrap())
    );
    let etag = made.headers()["etag"].clone();
    let change = |etag: &reqwest::header::HeaderValue, title: &str| {
        let request = api
            .http
            .patch(format!("{}/v1/rooms/green", api.url))
            .bearer_auth(&api.key);
        let request = request
            .header("if-match", etag.clone())
            .header("content-type", "application/merge-patch+json");
        request.body(json!({"title": title}).to_string()).send()
    };
    let changed = within(change(&etag, "Greener")).await.unwrap();
    assert_eq!(changed.status(), 200);
    let late = within(change(&etag, "Blue")).await.unwrap();
    assert_eq!(late.status(), 412);
    // What is not valid in itself is told before that.
    let invalid = within(change(&etag, &"x".repeat(121))).await.unwrap();
    assert_eq!(invalid.status(), 422);
    assert_eq!(api.get("/v1/rooms/green").await["title"], "Greener");
    let (status, problem) = api
        .call(Method::POST, "/v1/rooms", json!({"name": "green"}))
        .await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:parlour:problem:exists"))
    );
    // The same settings change nothing, and make no event.
    api.call(
        Method::PATCH,
        "/v1/rooms/green",
        json!({"title": "Greener"}),
    )
    .await;
    let events = api.get("/v1/events?room=green&order=asc").await;
    assert_eq!(
        all(events["data"].as_array().unwrap(), "type"),
        ["room.created", "room.updated"]
    );
    for _ in 0..2 {
        let (status, _) = api
            .call(Method::DELETE, "/v1/rooms/green", Value::Null)
            .await;
        assert_eq!(status, 204);
    }
    api.stop().await;
}

/// Disabling a room ends its session, empties its lobby and refuses joins.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_room_is_empty() {
    let home = Home::sqlite();
    let api = home.serve().await;
    api.call(Method::PUT, "/v1/rooms/green", json!({"lobby": true}))
        .await;
    let host = api
        .ticket("green", "host", json!({"grants": ["participant", "admit"]}))
        .await;
    let host = within(Room::join(&host)).await.unwrap();
    let waiting = api.ticket("green", "guest", Value::Null).await;
    let guest = tokio::spawn(async move { Room::join(&waiting).await });
    api.until("/v1/rooms/green/lobby", |list| {
        all(list, "participant") == ["guest"]
    })
    .await;
    let admitted = api
        .post(
            "/v1/rooms/green/lobby/admit",
            json!({"participants": ["guest", "x"]}),
        )
        .await;
    assert_eq!(
        (&admitted["affected"], &admitted["unknown"]),
        (&json!(["guest"]), &json!(["x"]))
    );
    let guest = within(guest).await.unwrap().unwrap();
    let again = api.ticket("green", "late", Value::Null).await;
    let (status, _) = api
        .call(
            Method::PATCH,
            "/v1/rooms/green",
            json!({"state": "disabled"}),
        )
        .await;
    assert_eq!(status, 200);
    for room in [host, guest] {
        let mut events = room.events();
        within(async { while events.next().await.is_some() {} }).await;
    }
    let refused = within(Room::join(&again)).await.unwrap_err();
    assert!(refused.to_string().contains("closed"), "{refused}");
    let (status, problem) = api
        .call(
            Method::POST,
            "/v1/rooms/green/tokens",
            json!({"participant": "x"}),
        )
        .await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:parlour:problem:room-disabled"))
    );
    api.stop().await;
}

/// A request with an `Idempotency-Key` is done once; its answer does not lie open in the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_twice_is_done_once() {
    for home in Home::all().await {
        let api = home.serve().await;
        let send = |key: &str, body: Value| {
            let request = api
                .http
                .post(format!("{}/v1/rooms/green/tokens", api.url))
                .bearer_auth(&api.key);
            let request = request
                .header("idempotency-key", key)
                .header("content-type", "application/json");
            request.body(body.to_string()).send()
        };
        let anna = || json!({"participant": "anna", "refresh_ttl_s": 60});
        let first = within(send("k", anna())).await.unwrap();
        assert!(!first.headers().contains_key("idempotency-replayed"));
        let first = within(first.text()).await.unwrap();
        let second = within(send("k", anna())).await.unwrap();
        assert_eq!(
            (
                second.status().as_u16(),
                &second.headers()["idempotency-replayed"]
            ),
            (201, &"true".parse().unwrap())
        );
        assert_eq!(within(second.text()).await.unwrap(), first);
        let other = within(send("k", json!({"participant": "ben"})))
            .await
            .unwrap();
        assert_eq!(other.status(), 422);
        let another = within(send("l", anna())).await.unwrap();
        assert_ne!(within(another.text()).await.unwrap(), first);
        api.stop().await;
        let secret = serde_json::from_str::<Value>(&first).unwrap();
        let secret = secret["refresh_token"].as_str().unwrap();
        for file in std::fs::read_dir(home.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "a refresh token lies open in the database");
        }
    }
}

/// A stream of events goes on where it broke, and ends with the server.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_streamed_as_they_are_committed() {
    let home = Home::sqlite();
    let api = home.serve().await;
    api.call(Method::PUT, "/v1/rooms/a", json!({})).await;
    let first = api.get("/v1/events?type=room.created").await["data"][0]["seq"]
        .as_i64()
        .unwrap();
    let open = api
        .http
        .get(format!("{}/v1/events/stream?type=room.created", api.url));
    let open = open
        .bearer_auth(&api.key)
        .header("last-event-id", (first - 1).to_string());
    let stream = within(open.send()).await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut chunks = stream.bytes_stream();
    let mut text = String::new();
    for name in ["a", "b"] {
        while !text.contains(&format!("\"room\":\"{name}\"")) {
            let chunk = within(chunks.next()).await.unwrap().unwrap();
            text += std::str::from_utf8(&chunk).unwrap();
        }
        if name == "a" {
            assert!(text.contains(&format!("id: {first}")));
            api.call(Method::PATCH, "/v1/rooms/a", json!({"title": "x"}))
                .await;
            api.call(Method::PUT, "/v1/rooms/b", json!({})).await;
        }
    }
    assert!(!text.contains("room.updated"));
    api.stop().await;
    assert!(
        within(chunks.next()).await.is_none(),
        "the stream ends with the server"
    );
}

/// A stream ends with the right to read it: when the key is revoked, and when its secret is exchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_does_not_survive_its_key() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let open = async |id: &str| {
        let key = api
            .post("/v1/keys", json!({"id": id, "scopes": ["read"]}))
            .await;
        let stream = api.http.get(format!("{}/v1/events/stream", api.url));
        let key = format!("{id}.{}", key["secret"].as_str().unwrap());
        let stream = within(stream.bearer_auth(key).send()).await.unwrap();
        assert_eq!(stream.status(), 200);
        stream.bytes_stream()
    };
    let (mut revoked, mut rotated, mut other) = (open("a").await, open("b").await, open("c").await);
    api.call(Method::DELETE, "/v1/keys/a", Value::Null).await;
    assert!(within(revoked.next()).await.is_none());
    api.post("/v1/keys/b/rotate", json!({})).await;
    assert!(within(rotated.next()).await.is_none());
    api.post("/v1/rooms", json!({"name": "kitchen"})).await;
    assert!(within(other.next()).await.is_some());
    drop(other);
    api.stop().await;
}

/// A secret that was exchanged works for as long as was said, for the API and for tokens; a revoked key does not.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_exchanged_and_revoked() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let made = api
        .post(
            "/v1/keys",
            json!({"id": "app", "scopes": ["tokens", "read"]}),
        )
        .await;
    let as_app = |secret: &Value| format!("app.{}", secret.as_str().unwrap());
    let old = as_app(&made["secret"]);
    let get = |key: String| {
        let request = api
            .http
            .get(format!("{}/v1/rooms", api.url))
            .bearer_auth(key);
        async { within(request.send()).await.unwrap().status().as_u16() }
    };
    assert_eq!(get(old.clone()).await, 200);
    let kept = api
        .post("/v1/keys/app/rotate", json!({"keep_former_s": 60}))
        .await;
    assert_eq!(
        (get(old.clone()).await, get(as_app(&kept["secret"])).await),
        (200, 200)
    );
    let gone = api.post("/v1/keys/app/rotate", json!({})).await;
    assert_eq!(
        (get(old).await, get(as_app(&gone["secret"])).await),
        (401, 200)
    );
    // A token that it has signed is void with it.
    let mut mint = api;
    mint.key = as_app(&gone["secret"]);
    let ticket = mint.ticket("kitchen", "anna", Value::Null).await;
    mint.key = mint.first_key.clone();
    let (status, _) = mint.call(Method::DELETE, "/v1/keys/app", Value::Null).await;
    assert_eq!(status, 204);
    assert!(within(Room::join(&ticket)).await.is_err());
    let listed = mint.get("/v1/keys").await;
    assert!(listed["data"][1]["revoked_at"].is_string() && !listed.to_string().contains("secret"));
    mint.stop().await;
}

/// A client that goes away in the middle leaves nothing half done: who is listed as banned cannot get a token.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_is_done_whole_or_not_at_all() {
    let home = Home::sqlite();
    let api = home.serve().await;
    for number in 0..100 {
        let url = format!("{}/v1/rooms/kitchen/bans/p{number}", api.url);
        let request = api
            .http
            .put(url)
            .bearer_auth(&api.key)
            .header("content-type", "application/json");
        let request = tokio::spawn(request.body("{}").send());
        tokio::time::sleep(std::time::Duration::from_micros(20 * number)).await;
        request.abort();
    }
    // One that is answered stands behind all that were given up.
    let (status, _) = api
        .call(Method::PUT, "/v1/rooms/kitchen/bans/last", json!({}))
        .await;
    assert_eq!(status, 200);
    let bans = api.get("/v1/rooms/kitchen/bans").await;
    let banned = all(bans["data"].as_array().unwrap(), "participant");
    assert!(
        banned.len() > 10,
        "hardly any came through: {}",
        banned.len()
    );
    for participant in banned {
        let minted = api
            .call(
                Method::POST,
                "/v1/rooms/kitchen/tokens",
                json!({"participant": participant}),
            )
            .await;
        assert_eq!(
            minted.0, 409,
            "{participant} is listed as banned and is not"
        );
    }
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_is_answered_with_what_is() {
    for home in Home::all().await {
        let api = home.serve().await;
        let green = json!({"title": "Green"});
        let first = api.send(Method::PUT, "/v1/rooms/green", Some(&green)).await;
        let second = api.send(Method::PUT, "/v1/rooms/green", Some(&green)).await;
        let read = api.send(Method::GET, "/v1/rooms/green", None).await;
        assert_eq!(first.headers()["etag"], second.headers()["etag"]);
        assert_eq!(first.headers()["etag"], read.headers()["etag"]);
        // A room that is not there keeps its bans when it is deleted once more.
        api.call(Method::PUT, "/v1/rooms/void/bans/eve", json!({}))
            .await;
        let (status, _) = api
            .call(Method::DELETE, "/v1/rooms/void", Value::Null)
            .await;
        assert_eq!(status, 204);
        assert_eq!(
            api.get("/v1/rooms/void/bans").await["data"][0]["participant"],
            "eve"
        );
        // Names are found by their beginning, in any language of the database.
        let found = api.get("/v1/rooms?prefix=gree").await;
        assert_eq!(all(found["data"].as_array().unwrap(), "name"), ["green"]);
        let server = api
            .call(
                Method::POST,
                "/v1/rooms/green/tokens",
                json!({"participant": "$server"}),
            )
            .await;
        assert_eq!(server.0, 422);
        api.stop().await;
    }
}

/// Who speaks is told in the stream, first as it is and then as it changes, and is nowhere in the journal.
#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_is_streamed_and_not_kept() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let anna = api.join("kitchen", "anna").await;
    api.join("hall", "carl").await;
    let options = AudioOptions::opus(SampleRate::Hz48000);
    let mut mic = within(anna.publish_audio("mic", options)).await.unwrap();
    let open = api
        .http
        .get(format!(
            "{}/v1/events/stream?speaker=1&room=kitchen",
            api.url
        ))
        .bearer_auth(&api.key);
    let mut chunks = within(open.send()).await.unwrap().bytes_stream();
    let mut text = String::new();
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    let mut phase: f64 = 0.0;
    within(async {
        // Nobody, then anna, then nobody again.
        for speaker in ["null", "\"anna\"", "null"] {
            let told = format!("\"participant\":{speaker}}}\n\n");
            loop {
                let message = text.find("\"speaker.changed\"");
                if let Some(end) = message.and_then(|at| Some(at + text[at..].find("\n\n")? + 2)) {
                    let message = text[..end].rsplit("\n\n").nth(1).unwrap();
                    assert!(!message.contains("id: "), "{message}");
                    assert!(text[..end].ends_with(&told), "{speaker}: {message}");
                    text.drain(..end);
                    break;
                }
                tokio::select! {
                    chunk = chunks.next() => text += std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap(),
                    _ = ticks.tick() => {
                        // She sings until she is heard.
                        let tone: Vec<i16> = (0..960).map(|_| {
                            phase += 440.0 * std::f64::consts::TAU / 48_000.0;
                            (phase.sin() * 10_000.0) as i16
                        }).collect();
                        if speaker == "\"anna\"" {
                            mic.write(&tone).unwrap();
                        }
                    }
                }
            }
        }
    })
    .await;
    assert!(!text.contains("hall"));
    let events = api.get("/v1/events?limit=200").await;
    let types = all(events["data"].as_array().unwrap(), "type");
    assert!(types.contains(&"stream.published") && !types.contains(&"speaker.changed"));
    let (status, problem) = api
        .call(Method::GET, "/v1/events/stream?speaker=2", Value::Null)
        .await;
    assert_eq!((status, &problem["status"]), (400, &json!(400)));
    api.stop().await;
}
