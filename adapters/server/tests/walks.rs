//! Walks over the whole API, as its own description lists it: endpoints that are added later are walked, too.

mod common;

use std::collections::BTreeSet;

use common::*;
use parlour_server::api::openapi;
use parlour_server::api::problem::Kind;
use parlour_server::auth::Scope;
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// An operation as the description has it.
struct Operation {
    method: Method,
    path: String,
    described: Value,
}

impl Operation {
    /// The scope that it asks for; `None` if it asks for no key.
    fn scope(&self) -> Option<&str> {
        self.described["security"][0]["key"][0].as_str()
    }

    /// Its path, to things that are not there.
    fn to_nothing(&self) -> String {
        let mut path = String::new();
        let mut rest = self.path.as_str();
        while let Some((before, parameter)) = rest.split_once('{') {
            path.push_str(before);
            path.push_str("nothing");
            rest = parameter.split_once('}').unwrap().1;
        }
        path + rest
    }

    fn is(&self, method: &Method, path: &str) -> bool {
        let is_same = |(ours, theirs): (&str, &str)| ours.starts_with('{') || ours == theirs;
        let (ours, theirs) = (self.path.split('/'), path.split('/'));
        self.method == *method
            && ours.clone().count() == theirs.clone().count()
            && ours.zip(theirs).all(is_same)
    }
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, described) in operations.as_object().unwrap() {
            all.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                described: described.clone(),
            });
        }
    }
    all
}

/// What generators of clients, readers and the walks below need of every operation.
#[test]
fn every_operation_is_described() {
    let document = serde_json::to_value(openapi()).unwrap();
    let tags: BTreeSet<_> = all(document["tags"].as_array().unwrap(), "name")
        .into_iter()
        .collect();
    let scopes: BTreeSet<_> = Scope::ALL.into_iter().map(Scope::name).collect();
    let mut ids = BTreeSet::new();
    let mut wrong = Vec::new();
    for operation in operations() {
        let Operation {
            method,
            path,
            described,
        } = &operation;
        let mut unless = |holds: bool, remedy: &str| {
            if !holds {
                wrong.push(format!("{method} {path}: {remedy}"));
            }
        };
        let id = described["operationId"].as_str().unwrap_or_default();
        unless(
            id.contains('_'),
            "give it an `operation_id` of verb and noun, such as `list_rooms`",
        );
        unless(
            ids.insert(id.to_owned()),
            "its `operation_id` is that of another one",
        );
        let tag = described["tags"][0].as_str().unwrap_or_default();
        unless(
            tags.contains(tag),
            "give it one of the tags in `Description`, or describe its own there",
        );
        unless(
            described["summary"].is_string(),
            "begin its comment with one line that says what it does",
        );
        let is_open = described["security"] == json!([]);
        let is_scoped = operation
            .scope()
            .is_some_and(|scope| scopes.contains(scope));
        unless(
            is_open || is_scoped,
            "say which scope it asks for: `security((\"key\" = [\"read\"]))`; or none: `security(())`",
        );
        let responses = described["responses"].as_object().unwrap();
        unless(
            !responses.contains_key("4XX"),
            "name its problems one by one, as `Problems<(kind::NotFound, …)>`; those of every operation are added by themselves",
        );
        for (status, response) in responses {
            let is_described = response["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty());
            unless(is_described, &format!("describe its answer {status}"));
        }
        for parameter in described["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            unless(
                parameter["description"].is_string(),
                &format!("describe its parameter `{name}`"),
            );
        }
        let body = &described["requestBody"]["content"]["application/json"];
        unless(
            body.is_null() || body["example"].is_object(),
            "show a body: `request_body(content = …, example = json!({…}))`",
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ids.len() > 35, "{}", ids.len());
}

/// Asserts what holds of every problem; gives its body.
async fn problem(response: Response, kind: Kind) -> Value {
    let (status, headers) = (response.status(), response.headers().clone());
    let id = headers["x-request-id"].to_str().unwrap().to_owned();
    let text = within(response.text()).await.unwrap();
    let body: Value =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{kind:?}: {status} {text}"));
    assert_eq!(
        body["type"],
        format!("urn:parlour:problem:{}", kind.name()),
        "{body}"
    );
    assert_eq!(status, kind.status().as_u16(), "{body}");
    assert_eq!(body["status"], status.as_u16(), "{body}");
    assert_eq!(body["instance"], id, "{body}");
    assert_eq!(
        headers["content-type"], "application/problem+json",
        "{body}"
    );
    assert!(
        body["title"]
            .as_str()
            .is_some_and(|title| !title.is_empty()),
        "{body}"
    );
    let says = body["detail"]
        .as_str()
        .is_some_and(|detail| !detail.is_empty());
    assert!(says || body["errors"][0]["detail"].is_string(), "{body}");
    assert_eq!(
        headers.contains_key("www-authenticate"),
        status == 401,
        "{body}"
    );
    body
}

/// Every operation that asks for a key refuses a request without one, with a wrong or a revoked one, and a key without the scope
/// that its description names.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_asks_for_its_scope() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let make = async |id: &str, scope: &str| {
        let key = api
            .post("/v1/keys", json!({"id": id, "scopes": [scope]}))
            .await;
        format!("{id}.{}", key["secret"].as_str().unwrap())
    };
    let revoked = make("revoked", "admin").await;
    let (status, _) = api
        .call(Method::DELETE, "/v1/keys/revoked", Value::Null)
        .await;
    assert_eq!(status, 204);
    let mut keys = Vec::new();
    for scope in Scope::ALL {
        keys.push((scope, make(scope.name(), scope.name()).await));
    }
    let mut open = Vec::new();
    for operation in operations() {
        let Operation { method, path, .. } = &operation;
        let url = format!("{}{}", api.url, operation.to_nothing());
        // It is read after the key: whoever may do it is told that this is no JSON, and nothing happens.
        let request = || {
            api.http
                .request(method.clone(), &url)
                .header("content-type", "text/plain")
                .body("x")
        };
        let send = async |key: &str| within(request().bearer_auth(key).send()).await.unwrap();
        let Some(needed) = operation.scope() else {
            open.push(format!("{method} {path}"));
            let answer = within(request().send()).await.unwrap();
            assert!(
                ![401, 403].contains(&answer.status().as_u16()),
                "{method} {path}"
            );
            continue;
        };
        let anonymous = within(request().send()).await.unwrap();
        problem(anonymous, Kind::Unauthenticated).await;
        problem(send("admin.wrong").await, Kind::Unauthenticated).await;
        problem(send("revoked.wrong").await, Kind::Unauthenticated).await;
        problem(send(&revoked).await, Kind::KeyRevoked).await;
        for (scope, key) in &keys {
            let answer = send(key).await;
            if scope.name() == needed || *scope == Scope::Admin {
                // An endless answer is as good as any that is no refusal.
                let status = answer.status().as_u16();
                assert!(
                    ![401, 403].contains(&status),
                    "{method} {path} with {scope}: {status}"
                );
                continue;
            }
            assert_eq!(answer.status(), 403, "{method} {path} with {scope}");
            let refused = problem(answer, Kind::ScopeMissing).await;
            let detail = refused["detail"].as_str().unwrap();
            assert!(
                detail.contains(&format!("`{needed}`")),
                "{method} {path} with {scope}: {detail}"
            );
        }
    }
    assert_eq!(
        open,
        [
            "GET /.well-known/parlour",
            "GET /healthz",
            "GET /readyz",
            "POST /v1/guests",
            "GET /v1/login",
            "POST /v1/login",
            "POST /v1/tokens/refresh"
        ]
    );
    api.stop().await;
}

/// A parameter that an operation does not have is an error, whatever the operation.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_a_parameter_that_it_does_not_have() {
    let home = Home::sqlite();
    let api = home.serve().await;
    for operation in operations() {
        let path = format!("{}?misspelt=1", operation.to_nothing());
        if path.starts_with("/v1/") {
            let body = json!({});
            let refused = api.send(operation.method, &path, Some(&body)).await;
            let refused = problem(refused, Kind::UnknownParameter).await;
            assert!(
                refused["detail"].as_str().unwrap().contains("misspelt"),
                "{path}: {refused}"
            );
        }
    }
    api.stop().await;
}

/// Each kind of problem is what it is said to be, and its operation's description has it.
#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_as_it_is_described() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.drain.timeout_s = 30;
    let mut api = Api::start(config).await;
    let anna = api.join("kitchen", "anna").await;
    let sessions = api
        .until("/v1/sessions?state=active", |list| !list.is_empty())
        .await;
    let session = sessions[0]["id"].as_str().unwrap().to_owned();
    api.join("hall", "ben").await.leave().await;
    let over = api
        .until("/v1/sessions?state=ended", |list| !list.is_empty())
        .await;
    let over = over[0]["id"].as_str().unwrap().to_owned();
    for (room, settings) in [("green", json!({})), ("dark", json!({"state": "disabled"}))] {
        api.call(Method::PUT, &format!("/v1/rooms/{room}"), settings)
            .await;
    }
    let key = api
        .post("/v1/keys", json!({"id": "reader", "scopes": ["read"]}))
        .await;
    let reader = format!("reader.{}", key["secret"].as_str().unwrap());
    let key = api
        .post("/v1/keys", json!({"id": "gone", "scopes": ["read"]}))
        .await;
    let gone = format!("gone.{}", key["secret"].as_str().unwrap());
    api.call(Method::DELETE, "/v1/keys/gone", Value::Null).await;

    let operations = operations();
    let mut seen = BTreeSet::new();
    let mut check = async |kind: Kind, method: Method, path: &str, response: Response| {
        problem(response, kind).await;
        let path = path.split('?').next().unwrap();
        let operation = operations
            .iter()
            .find(|operation| operation.is(&method, path));
        // A path or a method that there is not has no description, and neither has a WebSocket.
        if let Some(operation) = operation {
            let described =
                &operation.described["responses"][kind.status().as_str()]["description"];
            let described = described.as_str().unwrap_or_default();
            assert!(
                described.contains(&format!("`{}`", kind.name())),
                "{method} {path}: {kind:?}"
            );
        } else {
            assert!(
                [Kind::NotFound, Kind::MethodNotAllowed, Kind::OriginRefused].contains(&kind),
                "{method} {path}"
            );
        }
        seen.insert(kind);
    };
    let (get, post, put, patch) = (Method::GET, Method::POST, Method::PUT, Method::PATCH);
    let large = json!({"title": "x".repeat(2 << 20)});
    let of_over = format!("/v1/sessions/{over}/kick");
    let of_nobody = format!("/v1/sessions/{session}/participants/nobody");
    for (kind, method, path, body) in [
        (
            Kind::UnknownParameter,
            &get,
            "/v1/rooms?limit=0",
            Value::Null,
        ),
        (
            Kind::Validation,
            &post,
            "/v1/rooms",
            json!({"max_participants": 0}),
        ),
        (Kind::NotFound, &get, "/v1/rooms/nowhere", Value::Null),
        (Kind::NotFound, &get, "/v2", Value::Null),
        (Kind::NotFound, &patch, &of_nobody, json!({"grants": []})),
        (Kind::MethodNotAllowed, &patch, "/v1/rooms", json!({})),
        (Kind::Exists, &post, "/v1/rooms", json!({"name": "green"})),
        (
            Kind::SessionEnded,
            &post,
            &of_over,
            json!({"participants": "all"}),
        ),
        (
            Kind::RoomDisabled,
            &post,
            "/v1/rooms/dark/tokens",
            json!({"participant": "x"}),
        ),
        (
            Kind::NotPossible,
            &Method::DELETE,
            "/v1/keys/first",
            Value::Null,
        ),
        (
            Kind::CountChanged,
            &post,
            "/v1/recordings/delete",
            json!({"ids": ["rec_1"], "expected": 1}),
        ),
        (Kind::TooLarge, &put, "/v1/rooms/green", large),
    ] {
        let response = api
            .send(method.clone(), path, (!body.is_null()).then_some(&body))
            .await;
        check(kind, method.clone(), path, response).await;
    }
    let rooms = format!("{}/v1/rooms", api.url);
    let post_room = || {
        api.http
            .post(&rooms)
            .bearer_auth(&api.key)
            .header("content-type", "application/json")
    };
    let sent = within(post_room().body("{").send()).await.unwrap();
    check(Kind::Malformed, post.clone(), "/v1/rooms", sent).await;
    let sent = within(api.http.get(&rooms).send()).await.unwrap();
    check(Kind::Unauthenticated, get.clone(), "/v1/rooms", sent).await;
    let sent = within(api.http.get(&rooms).bearer_auth(&gone).send())
        .await
        .unwrap();
    check(Kind::KeyRevoked, get.clone(), "/v1/rooms", sent).await;
    let sent = api.http.post(&rooms).bearer_auth(&reader).body("{}");
    check(
        Kind::ScopeMissing,
        post.clone(),
        "/v1/rooms",
        within(sent.send()).await.unwrap(),
    )
    .await;
    let green = format!("{}/v1/rooms/green", api.url);
    let sent = api
        .http
        .put(&green)
        .bearer_auth(&api.key)
        .header("if-match", "\"0\"");
    let sent = sent.header("content-type", "application/json").body("{}");
    check(
        Kind::EtagMismatch,
        put.clone(),
        "/v1/rooms/green",
        within(sent.send()).await.unwrap(),
    )
    .await;
    let once = |body: &str| {
        post_room()
            .header("idempotency-key", "1")
            .body(body.to_owned())
            .send()
    };
    within(once(r#"{"name": "once"}"#)).await.unwrap();
    let sent = within(once(r#"{"name": "twice"}"#)).await.unwrap();
    check(Kind::IdempotencyMismatch, post.clone(), "/v1/rooms", sent).await;
    // A problem that is given again has the id of the request that it answers now.
    for _ in 0..2 {
        let again = post_room()
            .header("idempotency-key", "2")
            .body(r#"{"name": "green"}"#);
        let again = within(again.send()).await.unwrap();
        check(Kind::Exists, post.clone(), "/v1/rooms", again).await;
    }
    // The first takes up to a second, until the tokens of this second are old.
    let revoke = || {
        let request = api
            .http
            .post(format!("{}/v1/rooms/green/tokens/revoke", api.url))
            .bearer_auth(&api.key);
        let request = request.header("idempotency-key", ulid::Ulid::generate().to_string());
        request
            .header("content-type", "application/json")
            .body("{}")
    };
    let refused = within(async {
        loop {
            let request = revoke();
            let both = [request.try_clone().unwrap().send(), request.send()];
            let answers = futures_util::future::join_all(both).await;
            let refused = answers
                .into_iter()
                .flatten()
                .find(|answer| answer.status() == 409);
            if let Some(refused) = refused {
                break refused;
            }
        }
    });
    check(
        Kind::InProgress,
        post.clone(),
        "/v1/rooms/green/tokens/revoke",
        refused.await,
    )
    .await;
    home.execute("UPDATE rooms SET settings = 'nonsense' WHERE name = 'green'")
        .await;
    let sent = api.send(get.clone(), "/v1/rooms/green", None).await;
    check(Kind::Internal, get.clone(), "/v1/rooms/green", sent).await;
    home.execute("DROP TABLE bans").await;
    let sent = api.send(get.clone(), "/v1/rooms/green/bans", None).await;
    check(
        Kind::StorageUnavailable,
        get.clone(),
        "/v1/rooms/green/bans",
        sent,
    )
    .await;
    let join = api.http.get(format!("{}/parlour/7900", api.url));
    let join = join
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    let join = join.header("sec-websocket-version", "13");
    let join = join.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let refused = within(join.header("origin", "https://evil.example").send()).await;
    check(
        Kind::OriginRefused,
        get.clone(),
        "/parlour/7900",
        refused.unwrap(),
    )
    .await;
    api.ask_to_end();
    let draining = within(async {
        loop {
            let answer = api.send(get.clone(), "/readyz", None).await;
            if answer.status() != 204 {
                break answer;
            }
        }
    });
    check(Kind::Draining, get.clone(), "/readyz", draining.await).await;
    within(anna.leave()).await;
    api.stop().await;

    // These take limits that a test reaches: `operations.rs` does.
    seen.extend([Kind::RateLimited, Kind::TooSlow, Kind::TimedOut]);
    // All places would have to be held by participants, and no test has so many.
    seen.insert(Kind::NoPlace);
    // `recordings.rs` and `compositions.rs` have these.
    seen.extend([
        Kind::ComposerUnavailable,
        Kind::RecordingActive,
        Kind::RangeNotSatisfiable,
        Kind::StoreUnavailable,
    ]);
    let missing: Vec<_> = Kind::ALL
        .iter()
        .filter(|kind| !seen.contains(kind))
        .collect();
    assert!(
        missing.is_empty(),
        "show by a request how these come about: {missing:?}"
    );
}

/// A request's id may be the client's, if it can be logged and given back.
#[tokio::test(flavor = "multi_thread")]
async fn an_odd_request_id_is_replaced() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let long = "x".repeat(129);
    for (id, is_kept) in [
        ("trace-7", true),
        (&long, false),
        ("a b", false),
        ("a\tb", false),
        ("\u{e9}", false),
    ] {
        let id = reqwest::header::HeaderValue::from_bytes(id.as_bytes()).unwrap();
        let sent = api
            .http
            .get(format!("{}/v1/rooms", api.url))
            .header("x-request-id", id.clone());
        let answer = within(sent.send()).await.unwrap();
        assert_eq!(answer.headers()["x-request-id"] == id, is_kept, "{id:?}");
        problem(answer, Kind::Unauthenticated).await;
    }
    api.stop().await;
}

/// Nothing may embed or guess at an answer, and nothing may keep one with a secret.
#[tokio::test(flavor = "multi_thread")]
async fn answers_have_headers_that_protect_them() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let token = json!({"participant": "anna"});
    let key = json!({"scopes": ["read"]});
    for (method, path, body) in [
        (Method::POST, "/v1/rooms/kitchen/tokens", Some(&token)),
        (Method::POST, "/v1/keys", Some(&key)),
        (
            Method::POST,
            "/v1/keys/first/rotate",
            Some(&json!({"keep_former_s": 600})),
        ),
        (Method::GET, "/v1/rooms", None),
        (Method::GET, "/v1/rooms/nowhere", None),
        (Method::GET, "/openapi.json", None),
        (Method::GET, "/v2", None),
    ] {
        let answer = api.send(method.clone(), path, body).await;
        let headers = answer.headers();
        assert_eq!(headers["cache-control"], "no-store", "{method} {path}");
        assert_eq!(
            headers["x-content-type-options"], "nosniff",
            "{method} {path}"
        );
        assert_eq!(headers["referrer-policy"], "no-referrer", "{method} {path}");
        assert!(
            headers["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("default-src 'none'"),
            "{method} {path}"
        );
    }
    api.stop().await;
}
