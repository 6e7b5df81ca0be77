//! The thread that writes: it has all files that are open.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use parlour_files::recording::{FileStart, Finished, RecordedPacket, StreamFile};
use parlour_tokio::TappedStream;
use rand_core::{OsRng, RngCore as _};
use serde_json::json;
use tokio::sync::mpsc;
use ulid::Ulid;

use super::Mark;
use super::inbox::{About, Batch, Inbox, Item, StreamId, Waiting, Word};
use super::recover::repaired;
use super::spool::{Closed, Sidecar, Spool};
use crate::disk::Space;
use crate::scribe::snake;
use crate::time::Timestamp;

/// How often what has come is written.
const TAKE: Duration = Duration::from_millis(100);
/// How often each file fills its gaps and ends its pages.
const TICK: Duration = Duration::from_millis(200);
/// How often each file is synced.
const SYNC: Duration = Duration::from_secs(5);
/// How often the free space is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The error of recordings that end because the disk is almost full.
pub(super) const DISK_FULL: &str = "disk-full";
/// The error of recordings that cannot be written.
const WRITE_FAILED: &str = "write-failed";

/// What becomes of files, for the tables.
#[derive(Debug)]
pub(super) enum Notice {
    Began(Sidecar),
    Closed(Sidecar),
    /// The disk is almost full: nothing is recorded.
    Full,
}

/// How much of the spool's disk stays free.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeepFree {
    pub(super) bytes: u64,
    pub(super) percent: u8,
}

impl KeepFree {
    /// Whether there is less.
    fn is_short(self, Space { free, size }: Space) -> bool {
        let share = u128::from(size) * u128::from(self.percent);
        free < self.bytes || u128::from(free) * 100 < share
    }

    /// Whether so little of a folder's disk is free that nothing may be recorded.
    pub(super) fn is_full(self, spool: &Spool) -> bool {
        spool.space().is_some_and(|space| self.is_short(space))
    }
}

/// A file that is written.
struct Open {
    file: StreamFile,
    about: Sidecar,
    began: Instant,
    synced: Instant,
}

/// What becomes of a stream's packets.
enum Slot {
    Open(Box<Open>),
    /// Its file has failed, so that the rest of it is not recorded.
    Refused,
}

/// See the [module](self).
pub(super) struct Desk {
    spool: Spool,
    keep_free: KeepFree,
    slots: BTreeMap<StreamId, Slot>,
    notices: mpsc::UnboundedSender<Notice>,
    is_full: bool,
    ticked: Instant,
    looked: Option<Instant>,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Desk {
    pub(super) fn new(
        spool: Spool,
        keep_free: KeepFree,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        Self {
            spool,
            keep_free,
            slots: BTreeMap::new(),
            notices,
            is_full: false,
            ticked: now(),
            looked: None,
        }
    }

    /// Writes until the inbox is closed, and closes all files.
    pub(super) fn run(mut self, inbox: &Inbox) {
        loop {
            let batch = match self.slots.is_empty() {
                true => inbox.wait(),
                false => inbox.wait_for(TAKE),
            };
            let is_last = batch.is_last;
            self.work(batch, now());
            if is_last {
                self.end_where(now(), None, |_| true);
                return;
            }
        }
    }

    /// Writes what has come, and does what is due.
    fn work(&mut self, batch: Batch, now: Instant) {
        let looked = self.looked;
        if looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK) {
            self.look(now);
        }
        for (id, waiting) in batch.streams {
            self.write(&id, waiting, now);
        }
        for word in batch.words {
            match word {
                Word::Over(session) => self.end_where(now, None, |id| id.session == session),
                Word::Only(session, wanted) => self.end_where(now, None, |id| {
                    id.session == session && !wanted.has_participant(&id.participant)
                }),
            }
        }
        if now.saturating_duration_since(self.ticked) >= TICK {
            self.ticked = now;
            self.tick(now);
        }
    }

    fn look(&mut self, now: Instant) {
        self.looked = Some(now);
        let was_full = self.is_full;
        self.is_full = self.keep_free.is_full(&self.spool);
        if self.is_full && !was_full {
            tracing::error!("the disk of the spool folder is almost full: nothing is recorded");
            self.end_where(now, Some(DISK_FULL), |_| true);
            self.tell(Notice::Full);
        }
    }

    fn tell(&self, notice: Notice) {
        // Nobody listens only once the server has given up on the tables. What is beside the files is read at the next start.
        let _ = self.notices.send(notice);
    }

    fn write(&mut self, id: &StreamId, waiting: Waiting, now: Instant) {
        for item in waiting.items {
            match item {
                Item::End => self.end(id, now, None),
                Item::Packet {
                    received,
                    sequence,
                    timestamp,
                    level,
                    payload,
                } => {
                    if self.is_full {
                        continue;
                    }
                    if !self.slots.contains_key(id) {
                        let opened = self.open(&waiting.about, &waiting.stream, received, now);
                        self.slots.insert(id.clone(), opened);
                    }
                    let Some(Slot::Open(open)) = self.slots.get_mut(id) else {
                        continue;
                    };
                    let at = received.saturating_duration_since(open.began);
                    let packet = RecordedPacket {
                        sequence,
                        timestamp,
                        level,
                        payload: &payload,
                    };
                    if let Err(error) = open.file.packet(at, packet) {
                        self.fail(id, &error, now);
                    }
                }
            }
        }
    }

    fn open(&self, about: &About, stream: &TappedStream, began: Instant, now: Instant) -> Slot {
        let started_at = Timestamp::now().before(now.saturating_duration_since(began));
        let about = Sidecar {
            id: format!("rec_{}", Ulid::generate()),
            room: about.room.clone(),
            session: stream.session.to_string(),
            participant: stream.participant.as_str().to_owned(),
            stream: stream.key.as_str().to_owned(),
            kind: snake(stream.kind),
            codec: snake(stream.codec),
            started_at,
            retention_days: about.retention_days,
            closed: None,
        };
        match self.create(&about, stream) {
            Ok(file) => {
                self.tell(Notice::Began(about.clone()));
                Slot::Open(Box::new(Open {
                    file,
                    about,
                    began,
                    synced: now,
                }))
            }
            Err(error) => {
                tracing::error!(recording = about.id, %error, "a recording cannot begin");
                self.tell(Notice::Began(about.clone()));
                self.broken(about, &error);
                Slot::Refused
            }
        }
    }

    fn create(&self, about: &Sidecar, stream: &TappedStream) -> io::Result<StreamFile> {
        let file = self.spool.create(about)?;
        let started_at = about.started_at.to_string();
        let start = FileStart {
            codec: stream.codec,
            serial: OsRng.next_u32(),
            comments: &[
                ("ROOM", &about.room),
                ("SESSION", &about.session),
                ("PARTICIPANT", &about.participant),
                ("STREAM", &about.stream),
                ("STARTED_AT", &started_at),
            ],
        };
        StreamFile::create(file, &start)
    }

    fn tick(&mut self, now: Instant) {
        let mut failed = Vec::new();
        for (id, slot) in &mut self.slots {
            let Slot::Open(open) = slot else {
                continue;
            };
            let mut ticked = open.file.tick(now.saturating_duration_since(open.began));
            if ticked.is_ok() && now.saturating_duration_since(open.synced) >= SYNC {
                open.synced = now;
                ticked = open.file.sync();
            }
            if let Err(error) = ticked {
                failed.push((id.clone(), error));
            }
        }
        for (id, error) in failed {
            self.fail(&id, &error, now);
        }
    }

    /// A file cannot be written any further, and the rest of its stream is not recorded.
    fn fail(&mut self, id: &StreamId, error: &io::Error, now: Instant) {
        tracing::error!(%error, "a recording cannot be written");
        self.end(id, now, Some(name_of(error)));
        self.slots.insert(id.clone(), Slot::Refused);
    }

    /// Ends streams: closes their files, and forgets them.
    fn end_where(
        &mut self,
        now: Instant,
        error: Option<&str>,
        is_over: impl Fn(&StreamId) -> bool,
    ) {
        let over = self.slots.keys().filter(|id| is_over(id));
        let over: Vec<_> = over.cloned().collect();
        for id in over {
            self.end(&id, now, error);
        }
    }

    fn end(&mut self, id: &StreamId, now: Instant, error: Option<&str>) {
        let Some(Slot::Open(open)) = self.slots.remove(id) else {
            return;
        };
        let (file, about) = (open.file, open.about);
        match file.finish(now.saturating_duration_since(open.began)) {
            Ok(finished) => self.finished(about, finished, error),
            Err(failed) => {
                tracing::error!(recording = about.id, error = %failed, "a recording cannot be finished");
                self.broken(about, &failed);
            }
        }
    }

    fn finished(&self, mut about: Sidecar, finished: Finished, error: Option<&str>) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        about.closed = Some(Closed {
            ended_at: about.started_at.after(finished.duration),
            duration_ms: millis(finished.duration),
            size: finished.size,
            lost_ms: Some(millis(finished.lost)),
            silent_ms: Some(millis(finished.silent)),
            error: error.map(str::to_owned),
            gaps: finished
                .gaps
                .iter()
                .map(|gap| json!({"place_ms": millis(gap.place), "length_ms": millis(gap.length)}))
                .collect(),
            anchors: finished
                .anchors
                .iter()
                .map(|anchor| json!({"place_ms": millis(anchor.place), "at_ms": millis(anchor.at)}))
                .collect(),
            speech: Some(finished.speech.into_iter().map(Mark::from).collect()),
        });
        self.settle(about);
    }

    /// A file that could not be written to its end: it is as long as what there is of it.
    fn broken(&self, mut about: Sidecar, error: &io::Error) {
        let path = self.spool.media(&about.id, &about.codec);
        about.closed = Some(repaired(&about, &path, Some(name_of(error))));
        self.settle(about);
    }

    fn settle(&self, about: Sidecar) {
        if let Err(error) = self.spool.write(&about) {
            tracing::error!(recording = about.id, %error, "what is known of a recording cannot be written");
        }
        self.tell(Notice::Closed(about));
    }
}

/// The name of an error, for the API.
fn name_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DISK_FULL,
        _ => WRITE_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::recordings::tests::stream;
    use crate::recordings::wanted::Wanted;

    const ALL: KeepFree = KeepFree {
        bytes: 0,
        percent: 0,
    };

    /// A desk that has written a second of two streams, and its notices.
    fn desk(folder: &std::path::Path) -> (Desk, mpsc::UnboundedReceiver<Notice>, Instant) {
        let (tell, notices) = mpsc::unbounded_channel();
        let mut desk = Desk::new(Spool::new(folder.to_owned()), ALL, tell);
        let inbox = Inbox::default();
        let about = Arc::new(About {
            room: "kitchen".to_owned(),
            retention_days: 1,
        });
        let start = now();
        for n in 0..50_u16 {
            for who in ["anna", "ben"] {
                let packet = Item::Packet {
                    received: start + Duration::from_millis(20) * u32::from(n),
                    sequence: n,
                    timestamp: u32::from(n) * 960,
                    level: None,
                    // A frame of 20 ms.
                    payload: Bytes::from_static(&[0xf8, 1, 2]),
                };
                assert_eq!(inbox.put(&about, &stream(who), packet), 0);
            }
        }
        let later = start + Duration::from_secs(1);
        desk.work(inbox.wait(), later);
        (desk, notices, later)
    }

    fn told(notices: &mut mpsc::UnboundedReceiver<Notice>) -> Vec<Notice> {
        std::iter::from_fn(|| notices.try_recv().ok()).collect()
    }

    /// The participant, the length and the error of a file that was closed.
    fn closed(notice: &Notice) -> (&str, u64, Option<&str>) {
        let Notice::Closed(about) = notice else {
            panic!("{notice:?}");
        };
        let closed = about.closed.as_ref().unwrap();
        (
            &about.participant,
            closed.duration_ms,
            closed.error.as_deref(),
        )
    }

    #[test]
    fn a_disk_that_fills_up_ends_all_files_well() {
        let folder = tempfile::tempdir().unwrap();
        let (mut desk, mut notices, now) = desk(folder.path());
        let began = told(&mut notices);
        assert!(matches!(began[..], [Notice::Began(_), Notice::Began(_)]));
        desk.keep_free.bytes = u64::MAX;
        let now = now + LOOK;
        desk.work(Batch::default(), now);
        let ended = told(&mut notices);
        let [first, second, Notice::Full] = &ended[..] else {
            panic!("{ended:?}");
        };
        for (notice, who) in [(first, "anna"), (second, "ben")] {
            let (participant, length, error) = closed(notice);
            assert_eq!((participant, error), (who, Some(DISK_FULL)));
            assert!((900..2_200).contains(&length), "{length}");
        }
        assert!(desk.slots.is_empty());
        // It is told once, and nothing begins.
        desk.work(Batch::default(), now + LOOK);
        assert!(told(&mut notices).is_empty());
    }

    #[test]
    fn who_is_not_wanted_any_more_is_ended_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut desk, mut notices, now) = desk(folder.path());
        told(&mut notices);
        let wanted = Wanted {
            participants: Some([stream("ben").participant].into()),
        };
        let only = Batch {
            words: vec![Word::Only(stream("ben").session, wanted)],
            ..Batch::default()
        };
        desk.work(only, now);
        let ended = told(&mut notices);
        let [notice] = &ended[..] else {
            panic!("{ended:?}");
        };
        assert_eq!((closed(notice).0, closed(notice).2), ("anna", None));
        let over = Batch {
            words: vec![Word::Over(stream("ben").session)],
            ..Batch::default()
        };
        desk.work(over, now);
        assert_eq!(closed(&told(&mut notices)[0]).0, "ben");
        assert!(desk.slots.is_empty());
    }

    #[test]
    fn free_space_is_compared_with_both_limits() {
        let keep = KeepFree {
            bytes: 100,
            percent: 5,
        };
        let space = |free, size| Space { free, size };
        assert!(keep.is_short(space(99, 1_000)) && keep.is_short(space(149, 3_000)));
        assert!(!keep.is_short(space(100, 1_000)) && !keep.is_short(space(150, 3_000)));
        assert!(!ALL.is_short(space(0, 0)));
    }
}
