//! The room page as a browser asks for it, and the links by which guests come.

mod common;

use std::io::Read as _;
use std::time::Duration;

use common::*;
use parlour_server::api::problem::Kind;
use parlour_tokio::Room;
use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};

async fn get(api: &Api, path: &str, headers: &[(header::HeaderName, &str)]) -> Response {
    let mut request = api.http.get(format!("{}{path}", api.url));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    within(request.send()).await.unwrap()
}

fn text<'a>(answer: &'a Response, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

async fn refused(api: &Api, path: &str, body: Value) -> String {
    let refused = api.post_refused(path, body).await;
    let kind = refused["type"].as_str().unwrap();
    kind.rsplit(':').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_the_same_whether_the_room_exists_or_not() {
    let api = Home::sqlite().serve().await;
    let _: Value = api.post("/v1/rooms", json!({"name": "kitchen"})).await;
    let mut pages = Vec::new();
    for room in ["kitchen", "nowhere", "K%C3%BCche"] {
        let page = get(&api, &format!("/room/{room}"), &[]).await;
        assert_eq!(page.status(), StatusCode::OK, "{room}");
        let mut headers = page.headers().clone();
        for varying in ["date", "x-request-id"] {
            headers.remove(varying);
        }
        pages.push((headers, within(page.text()).await.unwrap()));
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
    assert!(pages[0].1.contains("/web/page.js"));
    for path in ["/room", "/room/", "/room/a/b"] {
        assert_eq!(get(&api, path, &[]).await.status(), 404, "{path}");
    }
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_until_they_change_and_unknown_ones_are_not_there() {
    let api = Home::sqlite().serve().await;
    for (path, kind) in [
        ("/room/kitchen", "text/html; charset=utf-8"),
        ("/web/page.js", "text/javascript; charset=utf-8"),
        ("/web/page.css", "text/css; charset=utf-8"),
        ("/web/sdk/worker.js", "text/javascript; charset=utf-8"),
        ("/web/sdk/participant.wasm", "application/wasm"),
    ] {
        let first = get(&api, path, &[]).await;
        assert_eq!(
            (text(&first, "content-type"), first.status().as_u16()),
            (kind, 200),
            "{path}"
        );
        assert_eq!(text(&first, "cache-control"), "no-cache", "{path}");
        assert_eq!(text(&first, "referrer-policy"), "no-referrer", "{path}");
        assert_eq!(text(&first, "x-content-type-options"), "nosniff", "{path}");
        let tag = text(&first, "etag").to_owned();
        let again = get(&api, path, &[(header::IF_NONE_MATCH, &tag)]).await;
        assert_eq!(
            (again.status().as_u16(), text(&again, "etag")),
            (304, tag.as_str()),
            "{path}"
        );
        assert!(within(again.bytes()).await.unwrap().is_empty(), "{path}");
        let older = get(&api, path, &[(header::IF_NONE_MATCH, "\"older\"")]).await;
        assert_eq!(older.status(), 200, "{path}");
        let url = format!("{}{path}", api.url);
        let post = within(api.http.post(url).send()).await.unwrap();
        assert_eq!(post.status(), 405, "{path}");
    }
    for path in [
        "/web",
        "/web/",
        "/web/page",
        "/web/../openapi.json",
        "/web/%2e%2e/Cargo.toml",
        "/web//page.js",
        "/web/sdk/index.d.ts",
    ] {
        let absent = get(&api, path, &[]).await;
        let status = absent.status();
        // The client itself resolves the dots of one of them.
        assert!(
            status == 404 || absent.url().path() == "/openapi.json",
            "{path}: {status}"
        );
    }
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_packed_for_those_who_unpack() {
    let api = Home::sqlite().serve().await;
    let path = "/web/sdk/player.wasm";
    let plain = get(&api, path, &[]).await;
    let gzip = (header::ACCEPT_ENCODING, "gzip, br");
    let packed = get(&api, path, std::slice::from_ref(&gzip)).await;
    assert_eq!(text(&packed, "content-encoding"), "gzip");
    assert_eq!(text(&packed, "content-type"), "application/wasm");
    assert_eq!(text(&packed, "vary"), text(&plain, "vary"));
    let tag = text(&packed, "etag").to_owned();
    assert_ne!(text(&plain, "etag"), tag);
    let again = get(&api, path, &[gzip, (header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!(again.status(), 304);
    let (plain, packed) = (plain.bytes(), packed.bytes());
    let (plain, packed) = (within(plain).await.unwrap(), within(packed).await.unwrap());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain);
    assert!(
        packed.len() * 2 < plain.len(),
        "{} of {}",
        packed.len(),
        plain.len()
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_may_load_and_reach_nothing_but_its_server() {
    let home = Home::sqlite();
    let mut config = home.config();
    config.web.webtransport = Some(parlour_server::config::WebTransport {
        listen: Some(([127, 0, 0, 1], 0).into()),
        url: Some("https://media.example:4433".to_owned()),
    });
    let api = Api::start(config).await;
    let policy = |answer: &Response| text(answer, "content-security-policy").to_owned();
    let host = api.url.strip_prefix("http://").unwrap();
    let expected = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self' ws://{host} wss://{host} https://media.example:4433; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    // A worker has the policy of its own script.
    for path in ["/room/kitchen", "/web/sdk/worker.js"] {
        let page = get(&api, path, &[]).await;
        assert_eq!(policy(&page), expected, "{path}");
        for device in ["microphone", "camera", "display-capture"] {
            let allowed = format!("{device}=(self)");
            assert!(
                text(&page, "permissions-policy").contains(&allowed),
                "{path}: {device}"
            );
        }
    }
    // A client that lies about the host widens nothing.
    let lie = [(header::HOST, "a;script-src")];
    let lied = policy(&get(&api, "/room/kitchen", &lie).await);
    assert_eq!(lied.matches("script-src").count(), 1, "{lied}");
    let page = within(get(&api, "/room/kitchen", &[]).await.text())
        .await
        .unwrap();
    assert_eq!(
        page.matches("<script").count(),
        1,
        "one script, and it has an address"
    );
    assert!(page.contains("<script type=\"module\" src=\"/web/page.js\"></script>"));
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains(" on"));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_guest_link_joins_as_somebody_new_each_time() {
    for home in Home::all().await {
        let api = home.serve().await;
        let _: Value = api.post("/v1/rooms", json!({"name": "kitchen"})).await;
        let made = api
            .post(
                "/v1/rooms/kitchen/guest-links",
                json!({"ttl_s": 3_600, "grants": ["subscribe"]}),
            )
            .await;
        let link = made["guest_link"].as_str().unwrap();
        assert_eq!(made["page"], format!("/room/kitchen#guest={link}"));
        let mut ids = Vec::new();
        for name in ["Ben", "Ben", ""] {
            let minted = api
                .post("/v1/guests", json!({"guest_link": link, "name": name}))
                .await;
            let ticket = minted["ticket"].as_str().unwrap();
            let room = within(Room::join(ticket)).await.unwrap();
            let id = minted["participant"].as_str().unwrap().to_owned();
            assert_eq!(room.me().unwrap().as_str(), id);
            ids.push(id);
            let refreshed = api
                .post(
                    "/v1/tokens/refresh",
                    json!({"refresh_token": minted["refresh_token"]}),
                )
                .await;
            assert_eq!(refreshed["participant"], minted["participant"]);
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        api.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_link_is_void_when_it_expires_and_when_key_or_tokens_are_revoked() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let _: Value = api.post("/v1/rooms", json!({"name": "kitchen"})).await;
    let link = async |body: Value| {
        let made = api.post("/v1/rooms/kitchen/guest-links", body).await;
        json!({"guest_link": made["guest_link"]})
    };
    let short = link(json!({"ttl_s": 1})).await;
    let long = link(json!({})).await;
    assert!(api.post("/v1/guests", long.clone()).await["ticket"].is_string());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(
        refused(&api, "/v1/guests", short).await,
        Kind::Unauthenticated.name()
    );
    for guess in ["", "pgl_", "pgl_guess", "prt_guess"] {
        let kind = refused(&api, "/v1/guests", json!({"guest_link": guess})).await;
        assert_eq!(kind, Kind::Unauthenticated.name(), "{guess:?}");
    }
    let (status, _) = api
        .call(
            reqwest::Method::POST,
            "/v1/rooms/kitchen/tokens/revoke",
            json!({}),
        )
        .await;
    assert_eq!(status, 204);
    assert_eq!(
        refused(&api, "/v1/guests", long).await,
        Kind::NotPossible.name()
    );
    let later = link(json!({})).await;
    assert!(api.post("/v1/guests", later.clone()).await["ticket"].is_string());
    let disabled = json!({"state": "disabled"});
    let patched = api
        .call(reqwest::Method::PATCH, "/v1/rooms/kitchen", disabled)
        .await;
    assert_eq!(patched.0, 200);
    assert_eq!(
        refused(&api, "/v1/guests", later).await,
        Kind::RoomDisabled.name()
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_of_a_link_with_a_lobby_waits() {
    let api = Home::sqlite().serve().await;
    let _: Value = api.post("/v1/rooms", json!({"name": "kitchen"})).await;
    let anna = api.join("kitchen", "anna").await;
    let made = api
        .post("/v1/rooms/kitchen/guest-links", json!({"lobby": true}))
        .await;
    let guest = json!({"guest_link": made["guest_link"], "name": "Ben"});
    let minted = api.post("/v1/guests", guest).await;
    let ticket = minted["ticket"].as_str().unwrap().to_owned();
    let ben = tokio::spawn(async move { Room::join(&ticket).await });
    api.until("/v1/rooms/kitchen/lobby", |waiting| waiting.len() == 1)
        .await;
    assert_eq!(
        api.get("/v1/rooms/kitchen/lobby").await["data"][0]["name"],
        "Ben"
    );
    ben.abort();
    drop(anna);
    api.stop().await;
}
