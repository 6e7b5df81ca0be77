//! Logins of admins: a cookie for browsers, so that the portal needs no key.
//!
//! The cookie is kept from scripts (`HttpOnly`) and sent for pages of this site only (`SameSite=Strict`). Browsers take a host's
//! ports for one site, so that requests that change something also need the CSRF token, which other origins cannot read.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::caller::{Admin, Caller};
use super::extract::Body;
use super::limits::Client;
use super::problem::{Kind, Problem, Problems, kind};
use super::web::authority;
use crate::counted::Limit;
use crate::logins::{Cookie, LASTS, PASSWORD, actor, is_name};
use crate::store::LoginRow;
use crate::time::Timestamp;

/// Who is logged in where nobody needs a password.
const ANYBODY: &str = "dev";

/// Says in an answer's extensions that somebody has tried to log in: the actor, or nothing if there is no such admin.
#[derive(Debug, Clone)]
pub(super) struct Tried(pub(super) String);

/// Name and password of an admin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLogin {
    /// The admin's name.
    #[serde(default)]
    name: String,
    /// Its password.
    #[serde(default)]
    password: String,
}

/// Whether somebody is logged in by this browser.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Login {
    /// The admin that is logged in.
    #[schema(required)]
    admin: Option<String>,
    /// What requests that change something have to have in the header `X-CSRF-Token`.
    #[schema(required)]
    csrf_token: Option<String>,
    /// Until when.
    #[schema(required)]
    expires_at: Option<Timestamp>,
    /// Whether a login needs name and password. A server of this machine only (`serve --dev`) lets in who reaches it.
    password_required: bool,
}

/// Says who is logged in
#[utoipa::path(get, path = "/v1/login", tag = "admins",
    operation_id = "get_login", security(()),
    responses(
    (status = OK, body = Login),
))]
pub(super) async fn get(State(app): State<App>, parts: Parts) -> Json<Login> {
    let cookie = cookie(&parts);
    let found = cookie.and_then(|cookie| {
        let login = app.logins().find(&cookie, Timestamp::now())?;
        Some((cookie, login))
    });
    Json(describe(&app, found.as_ref()))
}

fn describe(app: &App, found: Option<&(Cookie, LoginRow)>) -> Login {
    Login {
        admin: found.map(|(_, login)| login.admin.clone()),
        csrf_token: found.map(|(cookie, _)| cookie.csrf_token()),
        expires_at: found.map(|(_, login)| login.expires_at),
        password_required: app.asks_password(),
    }
}

/// Logs an admin in
///
/// The answer sets a cookie that is good for 12 hours, for the portal and other pages of this server. Programs use keys.
#[utoipa::path(post, path = "/v1/login", tag = "admins",
    operation_id = "log_in", security(()),
    request_body(content = NewLogin, example = json!({"name": "anna", "password": "correct horse battery staple"})), responses(
    (status = OK, body = Login),
    Problems<(kind::Unauthenticated, kind::OriginRefused)>,
))]
pub(super) async fn log_in(
    State(app): State<App>,
    Extension(Client(client)): Extension<Client>,
    parts: Parts,
    Body(new): Body<NewLogin>,
) -> Result<Response, Problem> {
    if !is_own_page(&parts) {
        let detail = "only pages of this server log in";
        return Err(Problem::new(Kind::OriginRefused, detail));
    }
    if !app.asks_password() {
        if !is_this_machine(&parts) {
            let detail = "without a password the portal is at an address of this machine only, such as http://127.0.0.1:7800/portal/";
            return Err(Problem::new(Kind::OriginRefused, detail));
        }
        let answered = let_in(&app, &parts, ANYBODY, None).await?;
        return answered.ok_or_else(wrong);
    }
    if let Err(problem) = app.gate().admit_login(client, &new.name) {
        app.counted().limited(Limit::Logins);
        return Err(problem);
    }
    let known = match is_name(&new.name) {
        true => app.store().admin(&new.name).await?,
        false => None,
    };
    let tried = Tried(known.as_ref().map(|_| actor(&new.name)).unwrap_or_default());
    let hash = known.map(|admin| admin.password);
    // A longer one is nobody's, and not worth the time.
    let mut password = new.password;
    password.truncate(password.floor_char_boundary(PASSWORD.end() + 4));
    let is_right = app.logins().verify_password(password, hash.clone()).await;
    let answered = match is_right {
        true => let_in(&app, &parts, &new.name, hash).await?,
        false => None,
    };
    let mut response = answered.unwrap_or_else(|| wrong().into_response());
    response.extensions_mut().insert(tried);
    Ok(response)
}

fn wrong() -> Problem {
    let detail =
        "there is no admin of this name with this password: `parlour admin password NAME` sets one";
    Problem::new(Kind::Unauthenticated, detail)
}

/// Makes a login, unless the admin has got another password in the meantime.
async fn let_in(
    app: &App,
    parts: &Parts,
    admin: &str,
    password: Option<String>,
) -> Result<Option<Response>, Problem> {
    let (cookie, now) = (Cookie::random(), Timestamp::now());
    let login = LoginRow {
        hash: cookie.hash(),
        admin: admin.to_owned(),
        expires_at: now.after(LASTS),
    };
    let _changing = app.changing().await;
    let kept = app.store().write({
        let login = login.clone();
        move |tx| {
            Box::pin(async move {
                let kept = tx.put_login(&login, password.as_deref(), now).await?;
                Ok::<_, Problem>(kept)
            })
        }
    });
    if !kept.await? {
        return Ok(None);
    }
    app.logins().add(login.clone(), now);
    let set = set_cookie(parts, cookie.value(), LASTS.as_secs());
    let found = (cookie, login);
    let headers = [
        (header::SET_COOKIE, set),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok(Some(
        (headers, Json(describe(app, Some(&found)))).into_response(),
    ))
}

/// Logs out
#[utoipa::path(delete, path = "/v1/login", tag = "admins",
    operation_id = "log_out", security(("key" = ["admin"])),
    responses(
    (status = NO_CONTENT),
))]
pub(super) async fn log_out(
    _: Caller<Admin>,
    State(app): State<App>,
    parts: Parts,
) -> Result<Response, Problem> {
    let Some(cookie) = cookie(&parts) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let hash = cookie.hash();
    let ended = app
        .store()
        .write(move |tx| Box::pin(async move { Ok::<_, Problem>(tx.delete_login(&hash).await?) }));
    ended.await?;
    app.logins().end(&cookie);
    let forget = [(header::SET_COOKIE, set_cookie(&parts, "", 0))];
    Ok((StatusCode::NO_CONTENT, forget).into_response())
}

/// The cookie's name. Servers of one machine share its cookies, whatever their ports are, so each has its own.
fn name(parts: &Parts) -> String {
    let host = authority(parts).and_then(|host| host.parse::<Authority>().ok());
    let port = host.and_then(|host| host.port_u16());
    port.map_or_else(
        || "parlour_login".to_owned(),
        |port| format!("parlour_login_{port}"),
    )
}

/// The login's cookie of a request.
pub(super) fn cookie(parts: &Parts) -> Option<Cookie> {
    let name = name(parts);
    let lines = parts.headers.get_all(header::COOKIE).iter();
    let mut pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(its, _)| *its == name)?;
    Some(Cookie::new(value))
}

fn set_cookie(parts: &Parts, value: &str, seconds: u64) -> String {
    // The page knows how it was loaded, also behind a proxy that speaks TLS.
    let is_secure = origin(&parts.headers).is_some_and(|origin| origin.starts_with("https://"));
    let secure = if is_secure { "; Secure" } else { "" };
    format!(
        "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
        name(parts)
    )
}

fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ORIGIN).map(HeaderValue::to_str)?.ok()
}

/// Whether a request comes from a page of this server, or from no page. Browsers say which page it was.
fn is_own_page(parts: &Parts) -> bool {
    if !parts.headers.contains_key(header::ORIGIN) {
        return true;
    }
    let origin = origin(&parts.headers).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, host)| Some(host) == authority(parts))
}

/// Whether the host of a request is a name or an address of this machine only, and no name that its owner has lead here.
fn is_this_machine(parts: &Parts) -> bool {
    let host = authority(parts).and_then(|host| url::Url::parse(&format!("http://{host}")).ok());
    match host.as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = axum::http::Request::builder().uri("/v1/login");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_cookie_is_found_among_others_and_belongs_to_a_port() {
        let value = |host: &str, cookies: &str| {
            let found = cookie(&parts(&[("host", host), ("cookie", cookies)]));
            found.map(|cookie| cookie.value().to_owned())
        };
        let both = "a=b; parlour_login_7800=one;parlour_login=two";
        assert_eq!(value("localhost:7800", both).as_deref(), Some("one"));
        assert_eq!(value("rooms.example.org", both).as_deref(), Some("two"));
        assert_eq!(value("localhost:7801", both), None);
        assert_eq!(value("localhost:7800", "nonsense"), None);
    }

    #[test]
    fn only_own_pages_log_in() {
        let is_own =
            |origin: &str| is_own_page(&parts(&[("host", "localhost:7800"), ("origin", origin)]));
        assert!(is_own("http://localhost:7800") && is_own_page(&parts(&[])));
        for foreign in [
            "http://localhost:7801",
            "null",
            "http://evil.example",
            "localhost:7800",
            "",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_name_that_leads_here_is_not_this_machine() {
        let is_here = |host: &str| is_this_machine(&parts(&[("host", host)]));
        assert!(is_here("127.0.0.1:7800") && is_here("localhost") && is_here("[::1]:7800"));
        for other in [
            "evil.example:7800",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "192.0.2.1",
            "",
        ] {
            assert!(!is_here(other), "{other}");
        }
    }

    #[test]
    fn a_cookie_is_secure_where_the_page_is() {
        let secure = parts(&[("host", "a.example"), ("origin", "https://a.example")]);
        assert_eq!(
            set_cookie(&secure, "x", 9),
            "parlour_login=x; Path=/; Max-Age=9; HttpOnly; SameSite=Strict; Secure"
        );
        let plain = parts(&[
            ("host", "localhost:7800"),
            ("origin", "http://localhost:7800"),
        ]);
        assert!(!set_cookie(&plain, "x", 9).contains("Secure"));
    }
}
