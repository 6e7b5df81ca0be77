//! Facts of one session: rows of the tables, and events of the journal.

use std::collections::BTreeMap;

use parlour_tokio::core::room::{ConnectionState, Stream};
use parlour_tokio::core::server::Path;
use parlour_tokio::{Grants, ParticipantId, ParticipantInfo, RoomId, SessionId};
use serde_json::{Value, json};

use super::names::{names_of, path, snake};
use crate::rooms::RoomSettings;
use crate::store::{
    NewEvent, ParticipantChange, ParticipantRow, Presence, RoomRow, StoreError, StreamRow, Tx,
};
use crate::time::{Moment, Timestamp};

/// A participant that comes.
pub(super) struct Joined<'a> {
    pub(super) participant: &'a ParticipantId,
    pub(super) name: &'a str,
    pub(super) grants: Grants,
    pub(super) censored: bool,
    pub(super) path: Path,
    pub(super) waited: bool,
}

/// Writes facts of one session, all at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller<'a> {
    now: Moment,
    room: &'a RoomId,
    session: SessionId,
    reconciled: bool,
}

impl<'a> Teller<'a> {
    /// Of what happens in a session at that time. `reconciled` says that it was inferred, because events were lost.
    pub(super) async fn new(
        tx: &mut Tx,
        now: Moment,
        room: &'a RoomId,
        session: SessionId,
        reconciled: bool,
    ) -> Result<Self, StoreError> {
        let at = tx.not_before(&session.to_string(), now.at).await?;
        Ok(Self {
            now: Moment { at, ..now },
            room,
            session,
            reconciled,
        })
    }

    pub(super) fn at(&self) -> Timestamp {
        self.now.at
    }

    pub(super) fn id(&self) -> String {
        self.session.to_string()
    }

    pub(super) async fn tell(
        &self,
        tx: &mut Tx,
        kind: &'static str,
        participant: Option<&str>,
        data: Value,
    ) -> Result<(), StoreError> {
        let presence = Presence::default();
        self.tell_of_presence(tx, kind, participant, data, presence)
            .await
    }

    async fn tell_of_presence(
        &self,
        tx: &mut Tx,
        kind: &'static str,
        participant: Option<&str>,
        mut data: Value,
        presence: Presence,
    ) -> Result<(), StoreError> {
        if self.reconciled {
            data["reconciled"] = json!(true);
        }
        let told = NewEvent {
            kind,
            at: self.now.at,
            room: Some(self.room.as_str().to_owned()),
            session: Some(self.id()),
            participant: participant.map(str::to_owned),
            data,
        };
        tx.tell_of_presence(told, presence).await.map(drop)
    }

    /// The session begins; gives the room, if that came to exist by it.
    pub(super) async fn begin(&self, tx: &mut Tx) -> Result<Option<RoomRow>, StoreError> {
        let name = self.room.as_str();
        let mut created = None;
        if tx.room(name).await?.is_none() {
            let room = RoomRow {
                name: name.to_owned(),
                settings: RoomSettings::default(),
                auto_created: true,
                created_at: self.now.at,
                updated_at: self.now.at,
                active_session: None,
            };
            tx.put_room(&room).await?;
            let told = NewEvent {
                kind: "room.created",
                at: self.now.at,
                room: Some(name.to_owned()),
                session: None,
                participant: None,
                data: json!({"auto_created": true}),
            };
            tx.tell(told).await?;
            created = Some(room);
        }
        if tx.begin_session(&self.id(), name, self.now).await? {
            self.tell(tx, "session.started", None, json!({})).await?;
        }
        Ok(created)
    }

    /// The session ends, and with it the stays that the tables still hold open.
    pub(super) async fn end(&self, tx: &mut Tx, reason: &str) -> Result<(), StoreError> {
        for left in tx.present(&self.id()).await? {
            self.left(tx, &left.participant, reason).await?;
        }
        if let Some((session, began)) = tx.end_session(&self.id(), self.now.at, reason).await? {
            let duration = self.now.since(began).as_millis() as u64;
            let data = json!({
                "reason": reason,
                "duration_ms": duration,
                "peak_participants": session.peak,
                "unique_participants": session.uniques,
            });
            self.tell(tx, "session.ended", None, data).await?;
        }
        Ok(())
    }

    pub(super) async fn joined(&self, tx: &mut Tx, joined: &Joined<'_>) -> Result<(), StoreError> {
        let id = joined.participant.as_str();
        let row = ParticipantRow {
            session: self.id(),
            participant: id.to_owned(),
            room: self.room.as_str().to_owned(),
            name: joined.name.to_owned(),
            state: "connected".to_owned(),
            grants: names_of(joined.grants),
            censored: joined.censored,
            attributes: BTreeMap::new(),
            path: path(joined.path).to_owned(),
            joined_at: self.now.at,
            left_at: None,
        };
        if let Some(presence) = tx.begin_stay(&row, self.now.up).await? {
            let data = json!({
                "name": row.name,
                "grants": row.grants,
                "censored": row.censored,
                "path": row.path,
                "waited": joined.waited,
            });
            self.tell_of_presence(tx, "participant.joined", Some(id), data, presence)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn left(&self, tx: &mut Tx, id: &str, reason: &str) -> Result<(), StoreError> {
        if let Some(since) = tx.end_stay(&self.id(), id, self.now.at, reason).await? {
            let duration = self.now.since(since).as_millis() as u64;
            let data = json!({"reason": reason, "duration_ms": duration});
            let presence = Presence { more: -1, first: 0 };
            self.tell_of_presence(tx, "participant.left", Some(id), data, presence)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn change(
        &self,
        tx: &mut Tx,
        kind: &'static str,
        participant: &ParticipantId,
        change: ParticipantChange,
        data: Value,
    ) -> Result<(), StoreError> {
        let id = participant.as_str();
        if tx.change_participant(&self.id(), id, &change).await? {
            self.tell(tx, kind, Some(id), data).await?;
        }
        Ok(())
    }

    pub(super) async fn published(
        &self,
        tx: &mut Tx,
        participant: &ParticipantId,
        stream: &Stream,
    ) -> Result<(), StoreError> {
        let row = StreamRow {
            key: stream.key.as_str().to_owned(),
            kind: snake(stream.kind),
            codec: snake(stream.codec),
            muted: stream.muted,
            published_at: self.now.at,
            unpublished_at: None,
        };
        tx.begin_stream(&self.id(), participant.as_str(), &row)
            .await?;
        let data = json!({
            "stream": {"key": row.key, "kind": row.kind, "codec": row.codec, "muted": row.muted},
        });
        self.tell(tx, "stream.published", Some(participant.as_str()), data)
            .await
    }

    /// Writes what is true of a participant that is known to be there. Only its streams are told one by one.
    pub(super) async fn correct(
        &self,
        tx: &mut Tx,
        info: &ParticipantInfo,
    ) -> Result<(), StoreError> {
        let (session, participant) = (self.id(), &info.participant);
        let id = participant.id.as_str();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let attributes = info.attributes.iter();
        let attributes =
            attributes.map(|(key, value)| (key.as_str().to_owned(), text(value.as_bytes())));
        let state = match participant.connection {
            ConnectionState::Connected => "connected",
            _ => "reconnecting",
        };
        for change in [
            ParticipantChange::State(state),
            ParticipantChange::Grants(names_of(info.grants)),
            ParticipantChange::Attributes(attributes.collect()),
            ParticipantChange::Censored(participant.censored),
        ] {
            tx.change_participant(&session, id, &change).await?;
        }
        let known = tx.open_streams(&session, id).await?;
        let is_there = |key: &String| {
            participant
                .streams
                .iter()
                .any(|stream| stream.key.as_str() == key)
        };
        for gone in known.iter().filter(|key| !is_there(key)) {
            tx.end_stream(&session, id, gone, self.now.at).await?;
            let data = json!({"stream": {"key": gone}});
            self.tell(tx, "stream.unpublished", Some(id), data).await?;
        }
        for stream in &participant.streams {
            if known.iter().any(|key| key == stream.key.as_str()) {
                tx.mute_stream(&session, id, stream.key.as_str(), stream.muted)
                    .await?;
            } else {
                self.published(tx, &participant.id, stream).await?;
            }
        }
        Ok(())
    }
}
