//! The versions of the tables.

use std::path::PathBuf;

use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};

use super::{OpenError, Place};
use crate::disk;

/// The statements that make version `n + 1` of version `n`, at place `n`. This list only grows.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
];

/// Brings the tables to the newest version, all in one transaction.
pub(super) async fn migrate(
    connection: &mut AnyConnection,
    place: &Place,
) -> Result<(), OpenError> {
    let found = version(connection, place).await?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    let missing = MIGRATIONS.get(found as usize..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    if let Place::Sqlite(path) = place
        && found > 0
    {
        let mut copy = path.clone().into_os_string();
        copy.push(format!(".before-{known}"));
        copy_to(connection, copy.into()).await?;
    }
    let mut transaction = connection.begin().await?;
    for migration in missing {
        // Texts are compared by their bytes on either engine, whatever the language of the database is.
        let migration = match place {
            Place::Sqlite(_) => (*migration).to_owned(),
            Place::Postgres(_) => migration
                .replace(" TEXT", " TEXT COLLATE \"C\"")
                .replace(" WITHOUT ROWID", ""),
        };
        transaction
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(migration)))
            .await?;
    }
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('version', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(known.to_string())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether a database of that version can be read without changing it.
pub(super) fn check_version(found: i64, place: &Place) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as i64;
    match (found, place) {
        (0, Place::Sqlite(path)) => Err(OpenError::Foreign { path: path.clone() }),
        (found, _) if found > known => Err(OpenError::Newer { found, known }),
        _ => Ok(()),
    }
}

/// 0 for a database without tables.
pub(super) async fn version(
    connection: &mut AnyConnection,
    place: &Place,
) -> Result<i64, OpenError> {
    let has_tables = match place {
        Place::Sqlite(_) => "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'meta'",
        Place::Postgres(_) => {
            "SELECT COUNT(*) FROM pg_tables WHERE tablename = 'meta' AND schemaname = current_schema()"
        }
    };
    let tables = sqlx::query(has_tables).fetch_one(&mut *connection).await?;
    if tables.try_get::<i64, _>(0)? == 0 {
        return Ok(0);
    }
    let version = sqlx::query("SELECT value FROM meta WHERE name = 'version'");
    let version: String = version.fetch_one(&mut *connection).await?.try_get(0)?;
    let damaged = |error: std::num::ParseIntError| sqlx::Error::Decode(error.into());
    Ok(version.parse().map_err(damaged)?)
}

async fn copy_to(connection: &mut AnyConnection, path: PathBuf) -> Result<(), OpenError> {
    // SQLite fills an empty file.
    if let Err(error) = disk::create(&path) {
        let source = error.into();
        return Err(OpenError::Copy { path, source });
    }
    let target = path.display().to_string();
    let copied = sqlx::query("VACUUM INTO $1")
        .bind(target)
        .execute(connection);
    let copied = copied.await;
    if copied.is_err() {
        // It would be in the way of the next try.
        let _ = std::fs::remove_file(&path);
    }
    let failed = |source| OpenError::Copy { path, source };
    copied.map(drop).map_err(failed)
}
