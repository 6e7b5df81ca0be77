//! The room page, the package for browsers that it uses, and the portal: files that are part of the program.
//!
//! | path | what |
//! |---|---|
//! | `/room/{name}` | the page, the same for every name: it does not tell which rooms there are |
//! | `/web/…` | its scripts and styles, in `adapters/web/page` |
//! | `/web/sdk/…` | the package, in `adapters/web/dist` |
//! | `/portal/…` | the portal, in `adapters/web/portal`; its pages are fragments of `/portal/` |
//!
//! Ticket and guest link stand in the fragment of the page's address, which browsers do not send.

use std::io::{self, Write as _};
use std::sync::{LazyLock, OnceLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::App;
use super::problem::Problem;
use super::web::authority;

const PORTAL: &str = "/portal/";

/// What the portal may load and whereto it may speak: this server only. It needs neither WebAssembly nor sockets.
const PORTAL_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; \
                             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
struct File {
    /// Its path below `/web/`, or below `/` for the portal.
    path: &'static str,
    content: &'static [u8],
    /// Of this content, and of no other.
    tag: String,
    /// The content by gzip, once somebody has asked for it.
    packed: OnceLock<Vec<u8>>,
}

impl File {
    fn packed(&self) -> &[u8] {
        // Writing to memory does not fail.
        let pack = || gzip(self.content).unwrap_or_default();
        self.packed.get_or_init(pack)
    }
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(content)?;
    packed.finish()
}

macro_rules! files {
    ($($path:literal = $source:literal),* $(,)?) => {
        [$((
            $path,
            include_bytes!(concat!("../../../web/", $source)) as &[u8],
        )),*]
    };
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let files = files![
        "index.html" = "page/index.html",
        "page.css" = "page/page.css",
        "page.js" = "page/page.js",
        "stage.js" = "page/stage.js",
        "tiles.js" = "page/tiles.js",
        "pictures.js" = "page/pictures.js",
        "show.js" = "page/show.js",
        "chat.js" = "page/chat.js",
        "controls.js" = "page/controls.js",
        "devices.js" = "page/devices.js",
        "admission.js" = "page/admission.js",
        "announcer.js" = "page/announcer.js",
        "dom.js" = "page/dom.js",
        "problems.js" = "page/problems.js",
        "strings.js" = "page/strings.js",
        "text.js" = "page/text.js",
        "icon.svg" = "page/icon.svg",
        "sdk/index.js" = "dist/index.js",
        "sdk/worker.js" = "dist/worker.js",
        "sdk/worklet.js" = "dist/worklet.js",
        "sdk/participant.wasm" = "dist/participant.wasm",
        "sdk/player.wasm" = "dist/player.wasm",
        "sdk/encoder.wasm" = "dist/encoder.wasm",
        "portal/index.html" = "portal/index.html",
        "portal/portal.css" = "portal/portal.css",
        "portal/portal.js" = "portal/portal.js",
        "portal/api.js" = "portal/api.js",
        "portal/ui.js" = "portal/ui.js",
        "portal/forms.js" = "portal/forms.js",
        "portal/how.js" = "portal/how.js",
        "portal/live.js" = "portal/live.js",
        "portal/login.js" = "portal/login.js",
        "portal/marks.js" = "portal/marks.js",
        "portal/strings.en.js" = "portal/strings.en.js",
        "portal/strings.de.js" = "portal/strings.de.js",
        "portal/text.js" = "portal/text.js",
        "portal/overview.js" = "portal/overview.js",
        "portal/rooms.js" = "portal/rooms.js",
        "portal/room.js" = "portal/room.js",
        "portal/invite.js" = "portal/invite.js",
        "portal/sessions.js" = "portal/sessions.js",
        "portal/participants.js" = "portal/participants.js",
        "portal/recordings.js" = "portal/recordings.js",
        "portal/player.js" = "portal/player.js",
        "portal/compositions.js" = "portal/compositions.js",
        "portal/compose.js" = "portal/compose.js",
        "portal/webhooks.js" = "portal/webhooks.js",
        "portal/events.js" = "portal/events.js",
        "portal/keys.js" = "portal/keys.js",
        "portal/audit.js" = "portal/audit.js",
        "portal/server.js" = "portal/server.js",
        "portal/uqr.js" = "portal/uqr.js",
    ];
    let file = |(path, content)| File {
        path,
        content,
        tag: tag(content),
        packed: OnceLock::new(),
    };
    files.into_iter().map(file).collect()
});

fn tag(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    format!("\"{}\"", Base64UrlUnpadded::encode_string(&hash[..12]))
}

/// The address of a room's page with a guest link, as a reference.
pub(super) fn address(room: &str, guest_link: &str) -> String {
    format!("/room/{room}#guest={guest_link}")
}

/// Answers for the page's paths. They are none of the API's.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/room/{name}", get(page))
        .route("/web/{*path}", get(file))
        .route("/portal", get(|| async { Redirect::permanent(PORTAL) }))
        .route(PORTAL, get(portal))
        .route("/portal/{*path}", get(portal_file))
}

/// The page of a room, whether there is one of that name or not.
async fn page(State(app): State<App>, parts: Parts) -> Response {
    answer(&app, "index.html", &parts)
}

/// The portal, for whoever comes: what it shows, the API decides.
async fn portal(State(app): State<App>, parts: Parts) -> Response {
    answer(&app, "portal/index.html", &parts)
}

async fn portal_file(State(app): State<App>, Path(path): Path<String>, parts: Parts) -> Response {
    answer(&app, &format!("portal/{path}"), &parts)
}

async fn file(State(app): State<App>, Path(path): Path<String>, parts: Parts) -> Response {
    if path.starts_with("portal/") {
        return Problem::not_found("file", &path).into_response();
    }
    answer(&app, &path, &parts)
}

fn answer(app: &App, path: &str, parts: &Parts) -> Response {
    let Some(file) = FILES.iter().find(|file| file.path == path) else {
        return Problem::not_found("file", path).into_response();
    };
    let mut headers = HeaderMap::new();
    let policy = match path.starts_with("portal/") {
        true => PORTAL_POLICY.to_owned(),
        false => policy(app, parts),
    };
    let is_packed = takes_gzip(&parts.headers);
    // The two forms of a file are two representations.
    let tag = if is_packed {
        file.tag.replacen('"', "\"gzip-", 1)
    } else {
        file.tag.clone()
    };
    for (name, value) in [
        (header::CONTENT_TYPE, kind(path)),
        // Kept, but asked for each time: script, worker and WebAssembly have to be of one version.
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, &tag),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, &policy),
        (PERMISSIONS_POLICY, PERMISSIONS),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        // All are plain text.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if is_known(&parts.headers, &tag) {
        headers.remove(header::CONTENT_TYPE);
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return (headers, file.packed()).into_response();
    }
    (headers, file.content).into_response()
}

/// Whether the client takes gzip, as [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3) has it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|codings| {
        codings.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight = weight.trim().strip_prefix("q=");
            let weight = weight.and_then(|weight| weight.parse::<f32>().ok());
            name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
        })
    })
}

const PERMISSIONS_POLICY: header::HeaderName =
    header::HeaderName::from_static("permissions-policy");
const OPENER_POLICY: header::HeaderName =
    header::HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: header::HeaderName =
    header::HeaderName::from_static("cross-origin-resource-policy");

/// What the page may ask the user for.
const PERMISSIONS: &str = "microphone=(self), speaker-selection=(self), camera=(self), display-capture=(self), geolocation=(), payment=(), usb=()";

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// Whether the client says that it has this content, as [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2) has it.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|value| value.to_str().ok());
    known.any(|tags| {
        let mut tags = tags.split(',').map(str::trim);
        tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
    })
}

/// What the page may load and whereto it may speak: nothing but this server, and no script in its text.
fn policy(app: &App, parts: &Parts) -> String {
    let host = authority(parts).filter(|host| is_plain(host));
    // For browsers to which `'self'` is no WebSocket.
    let sockets = host.map(|host| format!(" ws://{host} wss://{host}"));
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let transport = app.web().transport_url(host.as_ref());
    let transport = transport.and_then(|url| Some(url::Url::parse(&url).ok()?.origin()));
    let transport = transport.map(|origin| format!(" {}", origin.ascii_serialization()));
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'{}{}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        sockets.unwrap_or_default(),
        transport.unwrap_or_default(),
    )
}

/// Whether a client's `Host` has no character that means something in a policy.
fn is_plain(host: &str) -> bool {
    let mut bytes = host.bytes();
    bytes.all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_alone_among_others_and_weakly() {
        let knows = |value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, value)]);
            is_known(&headers, "\"a\"")
        };
        assert!(knows("\"a\"") && knows("W/\"a\"") && knows("\"b\", \"a\"") && knows("*"));
        assert!(!knows("\"b\"") && !knows("a") && !knows(""));
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let takes = |value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
        };
        assert!(takes("gzip") && takes("br, GZIP") && takes("gzip;q=0.5, identity"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("gzip; q=x") && !takes(""));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_a_browser_loads_is_all_there() {
        let web = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
        for (folder, prefix) in [("page", ""), ("dist", "sdk/"), ("portal", "portal/")] {
            for entry in std::fs::read_dir(web.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                // For compilers and for React.
                if name.ends_with(".d.ts") || ["tsconfig.json", "react.js"].contains(&name.as_str())
                {
                    continue;
                }
                let path = format!("{prefix}{name}");
                assert!(
                    FILES.iter().any(|file| file.path == path),
                    "{path} is not served"
                );
            }
        }
    }

    #[test]
    fn a_browser_loads_little_for_the_portal() {
        for other in ["portal/strings.de.js", "portal/strings.en.js"] {
            let loaded = FILES
                .iter()
                .filter(|file| file.path.starts_with("portal/") && file.path != other);
            let bytes: usize = loaded.map(|file| file.content.len()).sum();
            assert!((1..=200 * 1_024).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn every_file_has_a_kind_and_a_tag_of_its_own() {
        let mut tags: Vec<_> = FILES.iter().map(|file| &file.tag).collect();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), FILES.len());
        for file in FILES.iter() {
            assert_ne!(kind(file.path), "application/octet-stream", "{}", file.path);
        }
    }
}
