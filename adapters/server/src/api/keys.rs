//! API keys.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::caller::{Admin, Caller};
use super::extract::{Body, Path};
use super::list::List;
use super::problem::{Kind, Problem, Problems, kind};
use crate::auth::{Scope, Scopes, random_secret};
use crate::store::{KeyRow, audit_as};
use crate::time::Timestamp;

/// For how long a former secret is accepted at most, in seconds.
const MAX_FORMER_S: u32 = 7 * 24 * 3_600;

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    id: String,
    scopes: Vec<Scope>,
    created_at: Timestamp,
    #[schema(required)]
    revoked_at: Option<Timestamp>,
    /// Until when the secret before the last rotation is accepted.
    #[schema(required)]
    former_until: Option<Timestamp>,
}

impl From<&KeyRow> for Key {
    fn from(row: &KeyRow) -> Self {
        Self {
            id: row.id.clone(),
            scopes: row.scopes.iter().collect(),
            created_at: row.created_at,
            revoked_at: row.revoked_at,
            former_until: row.former.as_ref().map(|(_, until)| *until),
        }
    }
}

/// An API key with its secret, which is shown once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyWithSecret {
    #[serde(flatten)]
    key: Key,
    secret: String,
}

fn shown_once(status: StatusCode, key: KeyWithSecret) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(key)).into_response()
}

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// Its id, at most 32 of `A-Z a-z 0-9 _ -`. Without one, the server invents one.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,32}$")]
    id: Option<String>,
    /// What it may do: at least one.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
}

/// Lists keys
#[utoipa::path(get, path = "/v1/keys", tag = "keys",
    operation_id = "list_keys", security(("key" = ["admin"])),
    responses(
    (status = OK, body = List<Key>),
))]
pub(super) async fn list(
    _: Caller<Admin>,
    State(app): State<App>,
) -> Result<Json<List<Key>>, Problem> {
    let keys = app.store().keys().await?;
    Ok(Json(List {
        data: keys.iter().map(Key::from).collect(),
        next_cursor: None,
    }))
}

/// Makes a key
#[utoipa::path(post, path = "/v1/keys", tag = "keys",
    operation_id = "create_key", security(("key" = ["admin"])),
    request_body(content = NewKey, example = json!({"id": "backend", "scopes": ["tokens", "read"]})), responses(
    (status = CREATED, body = KeyWithSecret),
    Problems<(kind::Exists,)>,
))]
pub(super) async fn create(
    _: Caller<Admin>,
    State(app): State<App>,
    Body(new): Body<NewKey>,
) -> Result<Response, Problem> {
    let id = new
        .id
        .unwrap_or_else(|| format!("key_{}", ulid::Ulid::generate()));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if id.is_empty() || id.len() > 32 || !id.chars().all(is_plain) {
        let detail = "an id has 1 to 32 of `A-Z a-z 0-9 _ -`";
        return Err(Problem::invalid_member("/id", detail));
    }
    if new.scopes.is_empty() {
        let detail = "a key without a scope opens nothing: name at least one";
        return Err(Problem::invalid_member("/scopes", detail));
    }
    audit_as(Some(format!("/v1/keys/{id}")), None);
    let secret = random_secret("");
    let row = KeyRow {
        sealed: app.sealer().seal(&id, &secret),
        id,
        former: None,
        scopes: new.scopes.into_iter().collect::<Scopes>(),
        created_at: Timestamp::now(),
        revoked_at: None,
    };
    let _changing = app.changing().await;
    let row = app.store().write(move |tx| {
        Box::pin(async move {
            if tx.key(&row.id).await?.is_some() {
                let detail = format!("there is, or was, a key named {:?}", row.id);
                return Err(Problem::new(Kind::Exists, detail));
            }
            tx.put_key(&row).await?;
            Ok(row)
        })
    });
    let row = row.await?;
    app.reload_keys().await?;
    let key = Key::from(&row);
    Ok(shown_once(
        StatusCode::CREATED,
        KeyWithSecret { key, secret },
    ))
}

/// Revokes a key
///
/// It opens nothing any more, and the tokens that it has signed are void. Participants that are in a room stay.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "keys",
    operation_id = "revoke_key", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "The key's id.", example = "backend")), responses(
    (status = NO_CONTENT),
    Problems<(kind::NotPossible,)>,
))]
pub(super) async fn delete(
    caller: Caller<Admin>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if id == caller.key {
        let detail = "a key cannot revoke itself: use another one with the scope `admin`";
        return Err(Problem::new(Kind::NotPossible, detail));
    }
    let _changing = app.changing().await;
    if !app.registry().has_other_signer(&id) {
        let detail = "without it no key would sign tokens: make another one with the scope `admin` or `tokens` first";
        return Err(Problem::new(Kind::NotPossible, detail));
    }
    let revoked = app.store().write(move |tx| {
        Box::pin(async move {
            if let Some(row) = tx.key(&id).await?.filter(|row| row.revoked_at.is_none()) {
                let revoked_at = Some(tx.now());
                tx.put_key(&KeyRow { revoked_at, ..row }).await?;
            }
            Ok::<_, Problem>(())
        })
    });
    revoked.await?;
    app.reload_keys().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a secret is exchanged.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rotate {
    /// For how many seconds the former secret is still accepted, at most a week.
    #[schema(maximum = 604_800)]
    keep_former_s: u32,
}

/// Exchanges the secret of a key
#[utoipa::path(post, path = "/v1/keys/{id}/rotate", tag = "keys",
    operation_id = "rotate_key", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "The key's id.", example = "backend")),
    request_body(content = Rotate, example = json!({"keep_former_s": 3600})), responses(
    (status = OK, body = KeyWithSecret),
    Problems<(kind::NotFound, kind::NotPossible)>,
))]
pub(super) async fn rotate(
    _: Caller<Admin>,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(rotate): Body<Rotate>,
) -> Result<Response, Problem> {
    if rotate.keep_former_s > MAX_FORMER_S {
        let detail = format!("{} s are more than {MAX_FORMER_S}", rotate.keep_former_s);
        return Err(Problem::invalid_member("/keep_former_s", detail));
    }
    let secret = random_secret("");
    let sealed = app.sealer().seal(&id, &secret);
    let _changing = app.changing().await;
    let row = app.store().write(move |tx| {
        Box::pin(async move {
            let row = tx.key(&id).await?.filter(|row| row.revoked_at.is_none());
            let row = row.ok_or_else(|| Problem::not_found("key", &id))?;
            let until = tx
                .now()
                .after(Duration::from_secs(rotate.keep_former_s.into()));
            let row = KeyRow {
                former: (rotate.keep_former_s > 0).then_some((row.sealed, until)),
                sealed,
                ..row
            };
            tx.put_key(&row).await?;
            Ok::<_, Problem>(row)
        })
    });
    let row = row.await?;
    app.reload_keys().await?;
    let key = Key::from(&row);
    Ok(shown_once(StatusCode::OK, KeyWithSecret { key, secret }))
}
