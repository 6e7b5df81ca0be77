//! Whom a valid token lets in: an application's own answer beside the token's.

use std::fmt;
use std::time::Duration;

use parlour_core::server::{Admission, Path};
use parlour_core::signal::JoinRefusal;

use crate::token::{Claims, LEEWAY};

/// Decides who may come in of those whose token is valid.
///
/// A token says what its bearer was allowed when it was minted. A doorkeeper knows what is true now: who is banned, which
/// room is closed, whose grants have changed.
///
/// The worker that a room lives on asks its doorkeeper, and serves nobody until it has the answer. So an answer comes at
/// once, from memory: a method that waits for a disk, a network or a contended lock stops all rooms of that worker. For
/// the same reason a method must not panic: that ends the worker. Tokens that are not valid are refused before, and joins
/// for rooms of other workers are redirected before.
///
/// ```
/// use std::collections::HashSet;
/// use std::sync::{Arc, RwLock};
///
/// use parlour_tokio::core::server::Admission;
/// use parlour_tokio::core::signal::JoinRefusal;
/// use parlour_tokio::token::ApiKey;
/// use parlour_tokio::{Doorkeeper, Grants, JoinRequest, ParticipantId, RefreshRequest, ServerConfig};
///
/// /// Keeps some out, and lets guests only listen.
/// #[derive(Debug, Default)]
/// struct Bans(RwLock<HashSet<ParticipantId>>);
///
/// impl Doorkeeper for Bans {
///     fn admit(&self, request: &JoinRequest<'_>) -> Result<Admission, JoinRefusal> {
///         let banned = self.0.read().map_err(|_| JoinRefusal::Unavailable)?;
///         if banned.contains(&request.claims.participant) {
///             return Err(JoinRefusal::Denied);
///         }
///         let mut admission = request.admission();
///         if request.key_id == "guests" {
///             admission.grants &= Grants::SUBSCRIBE;
///         }
///         Ok(admission)
///     }
///
///     fn refresh(&self, request: &RefreshRequest<'_>) -> Option<Admission> {
///         let banned = self.0.read().ok()?;
///         (!banned.contains(&request.claims.participant)).then(|| request.admission())
///     }
/// }
///
/// let bans = Arc::new(Bans::default()); // the application keeps one, too
/// let key = ApiKey::new("my-app", "c2VjcmV0IG9mIGF0IGxlYXN0IDMyIGJ5dGVz")?;
/// let config = ServerConfig {
///     doorkeeper: bans.clone(),
///     ..ServerConfig::new("[::]:7900".parse()?, key)
/// };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Doorkeeper: fmt::Debug + Send + Sync + 'static {
    /// Answers a join: [`JoinRequest::admission`], unless this says otherwise. Room and participant of the answer are not
    /// looked at: they are those of the token.
    ///
    /// A participant that reconnects is asked about again.
    ///
    /// # Errors
    /// Why not; the participant is told that.
    fn admit(&self, request: &JoinRequest<'_>) -> Result<Admission, JoinRefusal> {
        Ok(request.admission())
    }

    /// Answers a newer token of somebody who is in: [`RefreshRequest::admission`], unless this says otherwise. Only the
    /// answer's grants and `expires_in` matter. `None` refuses the token; the stay then ends with the older one.
    fn refresh(&self, request: &RefreshRequest<'_>) -> Option<Admission> {
        Some(request.admission())
    }
}

/// Lets in whom a valid token lets in, as it says.
#[derive(Debug)]
pub(super) struct ByToken;

impl Doorkeeper for ByToken {}

/// A join with a valid token.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct JoinRequest<'a> {
    /// What the token says.
    pub claims: &'a Claims,
    /// The id of the API key that signed it.
    pub key_id: &'a str,
    /// Where the join comes from. Of [`Path::Udp`], the address is not always proven: a false one gets no further than this.
    pub from: Path,
    /// The time, in seconds since 1970, UTC.
    pub now: u64,
}

impl JoinRequest<'_> {
    /// What the token says, as an answer.
    pub fn admission(&self) -> Admission {
        admission(self.claims, self.now)
    }
}

/// A newer, valid token of somebody who is in.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RefreshRequest<'a> {
    /// What the token says.
    pub claims: &'a Claims,
    /// The id of the API key that signed it.
    pub key_id: &'a str,
    /// The time, in seconds since 1970, UTC.
    pub now: u64,
}

impl RefreshRequest<'_> {
    /// What the token says, as an answer.
    pub fn admission(&self) -> Admission {
        admission(self.claims, self.now)
    }
}

fn admission(claims: &Claims, now: u64) -> Admission {
    let expires = claims.expires.saturating_add(LEEWAY);
    let (room, participant) = (claims.room.clone(), claims.participant.clone());
    Admission {
        expires_in: Some(Duration::from_secs(expires.saturating_sub(now))),
        lobby: claims.lobby,
        ..Admission::new(room, participant, claims.name.clone(), claims.grants)
    }
}
