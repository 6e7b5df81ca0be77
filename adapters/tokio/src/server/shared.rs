//! What all workers of a server look at, and its application changes while they run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::token::{ApiKey, ApiKeyError};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Shared {
    /// Exchanged as a whole, so that nobody sees half of a change.
    keys: RwLock<Keys>,
    is_draining: AtomicBool,
}

#[derive(Debug)]
struct Keys {
    /// The first of all.
    signing: ApiKey,
    all: Arc<[ApiKey]>,
}

impl Keys {
    fn new(keys: Vec<ApiKey>) -> Result<Self, ApiKeyError> {
        let signing = keys.first().cloned().ok_or(ApiKeyError::NoKey)?;
        Ok(Self {
            signing,
            all: keys.into(),
        })
    }
}

impl Shared {
    /// # Errors
    /// [`ApiKeyError::NoKey`]
    pub(super) fn new(keys: Vec<ApiKey>) -> Result<Self, ApiKeyError> {
        Ok(Self {
            keys: RwLock::new(Keys::new(keys)?),
            is_draining: AtomicBool::new(false),
        })
    }

    /// The keys whose tokens are accepted now.
    pub(super) fn keys(&self) -> Arc<[ApiKey]> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys.all)
    }

    /// The key that tickets are signed with now.
    pub(super) fn signing_key(&self) -> ApiKey {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.signing.clone()
    }

    /// # Errors
    /// [`ApiKeyError::NoKey`]; nothing has changed.
    pub(super) fn set_keys(&self, keys: Vec<ApiKey>) -> Result<(), ApiKeyError> {
        let keys = Keys::new(keys)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn set_draining(&self, is_draining: bool) {
        self.is_draining.store(is_draining, Ordering::Relaxed);
    }
}
