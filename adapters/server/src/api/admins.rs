//! Admins: those who may log in to the portal.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::caller::{Admin as AdminScope, Caller};
use super::extract::{Body, Path};
use super::list::List;
use super::problem::{Kind, Problem};
use crate::logins::{PASSWORD, is_name};
use crate::store::AdminRow;
use crate::time::Timestamp;

/// Somebody who may log in to the portal, where it may do everything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Admin {
    name: String,
    created_at: Timestamp,
    /// When the password was set.
    updated_at: Timestamp,
}

impl From<AdminRow> for Admin {
    fn from(row: AdminRow) -> Self {
        Self {
            name: row.name,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A password to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// 10 to 256 characters.
    #[schema(min_length = 10, max_length = 256)]
    password: String,
}

/// Lists admins
#[utoipa::path(get, path = "/v1/admins", tag = "admins",
    operation_id = "list_admins", security(("key" = ["admin"])),
    responses(
    (status = OK, body = List<Admin>),
))]
pub(super) async fn list(
    _: Caller<AdminScope>,
    State(app): State<App>,
) -> Result<Json<List<Admin>>, Problem> {
    let admins = app.store().admins().await?;
    Ok(Json(List {
        data: admins.into_iter().map(Admin::from).collect(),
        next_cursor: None,
    }))
}

/// Makes an admin, or sets its password
///
/// Whoever is logged in by the former password is logged out.
#[utoipa::path(put, path = "/v1/admins/{name}", tag = "admins",
    operation_id = "put_admin", security(("key" = ["admin"])),
    params(("name" = String, Path, description = "The admin's name: at most 32 of `A-Z a-z 0-9 . _ -`.", example = "anna")),
    request_body(content = NewPassword, example = json!({"password": "correct horse battery staple"})), responses(
    (status = OK, body = Admin),
))]
pub(super) async fn put(
    _: Caller<AdminScope>,
    State(app): State<App>,
    Path(name): Path<String>,
    Body(new): Body<NewPassword>,
) -> Result<Json<Admin>, Problem> {
    if !is_name(&name) {
        let detail = "a name has 1 to 32 of `A-Z a-z 0-9 . _ -`";
        return Err(Problem::invalid_member("/name", detail));
    }
    let length = new.password.chars().count();
    if !PASSWORD.contains(&length) {
        let detail = format!(
            "it has {length} characters; {} to {} are possible",
            PASSWORD.start(),
            PASSWORD.end()
        );
        return Err(Problem::invalid_member("/password", detail));
    }
    let password = app.logins().hash_password(new.password).await;
    let password = password.ok_or_else(|| Problem::new(Kind::Internal, "the log says why"))?;
    let _changing = app.changing().await;
    let row = app.store().write({
        let name = name.clone();
        move |tx| {
            Box::pin(async move {
                let updated_at = tx.now();
                let created_at = tx.put_admin(&name, password, updated_at).await?;
                Ok::<_, Problem>((created_at, updated_at))
            })
        }
    });
    let (created_at, updated_at) = row.await?;
    app.logins().end_all(&name);
    Ok(Json(Admin {
        name,
        created_at,
        updated_at,
    }))
}

/// Deletes an admin
///
/// It is logged out, and cannot log in again.
#[utoipa::path(delete, path = "/v1/admins/{name}", tag = "admins",
    operation_id = "delete_admin", security(("key" = ["admin"])),
    params(("name" = String, Path, description = "The admin's name.", example = "anna")), responses(
    (status = NO_CONTENT),
))]
pub(super) async fn delete(
    _: Caller<AdminScope>,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let _changing = app.changing().await;
    let deleted = app.store().write({
        let name = name.clone();
        move |tx| Box::pin(async move { Ok::<_, Problem>(tx.delete_admin(&name).await?) })
    });
    deleted.await?;
    app.logins().end_all(&name);
    Ok(StatusCode::NO_CONTENT)
}
