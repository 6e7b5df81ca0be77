//! People's replicas of their room, compared with the room.
//!
//! A replica with the version `v` shows the state at `v` of the room as a whole and of everyone it tracks. No replica
//! is told of changes that concern others only, so `v` may be older than the room's version: it is behind only if one
//! of the changes since then concerns it.

use std::collections::BTreeMap;

use parlour_core::room::{RoomId, SessionId, StreamKey, Waiting};
use parlour_core::server::{RoomView, Server};
use parlour_core::time::{Duration, Instant};

use super::history::History;
use super::{Checks, Invariant};
use crate::facts::Facts;
use crate::simulation::person::{CAMERA, Standing};
use crate::world::World;

/// The time that a change may take to reach participants without trouble: signalling over a link that loses every
/// tenth datagram, and bursts.
const KNOWN: Duration = Duration::from_secs(20);
/// The time after its last trouble by which a participant is back: the longest pauses between attempts are part of
/// it.
const HEALED: Duration = Duration::from_secs(30);

/// The history of each room.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: BTreeMap<RoomId, (SessionId, History)>,
    /// The lobby as far as each of the people may know it, and since when.
    lobbies: BTreeMap<usize, (Vec<Waiting>, Instant)>,
}

impl Checks {
    /// Looks at the rooms that have changed.
    pub(super) fn look_at_rooms(&mut self, now: Instant, server: &Server) {
        let mut seen = 0;
        for view in server.rooms() {
            let Some((session, state)) = view.session else {
                continue;
            };
            seen += 1;
            let version = state.version();
            let known = self.replicas.rooms.get_mut(view.room);
            match known.filter(|(of, _)| *of == session) {
                Some((_, history)) if history.version() == version => continue,
                Some((_, history)) => {
                    history.push(now, version, Facts::of(state));
                    history.forget(now, KNOWN);
                }
                None => {
                    let history = History::new(now, version, Facts::of(state));
                    let room = view.room.clone();
                    self.replicas.rooms.insert(room, (session, history));
                }
            }
            self.room_changed(now, &view);
        }
        if seen < self.replicas.rooms.len() {
            self.forget_rooms(now, server);
        }
    }

    fn room_changed(&mut self, now: Instant, view: &RoomView<'_>) {
        let Some((_, state)) = view.session else {
            return;
        };
        self.check_room_limit(now, state.participants().count(), view.waiting);
        let mic = StreamKey::new("mic").expect("a stream key");
        let camera = StreamKey::new(CAMERA).expect("a stream key");
        for (one, person) in self.people.iter_mut().enumerate() {
            if person.options.room != view.room.as_str() {
                continue;
            }
            let standing = state.participant(&person.id);
            let streams = standing.iter().flat_map(|participant| &participant.streams);
            let microphones = streams.filter(|stream| stream.key == mic);
            (self.microphones).extend(microphones.map(|stream| (stream.ssrc, one)));
            let streams = standing.iter().flat_map(|participant| &participant.streams);
            let cameras = streams.filter(|stream| stream.key == camera);
            (self.cameras).extend(cameras.map(|stream| (stream.ssrc, one)));
            let standing = standing.map(|participant| Standing {
                present: true,
                censored: participant.censored,
                audible: (participant.streams.iter())
                    .any(|stream| stream.key == mic && !stream.muted),
                visible: (participant.streams.iter()).any(|stream| stream.key == camera),
            });
            person.standing.set(now, standing.unwrap_or_default());
        }
    }

    /// Rooms without a session have nobody in them.
    fn forget_rooms(&mut self, now: Instant, server: &Server) {
        let is_over = |room: &RoomId| server.room(room).is_none_or(|view| view.session.is_none());
        let over: Vec<_> = self
            .replicas
            .rooms
            .keys()
            .filter(|room| is_over(room))
            .cloned()
            .collect();
        for room in over {
            self.replicas.rooms.remove(&room);
            for person in &mut self.people {
                if person.options.room == room.as_str() {
                    person.standing.set(now, Standing::default());
                }
            }
        }
    }

    /// The server is gone, and all its rooms.
    pub(in crate::simulation) fn server_crashed(&mut self, now: Instant) {
        self.replicas.rooms.clear();
        for person in &mut self.people {
            person.standing.set(now, Standing::default());
        }
    }

    pub(super) fn check_replicas(&mut self, now: Instant, world: &World) {
        for (one, person) in self.people.iter().enumerate() {
            let Some(handle) = person.handle else {
                continue;
            };
            let waiting = world.waiting_for(handle);
            let known = self.replicas.lobbies.get(&one);
            if known.is_none_or(|(known, _)| *known != waiting) {
                self.replicas.lobbies.insert(one, (waiting, now));
            }
        }
        let wrong = (0..self.people.len()).find_map(|one| self.wrong_in(one, now, world));
        if let Some(wrong) = wrong {
            self.fail(Invariant::ReplicaAgrees, now, wrong);
        }
    }

    /// The error in a participant's replica.
    fn wrong_in(&self, one: usize, now: Instant, world: &World) -> Option<String> {
        let person = &self.people[one];
        let handle = person.handle.filter(|_| person.joined.is_some())?;
        let room = RoomId::new(&person.options.room).expect("a room id");
        let (session, history) = self.replicas.rooms.get(&room)?;
        let device = world.device_of(handle);
        let is_due = person.is_calm(now, HEALED) && self.server_back + HEALED <= now;
        let tracks_all = device.capacity() >= self.limits.participants_per_room;
        let known = device
            .version()
            .filter(|_| device.session() == Some(*session));
        let Some(known) = known else {
            let is_old = history.started() + KNOWN <= now;
            return (is_due && is_old).then(|| format!("p{one} knows nothing"));
        };
        let is_settled = device.is_joined() && is_due && history.changed() + KNOWN <= now;
        if let (true, Err(wrong)) = (is_settled, world.check_room(handle)) {
            return Some(wrong);
        }
        let lobby = self.replicas.lobbies.get(&one);
        let is_settled = is_settled && lobby.is_some_and(|(_, since)| *since + KNOWN <= now);
        if let (true, Err(wrong)) = (is_settled, world.check_lobby(handle)) {
            return Some(wrong);
        }
        let facts = device.facts();
        history
            .disagreement(known, &facts, tracks_all)
            .or_else(|| history.missed(known, &facts, now, KNOWN).filter(|_| is_due))
            .map(|wrong| format!("p{one}, which knows {known:?}, {wrong}"))
    }

    /// All has been well for long: every participant that wants to be in is in, and knows all, unless it has just changed, as
    /// tokens expire.
    pub(in crate::simulation) fn check_all_agree(&mut self, now: Instant, world: &World) {
        for one in 0..self.people.len() {
            let person = &self.people[one];
            let Some(handle) = person.handle.filter(|_| person.is_live()) else {
                continue;
            };
            let device = world.device_of(handle);
            if device.is_waiting() {
                continue;
            }
            let has_changed = |room: &RoomId| {
                let known = self.replicas.rooms.get(room);
                known.is_some_and(|(_, history)| history.changed() + KNOWN > now)
            };
            let room = RoomId::new(&person.options.room).expect("a room id");
            let wrong = match device.is_joined() {
                true if has_changed(&room) => None,
                true => world.check_replica(handle).err(),
                false => Some(format!("p{one} is not in the session, and not told why")),
            };
            if let Some(wrong) = wrong {
                return self.fail(Invariant::ReplicaAgrees, now, wrong);
            }
        }
    }
}
