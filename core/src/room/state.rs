//! The current state of the room, and how updates change it: the same reducer at both ends.

use thiserror::Error;

#[cfg(feature = "server")]
use super::Growing;
use super::attribute::{self, Set};
use super::roster::locate;
use super::{
    AttributeKey, AttributeValue, Bounded, Participant, ParticipantId, RoomUpdate, Roster, Seat,
    Stream, StreamKind, Version,
};

/// A receiver's copy of a room: at most `N` participants, and `A` attributes of all of them together.
pub type Replica<const N: usize, const A: usize = 8> = RoomState<Bounded<N, A>>;

/// Why an update was not applied. The state is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ApplyError {
    /// One more participant, or one more stream or attribute of a participant, than there is space for.
    #[error(
        "no space for that many participants, streams or attributes: declare the capacity you have"
    )]
    Full,
    /// The state is already at a later version.
    #[error("the update is older than the state: apply updates in the order of their versions")]
    Stale,
    /// A snapshot ends that never began.
    #[error("no snapshot has begun: begin it first")]
    NoSnapshot,
}

/// The effect of an update. The update itself names its participant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Change {
    /// Nothing: it was so before, or it is about a participant or stream that is not tracked.
    Nothing,
    /// The participant is new here.
    Joined {
        /// The participant that was removed to make room: the state was full, and the snapshot under way has not
        /// mentioned this one so far.
        evicted: Option<ParticipantId>,
    },
    /// The participant was known, and something about it, perhaps several things, is different.
    Refreshed,
    /// The participant is gone from the session; the update says why.
    Left,
    /// The participant is no longer tracked here.
    Hidden,
    /// The participant fell silent or came back.
    Connection,
    /// The stream is new, or is another one than before under its key.
    Published,
    /// The stream is gone.
    Unpublished,
    /// The stream was muted or unmuted by its publisher.
    Muted,
    /// The participant was censored or uncensored.
    Censored,
    /// Another participant, or nobody, is loudest.
    Speaker,
    /// Another participant, or nobody, holds the floor.
    Floor,
    /// The number of participants that was told is another one.
    Count,
    /// An attribute of the participant has another value, or is new, or gone.
    Attribute,
    /// The session is recorded now, or no longer is.
    Recorded,
}

/// An item that a snapshot has not mentioned.
pub(crate) enum Gone {
    Participant(ParticipantId),
    #[cfg_attr(
        not(feature = "client"),
        allow(dead_code, reason = "only a client looks")
    )]
    Attribute(ParticipantId, AttributeKey),
    /// The session is not recorded any more.
    Recording,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No snapshot has ever been completed.
    Partial,
    /// Between the begin and the end of one.
    Snapshot,
    /// All that the sender wants known here, is.
    Complete,
}

/// All that is not kept per participant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    version: Version,
    phase: Phase,
    speaker: Option<ParticipantId>,
    floor: Option<ParticipantId>,
    told_count: u32,
    is_recorded: bool,
    /// False only during a snapshot that has not said so far that the session is recorded.
    recorded_mentioned: bool,
}

/// The current state of the room.
///
/// A pure reducer: the same updates in the same order give the same state, on the server (the
/// *authority*, see `Authority`) and on every receiver (a *replica*,
/// see [`Replica`]). A replica starts with a snapshot and goes on with single updates:
///
/// ```
/// use parlour_core::room::{
///     Change, DisplayName, Participant, ParticipantId, Replica, RoomUpdate, Version,
/// };
///
/// let anna = ParticipantId::new("anna").unwrap();
/// let joined = RoomUpdate::Joined(Participant::new(anna.clone(), DisplayName::new("Anna").unwrap()));
///
/// let mut state = Replica::<8>::default();
/// state.begin_snapshot(Version(7));
/// assert_eq!(state.apply(Version(7), &joined), Ok(Change::Joined { evicted: None }));
/// state.end_snapshot(Version(7), |gone| println!("{gone} is gone")).unwrap();
///
/// let speaks = RoomUpdate::Speaker { participant: Some(anna.clone()) };
/// assert_eq!(state.apply(Version(8), &speaks), Ok(Change::Speaker));
/// assert_eq!(state.apply(Version(8), &speaks), Ok(Change::Nothing));
/// assert_eq!(state.main_participant(None), Some(&anna));
/// assert_eq!(state.version_for_resume(), Some(Version(8)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomState<R> {
    roster: R,
    facts: Facts,
}

impl<R: Roster + Default> Default for RoomState<R> {
    /// An empty replica that waits for its first snapshot.
    fn default() -> Self {
        Self {
            roster: R::default(),
            facts: Facts {
                version: Version::default(),
                phase: Phase::Partial,
                speaker: None,
                floor: None,
                told_count: 0,
                is_recorded: false,
                recorded_mentioned: false,
            },
        }
    }
}

#[cfg(feature = "server")]
impl RoomState<Growing> {
    /// A room in which nothing has happened: the origin of all versions, so nothing is missing.
    pub(super) fn origin() -> Self {
        let mut state = Self::default();
        state.facts.phase = Phase::Complete;
        state
    }

    /// The participant with the lowest id above `id`.
    pub(super) fn participant_after(&self, id: &ParticipantId) -> Option<&Participant> {
        let index = match locate(self.roster.seats(), id) {
            Ok(index) => index.checked_add(1)?,
            Err(index) => index,
        };
        self.roster.seats().get(index).map(|seat| &seat.participant)
    }

    /// Counts a change that was applied at the version before it, and gives its version.
    pub(super) fn advance(&mut self) -> Version {
        self.facts.version = self.facts.version.next();
        self.facts.version
    }
}

impl<R: Roster> RoomState<R> {
    /// Applies `update`, after which the room is at `version`.
    ///
    /// Updates set facts, so applying one again gives [`Change::Nothing`]. So does an update about
    /// a participant that is not tracked: the replica of a large room holds only a part of it.
    ///
    /// # Errors
    /// [`ApplyError::Stale`] if the state is at a later version, [`ApplyError::Full`] if a new
    /// participant or stream does not fit. Nothing has changed then, not even the version.
    pub fn apply(&mut self, version: Version, update: &RoomUpdate) -> Result<Change, ApplyError> {
        match update {
            RoomUpdate::Attribute {
                participant,
                key,
                value,
            } if R::keeps_attributes() => {
                let (roster, facts) = (&mut self.roster, &mut self.facts);
                set_attribute(roster, facts, version, participant, key, value)
            }
            update => reduce(&mut self.roster, &mut self.facts, version, update),
        }
    }

    /// Begins a snapshot: a whole description of the room, as updates. The known state stays visible meanwhile. A
    /// snapshot under way is abandoned, and this one starts from scratch.
    ///
    /// Takes any version, even an older one: a snapshot relies on nothing that was told before.
    pub fn begin_snapshot(&mut self, version: Version) {
        for seat in self.roster.seats_mut() {
            seat.mentioned = false;
        }
        for attribute in self.roster.attributes_mut() {
            attribute.mentioned = false;
        }
        self.facts.version = version;
        self.facts.phase = Phase::Snapshot;
        self.facts.told_count = 0;
        self.facts.recorded_mentioned = false;
    }

    /// Ends a snapshot. Participants that it did not mention are removed, and named to `gone` in
    /// the order of their ids: they left or are hidden, the snapshot does not say which. Attributes that it did not
    /// mention are removed. If it did not say that the session is recorded, it is not.
    ///
    /// # Errors
    /// [`ApplyError::NoSnapshot`] without [`begin_snapshot`](Self::begin_snapshot),
    /// [`ApplyError::Stale`] if the state is at a later version. Nothing has changed then.
    pub fn end_snapshot(
        &mut self,
        version: Version,
        mut gone: impl FnMut(ParticipantId),
    ) -> Result<(), ApplyError> {
        self.end_snapshot_with(version, &mut |what| {
            if let Gone::Participant(id) = what {
                gone(id);
            }
        })
    }

    /// The same, and names the attributes, too, that it removed of who is still there.
    pub(crate) fn end_snapshot_with(
        &mut self,
        version: Version,
        gone: &mut dyn FnMut(Gone),
    ) -> Result<(), ApplyError> {
        finish(&mut self.roster, &mut self.facts, version, gone)
    }

    /// The version that the state is at.
    pub fn version(&self) -> Version {
        self.facts.version
    }

    /// Whether the sender has described all that it wants known here: a snapshot was completed,
    /// and no other has begun since.
    pub fn is_complete(&self) -> bool {
        self.facts.phase == Phase::Complete
    }

    /// The version from which a resumed connection may go on; `None` if it takes a snapshot.
    pub fn version_for_resume(&self) -> Option<Version> {
        self.is_complete().then_some(self.facts.version)
    }

    /// The participants tracked here, in the order of their ids.
    pub fn participants(
        &self,
    ) -> impl DoubleEndedIterator<Item = &Participant> + ExactSizeIterator + Clone {
        self.roster.seats().iter().map(|seat| &seat.participant)
    }

    /// The participant `id`, if it is tracked here.
    pub fn participant(&self, id: &ParticipantId) -> Option<&Participant> {
        find(self.roster.seats(), id)
    }

    /// The attributes of a participant, in the order of their keys; none if it is not tracked here. A replica has as many
    /// as it has places for.
    pub fn attributes(
        &self,
        participant: &ParticipantId,
    ) -> impl ExactSizeIterator<Item = (&AttributeKey, &AttributeValue)> + Clone {
        let attributes = attribute::of(self.roster.attributes(), participant);
        attributes.iter().map(|known| (&known.key, &known.value))
    }

    /// One attribute of a participant, if it is there.
    pub fn attribute(
        &self,
        participant: &ParticipantId,
        key: &AttributeKey,
    ) -> Option<&AttributeValue> {
        let mut attributes = self.attributes(participant);
        attributes.find_map(|(known, value)| (known == key).then_some(value))
    }

    /// How many participants are in the session: as many as were told, or as are tracked if those
    /// are more.
    pub fn participant_count(&self) -> u32 {
        let tracked = u32::try_from(self.roster.seats().len()).unwrap_or(u32::MAX);
        self.facts.told_count.max(tracked)
    }

    /// The stream with SSRC `ssrc`, and who publishes it. Looks at every participant: meant for
    /// replicas, not for a server's path of media.
    pub fn find_stream(&self, ssrc: u32) -> Option<(&Participant, &Stream)> {
        find_stream(self.roster.seats(), ssrc)
    }

    /// The participant that is loudest now. It need not be tracked here.
    pub fn active_speaker(&self) -> Option<&ParticipantId> {
        self.facts.speaker.as_ref()
    }

    /// The participant that holds the floor. It need not be tracked here.
    pub fn floor(&self) -> Option<&ParticipantId> {
        self.facts.floor.as_ref()
    }

    /// Whether the application at the server says that the session is recorded.
    pub fn is_recorded(&self) -> bool {
        self.facts.is_recorded
    }

    /// The participant that shares a screen: the publisher of the [`Screen`](StreamKind::Screen) stream with the
    /// highest SSRC among those not muted.
    ///
    /// A server gives out SSRCs in ascending order, so this is the screen published last. The rule
    /// needs nothing but what a snapshot says, so both ends agree however the replica came by its
    /// state.
    pub fn active_presenter(&self) -> Option<&ParticipantId> {
        presenter(self.roster.seats())
    }

    /// Whom to show large: `pinned` if it is tracked here, else the presenter, else the speaker.
    pub fn main_participant(&self, pinned: Option<&ParticipantId>) -> Option<&ParticipantId> {
        pinned
            .and_then(|id| self.participant(id))
            .map(|participant| &participant.id)
            .or_else(|| self.active_presenter())
            .or_else(|| self.active_speaker())
    }
}

// The functions below are not generic, so that they are compiled once for all capacities.

fn find<'a>(seats: &'a [Seat], id: &ParticipantId) -> Option<&'a Participant> {
    let index = locate(seats, id).ok()?;
    seats.get(index).map(|seat| &seat.participant)
}

fn find_mut<'a>(seats: &'a mut [Seat], id: &ParticipantId) -> Option<&'a mut Participant> {
    let index = locate(seats, id).ok()?;
    seats.get_mut(index).map(|seat| &mut seat.participant)
}

fn find_stream(seats: &[Seat], ssrc: u32) -> Option<(&Participant, &Stream)> {
    seats.iter().find_map(|seat| {
        let mut streams = seat.participant.streams.iter();
        let stream = streams.find(|stream| stream.ssrc == ssrc)?;
        Some((&seat.participant, stream))
    })
}

fn presenter(seats: &[Seat]) -> Option<&ParticipantId> {
    seats
        .iter()
        .flat_map(|seat| {
            let streams = seat.participant.streams.iter();
            streams.map(move |stream| (&seat.participant, stream))
        })
        .filter(|(participant, stream)| {
            stream.kind == StreamKind::Screen && participant.is_live(stream)
        })
        .max_by_key(|(_, stream)| stream.ssrc)
        .map(|(participant, _)| &participant.id)
}

fn reduce(
    roster: &mut dyn Roster,
    facts: &mut Facts,
    version: Version,
    update: &RoomUpdate,
) -> Result<Change, ApplyError> {
    if version < facts.version {
        return Err(ApplyError::Stale);
    }
    let change = match update {
        RoomUpdate::Joined(participant) => describe(roster, participant)?,
        RoomUpdate::Left { participant, .. } => remove(roster, participant, Change::Left),
        RoomUpdate::Hidden { participant } => remove(roster, participant, Change::Hidden),
        RoomUpdate::Connection { participant, state } => {
            match find_mut(roster.seats_mut(), participant) {
                Some(known) => set(&mut known.connection, *state, Change::Connection),
                None => Change::Nothing,
            }
        }
        RoomUpdate::Published {
            participant,
            stream,
        } => match find_mut(roster.seats_mut(), participant) {
            Some(known) => publish(known, stream)?,
            None => Change::Nothing,
        },
        RoomUpdate::Unpublished { participant, key } => {
            match find_mut(roster.seats_mut(), participant) {
                Some(known) if known.stream(key).is_some() => {
                    known.streams.retain(|stream| stream.key != *key);
                    Change::Unpublished
                }
                _ => Change::Nothing,
            }
        }
        RoomUpdate::Muted {
            participant,
            key,
            muted,
        } => {
            let known = find_mut(roster.seats_mut(), participant);
            match known.and_then(|known| known.streams.iter_mut().find(|s| s.key == *key)) {
                Some(stream) => set(&mut stream.muted, *muted, Change::Muted),
                None => Change::Nothing,
            }
        }
        RoomUpdate::Censored {
            participant,
            censored,
        } => match find_mut(roster.seats_mut(), participant) {
            Some(known) => set(&mut known.censored, *censored, Change::Censored),
            None => Change::Nothing,
        },
        RoomUpdate::Speaker { participant } => {
            set(&mut facts.speaker, participant.clone(), Change::Speaker)
        }
        RoomUpdate::Floor { holder } => set(&mut facts.floor, holder.clone(), Change::Floor),
        RoomUpdate::Count { participants } => {
            set(&mut facts.told_count, *participants, Change::Count)
        }
        RoomUpdate::Recorded { recorded } => {
            facts.recorded_mentioned = true;
            set(&mut facts.is_recorded, *recorded, Change::Recorded)
        }
        // There is no place for one: else it is not dealt with here.
        RoomUpdate::Attribute { .. } => Change::Nothing,
    };
    facts.version = version;
    Ok(change)
}

fn set_attribute(
    roster: &mut dyn Roster,
    facts: &mut Facts,
    version: Version,
    participant: &ParticipantId,
    key: &AttributeKey,
    value: &AttributeValue,
) -> Result<Change, ApplyError> {
    if version < facts.version {
        return Err(ApplyError::Stale);
    }
    let mut change = Change::Nothing;
    if find(roster.seats(), participant).is_some() {
        change = match attribute::set(roster, participant, key, value) {
            Set::Changed => Change::Attribute,
            Set::Unchanged => Change::Nothing,
            Set::TooMany => return Err(ApplyError::Full),
        };
    }
    facts.version = version;
    Ok(change)
}

fn set<T: PartialEq>(fact: &mut T, value: T, change: Change) -> Change {
    if *fact == value {
        return Change::Nothing;
    }
    *fact = value;
    change
}

fn remove(roster: &mut dyn Roster, id: &ParticipantId, change: Change) -> Change {
    match locate(roster.seats(), id) {
        Ok(index) => {
            vacate(roster, index);
            change
        }
        Err(_) => Change::Nothing,
    }
}

/// Gives up a participant's place, and its attributes.
fn vacate(roster: &mut dyn Roster, index: usize) -> Option<ParticipantId> {
    let id = roster.seats().get(index)?.participant.id.clone();
    attribute::forget(roster, &id);
    roster.remove(index);
    Some(id)
}

/// Adds or replaces a participant. In a snapshot, one not mentioned may have to make room.
fn describe(roster: &mut dyn Roster, participant: &Participant) -> Result<Change, ApplyError> {
    let index = match locate(roster.seats(), &participant.id) {
        Ok(index) => {
            let Some(seat) = roster.seats_mut().get_mut(index) else {
                return Ok(Change::Nothing);
            };
            seat.mentioned = true;
            if seat.participant == *participant {
                return Ok(Change::Nothing);
            }
            seat.participant.clone_from(participant);
            return Ok(Change::Refreshed);
        }
        Err(index) => index,
    };
    let seat = || Seat {
        participant: participant.clone(),
        mentioned: true,
    };
    if roster.insert(index, seat()) {
        return Ok(Change::Joined { evicted: None });
    }
    // Snapshots go by id where the room fits in, so the first one is the likeliest to be gone.
    let unmentioned = roster.seats().iter().position(|seat| !seat.mentioned);
    let unmentioned = unmentioned.ok_or(ApplyError::Full)?;
    let evicted = vacate(roster, unmentioned);
    let index = index - usize::from(unmentioned < index);
    if !roster.insert(index, seat()) {
        return Err(ApplyError::Full);
    }
    Ok(Change::Joined { evicted })
}

/// Adds or replaces a stream. One with another SSRC is another stream, the newest.
fn publish(participant: &mut Participant, stream: &Stream) -> Result<Change, ApplyError> {
    let streams = &mut participant.streams;
    if let Some(known) = streams.iter_mut().find(|known| known.key == stream.key) {
        if known == stream {
            return Ok(Change::Nothing);
        }
        if known.ssrc == stream.ssrc {
            known.clone_from(stream);
            return Ok(Change::Published);
        }
        streams.retain(|known| known.key != stream.key);
    }
    let pushed = streams.push(stream.clone());
    pushed.map_err(|_| ApplyError::Full)?;
    Ok(Change::Published)
}

fn finish(
    roster: &mut dyn Roster,
    facts: &mut Facts,
    version: Version,
    gone: &mut dyn FnMut(Gone),
) -> Result<(), ApplyError> {
    if facts.phase != Phase::Snapshot {
        return Err(ApplyError::NoSnapshot);
    }
    if version < facts.version {
        return Err(ApplyError::Stale);
    }
    let mut from = 0;
    while let Some(seat) = roster.seats().get(from) {
        if seat.mentioned {
            from += 1;
        } else if let Some(id) = vacate(roster, from) {
            gone(Gone::Participant(id));
        }
    }
    attribute::sweep(roster, gone);
    if facts.is_recorded && !facts.recorded_mentioned {
        facts.is_recorded = false;
        gone(Gone::Recording);
    }
    facts.version = version;
    facts.phase = Phase::Complete;
    Ok(())
}

#[cfg(test)]
mod tests;
