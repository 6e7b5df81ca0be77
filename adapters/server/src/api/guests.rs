//! Links by which guests join: who has one gets a token under a name of its own choice.
//!
//! A link is what a token for a guest would say, sealed with the server's key: nothing of it is in a table. It is void when it has
//! expired, when the key that made it was revoked, and when the room's tokens were.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::caller::{Caller, Tokens};
use super::drain;
use super::extract::{Body, Path};
use super::page;
use super::problem::{Kind, Problem, Problems, kind};
use super::tokens::{
    Minted, check_ttl, check_use, grants, mint_for, participant_grants, put_refresh_token, secret,
};
use crate::seal::Sealer;
use crate::store::audit_as;
use crate::time::Timestamp;
use crate::tokens::TokenClaims;

/// What a link begins with, so that people and scanners see what it is.
const PREFIX: &str = "pgl_";
/// For what it is sealed. No row has such a name.
const SEALED_FOR: &str = "guest link";
/// How long a link is valid if nobody says otherwise, and at most.
const TTL_S: u32 = 7 * 24 * 3_600;
const MAX_TTL_S: u32 = 366 * 24 * 3_600;
/// How long a guest's token is valid, and at most how long it can be refreshed.
const GUEST_TTL_S: u32 = 3_600;
const STAY: Duration = Duration::from_secs(24 * 3_600);

/// A new link for guests.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGuestLink {
    /// Names of grants that each guest has, or `participant` for the grants of every participant (publish, subscribe, send
    /// messages).
    #[serde(default = "participant_grants")]
    grants: Vec<String>,
    /// Whether guests wait in the lobby until they are admitted.
    #[serde(default)]
    lobby: bool,
    /// For how many seconds the link is valid: at most 366 days.
    #[serde(default = "ttl")]
    #[schema(minimum = 1, maximum = 31_622_400)]
    ttl_s: u32,
}

const fn ttl() -> u32 {
    TTL_S
}

/// A link for guests.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GuestLink {
    /// The secret by which guests join, `pgl_…`.
    guest_link: String,
    /// The room page with it, as a URL reference: resolve it against the server's address, and give it to guests.
    #[schema(example = "/room/kitchen#guest=pgl_3q2-7w")]
    page: String,
    expires_at: Timestamp,
}

/// What is sealed in a link.
#[derive(Debug, Serialize, Deserialize)]
struct Invitation {
    room: String,
    grants: Vec<String>,
    lobby: bool,
    /// The API key that made it, and signs the tokens.
    key: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

impl Invitation {
    fn seal(&self, sealer: &Sealer) -> String {
        // It has no map whose keys are no texts, and so it can be written.
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("{PREFIX}{}", sealer.seal(SEALED_FOR, &text))
    }

    /// What a link says that this server has made and that has not expired.
    fn open(link: &str, sealer: &Sealer, now: Timestamp) -> Option<Self> {
        let sealed = link.strip_prefix(PREFIX)?;
        let text = sealer.open(SEALED_FOR, sealed).ok()?;
        let invitation: Self = serde_json::from_str(&text).ok()?;
        (now < invitation.expires_at).then_some(invitation)
    }

    /// The claims of the next guest.
    fn guest(&self, name: String) -> TokenClaims {
        let mut id = [0; 9];
        OsRng.fill_bytes(&mut id);
        TokenClaims {
            room: self.room.clone(),
            participant: format!("guest-{}", Base64UrlUnpadded::encode_string(&id)),
            name,
            grants: self.grants.clone(),
            lobby: self.lobby,
            key: self.key.clone(),
        }
    }

    fn link(&self, app: &App) -> GuestLink {
        let guest_link = self.seal(app.sealer());
        GuestLink {
            page: page::address(&self.room, &guest_link),
            guest_link,
            expires_at: self.expires_at,
        }
    }
}

impl App {
    /// A link to the page of a room, for guests with the grants of every participant, by the oldest key that works. It is a
    /// reference: resolve it against the server's address. `None` if there is no such key.
    pub fn guest_page(&self, room: &str) -> Option<String> {
        let key = self.first_key()?;
        let issued_at = Timestamp::now();
        let invitation = Invitation {
            room: room.to_owned(),
            grants: participant_grants(),
            lobby: false,
            key: key.split_once('.')?.0.to_owned(),
            issued_at,
            expires_at: issued_at.after(Duration::from_secs(TTL_S.into())),
        };
        Some(invitation.link(self).page)
    }
}

/// Makes a link by which guests join
///
/// Everybody who has it joins as a participant of its own, under a name of its own choice: by the room page, or by
/// `POST /v1/guests`. To void it, revoke the room's tokens, or the key that made it.
#[utoipa::path(post, path = "/v1/rooms/{room}/guest-links", tag = "tokens",
    operation_id = "create_guest_link", security(("key" = ["tokens"])),
    params(("room" = String, Path)),
    request_body(content = NewGuestLink, example = json!({"grants": ["participant"], "lobby": true, "ttl_s": 86400})), responses(
    (status = CREATED, body = GuestLink),
    Problems<(kind::NotFound, kind::RoomDisabled, kind::NotPossible)>,
))]
pub(super) async fn create(
    caller: Caller<Tokens>,
    State(app): State<App>,
    Path(room): Path<String>,
    Body(new): Body<NewGuestLink>,
) -> Result<Response, Problem> {
    check_ttl("/ttl_s", new.ttl_s, 1, MAX_TTL_S)?;
    grants(&new.grants)?;
    let now = Timestamp::now();
    let invitation = Invitation {
        room,
        grants: new.grants,
        lobby: new.lobby,
        key: caller.signer(&app),
        issued_at: now,
        expires_at: now.after(Duration::from_secs(new.ttl_s.into())),
    };
    check_use(&app, &invitation.guest(String::new()), now, now)?;
    Ok((StatusCode::CREATED, Json(invitation.link(&app))).into_response())
}

/// A guest that has a link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGuest {
    guest_link: String,
    /// The display name.
    #[serde(default)]
    name: String,
}

/// Gives a guest a token for a guest link
///
/// The link is the only credential. Each call makes a new participant. The token is valid for an hour, and can be refreshed for a
/// day, or until the link expires.
#[utoipa::path(post, path = "/v1/guests", tag = "tokens",
    operation_id = "create_guest", security(()),
    request_body(content = NewGuest, example = json!({"guest_link": "pgl_3q2-7w", "name": "Ben"})), responses(
    (status = CREATED, body = Minted),
    Problems<(kind::Unauthenticated, kind::KeyRevoked, kind::NotFound, kind::RoomDisabled, kind::NotPossible, kind::Draining)>,
))]
pub(super) async fn join(
    State(app): State<App>,
    Body(new): Body<NewGuest>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let invitation = Invitation::open(&new.guest_link, app.sealer(), now);
    let invitation = invitation.ok_or_else(|| {
        Problem::new(
            Kind::Unauthenticated,
            "the guest link has expired, or is none of this server: ask for a new one",
        )
    })?;
    let claims = invitation.guest(new.name);
    audit_as(None, Some(&claims.participant));
    check_use(&app, &claims, invitation.issued_at, now)?;
    drain::check(&app, &claims.room).await?;
    let mut minted = mint_for(&app, &claims, GUEST_TTL_S, now)?;
    let until = invitation.expires_at.min(now.after(STAY));
    put_refresh_token(&app, &mut minted, claims, now, until).await?;
    Ok(secret(StatusCode::CREATED, minted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        Invitation {
            room: "kitchen".to_owned(),
            grants: participant_grants(),
            lobby: true,
            key: "first".to_owned(),
            issued_at: Timestamp::from_millis(1_000),
            expires_at: Timestamp::from_millis(9_000),
        }
    }

    #[test]
    fn a_link_opens_where_it_was_made_until_it_expires() {
        let (ours, other) = (Sealer::new(&[7; 32]), Sealer::new(&[8; 32]));
        let link = invitation().seal(&ours);
        let open = |link: &str, sealer, at| {
            Invitation::open(link, sealer, Timestamp::from_millis(at)).map(|it| it.room)
        };
        assert_eq!(open(&link, &ours, 8_999).as_deref(), Some("kitchen"));
        assert_eq!(open(&link, &ours, 9_000), None, "expired");
        assert_eq!(open(&link, &other, 8_999), None, "of another server");
        assert_eq!(open(&link[1..], &ours, 8_999), None);
        assert_eq!(open(&link[..link.len() - 1], &ours, 8_999), None);
        let sealed = ours.seal("main", "{}");
        assert_eq!(open(&format!("{PREFIX}{sealed}"), &ours, 0), None);
    }

    #[test]
    fn each_guest_is_another_participant() {
        let invitation = invitation();
        let (one, other) = (
            invitation.guest("Ben".to_owned()),
            invitation.guest("Ben".to_owned()),
        );
        assert_ne!(one.participant, other.participant);
        assert!(one.lobby && one.participant.len() <= 36);
    }
}
