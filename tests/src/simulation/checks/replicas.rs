//! What people know of their room, and what is true there.

use std::collections::{BTreeMap, VecDeque};

use parlour_core::room::{RoomId, SessionId, StreamKey, Version};
use parlour_core::server::{RoomView, Server};
use parlour_core::time::{Duration, Instant};

use super::{Checks, Invariant};
use crate::simulation::person::Standing;
use crate::world::World;

/// How long a change may take to reach those who have no trouble: signalling over a link that loses every tenth datagram,
/// and bursts.
const KNOWN: Duration = Duration::from_secs(20);
/// How long after its last trouble somebody has found back: the longest pauses between attempts are part of it.
const HEALED: Duration = Duration::from_secs(30);

/// Which versions rooms had, and when.
#[derive(Debug, Default)]
pub(super) struct Versions {
    rooms: BTreeMap<RoomId, History>,
}

#[derive(Debug)]
struct History {
    session: SessionId,
    /// Since when it had which version, as far back as `KNOWN`.
    versions: VecDeque<(Instant, Version)>,
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
            let version = state.version_for_resume().unwrap_or_default();
            let known = self.replicas.rooms.get_mut(view.room);
            let history = match known {
                Some(history) if history.session == session => history,
                _ => {
                    let room = self.replicas.rooms.entry(view.room.clone());
                    room.insert_entry(History {
                        session,
                        versions: VecDeque::new(),
                    })
                    .into_mut()
                }
            };
            if history
                .versions
                .back()
                .is_some_and(|(_, last)| *last == version)
            {
                continue;
            }
            history.versions.push_back((now, version));
            let old = |next: &(Instant, Version)| next.0 + KNOWN < now;
            while history.versions.get(1).is_some_and(old) {
                history.versions.pop_front();
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
        for (one, person) in self.people.iter_mut().enumerate() {
            if person.options.room != view.room.as_str() {
                continue;
            }
            let standing = state.participant(&person.id);
            let streams = standing.iter().flat_map(|participant| &participant.streams);
            let microphones = streams.filter(|stream| stream.key == mic);
            (self.microphones).extend(microphones.map(|stream| (stream.ssrc, one)));
            let standing = standing.map(|participant| Standing {
                present: true,
                censored: participant.censored,
                audible: (participant.streams.iter())
                    .any(|stream| stream.key == mic && !stream.muted),
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
        for one in 0..self.people.len() {
            let person = &self.people[one];
            let Some(handle) = person.handle.filter(|_| person.joined.is_some()) else {
                continue;
            };
            let room = RoomId::new(&person.options.room).expect("a room id");
            let Some(history) = self.replicas.rooms.get(&room) else {
                continue;
            };
            let device = world.device_of(handle);
            let known = device
                .version()
                .filter(|_| device.session() == Some(history.session));
            let is_due = person.is_calm(now, HEALED) && self.server_back + HEALED <= now;
            if let Some((since, current)) = history.versions.back()
                && known == Some(*current)
                && device.is_joined()
            {
                // Who may not have a place for all is told of newcomers after what else has changed, under the same version.
                let has_places = device.capacity() >= self.limits.participants_per_room;
                let is_settled = is_due && *since + KNOWN <= now;
                if let (true, Err(wrong)) = (has_places || is_settled, world.check_replica(handle))
                {
                    return self.fail(Invariant::ReplicaAgrees, now, wrong);
                }
            }
            let mut versions = history.versions.iter().rev();
            let due = versions.find(|(since, _)| *since + KNOWN <= now);
            if let Some((since, due)) = due.filter(|_| is_due)
                && known.is_none_or(|known| known < *due)
            {
                let text = format!("p{one} knows {known:?}, and {due:?} is true since {since:?}");
                return self.fail(Invariant::ReplicaAgrees, now, text);
            }
        }
    }

    /// All has been well for long, and nothing changes: everybody who wants to be in is in, and knows all.
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
            let wrong = match device.is_joined() {
                true => world.check_replica(handle).err(),
                false => Some(format!("p{one} is not in the session, and not told why")),
            };
            if let Some(wrong) = wrong {
                return self.fail(Invariant::ReplicaAgrees, now, wrong);
            }
        }
    }
}
