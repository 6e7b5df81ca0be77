//! Makes history right where events were lost.

use std::collections::BTreeSet;

use parlour_tokio::{RoomId, RoomInfo, SessionId, Snapshot};
use serde_json::json;

use super::about_server;
use super::teller::{Joined, Teller};
use crate::recordings::Found;
use crate::store::{RoomRow, SessionRow, StoreError, Tx};
use crate::time::Moment;

/// Ends the sessions that a former process has left open, at the last sign of its life, and takes over its recordings.
pub(super) async fn recover(tx: &mut Tx, found: &Found) -> Result<(), StoreError> {
    let open = tx.open_sessions().await?;
    let died = tx.last_sign_of_life().await?.unwrap_or(tx.now());
    for session in &open {
        let mut at = died.max(session.started_at);
        for present in tx.present(&session.id).await? {
            at = at.max(present.joined_at);
        }
        let died = Moment { at, up: None };
        end(tx, session, died, "server_lost").await?;
    }
    found.write(tx).await?;
    if !open.is_empty() || found.repaired > 0 {
        let data = json!({"sessions": open.len(), "recordings": found.repaired});
        let event = about_server(tx, "server.recovered", data);
        tx.tell(event).await?;
    }
    let started = about_server(
        tx,
        "server.started",
        json!({"version": env!("CARGO_PKG_VERSION")}),
    );
    tx.tell(started).await?;
    Ok(())
}

/// Ends all sessions that are open.
pub(super) async fn end_all(tx: &mut Tx, reason: &str) -> Result<Vec<RoomRow>, StoreError> {
    let now = tx.moment();
    for session in tx.open_sessions().await? {
        end(tx, &session, now, reason).await?;
    }
    Ok(Vec::new())
}

/// Writes what is true now and differs from the tables; gives the rooms that came to exist.
pub(super) async fn compare(tx: &mut Tx, snapshot: &Snapshot) -> Result<Vec<RoomRow>, StoreError> {
    let now = tx.moment();
    let live: BTreeSet<String> = snapshot
        .rooms
        .iter()
        .filter_map(|room| room.session)
        .map(|session| session.to_string())
        .collect();
    for session in tx.open_sessions().await? {
        if !live.contains(&session.id) {
            end(tx, &session, now, "unknown").await?;
        }
    }
    let mut created = Vec::new();
    for room in &snapshot.rooms {
        if let Some(session) = room.session {
            created.extend(compare_room(tx, room, session, now).await?);
        }
    }
    Ok(created)
}

async fn end(
    tx: &mut Tx,
    session: &SessionRow,
    now: Moment,
    reason: &str,
) -> Result<(), StoreError> {
    let (Ok(room), Some(id)) = (RoomId::new(&session.room), session_id(&session.id)) else {
        return Err(StoreError::Damaged {
            what: "session",
            value: format!("{} in {}", session.id, session.room),
        });
    };
    let teller = Teller::new(tx, now, &room, id, true).await?;
    teller.end(tx, reason).await
}

async fn compare_room(
    tx: &mut Tx,
    room: &RoomInfo,
    session: SessionId,
    now: Moment,
) -> Result<Option<RoomRow>, StoreError> {
    let teller = Teller::new(tx, now, &room.room, session, true).await?;
    let created = teller.begin(tx).await?;
    let there: BTreeSet<&str> = room
        .participants
        .iter()
        .map(|info| info.participant.id.as_str())
        .collect();
    let known = tx.present(&teller.id()).await?;
    for gone in known
        .iter()
        .filter(|row| !there.contains(row.participant.as_str()))
    {
        teller.left(tx, &gone.participant, "unknown").await?;
    }
    let known: BTreeSet<&str> = known.iter().map(|row| row.participant.as_str()).collect();
    for info in &room.participants {
        let participant = &info.participant;
        if known.contains(participant.id.as_str()) {
            teller.correct(tx, info).await?;
            continue;
        }
        let joined = Joined {
            participant: &participant.id,
            name: participant.name.as_str(),
            grants: info.grants,
            censored: participant.censored,
            path: info.path,
            waited: false,
        };
        teller.joined(tx, &joined).await?;
        teller.correct(tx, info).await?;
    }
    Ok(created)
}

pub(crate) fn session_id(hex: &str) -> Option<SessionId> {
    let bytes = hex.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    Some(SessionId(bytes?.try_into().ok()?))
}
