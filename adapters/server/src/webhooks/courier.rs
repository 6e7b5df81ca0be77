//! Sends the events of one webhook.
//!
//! ```text
//! journal ──► queue (deliveries) ──► lanes ──► tries, side by side ──► results ──► deliveries
//!        └───────── one transaction: results of the last tries, events that are new ─────────┘
//! ```
//!
//! The tables are the truth. A courier holds a copy of what is open, and its results are written while it goes on; whatever
//! is lost with the process is sent again. When the API changes the webhook, the courier drops what it knows and begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::{Client, Receiver, Verdict};
use super::schedule::{Lane, Next, Tried};
use super::{message, receiver};
use crate::seal::Sealer;
use crate::store::{Answer, DeliveryChange, End, Owed, Store, StoreError, WebhookRow};
use crate::time::Timestamp;

/// Requests to a receiver at a time, and those of them that repeat one which was refused: new events have their share.
const TRIES: usize = 64;
const REPEATED: usize = 32;
/// Results that wait to be written.
const RESULTS: usize = 1_024;
/// Events of the journal that are queued at a time.
const STEP: i64 = 1_000;
/// Open deliveries. Events that do not fit wait in the journal alone.
const OPEN: usize = 100_000;
/// How long to wait before a database that fails is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What a courier needs.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    pub(super) store: Store,
    pub(super) sealer: Arc<Sealer>,
    pub(super) client: Client,
    pub(super) clock: Clock,
}

/// The time for schedules. It runs evenly, whatever happens to the machine's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Timestamp,
    began: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            start: Timestamp::now(),
            began: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.start.after(self.began.elapsed())
    }

    fn at(&self, time: Timestamp) -> Instant {
        self.began + time.since(self.start)
    }
}

/// What the courier is to do, as the dispatcher says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Orders {
    /// It rises with each change of the webhook.
    pub(super) change: u64,
    /// Whether the server shuts down: what can be sent at once is sent, and nothing is waited for.
    pub(super) is_last: bool,
}

/// Sends the events of a webhook until it is deleted or the server ends.
pub(super) async fn run(tools: Tools, id: String, mut orders: watch::Receiver<Orders>) {
    loop {
        let current = *orders.borrow_and_update();
        let loaded = Courier::load(&tools, &id).await;
        let done = match loaded {
            Ok(Some(mut courier)) => courier.work(current, &mut orders).await,
            Ok(None) => Ok(Done::Deleted),
            Err(error) => Err(error),
        };
        match done {
            Ok(Done::Changed) => {}
            Ok(Done::Deleted | Done::Ended) => return,
            Err(StoreError::ShutDown) => return,
            Err(error) => {
                tracing::error!(webhook = id, %error, "the queue of a webhook cannot be read; trying again");
                sleep(PAUSE).await;
            }
        }
        if orders.has_changed().is_err() {
            return;
        }
    }
}

/// Why a courier has stopped.
enum Done {
    Changed,
    Deleted,
    Ended,
}

/// A try that is over.
struct Try {
    room: Arc<str>,
    seq: i64,
    is_repeated: bool,
    tried: Tried,
    /// The time of the try by the machine's clock.
    at: Timestamp,
    /// Nothing, if the event is not in the journal any more.
    outcome: Result<Option<(Verdict, Answer)>, StoreError>,
}

/// What a transaction says.
enum Synced {
    /// The webhook is not as it was: nothing was written.
    Changed,
    /// The results are written, and these events are in the queue now, which are all up to there.
    Queued(Vec<Owed>, i64),
}

/// A transaction that is being written.
type Sync = BoxFuture<'static, Result<Synced, StoreError>>;

/// The end of a transaction; never, if none is written.
async fn done(sync: &mut Option<Sync>) -> Result<Synced, StoreError> {
    match sync {
        Some(sync) => sync.await,
        None => std::future::pending().await,
    }
}

/// See the [module](self).
struct Courier {
    tools: Tools,
    id: String,
    version: i64,
    queued: i64,
    /// Nothing, if nothing is to be sent.
    receiver: Option<Arc<Receiver>>,
    rooms: BTreeMap<Arc<str>, Room>,
    agenda: Agenda,
    /// How many deliveries are open, and which of them were refused.
    open: usize,
    retrying: BTreeSet<i64>,
    tries: JoinSet<Try>,
    /// How many of the tries repeat one that was refused.
    repeated: usize,
    results: Vec<DeliveryChange>,
    is_gone: bool,
    committed: watch::Receiver<i64>,
}

#[derive(Default)]
struct Room {
    lane: Lane,
    is_trying: bool,
    /// Where it stands in the agenda.
    place: Option<Place>,
}

/// When which room has its turn.
#[derive(Default)]
struct Agenda {
    /// Those of new events, and those of events that are repeated.
    turns: [BTreeMap<(Timestamp, u64), Arc<str>>; 2],
    given: u64,
}

#[derive(Clone, Copy)]
struct Place {
    is_repeated: bool,
    turn: (Timestamp, u64),
}

impl Agenda {
    fn add(&mut self, room: Arc<str>, next: Next, now: Timestamp) -> Place {
        self.given += 1;
        let turn = (next.at.unwrap_or(now), self.given);
        let is_repeated = next.is_repeated;
        self.turns[usize::from(is_repeated)].insert(turn, room);
        Place { is_repeated, turn }
    }

    fn remove(&mut self, place: Place) {
        self.turns[usize::from(place.is_repeated)].remove(&place.turn);
    }

    /// When the next room has its turn, and which.
    fn first(&self, with_repeated: bool) -> Option<(Timestamp, Arc<str>)> {
        let [new, repeated] = &self.turns;
        let repeated = repeated.first_key_value().filter(|_| with_repeated);
        let first = new.first_key_value().into_iter().chain(repeated).min()?;
        Some((first.0.0, Arc::clone(first.1)))
    }
}

impl Courier {
    async fn load(tools: &Tools, id: &str) -> Result<Option<Self>, StoreError> {
        // Before the tables are read: a commit from here on wakes the courier.
        let committed = tools.store.committed();
        let Some(webhook) = tools.store.webhook(id).await? else {
            return Ok(None);
        };
        let row = webhook.row;
        let mut courier = Self {
            tools: tools.clone(),
            id: id.to_owned(),
            version: row.version,
            queued: row.queued,
            receiver: receiver_of(&row, &tools.sealer),
            rooms: BTreeMap::new(),
            agenda: Agenda::default(),
            open: 0,
            retrying: BTreeSet::new(),
            tries: JoinSet::new(),
            repeated: 0,
            results: Vec::new(),
            is_gone: false,
            committed,
        };
        if courier.receiver.is_some() {
            courier.take(tools.store.owed(id).await?);
        }
        Ok(Some(courier))
    }

    /// Works until there is something else to do than to send.
    async fn work(
        &mut self,
        mut current: Orders,
        orders: &mut watch::Receiver<Orders>,
    ) -> Result<Done, StoreError> {
        let mut sync: Option<Sync> = None;
        let mut writing = Arc::default();
        let mut paused_until: Option<Instant> = None;
        loop {
            if let Some(receiver) = self.receiver.clone()
                && paused_until.is_none()
            {
                if sync.is_none() && self.has_to_sync() {
                    writing = Arc::new(std::mem::take(&mut self.results));
                    sync = Some(self.sync(Arc::clone(&writing)));
                }
                self.start(&receiver);
            }
            let is_idle = sync.is_none() && paused_until.is_none() && self.tries.is_empty();
            if current.is_last && is_idle {
                return Ok(Done::Ended);
            }
            let wake = paused_until.or_else(|| self.wake());
            tokio::select! {
                changed = orders.changed() => {
                    if changed.is_err() {
                        return Ok(Done::Ended);
                    }
                    let change = current.change;
                    current = *orders.borrow_and_update();
                    if current.change != change {
                        return Ok(Done::Changed);
                    }
                }
                Some(tried) = self.tries.join_next() => match tried {
                    Ok(tried) => {
                        if !self.settle(tried)? {
                            return Ok(Done::Changed);
                        }
                    }
                    // It has panicked: begin anew, but not without end at once.
                    Err(_) => {
                        sleep(PAUSE).await;
                        return Ok(Done::Changed);
                    }
                },
                synced = done(&mut sync) => {
                    sync = None;
                    match synced {
                        Ok(Synced::Queued(owed, upto)) => {
                            self.queued = upto;
                            self.take(owed);
                        }
                        Ok(Synced::Changed) => return Ok(Done::Changed),
                        Err(StoreError::ShutDown) => return Ok(Done::Ended),
                        Err(error) => {
                            tracing::error!(webhook = self.id, %error, "results of deliveries cannot be written; trying again");
                            self.results.splice(0..0, writing.iter().cloned());
                            paused_until = Some(Instant::now() + PAUSE);
                        }
                    }
                }
                Ok(()) = self.committed.changed() => {}
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => paused_until = None,
            }
        }
    }

    /// Takes deliveries into their lanes.
    fn take(&mut self, owed: Vec<Owed>) {
        let now = self.tools.clock.now();
        let mut rooms = BTreeSet::new();
        for Owed { seq, room, plan } in owed {
            let room: Arc<str> = room.into();
            let lane = &mut self.rooms.entry(Arc::clone(&room)).or_default().lane;
            let before = lane.len();
            lane.owe(seq, plan);
            self.open += lane.len() - before;
            if plan.since.is_some() {
                self.retrying.insert(seq);
            }
            rooms.insert(room);
        }
        for room in rooms {
            self.plan(&room, now);
        }
    }

    /// Gives a room its place in the agenda anew.
    fn plan(&mut self, name: &Arc<str>, now: Timestamp) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        if let Some(place) = room.place.take() {
            self.agenda.remove(place);
        }
        if room.is_trying {
            return;
        }
        match room.lane.next(now) {
            Some(next) => room.place = Some(self.agenda.add(Arc::clone(name), next, now)),
            None => {
                self.rooms.remove(name);
            }
        }
    }

    fn may_start(&self) -> bool {
        self.tries.len() < TRIES && self.results.len() < RESULTS && !self.is_gone
    }

    fn wake(&self) -> Option<Instant> {
        let (at, _) = self
            .agenda
            .first(self.repeated < REPEATED)
            .filter(|_| self.may_start())?;
        Some(self.tools.clock.at(at))
    }

    /// Starts the tries whose time has come.
    fn start(&mut self, receiver: &Arc<Receiver>) {
        let now = self.tools.clock.now();
        while self.may_start()
            && let Some((at, name)) = self.agenda.first(self.repeated < REPEATED)
            && at <= now
        {
            let Some(room) = self.rooms.get_mut(&name) else {
                return;
            };
            if let Some(place) = room.place.take() {
                self.agenda.remove(place);
            }
            let Some(next) = room.lane.next(now) else {
                continue;
            };
            room.is_trying = true;
            self.repeated += usize::from(next.is_repeated);
            let (tools, receiver) = (self.tools.clone(), Arc::clone(receiver));
            self.tries.spawn(attempt(tools, receiver, name, next));
        }
    }

    /// Notes what became of a try; says whether all is as it should be.
    fn settle(&mut self, tried: Try) -> Result<bool, StoreError> {
        let Some((verdict, answer)) = tried.outcome? else {
            return Ok(false);
        };
        self.repeated -= usize::from(tried.is_repeated);
        self.is_gone |= verdict == Verdict::Gone;
        let Some(room) = self.rooms.get_mut(&tried.room) else {
            return Ok(false);
        };
        room.is_trying = false;
        let was_failing = !self.retrying.is_empty();
        let error = answer.error.clone();
        let changes = room
            .lane
            .settle(tried.seq, verdict == Verdict::Taken, tried.tried);
        let mut answer = Some((tried.at, answer));
        for change in changes {
            self.open -= usize::from(change.end.is_some());
            if change.end.is_none() && change.plan.since.is_some() {
                self.retrying.insert(change.seq);
            } else {
                self.retrying.remove(&change.seq);
            }
            if change.end == Some(End::Failed) {
                tracing::error!(
                    webhook = self.id,
                    seq = change.seq,
                    "an event is given up; it can be retried"
                );
            }
            self.results.push(DeliveryChange {
                seq: change.seq,
                plan: change.plan,
                end: change.end,
                // That of the try is the first.
                answer: answer.take(),
            });
        }
        match (was_failing, !self.retrying.is_empty()) {
            (false, true) => tracing::warn!(webhook = self.id, error, "a webhook is failing"),
            (true, false) => tracing::info!(webhook = self.id, "a webhook is healthy again"),
            _ => {}
        }
        self.plan(&tried.room, self.tools.clock.now());
        Ok(true)
    }

    fn has_to_sync(&mut self) -> bool {
        let newest = *self.committed.borrow_and_update();
        !self.results.is_empty() || (self.queued < newest && self.open < OPEN)
    }

    /// Writes results, and queues what is new.
    fn sync(&self, results: Arc<Vec<DeliveryChange>>) -> Sync {
        let (store, id, version) = (self.tools.store.clone(), self.id.clone(), self.version);
        let (queued, is_gone, has_space) = (self.queued, self.is_gone, self.open < OPEN);
        Box::pin(async move {
            let synced = store.write(move |tx| {
                Box::pin(async move {
                    let row = tx.webhook(&id).await?;
                    // Else what the courier knows is not all that there is.
                    let is_known =
                        |row: &WebhookRow| row.version == version && row.queued == queued;
                    let Some(row) = row.filter(is_known) else {
                        return Ok(Synced::Changed);
                    };
                    tx.change_deliveries(&id, &results).await?;
                    if is_gone {
                        tracing::warn!(
                            webhook = id,
                            "a webhook's receiver is gone: it is sent nothing any more"
                        );
                        tx.forsake_webhook(&id).await?;
                        return Ok(Synced::Changed);
                    }
                    let upto = tx.newest_seq().min(row.queued + STEP);
                    if !has_space || upto <= row.queued {
                        return Ok(Synced::Queued(Vec::new(), row.queued));
                    }
                    let queued = tx.queue_deliveries(&row, upto).await?;
                    Ok(Synced::Queued(queued, upto))
                })
            });
            synced.await
        })
    }
}

/// Who is to be sent events, if anybody is.
fn receiver_of(row: &WebhookRow, sealer: &Sealer) -> Option<Arc<Receiver>> {
    if !row.settings.enabled || row.gone_at.is_some() {
        return None;
    }
    match receiver(row, sealer) {
        Ok(receiver) => Some(Arc::new(receiver)),
        Err(error) => {
            tracing::error!(webhook = row.id, %error, "a webhook cannot sign and sends nothing: rotate its secret");
            None
        }
    }
}

async fn attempt(tools: Tools, receiver: Arc<Receiver>, room: Arc<str>, next: Next) -> Try {
    let (began, at) = (tools.clock.now(), Timestamp::now());
    let outcome = match tools.store.event(next.seq).await {
        Ok(Some(event)) => Ok(Some(tools.client.send(&receiver, &message(&event)).await)),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let tried = Tried {
        began,
        ended: tools.clock.now(),
    };
    Try {
        room,
        seq: next.seq,
        is_repeated: next.is_repeated,
        tried,
        at,
        outcome,
    }
}
