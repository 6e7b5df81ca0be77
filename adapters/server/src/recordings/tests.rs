//! What the tests of recordings share, and those of their way to the store.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart,
};
use parlour_tokio::core::room::StreamKind;
use parlour_tokio::{Codec, ParticipantId, SessionId, StreamKey, TappedStream};
use serde_json::json;

use super::spool::{Closed, Sidecar};
use super::*;
use crate::store::{
    self, ClosedRecording, EventFilter, Order, PageRequest, RecordingRow, Store, StoreError,
};
use crate::time::Timestamp;

/// What is known of a recording that begins.
fn sidecar(id: &str) -> Sidecar {
    Sidecar {
        id: id.to_owned(),
        room: "kitchen".to_owned(),
        session: SessionId([7; 16]).to_string(),
        participant: "anna".to_owned(),
        stream: "mic".to_owned(),
        kind: "audio".to_owned(),
        codec: "opus".to_owned(),
        started_at: Timestamp::from_millis(1_000),
        retention_days: 1,
        closed: None,
    }
}

/// A recording that begins.
pub(crate) fn row(id: &str) -> RecordingRow {
    sidecar(id).row()
}

/// A microphone.
pub(crate) fn stream(participant: &str) -> TappedStream {
    TappedStream {
        session: SessionId([7; 16]),
        participant: ParticipantId::new(participant).unwrap(),
        key: StreamKey::new("mic").unwrap(),
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        ssrc: 7,
    }
}

/// A store that fails at every call once, and then does it.
#[derive(Debug, Default)]
struct Flaky {
    inner: InMemory,
    failed: Arc<Mutex<BTreeSet<String>>>,
}

impl std::fmt::Display for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("flaky")
    }
}

fn once(failed: &Mutex<BTreeSet<String>>, call: String) -> object_store::Result<()> {
    match lock(failed).insert(call.clone()) {
        true => Err(object_store::Error::Generic {
            store: "flaky",
            source: call.into(),
        }),
        false => Ok(()),
    }
}

#[derive(Debug)]
struct FlakyUpload {
    inner: Box<dyn MultipartUpload>,
    failed: Arc<Mutex<BTreeSet<String>>>,
    to: Path,
    parts: usize,
}

#[async_trait::async_trait]
impl MultipartUpload for FlakyUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        self.parts += 1;
        match once(&self.failed, format!("part {} {}", self.parts, self.to)) {
            Ok(()) => self.inner.put_part(part),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        once(&self.failed, format!("complete {}", self.to))?;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.inner.abort().await
    }
}

#[async_trait::async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(
        &self,
        to: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        once(&self.failed, format!("put {to}"))?;
        self.inner.put_opts(to, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        once(&self.failed, format!("begin {to}"))?;
        Ok(Box::new(FlakyUpload {
            inner: self.inner.put_multipart_opts(to, options).await?,
            failed: Arc::clone(&self.failed),
            to: to.clone(),
            parts: 0,
        }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        once(
            &self.failed,
            format!("get {path} {} {:?}", options.head, options.range),
        )?;
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let (failed, inner) = (Arc::clone(&self.failed), self.inner.clone());
        paths
            .then(move |path| {
                let (failed, inner) = (Arc::clone(&failed), inner.clone());
                async move {
                    let path = path?;
                    once(&failed, format!("delete {path}"))?;
                    inner.delete(&path).await?;
                    Ok(path)
                }
            })
            .boxed()
    }

    fn list(&self, of: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(of)
    }

    async fn list_with_delimiter(&self, of: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(of).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A closed recording in the spool folder, and in the tables.
async fn closed(store: &Store, spool: &Spool, id: &str, content: &[u8]) {
    let recording = row(id);
    let about = Sidecar {
        closed: Some(Closed {
            ended_at: recording.started_at.after(Duration::from_secs(2)),
            duration_ms: 2_000,
            size: content.len() as u64,
            lost_ms: Some(20),
            silent_ms: Some(0),
            error: None,
            gaps: json!([]),
            anchors: json!([]),
            speech: None,
        }),
        ..sidecar(id)
    };
    let mut file = spool.create(&about).unwrap();
    std::io::Write::write_all(&mut file, content).unwrap();
    let written: Result<(), StoreError> = store
        .write(move |tx| {
            Box::pin(async move {
                tx.begin_recording(&about.row()).await?;
                let closing = about.closing().unwrap();
                tx.close_recording(&about.id, &closing).await
            })
        })
        .await;
    written.unwrap();
}

async fn delete(store: &Store, id: &str) {
    let id = id.to_owned();
    let deleted: Result<(), StoreError> = store
        .write(move |tx| {
            Box::pin(async move {
                let rows = tx.recordings_of(&[id]).await?;
                tx.delete_recordings(&rows).await.map(drop)
            })
        })
        .await;
    deleted.unwrap();
}

async fn names(store: &InMemory) -> Vec<String> {
    let listed: Vec<_> = store.list(None).collect().await;
    let names = listed.into_iter().map(|meta| meta.unwrap().location);
    names.map(String::from).collect()
}

#[tokio::test]
async fn a_store_that_fails_at_every_call_once_loses_nothing() {
    let small = b"OggS and some more".to_vec();
    // Three parts, and the last one is short.
    let large: Vec<u8> = (0..(17 << 20)).map(|n: u32| (n % 251) as u8).collect();
    for fixture in store::tests::all().await {
        let (store, folder) = (&fixture.store, tempfile::tempdir().unwrap());
        let spool = Spool::new(folder.path().join("spool"));
        let flaky = Flaky::default();
        let (inner, failed) = (flaky.inner.clone(), Arc::clone(&flaky.failed));
        let keeper = Keeper::new(store.clone(), spool.clone(), Archive::of(Arc::new(flaky)));
        for (id, content) in [("rec_small", &small), ("rec_large", &large)] {
            closed(store, &spool, id, content).await;
            let media = spool.media(id, "opus");
            let mut tries = 0;
            while let Err(error) = keeper.try_to_settle(id).await {
                tries += 1;
                assert!(media.exists(), "after {error}");
                assert_eq!(store.recording(id).await.unwrap().unwrap().state, "storing");
                assert!(tries < 50, "{error}");
            }
            assert!(tries > 4, "{tries}");
            assert!(!media.exists());
            let recording = store.recording(id).await.unwrap().unwrap();
            assert_eq!((&*recording.state, recording.is_stored), ("ready", true));
            let stored = inner.get(&super::names::path(&recording).unwrap()).await;
            assert!(stored.unwrap().bytes().await.unwrap() == content[..]);
        }
        assert_eq!(names(&inner).await.len(), 5);
        for id in ["rec_small", "rec_large"] {
            delete(store, id).await;
            let mut tries = 0;
            while let Err(error) = keeper.try_to_settle(id).await {
                tries += 1;
                assert!(tries < 50, "{error}");
                assert!(store.recording(id).await.unwrap().is_some());
            }
            assert!(tries > 1, "{tries}");
            assert_eq!(store.recording(id).await.unwrap(), None);
        }
        assert_eq!(names(&inner).await, Vec::<String>::new());
        assert!(lock(&failed).iter().any(|call| call.starts_with("part 2")));
        let page = PageRequest {
            after: None,
            limit: 20,
            order: Order::Asc,
        };
        let told = store.events(&EventFilter::default(), &page).await.unwrap();
        let told: Vec<_> = told.data.into_iter().map(|event| event.kind).collect();
        assert_eq!(
            told,
            [
                "recording.started",
                "recording.ready",
                "recording.started",
                "recording.ready",
                "recording.deleted",
                "recording.deleted",
            ]
        );
    }
}

/// What a store gives back is compared with what it was given.
#[tokio::test]
async fn a_store_that_lies_is_not_believed() {
    #[derive(Debug)]
    struct Liar(InMemory);

    impl std::fmt::Display for Liar {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("liar")
        }
    }

    #[async_trait::async_trait]
    impl ObjectStore for Liar {
        async fn put_opts(
            &self,
            to: &Path,
            payload: PutPayload,
            options: PutOptions,
        ) -> object_store::Result<PutResult> {
            let mut bytes: Vec<u8> = payload.into_iter().flatten().collect();
            if let Some(first) = bytes.first_mut() {
                *first ^= 1;
            }
            self.0.put_opts(to, bytes.into(), options).await
        }

        async fn put_multipart_opts(
            &self,
            to: &Path,
            options: PutMultipartOptions,
        ) -> object_store::Result<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(to, options).await
        }

        async fn get_opts(
            &self,
            path: &Path,
            options: GetOptions,
        ) -> object_store::Result<GetResult> {
            self.0.get_opts(path, options).await
        }

        fn delete_stream(
            &self,
            paths: BoxStream<'static, object_store::Result<Path>>,
        ) -> BoxStream<'static, object_store::Result<Path>> {
            self.0.delete_stream(paths)
        }

        fn list(&self, of: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
            self.0.list(of)
        }

        async fn list_with_delimiter(&self, of: Option<&Path>) -> object_store::Result<ListResult> {
            self.0.list_with_delimiter(of).await
        }

        async fn copy_opts(
            &self,
            from: &Path,
            to: &Path,
            options: CopyOptions,
        ) -> object_store::Result<()> {
            self.0.copy_opts(from, to, options).await
        }
    }

    let (fixture, folder) = (store::tests::sqlite().await, tempfile::tempdir().unwrap());
    let spool = Spool::new(folder.path().to_owned());
    closed(&fixture.store, &spool, "rec_1", b"OggS").await;
    let archive = Archive::of(Arc::new(Liar(InMemory::new())));
    let keeper = Keeper::new(fixture.store.clone(), spool.clone(), archive);
    let refused = keeper.try_to_settle("rec_1").await.unwrap_err();
    assert!(refused.to_string().contains("other bytes"), "{refused}");
    assert!(spool.media("rec_1", "opus").exists());
}

#[test]
fn tries_come_up_to_hourly_and_for_ever() {
    let pauses: Vec<_> = keeper::Backoff::default().take(20).collect();
    assert_eq!(pauses[..3], [1, 2, 4].map(Duration::from_secs));
    assert_eq!(pauses[19], Duration::from_secs(3_600));
    assert!(pauses.is_sorted());
}

/// Recordings go when their time is over, and not those that are kept for ever.
#[tokio::test]
async fn recordings_expire() {
    for fixture in store::tests::all().await {
        let (store, folder) = (&fixture.store, tempfile::tempdir().unwrap());
        let spool = Spool::new(folder.path().to_owned());
        closed(store, &spool, "rec_1", b"OggS").await;
        let kept: Result<(), StoreError> = store
            .write(|tx| {
                Box::pin(async move {
                    tx.begin_recording(&row("rec_2")).await?;
                    let closing = ClosedRecording {
                        ended_at: Timestamp::from_millis(2_000),
                        duration_ms: 1_000,
                        size: 4,
                        lost_ms: None,
                        silent_ms: None,
                        expires_at: expiry(Timestamp::from_millis(2_000), 0),
                        error: None,
                    };
                    tx.close_recording("rec_2", &closing).await?;
                    tx.begin_recording(&row("rec_3")).await
                })
            })
            .await;
        kept.unwrap();
        let end = Timestamp::from_millis(3_000).after(DAY);
        let sweep = async |now: Timestamp| {
            crate::retention::sweep(store, &crate::config::Retention::default(), now).await
        };
        assert_eq!(sweep(end).await.unwrap(), 0);
        let later = end.after(Duration::from_millis(1));
        assert_eq!(sweep(later).await.unwrap(), 1);
        let unsettled = store.unsettled_recordings().await.unwrap();
        assert_eq!(unsettled.get("rec_1"), Some(&true));
        assert_eq!(unsettled.get("rec_2"), Some(&false));
        assert_eq!(unsettled.get("rec_3"), None);
    }
}

/// A file that was open, one that was closed but not yet told of, and one that the store had already.
#[tokio::test]
async fn what_a_former_process_left_is_found() {
    let (fixture, folder) = (store::tests::sqlite().await, tempfile::tempdir().unwrap());
    let (store, spool) = (&fixture.store, Spool::new(folder.path().to_owned()));
    closed(store, &spool, "rec_stored", b"OggS").await;
    closed(store, &spool, "rec_closed", b"OggS").await;
    let changed: Result<(), StoreError> = store
        .write(|tx| {
            Box::pin(async move {
                tx.store_recording("rec_stored", 4, "00").await?;
                tx.begin_recording(&row("rec_lost")).await
            })
        })
        .await;
    changed.unwrap();
    // It was being written, and the tables do not know of it.
    let mut about = spool.read("rec_closed").unwrap().unwrap();
    about.id = "rec_open".to_owned();
    about.closed = None;
    drop(spool.create(&about).unwrap());
    let found = find(store, &spool).await.unwrap();
    assert_eq!(found.repaired, 1);
    let written: Result<(), StoreError> = store
        .write(|tx| Box::pin(async move { found.write(tx).await }))
        .await;
    written.unwrap();
    let state = async |id: &str| store.recording(id).await.unwrap().map(|row| row.state);
    assert_eq!(state("rec_stored").await.unwrap(), "ready");
    assert_eq!(state("rec_closed").await.unwrap(), "storing");
    // Nothing had been written to it.
    assert_eq!(state("rec_open").await.unwrap(), "failed");
    assert_eq!(state("rec_lost").await.unwrap(), "failed");
    assert_eq!(spool.list().unwrap(), ["rec_closed", "rec_open"]);
}
