//! Media on its way from the rooms to the thread that writes it.
//!
//! Whoever puts something in never waits: of each stream what is older than two seconds makes room for what is new, and counts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parlour_tokio::core::rtp::AudioLevel;
use parlour_tokio::{ParticipantId, SessionId, StreamKey, TappedStream};

use super::wanted::Wanted;

/// How much of a stream waits.
const LONGEST: Duration = Duration::from_secs(2);

/// One stream of one stay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId {
    pub(super) session: SessionId,
    pub(super) participant: ParticipantId,
    key: StreamKey,
    /// Another one for each stay, and each time that the stream is published.
    ssrc: u32,
}

impl From<&TappedStream> for StreamId {
    fn from(stream: &TappedStream) -> Self {
        Self {
            session: stream.session,
            participant: stream.participant.clone(),
            key: stream.key.clone(),
            ssrc: stream.ssrc,
        }
    }
}

/// What the files of a session have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) room: String,
    /// How many days they are kept; 0 for ever.
    pub(super) retention_days: u32,
}

/// What a stream sends.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Packet {
        received: Instant,
        sequence: u16,
        timestamp: u32,
        level: Option<AudioLevel>,
        payload: Bytes,
    },
    /// It is unpublished, or its publisher has left.
    End,
}

/// What waits of a stream.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) about: Arc<About>,
    pub(super) stream: TappedStream,
    pub(super) items: VecDeque<Item>,
}

/// What is said of a session, behind all that waits of its streams.
#[derive(Debug)]
pub(super) enum Word {
    /// Nothing more of it is recorded.
    Over(SessionId),
    /// Only this of it is recorded from now on.
    Only(SessionId, Wanted),
}

/// What was put in since the last time.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) streams: BTreeMap<StreamId, Waiting>,
    pub(super) words: Vec<Word>,
    /// Nothing comes any more.
    pub(super) is_last: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.words.is_empty() && !self.is_last
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Inbox {
    batch: Mutex<Batch>,
    changed: Condvar,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in what a stream sends; gives the number of packets that had to make room for it.
    pub(super) fn put(&self, about: &Arc<About>, stream: &TappedStream, item: Item) -> u64 {
        let mut batch = self.lock();
        let is_first = batch.is_empty();
        let waiting = batch.streams.entry(stream.into());
        let waiting = waiting.or_insert_with(|| Waiting {
            about: Arc::clone(about),
            stream: stream.clone(),
            items: VecDeque::new(),
        });
        let mut dropped = 0;
        if let Item::Packet { received: now, .. } = &item {
            let is_old = |item: &Item| match item {
                Item::Packet { received, .. } => now.saturating_duration_since(*received) > LONGEST,
                Item::End => false,
            };
            while waiting.items.front().is_some_and(is_old) {
                waiting.items.pop_front();
                dropped += 1;
            }
        }
        waiting.items.push_back(item);
        drop(batch);
        self.announce(is_first);
        dropped
    }

    /// Says something of a session.
    pub(super) fn say(&self, word: Word) {
        let mut batch = self.lock();
        let is_first = batch.is_empty();
        batch.words.push(word);
        drop(batch);
        self.announce(is_first);
    }

    /// A thread that [waits](Self::wait) is woken by what comes first; it takes the rest without being told.
    fn announce(&self, is_first: bool) {
        if is_first {
            self.changed.notify_one();
        }
    }

    /// Nothing is put in any more.
    pub(super) fn close(&self) {
        self.lock().is_last = true;
        self.changed.notify_one();
    }

    /// Takes all that is there, once there is something.
    pub(super) fn wait(&self) -> Batch {
        let batch = self
            .changed
            .wait_while(self.lock(), |batch| batch.is_empty());
        std::mem::take(&mut *batch.unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes all that is there after that time, or at once if it is the last.
    pub(super) fn wait_for(&self, time: Duration) -> Batch {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), time, |batch| !batch.is_last);
        let (mut batch, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::tests::stream;

    fn packet(received: Instant, sequence: u16) -> Item {
        Item::Packet {
            received,
            sequence,
            timestamp: 0,
            level: None,
            payload: Bytes::new(),
        }
    }

    fn sequences(items: &VecDeque<Item>) -> Vec<Option<u16>> {
        let number = |item: &Item| match item {
            Item::Packet { sequence, .. } => Some(*sequence),
            Item::End => None,
        };
        items.iter().map(number).collect()
    }

    #[test]
    fn two_seconds_of_each_stream_wait_and_what_is_older_is_dropped() {
        let (inbox, start) = (Inbox::default(), tokio::time::Instant::now().into_std());
        let about = Arc::new(About {
            room: "kitchen".to_owned(),
            retention_days: 0,
        });
        let at = |tenths: u16| start + Duration::from_millis(100) * u32::from(tenths);
        let mut dropped = 0;
        for n in 0..30 {
            dropped += inbox.put(&about, &stream("anna"), packet(at(n), n));
        }
        inbox.put(&about, &stream("ben"), packet(at(0), 7));
        inbox.put(&about, &stream("ben"), Item::End);
        // 29 is 2 s after 9, which stays.
        assert_eq!(dropped, 9);
        let batch = inbox.wait();
        let of = |who: &str| &batch.streams[&StreamId::from(&stream(who))].items;
        assert_eq!(sequences(of("anna")), (9..30).map(Some).collect::<Vec<_>>());
        assert_eq!(sequences(of("ben")), [Some(7), None]);
        // The end of a stream is never dropped.
        inbox.put(&about, &stream("ben"), Item::End);
        inbox.put(&about, &stream("ben"), packet(at(0), 8));
        assert_eq!(inbox.put(&about, &stream("ben"), packet(at(300), 9)), 0);
        inbox.close();
        let batch = inbox.wait_for(Duration::from_secs(60));
        assert!(batch.is_last);
        let items = &batch.streams[&StreamId::from(&stream("ben"))].items;
        assert_eq!(sequences(items)[0], None);
    }
}
