//! What a participant may do, and until when.

use crate::room::Grants;
use crate::server::RefreshId;
use crate::signal::RequestId;
use crate::time::{Duration, Instant, micros};

/// What its token says.
#[derive(Debug)]
pub(crate) struct Rights {
    pub(crate) grants: Grants,
    /// Whether the embedder has said so, and tokens say nothing more about it.
    is_fixed: bool,
    expires: Option<Instant>,
    expiry_told: bool,
    /// A new token that the embedder looks at.
    pub(crate) refresh: Option<Refresh>,
}

/// A question to the embedder about a new token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refresh {
    pub(crate) id: RefreshId,
    pub(crate) request: RequestId,
}

/// What is due with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    None,
    /// The participant is to be told that so much time is left.
    Soon(Duration),
    Over,
}

impl Rights {
    pub(crate) fn new(grants: Grants, expires: Option<Instant>) -> Self {
        Self {
            grants,
            is_fixed: false,
            expires,
            expiry_told: false,
            refresh: None,
        }
    }

    /// What it may do by a token that says `grants`.
    pub(crate) fn allowed(&self, grants: Grants) -> Grants {
        match self.is_fixed {
            true => self.grants,
            false => grants,
        }
    }

    /// The embedder says what it may do from now on.
    pub(crate) fn fix(&mut self, grants: Grants) {
        self.grants = grants;
        self.is_fixed = true;
    }

    /// The token, as admitted anew.
    pub(crate) fn renew(&mut self, grants: Grants, expires: Option<Instant>) {
        self.grants = self.allowed(grants);
        self.expires = expires;
        self.expiry_told = false;
    }

    /// What is due. Without `notice` there is nobody to be told.
    pub(crate) fn check(&mut self, now: Instant, notice: Option<Duration>) -> Expiry {
        let Some(expires) = self.expires else {
            return Expiry::None;
        };
        if now >= expires {
            return Expiry::Over;
        }
        match notice {
            Some(notice) if !self.expiry_told && now + notice >= expires => {
                self.expiry_told = true;
                Expiry::Soon(expires.saturating_duration_since(now))
            }
            _ => Expiry::None,
        }
    }

    /// When that changes.
    pub(crate) fn next_timeout(&self, notice: Option<Duration>) -> Option<Instant> {
        let expires = self.expires?;
        let notice = notice.filter(|_| !self.expiry_told);
        Some(notice.map_or(expires, |notice| before(expires, notice)))
    }
}

/// `duration` before `instant`.
fn before(instant: Instant, duration: Duration) -> Instant {
    Instant::from_micros(instant.as_micros().saturating_sub(micros(duration)))
}
