//! Logins for the portal, as a browser sends them.

mod common;

use common::*;
use parlour_server::config::{Config, Portal};
use parlour_server::serve::{Running, StartError};
use reqwest::{Method, Response};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

/// A browser: it keeps its cookie, and sends the CSRF token if it has one.
struct Browser<'a> {
    api: &'a Api,
    cookie: Option<String>,
    csrf: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(api: &'a Api) -> Self {
        Self {
            api,
            cookie: None,
            csrf: None,
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Response {
        let mut request = self
            .api
            .http
            .request(method, format!("{}{path}", self.api.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(csrf) = &self.csrf {
            request = request.header("x-csrf-token", csrf);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        within(request.send()).await.unwrap()
    }

    async fn status(&self, method: Method, path: &str, body: Value) -> u16 {
        self.send(method, path, body, &[]).await.status().as_u16()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.send(Method::GET, path, Value::Null, &[]).await;
        within(answer.json()).await.unwrap()
    }

    async fn log_in(&mut self, name: &str, password: &str) -> u16 {
        let body = json!({"name": name, "password": password});
        let answer = self.send(Method::POST, "/v1/login", body, &[]).await;
        let status = answer.status().as_u16();
        let set = answer.headers().get("set-cookie");
        let set = set.map(|set| set.to_str().unwrap().to_owned());
        let login: Value = within(answer.json()).await.unwrap();
        assert_eq!(set.is_some(), status == 200);
        if let Some(set) = set {
            for rule in [
                "; HttpOnly",
                "; SameSite=Strict",
                "; Path=/",
                "; Max-Age=43200",
            ] {
                assert!(set.contains(rule), "{set}");
            }
            self.cookie = Some(set.split(';').next().unwrap().to_owned());
            self.csrf = login["csrf_token"].as_str().map(str::to_owned);
        }
        status
    }
}

fn with_passwords(home: &Home) -> Config {
    let mut config = home.config();
    config.portal = Portal { password: true };
    config
}

async fn set_password(api: &Api, name: &str, password: &str) -> u16 {
    let path = format!("/v1/admins/{name}");
    api.call(Method::PUT, &path, json!({"password": password}))
        .await
        .0
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_logs_in_does_everything_and_logs_out() {
    for home in Home::all().await {
        let mut api = Api::start(with_passwords(&home)).await;
        assert_eq!(set_password(&api, "anna", PASSWORD).await, 200);
        let mut browser = Browser::new(&api);
        let login = browser.get("/v1/login").await;
        assert_eq!(login["password_required"], true);
        assert!(login["admin"].is_null() && login["csrf_token"].is_null());
        assert_eq!(
            browser.status(Method::GET, "/v1/rooms", Value::Null).await,
            401
        );
        assert_eq!(browser.log_in("anna", "wrong horse battery").await, 401);
        assert_eq!(browser.log_in("nobody", PASSWORD).await, 401);
        assert_eq!(browser.log_in("", "").await, 401);
        assert_eq!(browser.log_in("anna", PASSWORD).await, 200);
        let login = browser.get("/v1/login").await;
        assert_eq!(
            (&login["admin"], &login["csrf_token"]),
            (&json!("anna"), &json!(browser.csrf))
        );

        // A room, a token that lets somebody in, a guest link, and a key.
        assert_eq!(
            browser
                .status(Method::POST, "/v1/rooms", json!({"name": "kitchen"}))
                .await,
            201
        );
        let body = json!({"participant": "ben"});
        let minted = browser
            .send(Method::POST, "/v1/rooms/kitchen/tokens", body, &[])
            .await;
        let minted: Value = within(minted.json()).await.unwrap();
        let room = parlour_tokio::Room::join(minted["ticket"].as_str().unwrap());
        let room = within(room).await.unwrap();
        assert_eq!(
            browser
                .status(Method::POST, "/v1/rooms/kitchen/guest-links", json!({}))
                .await,
            201
        );
        assert_eq!(
            browser
                .status(
                    Method::POST,
                    "/v1/keys",
                    json!({"id": "made", "scopes": ["read"]})
                )
                .await,
            201
        );
        drop(room);
        let audit = api
            .until("/v1/audit?order=asc&actor=admin:anna", |entries| {
                entries.len() >= 6
            })
            .await;
        let told: Vec<_> = audit
            .iter()
            .map(|entry| {
                (
                    entry["action"].as_str().unwrap(),
                    entry["result"].as_str().unwrap(),
                )
            })
            .collect();
        for (action, result) in [
            ("POST /v1/login", "done"),
            ("POST /v1/rooms", "done"),
            ("POST /v1/keys", "done"),
            ("POST /v1/login", "unauthenticated"),
        ] {
            assert!(
                told.contains(&(action, result)),
                "{action} {result}: {told:?}"
            );
        }
        let strangers = api
            .until("/v1/audit?action=POST%20/v1/login", |_| true)
            .await;
        assert!(strangers.iter().all(|entry| entry["actor"] != "nobody"));
        assert!(!json!(audit).to_string().contains("horse"));

        // It outlasts a restart.
        let (cookie, csrf) = (browser.cookie.clone(), browser.csrf.clone());
        api.stop().await;
        api = Api::start(with_passwords(&home)).await;
        let port = |url: &str| url.rsplit(':').next().unwrap().to_owned();
        // The port is another one, and so is the cookie's name.
        let cookie = cookie.map(|cookie| {
            format!(
                "parlour_login_{}={}",
                port(&api.url),
                cookie.split_once('=').unwrap().1
            )
        });
        let browser = Browser {
            api: &api,
            cookie,
            csrf,
        };
        assert_eq!(browser.get("/v1/login").await["admin"], "anna");
        let gone = browser
            .send(Method::DELETE, "/v1/login", Value::Null, &[])
            .await;
        assert_eq!(gone.status(), 204);
        assert!(
            gone.headers()["set-cookie"]
                .to_str()
                .unwrap()
                .contains("Max-Age=0")
        );
        assert_eq!(
            browser.status(Method::GET, "/v1/rooms", Value::Null).await,
            401
        );
        api.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_alone_changes_nothing() {
    let home = Home::sqlite();
    let api = Api::start(with_passwords(&home)).await;
    set_password(&api, "anna", PASSWORD).await;
    set_password(&api, "ben", PASSWORD).await;
    let (mut anna, mut ben) = (Browser::new(&api), Browser::new(&api));
    assert_eq!(anna.log_in("anna", PASSWORD).await, 200);
    assert_eq!(ben.log_in("ben", PASSWORD).await, 200);
    let token = anna.csrf.take();
    for wrong in [None, ben.csrf.clone(), Some(String::new())] {
        anna.csrf = wrong;
        assert_eq!(
            anna.status(Method::GET, "/v1/rooms", Value::Null).await,
            200
        );
        for (method, path) in [
            (Method::POST, "/v1/rooms"),
            (Method::PUT, "/v1/rooms/a"),
            (Method::DELETE, "/v1/keys/first"),
            (Method::DELETE, "/v1/login"),
        ] {
            let body = json!({});
            assert_eq!(
                anna.status(method.clone(), path, body).await,
                401,
                "{method} {path}"
            );
        }
    }
    anna.csrf = token;
    assert_eq!(
        anna.status(Method::PUT, "/v1/rooms/a", json!({})).await,
        201
    );
    // A page of another server logs nobody in.
    let body = json!({"name": "anna", "password": PASSWORD});
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let answer = anna
            .send(
                Method::POST,
                "/v1/login",
                body.clone(),
                &[("origin", origin)],
            )
            .await;
        assert_eq!(answer.status(), 403, "{origin}");
    }
    let own = anna
        .send(Method::POST, "/v1/login", body, &[("origin", &api.url)])
        .await;
    assert_eq!(own.status(), 200);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_or_no_admin_ends_logins_and_streams() {
    let home = Home::sqlite();
    let api = Api::start(with_passwords(&home)).await;
    set_password(&api, "anna", PASSWORD).await;
    let mut browser = Browser::new(&api);
    browser.log_in("anna", PASSWORD).await;
    let stream = browser
        .send(Method::GET, "/v1/events/stream", Value::Null, &[])
        .await;
    assert_eq!(stream.status(), 200);
    assert_eq!(set_password(&api, "anna", "another password").await, 200);
    // It ends without an event.
    within(stream.bytes()).await.unwrap();
    assert_eq!(
        browser.status(Method::GET, "/v1/rooms", Value::Null).await,
        401
    );
    assert_eq!(browser.log_in("anna", PASSWORD).await, 401);
    assert_eq!(browser.log_in("anna", "another password").await, 200);
    assert_eq!(
        api.call(Method::DELETE, "/v1/admins/anna", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        browser.status(Method::GET, "/v1/rooms", Value::Null).await,
        401
    );
    assert_eq!(browser.log_in("anna", "another password").await, 401);
    assert_eq!(api.get("/v1/admins").await["data"], json!([]));
    for (name, password) in [
        ("anna", "too short"),
        // Characters count, not bytes.
        ("anna", "ÄÖÜäöü123"),
        ("anna", &*"x".repeat(257)),
        ("an%20na", PASSWORD),
    ] {
        assert_eq!(set_password(&api, name, password).await, 422, "{name}");
    }
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_is_slowed() {
    let home = Home::sqlite();
    let mut config = with_passwords(&home);
    config.http.limits.logins_per_min = 1.try_into().unwrap();
    let api = Api::start(config).await;
    set_password(&api, "anna", PASSWORD).await;
    let mut browser = Browser::new(&api);
    assert_eq!(browser.log_in("anna", "a guess of mine").await, 401);
    assert_eq!(browser.log_in("anna", PASSWORD).await, 429);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_passwords_only_this_machine_gets_in() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let mut browser = Browser::new(&api);
    assert_eq!(browser.get("/v1/login").await["password_required"], false);
    let evil = [
        ("host", "evil.example:7800"),
        ("origin", "http://evil.example:7800"),
    ];
    let rebound = browser
        .send(Method::POST, "/v1/login", json!({}), &evil)
        .await;
    assert_eq!(rebound.status(), 403);
    assert_eq!(browser.log_in("", "").await, 200);
    assert_eq!(
        browser.status(Method::POST, "/v1/rooms", json!({})).await,
        201
    );
    api.stop().await;

    let mut config = home.config();
    config.http.listen = ([0, 0, 0, 0], 0).into();
    let refused = Running::start(&config).await.unwrap_err();
    assert!(matches!(refused, StartError::PortalOpen(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_key_that_signs_stays() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let mut browser = Browser::new(&api);
    browser.log_in("", "").await;
    assert_eq!(
        browser
            .status(Method::DELETE, "/v1/keys/first", Value::Null)
            .await,
        409
    );
    browser
        .status(
            Method::POST,
            "/v1/keys",
            json!({"id": "second", "scopes": ["tokens"]}),
        )
        .await;
    assert_eq!(
        browser
            .status(Method::DELETE, "/v1/keys/first", Value::Null)
            .await,
        204
    );
    assert_eq!(
        browser
            .status(Method::DELETE, "/v1/keys/second", Value::Null)
            .await,
        409
    );
    api.stop().await;
}
