//! A receiver's view of the room: the updates that it has been told, and the choice of the next one.

use alloc::vec::Vec;

use super::relevance::most_relevant;
use super::{AttributeKey, Authority, Participant, ParticipantId, RoomUpdate, StreamKey, Version};

/// How many things a receiver that is behind is told of the present between two batches of changes.
const TURNS: u8 = 8;

/// One thing to tell a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A whole description of the room follows, as updates; what it does not mention is gone.
    SnapshotBegin {
        /// The state that it starts from.
        version: Version,
    },
    /// One change, or one part of a snapshot.
    Update {
        /// All changes up to this one are told, or a later one of the same fact will be.
        version: Version,
        /// The change.
        update: RoomUpdate,
    },
    /// The description is complete.
    SnapshotEnd {
        /// The same: the room is now described.
        version: Version,
    },
}

/// The updates that one receiver has been told, which determine the next one.
///
/// It queues nothing. It holds a cursor into the [`Authority`]'s log and, for a receiver that
/// cannot track the whole room, whom that receiver tracks; each next thing is found when there is
/// room to send it. A slow receiver costs nothing but a snapshot later.
///
/// ```
/// use parlour_core::room::{
///     Authority, DisplayName, Participant, ParticipantId, Replica, RoomUpdate, Told, View,
/// };
///
/// let mut authority = Authority::new(100, 256);
/// let me = ParticipantId::new("me").unwrap();
/// let joined = RoomUpdate::Joined(Participant::new(me.clone(), DisplayName::new("Me").unwrap()));
/// authority.change(joined).unwrap();
///
/// let mut view = View::new(&authority, 8);
/// let mut replica = Replica::<8>::default();
/// while let Some(told) = view.poll(&authority, &me, []) {
///     match told {
///         Told::SnapshotBegin { version } => replica.begin_snapshot(version),
///         Told::Update { version, update } => drop(replica.apply(version, &update).unwrap()),
///         Told::SnapshotEnd { version } => replica.end_snapshot(version, |_| ()).unwrap(),
///     }
/// }
/// assert!(view.is_caught_up(&authority));
/// assert!(replica.is_complete());
/// assert!(replica.participants().eq(authority.state().participants()));
/// ```
#[derive(Debug)]
pub struct View {
    /// All changes up to this one are told, or need not be.
    cursor: Version,
    /// Changes are told up to this one before anything else.
    batch: Version,
    /// When the batch began, the receiver knew nothing that is later than this.
    known: Version,
    /// What it last applied, if it goes on within this batch: what came after that may have arrived.
    resumed: Option<Version>,
    /// How many more things may be told before the next batch, although the room has changed.
    turns: u8,
    stage: Stage,
    scope: Scope,
    /// Whose attributes are being told, one after another.
    describing: Option<Describing>,
}

/// How far the attributes of a participant have been told, in the order of their keys.
#[derive(Debug)]
struct Describing {
    participant: ParticipantId,
    through: Option<AttributeKey>,
}

/// The remaining steps once all participants in scope are described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The beginning of a snapshot.
    Begin,
    /// Within a snapshot: who speaks.
    Speaker,
    /// Within a snapshot: who holds the floor.
    Floor,
    /// Within a snapshot: that the session is recorded, if it is.
    Recorded,
    /// The end of the snapshot.
    End,
    /// Nothing but changes.
    Live,
}

/// Which participants the receiver is told of.
#[derive(Debug)]
enum Scope {
    /// All: it can track as many as the room takes.
    All(Described),
    /// Those that matter most to it.
    Some(Selection),
}

/// How far a snapshot has come in describing the participants, in the order of their ids.
#[derive(Debug)]
enum Described {
    None,
    Through(ParticipantId),
    All,
}

/// A part of the participants.
#[derive(Debug)]
struct Selection {
    /// How many the receiver can track.
    capacity: usize,
    /// Whom it tracks, sorted.
    tracked: Vec<ParticipantId>,
    /// The version for which the two lists below were made.
    planned: Option<Version>,
    /// Whom to hide.
    leaving: Vec<ParticipantId>,
    /// Whom to show after that, the most important last.
    arriving: Vec<ParticipantId>,
    told_count: Option<u32>,
}

impl View {
    /// The view of a receiver that was told nothing yet, and that can track `capacity`
    /// participants, itself among them (at least 1).
    pub fn new(authority: &Authority, capacity: u16) -> Self {
        let capacity = usize::from(capacity.max(1));
        let scope = if capacity >= authority.room_limit() {
            Scope::All(Described::None)
        } else {
            Scope::Some(Selection::new(capacity))
        };
        let version = authority.state().version();
        Self {
            cursor: version,
            batch: version,
            known: version,
            resumed: None,
            turns: 0,
            stage: Stage::Begin,
            scope,
            describing: None,
        }
    }

    /// Goes on with a receiver of the same capacity that last applied `version` (see
    /// [`RoomState::version_for_resume`](super::RoomState::version_for_resume)): whatever it was
    /// told after that is lost. It gets the changes since, or a snapshot if those are no longer
    /// remembered or if it tracks only a part of the room.
    pub fn resume(&mut self, version: Option<Version>) {
        self.stage = Stage::Begin;
        if let (Scope::All(described), Some(version)) = (&mut self.scope, version) {
            *described = Described::All;
            self.cursor = version;
            self.batch = version;
            // Some of what was told after that may have arrived.
            self.known = Version(u64::MAX);
            self.resumed = Some(version);
            self.turns = 0;
            self.stage = Stage::Live;
        }
    }

    /// Says that [`poll`](Self::poll) is given another `wanted` from now on.
    pub fn wanted_changed(&mut self) {
        if let Scope::Some(selection) = &mut self.scope {
            selection.planned = None;
        }
    }

    /// The next thing to tell the receiver, which is the participant `me`; `None` if it knows all
    /// that it should. The returned update counts as told, so poll only when it can be sent, and send
    /// reliably and in order; after a loss, [`resume`](Self::resume).
    ///
    /// `wanted` names those whom this receiver asked for or hears now (pinned, subscribed, in one
    /// of its slots), the most important first. It is read when the room has changed or after
    /// [`wanted_changed`](Self::wanted_changed), and only if the receiver cannot track everybody.
    pub fn poll<'w>(
        &mut self,
        authority: &Authority,
        me: &ParticipantId,
        wanted: impl IntoIterator<Item = &'w ParticipantId>,
    ) -> Option<Told> {
        let head = authority.state().version();
        if self.stage == Stage::Begin || authority.log().since(self.cursor, head).is_none() {
            return Some(self.begin(head));
        }
        if self.cursor < self.batch {
            let told = self.poll_change(authority, me);
            if told.is_some() {
                return told;
            }
        }
        if self.cursor < head && self.turns == 0 {
            self.batch = head;
            let told = self.poll_change(authority, me);
            if told.is_some() {
                return told;
            }
        }
        let told = self.poll_present(authority, me, wanted);
        if self.cursor < head && told.is_some() {
            self.turns = self.turns.saturating_sub(1);
            return told;
        }
        let told = told.or_else(|| {
            self.batch = head;
            self.poll_change(authority, me)
        });
        if self.cursor == head {
            self.turns = 0;
        }
        told
    }

    /// The next change of the batch; `None` if that is told.
    fn poll_change(&mut self, authority: &Authority, me: &ParticipantId) -> Option<Told> {
        let head = authority.state().version();
        for change in authority.log().since(self.cursor, head)? {
            if change.version > self.batch {
                break;
            }
            self.cursor = change.version;
            let update = &change.update;
            let is_to_come = (self.describing.as_ref()).is_some_and(|it| it.will_tell(update));
            let is_needless = match update {
                // It knows its own streams by the answers to it, and is told of their end though it was not shown them here;
                // not of one that is published anew, which it would give up.
                RoomUpdate::Unpublished { participant, key } if participant == me => {
                    change.is_moot(self.resumed.unwrap_or(self.known))
                        && is_published(authority, participant, key)
                }
                _ => change.is_moot(self.known),
            };
            if is_to_come || is_needless || !self.scope.concerns(update) {
                continue;
            }
            // Should it be back, what it has comes as changes.
            if let RoomUpdate::Left { participant, .. } = update {
                (self.describing).take_if(|it| it.participant == *participant);
            }
            let (version, update) = (change.version, update.clone());
            if version == self.batch {
                self.end_batch();
            }
            return Some(Told::Update { version, update });
        }
        self.end_batch();
        None
    }

    fn end_batch(&mut self) {
        self.cursor = self.batch;
        self.known = self.batch;
        self.resumed = None;
        self.turns = TURNS;
    }

    /// The next thing to tell of what is so now, changed or not: whom and what the receiver does not know yet.
    fn poll_present<'w>(
        &mut self,
        authority: &Authority,
        me: &ParticipantId,
        wanted: impl IntoIterator<Item = &'w ParticipantId>,
    ) -> Option<Told> {
        let attribute = (self.describing.as_mut()).and_then(|it| it.next(authority));
        let update = attribute.or_else(|| match &mut self.scope {
            Scope::All(described) => described.next(authority),
            Scope::Some(selection) => selection.next(authority, me, wanted),
        });
        match &update {
            Some(RoomUpdate::Attribute { .. }) => {}
            Some(RoomUpdate::Joined(participant)) => {
                self.describing = Describing::of(authority, &participant.id);
            }
            _ => self.describing = None,
        }
        let Some(update) = update else {
            return self.finish(authority);
        };
        // It may be from after the changes that are told; those in between set facts that are so already.
        self.known = authority.state().version();
        let version = self.cursor;
        Some(Told::Update { version, update })
    }

    /// Whether the receiver knows all that it should: [`poll`](Self::poll) gave `None`, and the
    /// room has not changed since.
    pub fn is_caught_up(&self, authority: &Authority) -> bool {
        let head = authority.state().version();
        self.stage == Stage::Live
            && self.cursor == head
            && self.describing.is_none()
            && match &self.scope {
                Scope::All(_) => true,
                Scope::Some(selection) => selection.is_done(authority),
            }
    }

    fn begin(&mut self, head: Version) -> Told {
        self.cursor = head;
        self.batch = head;
        self.known = head;
        self.resumed = None;
        self.turns = 0;
        self.stage = Stage::Speaker;
        self.describing = None;
        match &mut self.scope {
            Scope::All(described) => *described = Described::None,
            Scope::Some(selection) => *selection = Selection::new(selection.capacity),
        }
        Told::SnapshotBegin { version: head }
    }

    /// The rest of a snapshot when all participants are described.
    fn finish(&mut self, authority: &Authority) -> Option<Told> {
        let state = authority.state();
        let version = self.cursor;
        let (next, told) = match self.stage {
            Stage::Begin | Stage::Live => return None,
            Stage::Speaker => {
                let participant = state.active_speaker().cloned();
                let update = RoomUpdate::Speaker { participant };
                (Stage::Floor, Told::Update { version, update })
            }
            Stage::Floor => {
                let holder = state.floor().cloned();
                let update = RoomUpdate::Floor { holder };
                (Stage::Recorded, Told::Update { version, update })
            }
            Stage::Recorded if state.is_recorded() => {
                let update = RoomUpdate::Recorded { recorded: true };
                (Stage::End, Told::Update { version, update })
            }
            Stage::Recorded | Stage::End => {
                if let Scope::All(described) = &mut self.scope {
                    *described = Described::All;
                }
                (Stage::Live, Told::SnapshotEnd { version })
            }
        };
        self.stage = next;
        Some(told)
    }
}

impl Describing {
    /// All attributes of a participant, if it has any.
    fn of(authority: &Authority, participant: &ParticipantId) -> Option<Self> {
        let has_any = authority.state().attributes(participant).len() > 0;
        has_any.then(|| Self {
            participant: participant.clone(),
            through: None,
        })
    }

    /// Tells the next attribute, as it now is.
    fn next(&mut self, authority: &Authority) -> Option<RoomUpdate> {
        let mut attributes = authority.state().attributes(&self.participant);
        let (key, value) = attributes.find(|(key, _)| self.through.as_ref() < Some(*key))?;
        self.through = Some(key.clone());
        Some(RoomUpdate::Attribute {
            participant: self.participant.clone(),
            key: key.clone(),
            value: value.clone(),
        })
    }

    /// Whether a change is about an attribute that is yet to be told.
    fn will_tell(&self, update: &RoomUpdate) -> bool {
        matches!(update, RoomUpdate::Attribute { participant, key, .. }
            if *participant == self.participant && self.through.as_ref() < Some(key))
    }
}

impl Scope {
    /// Whether the receiver is told of this change as it comes. If not, the change is about a
    /// participant that the receiver is yet to be told of as it then is, or not at all.
    fn concerns(&mut self, update: &RoomUpdate) -> bool {
        let Some(id) = update.participant() else {
            return true;
        };
        match self {
            Self::All(Described::All) => true,
            Self::All(Described::Through(last)) => id <= last,
            Self::All(Described::None) => false,
            Self::Some(selection) => {
                let Ok(index) = selection.tracked.binary_search(id) else {
                    return false;
                };
                if matches!(update, RoomUpdate::Left { .. }) {
                    selection.tracked.remove(index);
                    // It may be back already.
                    selection.planned = None;
                }
                true
            }
        }
    }
}

impl Described {
    /// Describes the next participant of a snapshot.
    fn next(&mut self, authority: &Authority) -> Option<RoomUpdate> {
        let state = authority.state();
        let participant = match self {
            Self::All => return None,
            Self::None => state.participants().next(),
            Self::Through(last) => state.participant_after(last),
        }?;
        *self = Self::Through(participant.id.clone());
        Some(RoomUpdate::Joined(participant.clone()))
    }
}

impl Selection {
    const fn new(capacity: usize) -> Self {
        Self {
            capacity,
            tracked: Vec::new(),
            planned: None,
            leaving: Vec::new(),
            arriving: Vec::new(),
            told_count: None,
        }
    }

    /// Hides whom the receiver need not track any more, then shows whom it should instead, then
    /// tells how many there are.
    fn next<'w>(
        &mut self,
        authority: &Authority,
        me: &ParticipantId,
        wanted: impl IntoIterator<Item = &'w ParticipantId>,
    ) -> Option<RoomUpdate> {
        let state = authority.state();
        if self.planned != Some(state.version()) {
            self.plan(authority, me, wanted);
        }
        if let Some(participant) = self.leaving.pop() {
            if let Ok(index) = self.tracked.binary_search(&participant) {
                self.tracked.remove(index);
            }
            return Some(RoomUpdate::Hidden { participant });
        }
        let arriving = self.arriving.pop();
        if let Some(participant) = arriving.and_then(|id| state.participant(&id)) {
            self.track(participant);
            return Some(RoomUpdate::Joined(participant.clone()));
        }
        let participants = state.participant_count();
        if self.told_count == Some(participants) {
            return None;
        }
        self.told_count = Some(participants);
        Some(RoomUpdate::Count { participants })
    }

    fn track(&mut self, participant: &Participant) {
        if let Err(index) = self.tracked.binary_search(&participant.id) {
            self.tracked.insert(index, participant.id.clone());
        }
    }

    fn plan<'w>(
        &mut self,
        authority: &Authority,
        me: &ParticipantId,
        wanted: impl IntoIterator<Item = &'w ParticipantId>,
    ) {
        let mut desired = most_relevant(authority, me, wanted, &self.tracked, self.capacity);
        desired.reverse();
        let is_new = |id: &&&ParticipantId| self.tracked.binary_search(id).is_err();
        self.arriving = desired.iter().filter(is_new).copied().cloned().collect();
        desired.sort_unstable();
        // Of those who have left, a change that is yet to be told says so.
        let state = authority.state();
        let is_over = |id: &&ParticipantId| {
            desired.binary_search(id).is_err() && state.participant(id).is_some()
        };
        self.leaving = self.tracked.iter().filter(is_over).cloned().collect();
        // Until then they have their places.
        let stay = self.tracked.len().saturating_sub(self.leaving.len());
        let places = self.capacity.saturating_sub(stay);
        let excess = self.arriving.len().saturating_sub(places);
        self.arriving.drain(..excess);
        self.planned = Some(state.version());
    }

    fn is_done(&self, authority: &Authority) -> bool {
        let state = authority.state();
        self.planned == Some(state.version())
            && self.leaving.is_empty()
            && self.arriving.is_empty()
            && self.told_count == Some(state.participant_count())
    }
}

fn is_published(authority: &Authority, participant: &ParticipantId, key: &StreamKey) -> bool {
    let publisher = authority.state().participant(participant);
    publisher.is_some_and(|publisher| publisher.stream(key).is_some())
}

#[cfg(test)]
mod tests;
