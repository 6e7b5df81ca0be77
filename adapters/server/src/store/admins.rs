//! Those who may log in to the portal, by their passwords' hashes, and their logins, by the hashes of their cookies.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, at};
use crate::time::Timestamp;

/// An admin as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminRow {
    /// The name to log in with.
    pub name: String,
    /// The password's hash, in the form of PHC: `$argon2id$…`.
    pub password: String,
    /// Since when there is such an admin.
    pub created_at: Timestamp,
    /// When the password was set.
    pub updated_at: Timestamp,
}

/// A login as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// The hash of what the cookie holds.
    pub hash: String,
    /// Whose it is.
    pub admin: String,
    /// Until when it is valid.
    pub expires_at: Timestamp,
}

fn admin(row: &AnyRow) -> Result<AdminRow, StoreError> {
    Ok(AdminRow {
        name: row.try_get("name")?,
        password: row.try_get("password")?,
        created_at: at(row, "created_at")?,
        updated_at: at(row, "updated_at")?,
    })
}

impl Store {
    /// All admins by their names.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn admins(&self) -> Result<Vec<AdminRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM admins ORDER BY name");
        let rows = rows.fetch_all(&self.readers).await?;
        rows.iter().map(admin).collect()
    }

    /// The admin of that name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn admin(&self, name: &str) -> Result<Option<AdminRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM admins WHERE name = $1").bind(name.to_owned());
        let row = row.fetch_optional(&self.readers).await?;
        row.as_ref().map(admin).transpose()
    }

    /// All logins, also those that have expired.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn logins(&self) -> Result<Vec<LoginRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM logins");
        let rows = rows.fetch_all(&self.readers).await?;
        let login = |row: &AnyRow| {
            Ok(LoginRow {
                hash: row.try_get("hash")?,
                admin: row.try_get("admin")?,
                expires_at: at(row, "expires_at")?,
            })
        };
        rows.iter().map(login).collect()
    }
}

impl Tx {
    /// Sets an admin's password; says since when there is such an admin. Whoever is logged in by the former password is so no
    /// longer.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_admin(
        &mut self,
        name: &str,
        password: String,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let row = sqlx::query(
            "INSERT INTO admins (name, password, created_at, updated_at) VALUES ($1, $2, $3, $3) \
             ON CONFLICT (name) DO UPDATE SET password = excluded.password, updated_at = excluded.updated_at \
             RETURNING created_at",
        )
        .bind(name.to_owned())
        .bind(password)
        .bind(now.as_millis())
        .fetch_one(&mut *self.transaction)
        .await?;
        self.delete_logins(name).await?;
        at(&row, "created_at")
    }

    /// Deletes an admin and its logins.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delete_admin(&mut self, name: &str) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM admins WHERE name = $1").bind(name.to_owned());
        delete.execute(&mut *self.transaction).await?;
        self.delete_logins(name).await
    }

    async fn delete_logins(&mut self, admin: &str) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM logins WHERE admin = $1").bind(admin.to_owned());
        delete.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Keeps a login if `password` is still its admin's, and forgets those that have expired. Says whether it is kept.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_login(
        &mut self,
        login: &LoginRow,
        password: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let delete = sqlx::query("DELETE FROM logins WHERE expires_at <= $1").bind(now.as_millis());
        delete.execute(&mut *self.transaction).await?;
        if let Some(password) = password {
            let found = sqlx::query("SELECT name FROM admins WHERE name = $1 AND password = $2")
                .bind(login.admin.clone())
                .bind(password.to_owned());
            if found
                .fetch_optional(&mut *self.transaction)
                .await?
                .is_none()
            {
                return Ok(false);
            }
        }
        sqlx::query("INSERT INTO logins (hash, admin, expires_at) VALUES ($1, $2, $3)")
            .bind(login.hash.clone())
            .bind(login.admin.clone())
            .bind(login.expires_at.as_millis())
            .execute(&mut *self.transaction)
            .await?;
        Ok(true)
    }

    /// Ends a login.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delete_login(&mut self, hash: &str) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM logins WHERE hash = $1").bind(hash.to_owned());
        delete.execute(&mut *self.transaction).await?;
        Ok(())
    }
}
