//! API keys that change while the server runs.

use super::Server;
use crate::token::{ApiKey, ApiKeyError};

impl Server {
    /// Accepts tokens of these keys and no others, from now on, and signs tickets with the first of them.
    ///
    /// All workers see the change at once and as a whole. Whoever is in stays until its token runs out; a newer token, or a
    /// reconnect, needs one of the new keys. To change a secret, list the new and the former key with the same id until
    /// former tokens have run out.
    ///
    /// ```no_run
    /// # fn example(server: &parlour_tokio::Server) -> Result<(), Box<dyn std::error::Error>> {
    /// use parlour_tokio::token::ApiKey;
    /// let former = ApiKey::new("my-app", "c2VjcmV0IG9mIGF0IGxlYXN0IDMyIGJ5dGVz")?;
    /// let new = ApiKey::new("my-app", "YW5vdGhlciBzZWNyZXQgb2YgMzIgYnl0ZXM=")?;
    /// server.set_api_keys(vec![new.clone(), former])?; // now
    /// server.set_api_keys(vec![new])?; // when the last token of the former one has run out
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ApiKeyError::NoKey`] if there is none; nothing has changed.
    pub fn set_api_keys(&self, keys: Vec<ApiKey>) -> Result<(), ApiKeyError> {
        self.shared.set_keys(keys)
    }
}
