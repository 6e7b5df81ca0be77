//! Webhooks over HTTP: what a receiver is sent, whatever it does, and what the API tells of it.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::process::Process;
use common::receiver::{Got, Receiver, Reply};
use common::*;
use reqwest::Method;
use serde_json::{Value, json};

/// A webhook for what happens to rooms; gives its path and its secret.
async fn webhook(api: &Api, url: &str, more: Value) -> (String, String) {
    let mut body = json!({"url": url, "events": ["room.*"]});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let made = api.post("/v1/webhooks", body).await;
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
    (path, made["secret"].as_str().unwrap().to_owned())
}

async fn put_room(api: &Api, room: &str, title: &str) {
    let (status, body) = api
        .call(
            Method::PUT,
            &format!("/v1/rooms/{room}"),
            json!({"title": title}),
        )
        .await;
    assert!(status < 300, "{body}");
}

async fn until(api: &Api, path: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    within(async {
        loop {
            let value = api.get(path).await;
            if is_it(&value) {
                return value;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_sent_what_it_asked_for_signed_and_in_order() {
    for home in Home::all().await {
        let api = home.serve().await;
        put_room(&api, "before", "").await;
        let mut receiver = Receiver::start(|_| Reply::Text(200, "thanks".to_owned())).await;
        let more = json!({"rooms": ["green", "blue"]});
        let (path, secret) = webhook(&api, &receiver.url, more).await;
        assert!(api.get(&path).await.get("secret").is_none());
        for n in 0..5 {
            for room in ["green", "red", "blue"] {
                put_room(&api, room, &format!("title {n}")).await;
            }
        }
        let mut seen: BTreeMap<String, Vec<Got>> = BTreeMap::new();
        for _ in 0..10 {
            let got = receiver.next().await;
            seen.entry(got.room()).or_default().push(got);
        }
        assert_eq!(seen.keys().collect::<Vec<_>>(), ["blue", "green"]);
        let by_others = standardwebhooks::Webhook::new(&secret).unwrap();
        for requests in seen.values() {
            let titles: Vec<_> = requests
                .iter()
                .map(|got| got.json()["data"]["title"].clone())
                .collect();
            assert_eq!(titles, [0, 1, 2, 3, 4].map(|n| json!(format!("title {n}"))));
            assert_eq!(requests[0].kind(), "room.created");
            for got in requests {
                assert!(got.is_signed_by(&secret));
                assert_eq!(got.json()["data"]["id"], got.id);
                let mut headers = reqwest::header::HeaderMap::new();
                headers.insert("webhook-id", got.id.parse().unwrap());
                headers.insert("webhook-timestamp", got.timestamp.parse().unwrap());
                headers.insert("webhook-signature", got.signature.parse().unwrap());
                by_others.verify(&got.body, &headers).unwrap();
            }
        }
        let all_delivered = format!("{path}/deliveries?state=delivered&order=asc");
        let delivered = api.until(&all_delivered, |list| list.len() == 10).await;
        let first = &delivered[0];
        assert_eq!(
            (&first["type"], &first["room"]),
            (&json!("room.created"), &json!("green"))
        );
        assert_eq!(
            (&first["status"], &first["answer"]),
            (&json!(200), &json!("thanks"))
        );
        assert_eq!(
            (&first["tries"], &first["error"], &first["failover"]),
            (&json!(1), &Value::Null, &json!(false))
        );
        let state = until(&api, &path, |webhook| webhook["backlog"] == 0).await;
        assert_eq!(state["state"], "healthy");
        assert!(state["last_success_at"].is_string() && state["oldest_pending_at"].is_null());
        assert_eq!(api.get("/v1/webhooks").await["data"][0], state);
        api.stop().await;
    }
}

/// Each kind of bad receiver is named, and tried again; a room waits for no other.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_in_any_way_is_tried_again() {
    for home in Home::all().await {
        let api = home.serve().await;
        let mut elsewhere = Receiver::start(|_| Reply::Status(200)).await;
        let leads_to = elsewhere.url.clone();
        let seen = std::sync::Mutex::new(BTreeMap::<String, usize>::new());
        let receiver = Receiver::start(move |got| {
            let mut seen = seen.lock().unwrap();
            let tries = seen.entry(got.id.clone()).or_default();
            *tries += 1;
            match (got.room().as_str(), *tries) {
                ("error", 1) => Reply::Text(500, "x".repeat(3_000)),
                ("hang", 1) => Reply::Hang,
                ("redirect", 1) => Reply::Redirect(leads_to.clone()),
                ("close", 1) => Reply::Close,
                ("lie", 1) => Reply::Lie(503),
                ("nonsense", 1) => Reply::Nonsense,
                ("shortened", 1) => Reply::Lie(200),
                ("nul", 1) => Reply::Text(400, "a\0b".to_owned()),
                _ => Reply::Status(204),
            }
        });
        let receiver = receiver.await;
        let (path, _) = webhook(&api, &receiver.url, json!({"timeout_s": 1})).await;
        let expected = [
            ("error", 500, "answered 500"),
            ("hang", 0, "within 1 s"),
            ("redirect", 302, "redirects are not followed"),
            ("close", 0, "connection closed"),
            ("lie", 503, "answered 503"),
            ("nonsense", 0, "invalid HTTP"),
            ("nul", 400, "answered 400"),
        ];
        for (room, ..) in expected {
            put_room(&api, room, "").await;
        }
        put_room(&api, "shortened", "").await;
        // Each is seen refused once, and taken in the end.
        let mut errors = BTreeMap::new();
        let list = format!("{path}/deliveries");
        within(async {
            loop {
                let all = api.get(&list).await["data"].as_array().unwrap().clone();
                for delivery in all
                    .iter()
                    .filter(|delivery| delivery["state"] == "retrying")
                {
                    let room = delivery["room"].as_str().unwrap().to_owned();
                    assert!(delivery["next_at"].is_string());
                    errors.insert(room, delivery.clone());
                }
                if all.len() == 8 && all.iter().all(|delivery| delivery["state"] == "delivered") {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
        for (room, status, says) in expected {
            let refused = &errors[room];
            assert_eq!(refused["status"].as_u64().unwrap_or(0), status, "{refused}");
            assert!(
                refused["error"].as_str().unwrap().contains(says),
                "{refused}"
            );
        }
        assert_eq!(errors["error"]["answer"], "x".repeat(1_024));
        assert_eq!(errors["nul"]["answer"], "a\u{fffd}b");
        // The status was 2xx: whatever is wrong with the rest, the event was taken.
        assert!(!errors.contains_key("shortened"));
        assert!(elsewhere.already().is_none(), "a redirect was followed");
        api.stop().await;
    }
}

/// While a receiver hangs for one room, the events of another come one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_stuck_holds_up_no_other() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let mut receiver = Receiver::start(|got| match got.room().as_str() {
        "stuck" => Reply::Hang,
        _ => Reply::Status(200),
    })
    .await;
    let (path, _) = webhook(&api, &receiver.url, json!({})).await;
    for n in 0..20 {
        put_room(&api, "stuck", &n.to_string()).await;
        put_room(&api, "moving", &n.to_string()).await;
    }
    let mut of_stuck = 0;
    for n in 0..20 {
        let got = receiver
            .until(|got| {
                of_stuck += usize::from(got.room() == "stuck");
                got.room() == "moving"
            })
            .await;
        assert_eq!(got.json()["data"]["title"], n.to_string());
    }
    assert!(
        of_stuck <= 1,
        "one request at a time, and it hangs: {of_stuck}"
    );
    let state = until(&api, &path, |webhook| webhook["backlog"] == 20).await;
    assert!(state["oldest_pending_at"].is_string());
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_webhook_says_so_and_a_retry_does_not_wait() {
    for home in Home::all().await {
        let api = home.serve().await;
        let is_well = Arc::new(AtomicBool::new(false));
        let reply = Arc::clone(&is_well);
        let receiver = Receiver::start(move |_| match reply.load(Ordering::Relaxed) {
            true => Reply::Status(200),
            false => Reply::Status(500),
        })
        .await;
        let (path, _) = webhook(&api, &receiver.url, json!({})).await;
        put_room(&api, "a", "1").await;
        put_room(&api, "a", "2").await;
        let list = format!("{path}/deliveries?order=asc");
        let refused = api
            .until(&list, |list| {
                list.len() == 2 && list[0]["tries"].as_i64() > Some(2)
            })
            .await;
        let state = api.get(&path).await;
        assert_eq!(
            (&state["state"], &state["backlog"]),
            (&json!("failing"), &json!(2))
        );
        assert_eq!(refused[1]["state"], "pending");
        let retry = |delivery: &Value| {
            format!(
                "{path}/deliveries/{}/retry",
                delivery["id"].as_str().unwrap()
            )
        };
        let (status, problem) = api
            .call(Method::POST, &retry(&refused[1]), Value::Null)
            .await;
        assert_eq!(
            (status, problem["type"].as_str()),
            (409, Some("urn:parlour:problem:not-possible"))
        );
        is_well.store(true, Ordering::Relaxed);
        let (status, delivery) = api
            .call(Method::POST, &retry(&refused[0]), Value::Null)
            .await;
        assert_eq!((status, &delivery["tries"]), (202, &json!(0)), "{delivery}");
        let delivered =
            |list: &[Value]| list.iter().all(|delivery| delivery["state"] == "delivered");
        api.until(&list, delivered).await;
        let state = until(&api, &path, |webhook| webhook["backlog"] == 0).await;
        assert_eq!(state["state"], "healthy");
        // One that was taken is sent again on request.
        let again = api.post(&retry(&refused[1]), Value::Null).await;
        assert_eq!(
            (&again["state"], &again["aside"]),
            (&json!("pending"), &json!(true))
        );
        api.until(&list, |list| delivered(list) && list[1]["aside"] == true)
            .await;
        api.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_left_alone_until_it_is_enabled_anew() {
    for home in Home::all().await {
        let api = home.serve().await;
        let is_back = Arc::new(AtomicBool::new(false));
        let reply = Arc::clone(&is_back);
        let mut receiver =
            Receiver::start(
                move |got| match (reply.load(Ordering::Relaxed), got.path.as_str()) {
                    (false, "/hook") => Reply::Status(410),
                    _ => Reply::Status(200),
                },
            )
            .await;
        let failover = receiver.url.replace("/hook", "/other");
        let (path, _) = webhook(&api, &receiver.url, json!({"failover_url": failover})).await;
        put_room(&api, "a", "1").await;
        until(&api, &path, |webhook| webhook["state"] == "gone").await;
        put_room(&api, "a", "2").await;
        put_room(&api, "b", "3").await;
        let state = api.get(&path).await;
        assert_eq!(
            (&state["state"], &state["backlog"]),
            (&json!("gone"), &json!(3))
        );
        // The place that is gone is not failed over.
        assert_eq!(receiver.next().await.path, "/hook");
        assert!(receiver.already().is_none());
        is_back.store(true, Ordering::Relaxed);
        let (status, state) = api
            .call(Method::PATCH, &path, json!({"enabled": true}))
            .await;
        assert_eq!(
            (status, &state["state"]),
            (200, &json!("healthy")),
            "{state}"
        );
        let mut titles = Vec::new();
        for _ in 0..3 {
            let got = receiver.next().await;
            titles.push((
                got.room(),
                got.json()["data"]["title"].as_str().unwrap().to_owned(),
            ));
        }
        titles.sort();
        let expected = [("a", "1"), ("a", "2"), ("b", "3")];
        assert_eq!(
            titles,
            expected.map(|(room, title)| (room.to_owned(), title.to_owned()))
        );
        api.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_at_the_url_goes_to_the_other_one() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let other = Receiver::start(|_| Reply::Text(202, "I have it".to_owned())).await;
    let mut first = Receiver::start(|_| Reply::Status(503)).await;
    let (path, secret) = webhook(&api, &first.url, json!({"failover_url": other.url})).await;
    put_room(&api, "a", "").await;
    let list = format!("{path}/deliveries");
    let delivered = api
        .until(&list, |list| {
            list.first()
                .is_some_and(|first| first["state"] == "delivered")
        })
        .await;
    assert_eq!(
        (&delivered[0]["failover"], &delivered[0]["status"]),
        (&json!(true), &json!(202))
    );
    assert_eq!(delivered[0]["tries"], 1);
    assert!(first.next().await.is_signed_by(&secret));
    let tested = api.post(&format!("{path}/test"), Value::Null).await;
    assert_eq!(
        (&tested["delivered"], &tested["failover"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&tested["answer"], &tested["error"]),
        (&json!("I have it"), &Value::Null)
    );
    let test = first.next().await;
    assert_eq!(
        (test.kind().as_str(), &test.id),
        ("webhook.test", &tested["id"].as_str().unwrap().to_owned())
    );
    // A test is in no list.
    assert_eq!(api.get(&list).await["data"].as_array().unwrap().len(), 1);
    api.call(Method::PATCH, &path, json!({"failover_url": null}))
        .await;
    let tested = api.post(&format!("{path}/test"), Value::Null).await;
    assert_eq!(
        (&tested["delivered"], &tested["status"]),
        (&json!(false), &json!(503))
    );
    assert!(tested["error"].as_str().unwrap().contains("503"));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_secret_signs_for_a_while() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let mut receiver = Receiver::start(|_| Reply::Status(200)).await;
    let (path, first) = webhook(&api, &receiver.url, json!({})).await;
    let rotate = format!("{path}/rotate");
    let second = api.post(&rotate, json!({"keep_former_s": 3_600})).await;
    assert!(second["former_until"].is_string());
    let second = second["secret"].as_str().unwrap().to_owned();
    put_room(&api, "a", "").await;
    let got = receiver.next().await;
    assert!(got.is_signed_by(&first) && got.is_signed_by(&second));
    assert!(got.signature.starts_with("v1,") && got.signature.split(' ').count() == 2);
    let third = api.post(&rotate, json!({})).await;
    let third = third["secret"].as_str().unwrap();
    put_room(&api, "b", "").await;
    let got = receiver.until(|got| got.room() == "b").await;
    assert!(got.is_signed_by(third) && !got.is_signed_by(&second) && !got.is_signed_by(&first));
    let (status, problem) = api
        .call(Method::POST, &rotate, json!({"keep_former_s": 604_801}))
        .await;
    assert_eq!(
        (status, &problem["errors"][0]["pointer"]),
        (422, &json!("/keep_former_s"))
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sends_everything_again_in_order() {
    for home in Home::all().await {
        let api = home.serve().await;
        let mut receiver = Receiver::start(|_| Reply::Status(200)).await;
        put_room(&api, "a", "0").await;
        let (path, _) = webhook(&api, &receiver.url, json!({})).await;
        for n in 1..6 {
            put_room(&api, "a", &n.to_string()).await;
        }
        let mut seqs = Vec::new();
        for _ in 1..6 {
            seqs.push(receiver.next().await.seq());
        }
        until(&api, &path, |webhook| webhook["backlog"] == 0).await;
        // From before the webhook came to exist.
        let first = api.get("/v1/events?type=room.created").await["data"][0]["seq"]
            .as_i64()
            .unwrap();
        let (status, state) = api
            .call(
                Method::POST,
                &format!("{path}/replay"),
                json!({"from_seq": first}),
            )
            .await;
        assert_eq!((status, &state["backlog"]), (202, &json!(6)), "{state}");
        let mut again = Vec::new();
        for _ in 0..6 {
            again.push(receiver.next().await.seq());
        }
        assert_eq!((again[0], &again[1..]), (first, &seqs[..]));
        let delivered = format!("{path}/deliveries?state=delivered");
        api.until(&delivered, |list| list.len() == 6).await;
        for seq in [0, -1, 1_000_000] {
            let (status, problem) = api
                .call(
                    Method::POST,
                    &format!("{path}/replay"),
                    json!({"from_seq": seq}),
                )
                .await;
            assert_eq!(
                (status, &problem["errors"][0]["pointer"]),
                (422, &json!("/from_seq"))
            );
        }
        api.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_disabled_the_queue_waits() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let mut receiver = Receiver::start(|_| Reply::Status(200)).await;
    let (path, _) = webhook(&api, &receiver.url, json!({"enabled": false})).await;
    put_room(&api, "a", "1").await;
    put_room(&api, "a", "2").await;
    let state = api.get(&path).await;
    assert_eq!(
        (&state["backlog"], &state["enabled"]),
        (&json!(2), &json!(false))
    );
    assert!(state["oldest_pending_at"].is_string());
    let etag = api.send(Method::GET, &path, None).await.headers()["etag"].clone();
    let enable = |etag: &str| {
        let request = api
            .http
            .patch(format!("{}{path}", api.url))
            .bearer_auth(&api.key);
        let request = request
            .header("content-type", "application/json")
            .header("if-match", etag);
        request.body(json!({"enabled": true}).to_string()).send()
    };
    assert_eq!(within(enable("\"0\"")).await.unwrap().status(), 412);
    assert!(receiver.already().is_none());
    assert_eq!(
        within(enable(etag.to_str().unwrap()))
            .await
            .unwrap()
            .status(),
        200
    );
    for title in ["1", "2"] {
        assert_eq!(receiver.next().await.json()["data"]["title"], title);
    }
    let (status, _) = api.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!(status, 204);
    put_room(&api, "a", "3").await;
    let (status, _) = api.call(Method::GET, &path, Value::Null).await;
    assert_eq!(status, 404);
    let (status, _) = api.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!(status, 204);
    api.stop().await;
    assert!(receiver.already().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_cannot_be_is_refused() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.webhooks.allow_private = false;
    let api = Api::start(config).await;
    let url = "https://hooks.example.org/";
    for (body, pointer) in [
        (json!({}), "/url"),
        (json!({"url": "http://hooks.example.org/"}), "/url"),
        (json!({"url": "https://127.0.0.1/"}), "/url"),
        (json!({"url": "https://[::ffff:10.0.0.1]/"}), "/url"),
        (json!({"url": "https://0x7f000001/"}), "/url"),
        (
            json!({"url": url, "failover_url": "https://192.168.0.1/"}),
            "/failover_url",
        ),
        (
            json!({"url": url, "events": ["room.created", "room.creatd"]}),
            "/events/1",
        ),
        (json!({"url": url, "events": ["*"]}), "/events/0"),
        (json!({"url": url, "rooms": ["a", "b c"]}), "/rooms/1"),
        (json!({"url": url, "timeout_s": 0}), "/timeout_s"),
        (json!({"url": url, "timeout_s": 31}), "/timeout_s"),
        (json!({"url": url, "evnets": []}), "/evnets"),
        (json!({"url": url, "rooms": vec!["a"; 101]}), "/rooms"),
    ] {
        let (status, problem) = api.call(Method::POST, "/v1/webhooks", body.clone()).await;
        assert_eq!(status, 422, "{body}");
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{body}: {problem}"
        );
    }
    let (path, _) = webhook(&api, url, json!({})).await;
    let (status, problem) = api
        .call(Method::PATCH, &path, json!({"url": "https://10.0.0.1/"}))
        .await;
    assert_eq!(
        (status, &problem["errors"][0]["pointer"]),
        (422, &json!("/url"))
    );
    assert_eq!(api.get(&path).await["url"], url);
    for (method, path) in [
        (Method::GET, "/v1/webhooks/wh_0"),
        (Method::PATCH, "/v1/webhooks/wh_0"),
        (Method::POST, "/v1/webhooks/wh_0/test"),
        (Method::POST, "/v1/webhooks/wh_0/rotate"),
        (Method::GET, "/v1/webhooks/wh_0/deliveries"),
        (Method::POST, "/v1/webhooks/wh_0/deliveries/evt_0/retry"),
    ] {
        let (status, problem) = api.call(method.clone(), path, json!({})).await;
        assert_eq!(
            (status, problem["type"].as_str()),
            (404, Some("urn:parlour:problem:not-found")),
            "{method} {path}"
        );
    }
    api.stop().await;
}

/// What happens while the server ends is sent before it has ended; what a receiver does not take then, after the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_nothing() {
    for home in Home::all().await {
        let api = home.serve().await;
        let is_well = Arc::new(AtomicBool::new(true));
        let reply = Arc::clone(&is_well);
        let mut receiver = Receiver::start(move |_| match reply.load(Ordering::Relaxed) {
            true => Reply::Status(200),
            false => Reply::Status(500),
        })
        .await;
        let (path, _) = webhook(
            &api,
            &receiver.url,
            json!({"events": ["session.*", "room.updated"]}),
        )
        .await;
        let anna = api.join("kitchen", "anna").await;
        assert_eq!(receiver.next().await.kind(), "session.started");
        api.stop().await;
        let last = receiver.already().expect("before the server has ended");
        assert_eq!(
            (last.kind().as_str(), last.json()["data"]["reason"].as_str()),
            ("session.ended", Some("server_shutdown"))
        );
        drop(anna);

        let api = home.serve().await;
        is_well.store(false, Ordering::Relaxed);
        for n in 0..3 {
            put_room(&api, "kitchen", &format!("title {n}")).await;
        }
        receiver.next().await;
        until(&api, &path, |webhook| webhook["state"] == "failing").await;
        api.stop().await;
        while receiver.already().is_some() {}
        is_well.store(true, Ordering::Relaxed);
        let api = home.serve().await;
        for n in 0..3 {
            assert_eq!(
                receiver.next().await.json()["data"]["title"],
                format!("title {n}")
            );
        }
        until(&api, &path, |webhook| webhook["state"] == "healthy").await;
        api.stop().await;
    }
}

/// A server that is killed at any moment has told all of its journal in the end, in the order of each room.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_tells_everything() {
    const ROOMS: usize = 5;
    let home = Home::sqlite();
    let config = home.config();
    // It refuses some requests, so that there are repetitions, too.
    let requests = AtomicUsize::new(0);
    let mut receiver =
        Receiver::start(
            move |_| match requests.fetch_add(1, Ordering::Relaxed) % 41 {
                40 => Reply::Status(500),
                _ => Reply::Status(200),
            },
        )
        .await;
    let http = http();
    let (mut key, mut made) = (String::new(), false);
    for round in 0..4 {
        let server = Process::start(&home, &config).await;
        key = server.made_key.clone().unwrap_or(key);
        let call = |method: Method, path: &str, body: Value| {
            let request = http
                .request(method, format!("{}{path}", server.url))
                .bearer_auth(&key);
            request
                .header("content-type", "application/json")
                .body(body.to_string())
                .send()
        };
        if !made {
            let webhook = json!({"url": receiver.url, "events": ["room.*"]});
            let answer = within(call(Method::POST, "/v1/webhooks", webhook))
                .await
                .unwrap();
            assert_eq!(answer.status(), 201);
            made = true;
        }
        for n in 0..20 + 10 * round {
            for room in 0..ROOMS {
                let title = json!({"title": format!("{round} {n}")});
                let path = format!("/v1/rooms/room-{room}");
                let put = within(call(Method::PUT, &path, title)).await.unwrap();
                assert!(put.status().is_success(), "{}", put.status());
            }
        }
        server.kill().await;
    }
    let server = Process::start(&home, &config).await;
    let request = http
        .get(format!("{}/v1/webhooks", server.url))
        .bearer_auth(&key);
    within(async {
        loop {
            let list: Value = serde_json::from_str(
                &request
                    .try_clone()
                    .unwrap()
                    .send()
                    .await
                    .unwrap()
                    .text()
                    .await
                    .unwrap(),
            )
            .unwrap();
            if list["data"][0]["backlog"] == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    let mut told: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    while let Some(got) = receiver.already() {
        let of_room = told.entry(got.room()).or_default();
        // Only its first time counts: it may have been taken without that being known.
        if !of_room.contains(&got.seq()) {
            of_room.push(got.seq());
        }
    }
    let total: usize = (0..4).map(|round| 20 + 10 * round).sum();
    for (room, seqs) in &told {
        assert!(seqs.is_sorted(), "{room}: {seqs:?}");
        assert_eq!(seqs.len(), total, "{room}");
    }
    assert_eq!(told.len(), ROOMS);
    server.kill().await;
}
