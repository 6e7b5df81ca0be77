//! One room as the server holds it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Gather;
use super::machine::MemberKey;
use super::telling::Telling;
use super::timers::Alarm;
use crate::audio::Dominance;
use crate::room::{Authority, ParticipantId, RoomId, SessionId};
use crate::time::{Duration, Instant};

/// A room with a session, a lobby, or a join under way; else the server has forgotten it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) session: Option<Session>,
    /// How long frames wait here, if not as the configuration says.
    pub(super) gather: Option<Gather>,
    /// What the next session will be called: joins under way are promised to it.
    pub(super) next_session: SessionId,
    /// Those in the lobby.
    pub(super) waiting: BTreeMap<ParticipantId, MemberKey>,
    /// Goes up with every change of that.
    pub(super) waiting_version: u64,
    /// Places kept for joins under way.
    reserved: Places,
    /// The same for the lobby.
    arriving: Places,
}

/// For how many joins under way of each participant a place is kept, which they share.
#[derive(Debug, Default)]
struct Places(BTreeMap<ParticipantId, u32>);

impl Places {
    /// Places of those who are there, and of those who are on the way and somebody else.
    fn taken_by_others(
        &self,
        there: &BTreeMap<ParticipantId, MemberKey>,
        participant: &ParticipantId,
    ) -> usize {
        let arriving = self.0.keys().filter(|id| !there.contains_key(*id)).count();
        let own = there.contains_key(participant) || self.0.contains_key(participant);
        (there.len() + arriving).saturating_sub(usize::from(own))
    }

    fn reserve(&mut self, participant: &ParticipantId) {
        *self.0.entry(participant.clone()).or_default() += 1;
    }

    fn unreserve(&mut self, participant: &ParticipantId) {
        if let Some(count) = self.0.get_mut(participant) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(participant);
            }
        }
    }
}

/// One run of a room.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) authority: Authority,
    pub(super) members: BTreeMap<ParticipantId, MemberKey>,
    /// The same ones in the order of their joining: what media is forwarded along.
    pub(super) order: Vec<MemberKey>,
    /// Whose a stream is, by its SSRC: few publish in a large room, and nobody need look through all for them.
    pub(super) publishers: BTreeMap<u32, MemberKey>,
    pub(super) telling: Telling,
    kicked: VecDeque<ParticipantId>,
    /// Those who are silenced, whether they are in the session or not.
    censored: VecDeque<ParticipantId>,
    pub(super) dominance: Dominance<u32>,
    /// Whom the embedder takes for the active speaker.
    pub(super) told_speaker: Option<ParticipantId>,
    /// Not to be decided again before this.
    pub(super) next_decision: Instant,
    pub(super) alarm: Alarm,
    /// Those with frames that wait for others.
    pub(super) gathered: Vec<MemberKey>,
    /// When they have waited long enough.
    pub(super) window: Alarm,
    /// While anybody listens to it.
    #[cfg(feature = "opus-fullband")]
    pub(super) mix: Option<alloc::boxed::Box<super::mix::Mix>>,
}

impl Room {
    pub(super) fn new(id: RoomId, next_session: SessionId) -> Self {
        Self {
            id,
            session: None,
            gather: None,
            next_session,
            waiting: BTreeMap::new(),
            waiting_version: 0,
            reserved: Places::default(),
            arriving: Places::default(),
        }
    }

    /// The session that a join now would be in.
    pub(super) fn session_id(&self) -> SessionId {
        self.session
            .as_ref()
            .map_or(self.next_session, |session| session.id)
    }

    /// Places taken: by participants, and by joins under way of others. Who asks for itself has
    /// its own place.
    pub(super) fn places_taken_by_others(&self, participant: &ParticipantId) -> usize {
        let nobody = BTreeMap::new();
        let members = self.session.as_ref().map(|session| &session.members);
        self.reserved
            .taken_by_others(members.unwrap_or(&nobody), participant)
    }

    /// The same in the lobby.
    pub(super) fn waiting_places_taken_by_others(&self, participant: &ParticipantId) -> usize {
        self.arriving.taken_by_others(&self.waiting, participant)
    }

    pub(super) fn reserve(&mut self, participant: &ParticipantId) {
        self.reserved.reserve(participant);
    }

    pub(super) fn unreserve(&mut self, participant: &ParticipantId) {
        self.reserved.unreserve(participant);
    }

    pub(super) fn reserve_waiting(&mut self, participant: &ParticipantId) {
        self.arriving.reserve(participant);
    }

    pub(super) fn unreserve_waiting(&mut self, participant: &ParticipantId) {
        self.arriving.unreserve(participant);
    }

    /// Whether nothing keeps the room.
    pub(super) fn is_idle(&self) -> bool {
        self.session.is_none()
            && self.waiting.is_empty()
            && self.reserved.0.is_empty()
            && self.arriving.0.is_empty()
    }

    pub(super) fn was_kicked(&self, participant: &ParticipantId) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.kicked.contains(participant))
    }
}

impl Session {
    pub(super) fn new(id: SessionId, authority: Authority, speaker_hold: Duration) -> Self {
        Self {
            id,
            authority,
            members: BTreeMap::new(),
            order: Vec::new(),
            publishers: BTreeMap::new(),
            telling: Telling::default(),
            kicked: VecDeque::new(),
            censored: VecDeque::new(),
            dominance: Dominance::new(speaker_hold),
            told_speaker: None,
            next_decision: Instant::from_micros(0),
            alarm: Alarm::default(),
            gathered: Vec::new(),
            window: Alarm::default(),
            #[cfg(feature = "opus-fullband")]
            mix: None,
        }
    }

    /// The streams that are heard in the mix by who has these subscriptions.
    #[cfg(feature = "opus-fullband")]
    pub(super) fn heard_in_mix(
        &self,
        subscriptions: &super::subscriptions::Subscriptions,
    ) -> impl Iterator<Item = u32> {
        let listens = subscriptions.mix().is_some();
        let mix = self.mix.as_ref().filter(|_| listens);
        mix.into_iter().flat_map(|mix| mix.speakers())
    }

    pub(super) fn enter(&mut self, participant: ParticipantId, member: MemberKey) {
        self.members.insert(participant, member);
        self.order.push(member);
    }

    pub(super) fn exit(&mut self, participant: &ParticipantId) {
        if let Some(member) = self.members.remove(participant) {
            self.order.retain(|other| *other != member);
        }
    }

    /// Keeps a participant out of this session; the longest kept out is forgotten beyond `limit`.
    pub(super) fn keep_out(&mut self, participant: ParticipantId, limit: usize) {
        remember(&mut self.kicked, participant, limit);
    }

    /// Keeps a participant silent, or no longer: also when it joins anew. Like
    /// [`keep_out`](Self::keep_out).
    pub(super) fn keep_silent(&mut self, participant: ParticipantId, silent: bool, limit: usize) {
        if silent {
            remember(&mut self.censored, participant, limit);
        } else {
            self.censored.retain(|other| *other != participant);
        }
    }

    pub(super) fn is_censored(&self, participant: &ParticipantId) -> bool {
        self.censored.contains(participant)
    }
}

fn remember(queue: &mut VecDeque<ParticipantId>, participant: ParticipantId, limit: usize) {
    if queue.contains(&participant) {
        return;
    }
    if queue.len() >= limit {
        queue.pop_front();
    }
    queue.push_back(participant);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ParticipantId {
        ParticipantId::new(name).unwrap()
    }

    #[test]
    fn one_place_per_participant_however_many_joins() {
        let mut room = Room::new(RoomId::new("r").unwrap(), SessionId([0; 16]));
        room.reserve(&id("a"));
        room.reserve(&id("a"));
        room.reserve(&id("b"));
        assert_eq!(room.places_taken_by_others(&id("c")), 2);
        assert_eq!(room.places_taken_by_others(&id("a")), 1);

        let mut session = Session::new(
            room.next_session,
            Authority::new(9, 9),
            Duration::from_secs(2),
        );
        session.enter(id("a"), MemberKey(0));
        room.session = Some(session);
        assert_eq!(room.places_taken_by_others(&id("c")), 2);
        room.unreserve(&id("a"));
        room.unreserve(&id("a"));
        assert_eq!(room.places_taken_by_others(&id("c")), 2);
        assert_eq!(room.places_taken_by_others(&id("a")), 1);
        room.unreserve(&id("b"));
        assert_eq!(room.places_taken_by_others(&id("c")), 1);
        room.session = None;
        assert!(room.is_idle());
    }

    #[test]
    fn the_longest_kept_out_is_forgotten_first() {
        let mut room = Room::new(RoomId::new("r").unwrap(), SessionId([0; 16]));
        let authority = Authority::new(9, 9);
        let mut session = Session::new(room.next_session, authority, Duration::ZERO);
        for name in ["a", "b", "b", "c"] {
            session.keep_out(id(name), 2);
        }
        room.session = Some(session);
        assert!(!room.was_kicked(&id("a")));
        assert!(room.was_kicked(&id("b")) && room.was_kicked(&id("c")));
    }
}
