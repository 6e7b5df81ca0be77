//! Tokens and tickets for participants, and how they are refreshed and revoked.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use parlour_tokio::core::signal::JoinRefusal;
use parlour_tokio::token::{Claims, mint_token};
use parlour_tokio::{CloseReason, DisplayName, Grants};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::App;
use super::bans::{ids, remove};
use super::caller::{Caller, Tokens};
use super::drain;
use super::extract::{Body, Path};
use super::problem::{Kind, Problem, Problems, kind};
use super::rooms::{about, check_name};
use crate::auth::random_secret;
use crate::registry::SERVER;
use crate::scribe::{grants_of, names_of};
use crate::store::{Mark, NewEvent, RefreshRow, audit_as};
use crate::time::Timestamp;
use crate::tokens::TokenClaims;

/// How long a token is valid if nobody says otherwise, and at most; at most a refresh token.
const TTL_S: u32 = 600;
const MAX_TTL_S: u32 = 30 * 24 * 3_600;
const MAX_REFRESH_TTL_S: u32 = 366 * 24 * 3_600;

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// The participant's id, at most 36 printable ASCII characters.
    #[schema(pattern = "^[!-~]{1,36}$")]
    participant: String,
    /// The display name.
    #[serde(default)]
    name: String,
    /// Names of grants, or `participant` for the grants of every participant (publish, subscribe, send messages).
    #[serde(default = "participant_grants")]
    grants: Vec<String>,
    /// Whether it waits in the lobby until it is admitted.
    #[serde(default)]
    lobby: bool,
    /// For how many seconds the token is valid: at most 30 days.
    #[serde(default = "ttl")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    ttl_s: u32,
    /// For how many seconds the refresh token is valid: at most 366 days; 0 for none.
    #[serde(default)]
    #[schema(maximum = 31_622_400)]
    refresh_ttl_s: u32,
}

pub(super) fn participant_grants() -> Vec<String> {
    vec!["participant".to_owned()]
}

const fn ttl() -> u32 {
    TTL_S
}

/// A token and what belongs to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Minted {
    participant: String,
    /// The token alone.
    token: String,
    /// The server's address and key, and the token: what a participant joins with.
    ticket: String,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_expires_at: Option<Timestamp>,
}

/// Answers with something that nobody may keep.
pub(super) fn secret(status: StatusCode, minted: Minted) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(minted)).into_response()
}

/// Mints a token for a participant
#[utoipa::path(post, path = "/v1/rooms/{room}/tokens", tag = "tokens",
    operation_id = "create_token", security(("key" = ["tokens"])),
    params(("room" = String, Path)),
    request_body(content = NewToken, example = json!({"participant": "anna", "name": "Anna", "grants": ["participant", "kick"], "ttl_s": 600, "refresh_ttl_s": 86400})), responses(
    (status = CREATED, body = Minted),
    Problems<(kind::NotFound, kind::RoomDisabled, kind::NotPossible, kind::Draining)>,
))]
pub(super) async fn mint(
    caller: Caller<Tokens>,
    State(app): State<App>,
    Path(room): Path<String>,
    Body(new): Body<NewToken>,
) -> Result<Response, Problem> {
    audit_as(None, Some(&new.participant));
    check_ttl("/ttl_s", new.ttl_s, 1, MAX_TTL_S)?;
    check_ttl("/refresh_ttl_s", new.refresh_ttl_s, 0, MAX_REFRESH_TTL_S)?;
    let now = Timestamp::now();
    let claims = TokenClaims {
        room,
        participant: new.participant,
        name: new.name,
        grants: new.grants,
        lobby: new.lobby,
        key: caller.signer(&app),
    };
    if claims.participant == SERVER {
        let detail = "this id is the sender of the API's messages: choose another";
        return Err(Problem::invalid_member("/participant", detail));
    }
    check_use(&app, &claims, now, now)?;
    drain::check(&app, &claims.room).await?;
    let mut minted = mint_for(&app, &claims, new.ttl_s, now)?;
    if new.refresh_ttl_s > 0 {
        let expires_at = now.after(Duration::from_secs(new.refresh_ttl_s.into()));
        put_refresh_token(&app, &mut minted, claims, now, expires_at).await?;
    }
    Ok(secret(StatusCode::CREATED, minted))
}

/// Makes a refresh token that goes with a token.
pub(super) async fn put_refresh_token(
    app: &App,
    minted: &mut Minted,
    claims: TokenClaims,
    issued_at: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Problem> {
    let token = random_secret("prt_");
    let row = RefreshRow {
        claims,
        issued_at,
        expires_at,
    };
    let kept = token.clone();
    let written = app.store().write(move |tx| {
        Box::pin(async move { Ok::<_, Problem>(tx.put_refresh_token(&kept, &row).await?) })
    });
    written.await?;
    minted.refresh_token = Some(token);
    minted.refresh_expires_at = Some(expires_at);
    Ok(())
}

/// A request for a new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    refresh_token: String,
    /// For how many seconds the new token is valid: at most 30 days.
    #[serde(default = "ttl")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    ttl_s: u32,
}

/// Gives a new token for a refresh token
///
/// The refresh token is the only credential. It is refused for those who are banned or whose tokens were revoked, and in rooms
/// that are disabled.
#[utoipa::path(post, path = "/v1/tokens/refresh", tag = "tokens",
    operation_id = "refresh_token", security(()),
    request_body(content = Refresh, example = json!({"refresh_token": "prt_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "ttl_s": 600})), responses(
    (status = OK, body = Minted),
    Problems<(kind::Unauthenticated, kind::KeyRevoked, kind::NotFound, kind::RoomDisabled, kind::NotPossible, kind::Draining)>,
))]
pub(super) async fn refresh(
    State(app): State<App>,
    Body(body): Body<Refresh>,
) -> Result<Response, Problem> {
    check_ttl("/ttl_s", body.ttl_s, 1, MAX_TTL_S)?;
    let now = Timestamp::now();
    let row = app.store().refresh_token(&body.refresh_token, now).await?;
    let row = row.ok_or_else(|| {
        Problem::new(
            Kind::Unauthenticated,
            "the refresh token is unknown, revoked or has expired: get a new one",
        )
    })?;
    check_use(&app, &row.claims, row.issued_at, now)?;
    drain::check(&app, &row.claims.room).await?;
    let minted = mint_for(&app, &row.claims, body.ttl_s, now)?;
    Ok(secret(StatusCode::OK, minted))
}

/// The tokens to void.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Revoke {
    /// The participant; all, if it is left out.
    #[schema(pattern = "^[!-~]{1,36}$")]
    participant: Option<String>,
    /// Tokens that were issued before this are void; now, if it is left out.
    issued_before: Option<Timestamp>,
}

/// Voids tokens
///
/// The older tokens and refresh tokens of a participant, or of all, are void, and their bearers are removed. The answer comes
/// with the next full second, by which tokens are told apart.
#[utoipa::path(post, path = "/v1/rooms/{room}/tokens/revoke", tag = "tokens",
    operation_id = "revoke_tokens", security(("key" = ["tokens"])),
    params(("room" = String, Path)),
    request_body(content = Revoke, example = json!({"participant": "anna"})), responses(
    (status = NO_CONTENT),
))]
pub(super) async fn revoke(
    caller: Caller<Tokens>,
    State(app): State<App>,
    Path(room): Path<String>,
    Body(body): Body<Revoke>,
) -> Result<StatusCode, Problem> {
    audit_as(None, body.participant.as_deref());
    let room_id = check_name(&room, "/room")?;
    let participant = match &body.participant {
        Some(participant) => Some(ids(&room, participant)?.1),
        None => None,
    };
    let now = Timestamp::now();
    // A token says in which second it was minted: those of this second are void, too.
    let mark = Mark {
        room,
        participant: body.participant.unwrap_or_default(),
        issued_before: match body.issued_before {
            Some(time) if time <= now => time,
            Some(_) => {
                return Err(Problem::invalid_member(
                    "/issued_before",
                    "it is in the future",
                ));
            }
            None => now.next_second(),
        },
    };
    let told = mark.clone();
    let changing = app.changing().await;
    let written = app.store().write(move |tx| {
        Box::pin(async move {
            tx.put_mark(&told).await?;
            let data = json!({"issued_before": told.issued_before, "by": caller.key});
            let event = NewEvent {
                participant: Some(told.participant).filter(|participant| !participant.is_empty()),
                ..about(tx, "tokens.revoked", &told.room, data)
            };
            tx.tell(event).await?;
            Ok::<_, Problem>(())
        })
    });
    written.await?;
    app.registry().put_mark(&mark);
    drop(changing);
    if let Some(participant) = participant {
        remove(&app, &room_id, &participant).await;
    } else {
        // It fails if nobody is there.
        let _ = (app.rooms())
            .close_room(&room_id, CloseReason::SessionEnded)
            .await;
    }
    // A token that is minted after this answer is valid.
    tokio::time::sleep(mark.issued_before.since(Timestamp::now())).await;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn check_ttl(pointer: &str, seconds: u32, min: u32, max: u32) -> Result<(), Problem> {
    if (min..=max).contains(&seconds) {
        return Ok(());
    }
    Err(Problem::invalid_member(
        pointer,
        format!("{seconds} s; {min} to {max} is possible"),
    ))
}

/// Whether a token would be of use.
pub(super) fn check_use(
    app: &App,
    claims: &TokenClaims,
    issued: Timestamp,
    now: Timestamp,
) -> Result<(), Problem> {
    let (room, participant) = (&claims.room, &claims.participant);
    let refused = match app
        .registry()
        .check(room, participant, Some(issued.as_secs()), now)
    {
        Ok(()) => return Ok(()),
        Err(refusal) => refusal,
    };
    Err(match refused {
        JoinRefusal::UnknownRoom => Problem::not_found("room", room),
        JoinRefusal::RoomDisabled => Problem::new(
            Kind::RoomDisabled,
            format!("the room {room:?} is disabled: enable it first"),
        ),
        other => Problem::new(
            Kind::NotPossible,
            format!("{participant:?} cannot join {room:?}: {other}"),
        ),
    })
}

/// The grants of these names.
pub(super) fn grants(names: &[String]) -> Result<Grants, Problem> {
    grants_of(names).map_err(|(index, name)| {
        let names = names_of(Grants::all()).join(", ");
        let detail =
            format!("there is no grant named {name:?}; there are participant, moderator, {names}");
        Problem::invalid_member(&format!("/grants/{index}"), detail)
    })
}

pub(super) fn mint_for(
    app: &App,
    claims: &TokenClaims,
    ttl_s: u32,
    now: Timestamp,
) -> Result<Minted, Problem> {
    let (room, participant) = ids(&claims.room, &claims.participant)?;
    let name = DisplayName::visible(&claims.name)
        .map_err(|error| Problem::invalid_member("/name", error.to_string()))?;
    let grants = grants(&claims.grants)?;
    let key = app.registry().signing_key(&claims.key).ok_or_else(|| {
        let detail = format!(
            "the key {:?} was revoked: get a new refresh token",
            claims.key
        );
        Problem::new(Kind::KeyRevoked, detail)
    })?;
    let ttl = Duration::from_secs(ttl_s.into());
    let invalid = |error: parlour_tokio::core::room::IdError| {
        Problem::invalid_member("/participant", error.to_string())
    };
    let plain = Claims::new(room.as_str(), participant.as_str(), ttl).map_err(invalid)?;
    let claims = Claims {
        name,
        grants,
        lobby: claims.lobby,
        ..plain
    };
    let token = mint_token(&claims, &key)
        .map_err(|error| Problem::invalid_member("/name", error.to_string()))?;
    Ok(Minted {
        participant: participant.as_str().to_owned(),
        ticket: app.rooms().ticket_with(&room, &token),
        token,
        expires_at: now.after(ttl),
        refresh_token: None,
        refresh_expires_at: None,
    })
}
