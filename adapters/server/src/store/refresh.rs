//! Refresh tokens, by their hashes: the database does not hold what opens a room.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, Tx, at, json, to_json};
use crate::time::Timestamp;
use crate::tokens::TokenClaims;

/// A refresh token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRow {
    /// The claims of the tokens that it gives.
    pub claims: TokenClaims,
    /// When it was made.
    pub issued_at: Timestamp,
    /// Until when it is valid.
    pub expires_at: Timestamp,
}

fn hash(token: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(token.as_bytes()))
}

impl Store {
    /// The row of a refresh token that has not expired.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn refresh_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<RefreshRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM refresh_tokens WHERE hash = $1 AND expires_at > $2")
            .bind(hash(token))
            .bind(now.as_millis())
            .fetch_optional(&self.readers)
            .await?;
        let refresh = |row| {
            Ok(RefreshRow {
                claims: json(&row, "claims")?,
                issued_at: at(&row, "issued_at")?,
                expires_at: at(&row, "expires_at")?,
            })
        };
        row.map(refresh).transpose()
    }
}

impl Tx {
    /// Keeps a refresh token.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_refresh_token(
        &mut self,
        token: &str,
        refresh: &RefreshRow,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO refresh_tokens (hash, room, participant, claims, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(hash(token))
        .bind(refresh.claims.room.clone())
        .bind(refresh.claims.participant.clone())
        .bind(to_json(&refresh.claims))
        .bind(refresh.issued_at.as_millis())
        .bind(refresh.expires_at.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}
