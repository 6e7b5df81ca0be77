//! How much a client can hold: capacity profiles, and the memory that one makes.
//!
//! All sizes are in one type parameter, and the logic never sees it: it works on [`Parts`], slices
//! and views lent by the profile's memory, and so is compiled once.

use core::fmt;

use heapless::VecView;

use super::flows::Slot;
use super::publications::Publication;
use super::subscriptions::Subscription;
use super::voices::Voice;
use crate::queue::ByteQueue;
use crate::room::{
    self, ApplyError, Bounded, Change, DisplayName, Gone, MAX_STREAMS, MAX_WAITING, Participant,
    ParticipantId, RoomState, RoomUpdate, Roster, Stream, Topic, Version, Waiting,
};
use crate::signal::{MAX_BODY, MAX_SLOTS};

/// The capacities of a [`Client`](super::Client). Use [`Small`], [`Desktop`], or a [`Capacity`] of
/// your own; nothing else implements it.
pub trait Profile: sealed::Sealed {
    /// How many participants are tracked, oneself among them. Of a larger room the server tells of
    /// those that matter most.
    const PARTICIPANTS: usize;
    /// How many streams may be published, at most [`MAX_STREAMS`].
    const PUBLISHED: usize;
    /// How many audio slots there are, at most [`MAX_SLOTS`]: as many decoders can run at a time.
    const SLOTS: usize;
    /// How many attributes are tracked, of all participants together. Those beyond that are not kept.
    const ATTRIBUTES: usize;
    /// How many of those who wait in the lobby are kept by name, for a participant that may admit them: none or
    /// [`MAX_WAITING`].
    const WAITING: usize;
    /// Where the room's participants and attributes are kept.
    type Roster: Roster + Default + fmt::Debug;
    #[doc(hidden)]
    type Memory: Lend<Roster = Self::Roster>;
}

/// A profile with these capacities.
///
/// | parameter | of what | bounds |
/// |---|---|---|
/// | `PARTICIPANTS` | participants tracked, oneself among them; also explicit subscriptions | 1 to 65,535 |
/// | `PUBLISHED` | streams published | 0 to [`MAX_STREAMS`] |
/// | `SLOTS` | audio slots | 0 to [`MAX_SLOTS`] |
/// | `INBOX` | bytes of reliable messages that the application has yet to take | at least 707 |
/// | `MEDIA` | bytes of packets that wait to be sent | at least 256; 1,200 for video |
/// | `ATTRIBUTES` | attributes tracked, of all participants together | none unless said |
/// | `WAITING` | names of those who wait in the lobby, if it may admit them | none unless said, or [`MAX_WAITING`] |
///
/// ```
/// use parlour_core::client::{Capacity, Profile};
/// type Intercom = Capacity<4, 1, 1, 768, 512>;
/// assert_eq!(Intercom::SLOTS, 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity<
    const PARTICIPANTS: usize,
    const PUBLISHED: usize,
    const SLOTS: usize,
    const INBOX: usize,
    const MEDIA: usize,
    const ATTRIBUTES: usize = 0,
    const WAITING: usize = 0,
>(());

/// The space of a message with the longest body in the inbox, with sender, topic and lengths.
const LONGEST_MESSAGE: usize = MAX_BODY + ParticipantId::MAX_LEN + Topic::MAX_LEN + 7;

/// For microcontrollers: 8 participants tracked, 2 streams published, 4 decoders; no attributes, but it can
/// set them; nobody who waits in a lobby, but it is told of them by events.
pub type Small = Capacity<8, 2, 4, 768, 1200>;
/// For computers: 128 participants, 128 attributes and 32 who wait in a lobby tracked, 4 streams published, 32 decoders.
pub type Desktop = Capacity<128, 4, 32, 16_384, 32_768, 128, MAX_WAITING>;

impl<
    const PARTICIPANTS: usize,
    const PUBLISHED: usize,
    const SLOTS: usize,
    const INBOX: usize,
    const MEDIA: usize,
    const ATTRIBUTES: usize,
    const WAITING: usize,
> Profile for Capacity<PARTICIPANTS, PUBLISHED, SLOTS, INBOX, MEDIA, ATTRIBUTES, WAITING>
{
    const PARTICIPANTS: usize = PARTICIPANTS;
    const PUBLISHED: usize = PUBLISHED;
    const SLOTS: usize = SLOTS;
    const ATTRIBUTES: usize = ATTRIBUTES;
    const WAITING: usize = WAITING;
    type Roster = Bounded<PARTICIPANTS, ATTRIBUTES>;
    type Memory = Memory<PARTICIPANTS, PUBLISHED, SLOTS, INBOX, MEDIA, ATTRIBUTES, WAITING>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
    impl<
        const PARTICIPANTS: usize,
        const PUBLISHED: usize,
        const SLOTS: usize,
        const INBOX: usize,
        const MEDIA: usize,
        const ATTRIBUTES: usize,
        const WAITING: usize,
    > Sealed
        for super::Capacity<PARTICIPANTS, PUBLISHED, SLOTS, INBOX, MEDIA, ATTRIBUTES, WAITING>
    {
    }
}

/// The machine's access to a profile's memory.
pub trait Lend: fmt::Debug {
    /// See [`Profile::Roster`].
    type Roster: Roster;
    /// Empty memory.
    fn new() -> Self;
    /// Empties it, piece by piece where it is.
    fn clear(&mut self);
    /// All of it, to work on.
    fn parts(&mut self) -> Parts<'_>;
    /// The room's replica.
    fn room(&self) -> &RoomState<Self::Roster>;
    /// The streams published.
    fn publications(&self) -> &[Publication];
    /// The audio slots.
    fn slots(&self) -> &[Slot];
    /// Those who wait in the lobby.
    fn waiting(&self) -> &[Waiting];
    /// Those who were heard lately.
    fn voices(&self) -> &[Voice];
}

/// All that a client holds in sizes of its profile.
#[derive(Debug)]
pub struct Memory<
    const PARTICIPANTS: usize,
    const PUBLISHED: usize,
    const SLOTS: usize,
    const INBOX: usize,
    const MEDIA: usize,
    const ATTRIBUTES: usize,
    const WAITING: usize,
> {
    room: RoomState<Bounded<PARTICIPANTS, ATTRIBUTES>>,
    publications: heapless::Vec<Publication, PUBLISHED>,
    subscriptions: heapless::Vec<Subscription, PARTICIPANTS>,
    slots: [Slot; SLOTS],
    voices: [Voice; SLOTS],
    inbox: ByteQueue<[u8; INBOX]>,
    outgoing: ByteQueue<[u8; MEDIA]>,
    waiting: heapless::Vec<Waiting, WAITING>,
}

/// A profile's memory as views that do not know its sizes.
pub struct Parts<'a> {
    pub(super) room: &'a mut dyn Room,
    pub(super) publications: &'a mut VecView<Publication>,
    pub(super) subscriptions: &'a mut VecView<Subscription>,
    pub(super) slots: &'a mut [Slot],
    /// Those who were heard lately.
    pub(super) voices: &'a mut [Voice],
    /// Reliable messages, encoded, until the application takes them.
    pub(super) inbox: &'a mut ByteQueue<[u8]>,
    /// Media packets and lossy messages until they are sent.
    pub(super) outgoing: &'a mut ByteQueue<[u8]>,
    /// Those who wait in the lobby.
    pub(super) waiting: &'a mut dyn Known,
}

impl fmt::Debug for Parts<'_> {
    // Not what is in them: [`Room`] would have to be printable, and what prints a room be in every firmware.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts(..)")
    }
}

impl<
    const PARTICIPANTS: usize,
    const PUBLISHED: usize,
    const SLOTS: usize,
    const INBOX: usize,
    const MEDIA: usize,
    const ATTRIBUTES: usize,
    const WAITING: usize,
> Lend for Memory<PARTICIPANTS, PUBLISHED, SLOTS, INBOX, MEDIA, ATTRIBUTES, WAITING>
{
    type Roster = Bounded<PARTICIPANTS, ATTRIBUTES>;

    fn new() -> Self {
        const {
            assert!(PARTICIPANTS >= 1 && PARTICIPANTS <= u16::MAX as usize);
            assert!(PUBLISHED <= MAX_STREAMS);
            assert!(SLOTS <= MAX_SLOTS);
            assert!(INBOX >= LONGEST_MESSAGE);
            assert!(MEDIA >= 256);
            // So many are told: one that was told and not kept would be missing when there is a place again.
            assert!(WAITING == 0 || WAITING == MAX_WAITING);
        }
        Self {
            room: RoomState::default(),
            publications: heapless::Vec::new(),
            subscriptions: heapless::Vec::new(),
            slots: core::array::from_fn(|_| Slot::new(0)),
            voices: [const { Voice::NONE }; SLOTS],
            inbox: ByteQueue::new([0; INBOX]),
            outgoing: ByteQueue::new([0; MEDIA]),
            waiting: heapless::Vec::new(),
        }
    }

    #[inline(never)]
    fn clear(&mut self) {
        self.room = RoomState::default();
        self.publications.clear();
        self.subscriptions.clear();
        for slot in &mut self.slots {
            *slot = Slot::new(0);
        }
        self.voices = [const { Voice::NONE }; SLOTS];
        self.inbox.clear();
        self.outgoing.clear();
        self.waiting.clear();
    }

    // Not inlined into every method of the client's.
    #[inline(never)]
    fn parts(&mut self) -> Parts<'_> {
        Parts {
            room: &mut self.room,
            publications: &mut self.publications,
            subscriptions: &mut self.subscriptions,
            slots: &mut self.slots,
            voices: &mut self.voices,
            inbox: &mut self.inbox,
            outgoing: &mut self.outgoing,
            waiting: &mut self.waiting,
        }
    }

    fn room(&self) -> &RoomState<Self::Roster> {
        &self.room
    }

    fn publications(&self) -> &[Publication] {
        &self.publications
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    fn voices(&self) -> &[Voice] {
        &self.voices
    }
}

/// The machine's access to the waiting participants. Without places for them, the code that would fill them is not
/// linked.
pub(super) trait Known {
    fn note(&mut self, participant: &ParticipantId, name: &DisplayName);
    fn strike(&mut self, participant: &ParticipantId);
    fn pop(&mut self) -> Option<Waiting>;
}

impl<const N: usize> Known for heapless::Vec<Waiting, N> {
    fn note(&mut self, participant: &ParticipantId, name: &DisplayName) {
        if N > 0 {
            room::note(self, participant, name);
        }
    }

    fn strike(&mut self, participant: &ParticipantId) {
        if N > 0 {
            room::strike(self, participant);
        }
    }

    fn pop(&mut self) -> Option<Waiting> {
        if N > 0 { self.pop() } else { None }
    }
}

/// The machine's access to the replica of any capacity.
pub(super) trait Room {
    fn apply(&mut self, version: Version, update: &RoomUpdate) -> Result<Change, ApplyError>;
    fn begin_snapshot(&mut self, version: Version);
    fn end_snapshot(
        &mut self,
        version: Version,
        gone: &mut dyn FnMut(Gone),
    ) -> Result<(), ApplyError>;
    fn version_for_resume(&self) -> Option<Version>;
    fn participant(&self, id: &ParticipantId) -> Option<&Participant>;
    fn find_stream(&self, ssrc: u32) -> Option<(&Participant, &Stream)>;
    fn participant_count(&self) -> u32;
    fn presenter(&self) -> Option<&ParticipantId>;
    fn main(&self, pinned: Option<&ParticipantId>) -> Option<&ParticipantId>;
}

impl<R: Roster> Room for RoomState<R> {
    fn apply(&mut self, version: Version, update: &RoomUpdate) -> Result<Change, ApplyError> {
        self.apply(version, update)
    }

    fn begin_snapshot(&mut self, version: Version) {
        self.begin_snapshot(version);
    }

    fn end_snapshot(
        &mut self,
        version: Version,
        gone: &mut dyn FnMut(Gone),
    ) -> Result<(), ApplyError> {
        self.end_snapshot_with(version, gone)
    }

    fn version_for_resume(&self) -> Option<Version> {
        self.version_for_resume()
    }

    fn participant(&self, id: &ParticipantId) -> Option<&Participant> {
        self.participant(id)
    }

    fn find_stream(&self, ssrc: u32) -> Option<(&Participant, &Stream)> {
        self.find_stream(ssrc)
    }

    fn participant_count(&self) -> u32 {
        self.participant_count()
    }

    fn presenter(&self) -> Option<&ParticipantId> {
        self.active_presenter()
    }

    fn main(&self, pinned: Option<&ParticipantId>) -> Option<&ParticipantId> {
        self.main_participant(pinned)
    }
}
