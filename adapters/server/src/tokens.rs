//! The claims of a token, as the API and the tables have them.

use serde::{Deserialize, Serialize};

/// The claims of a participant's token, but for its times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    /// The room.
    pub room: String,
    /// The participant.
    pub participant: String,
    /// Its display name.
    pub name: String,
    /// Its grants.
    pub grants: Vec<String>,
    /// Whether it waits in the lobby until it is admitted.
    pub lobby: bool,
    /// The API key that signs it.
    pub key: String,
}
