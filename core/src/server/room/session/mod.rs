//! One run of a room: its members, its state, and the messages between members.
//!
//! ```text
//!  requests ─► streams, subscribing, floor ─► authority ─► telling ─┐
//!  media ────► forward ─► slots ─► queues ──► gathering ────────────┼─► transmit
//!                 ├─────► pictures ─► queues ───────────────────────┤
//!                 ├─────► mixing ─► queues ─────────────────────────┘
//!                 └─────► tapping ─► the embedder
//! ```

mod attributes;
mod deciding;
mod floor;
mod forward;
mod gathering;
mod members;
mod messaging;
#[cfg(feature = "opus-fullband")]
mod mix;
#[cfg(feature = "opus-fullband")]
mod mixing;
#[cfg(not(feature = "opus-fullband"))]
mod no_mixing;
mod pace;
mod pictures;
mod presence;
mod reports;
mod speaker;
mod streams;
mod subscribing;
mod tapping;
mod telling;
mod transmit;

#[cfg(feature = "opus-fullband")]
pub use mix::{MixConfig, MixOpus};

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use members::Members;
use pace::Pace;
use speaker::Speaker;

use super::lasting::Lasting;
use crate::room::{
    Authority, CloseReason, DisplayName, Growing, Participant, ParticipantId, RoomId, RoomState,
    RoomUpdate, SessionId, Stream, View,
};
use crate::server::Event;
use crate::server::context::Context;
use crate::server::keys::{MemberKey, Place, RoomKey, Wake};
use crate::server::member::{Member, Publication};
use crate::server::timers::Alarm;
use crate::time::{Duration, Instant};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Session {
    room_key: RoomKey,
    room: RoomId,
    pub(crate) id: SessionId,
    authority: Authority,
    members: Members,
    by_id: BTreeMap<ParticipantId, MemberKey>,
    /// The publisher of each stream, by SSRC: in a large room few publish, and no lookup visits all members.
    publishers: BTreeMap<u32, Publisher>,
    /// Whether the embedder receives the media, too.
    tapped: bool,
    telling: Pace,
    pub(super) lasting: Lasting,
    kicked: VecDeque<ParticipantId>,
    /// Silenced participants, whether they are in the session or not.
    censored: VecDeque<ParticipantId>,
    speaker: Speaker,
    /// Those with frames that wait for others.
    gathered: Vec<MemberKey>,
    /// The time when they have waited long enough.
    window: Alarm,
    /// Exists while anybody listens to it.
    #[cfg(feature = "opus-fullband")]
    mix: Option<Box<mix::Mix>>,
}

/// The publisher of a stream.
#[derive(Debug)]
struct Publisher {
    key: MemberKey,
    id: ParticipantId,
}

impl Session {
    pub(super) fn new(
        (room_key, room, id): (RoomKey, RoomId, SessionId),
        authority: Authority,
        speaker_hold: Duration,
        now: Instant,
    ) -> Self {
        Self {
            room_key,
            room,
            id,
            authority,
            members: Members::default(),
            by_id: BTreeMap::new(),
            publishers: BTreeMap::new(),
            tapped: false,
            telling: Pace::default(),
            lasting: Lasting::new(now),
            kicked: VecDeque::new(),
            censored: VecDeque::new(),
            speaker: Speaker::new(speaker_hold),
            gathered: Vec::new(),
            window: Alarm::default(),
            #[cfg(feature = "opus-fullband")]
            mix: None,
        }
    }

    pub(crate) fn state(&self) -> &RoomState<Growing> {
        self.authority.state()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn has(&self, participant: &ParticipantId) -> bool {
        self.by_id.contains_key(participant)
    }

    pub(crate) fn find(&self, participant: &ParticipantId) -> Option<MemberKey> {
        self.by_id.get(participant).copied()
    }

    pub(crate) fn get(&self, who: MemberKey) -> Option<&Member> {
        self.members.get(who)
    }

    pub(super) fn get_mut(&mut self, who: MemberKey) -> Option<&mut Member> {
        self.members.get_mut(who)
    }

    /// The members, in the order of their ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = &ParticipantId> {
        self.by_id.keys()
    }

    /// Tells the embedder that something has happened here.
    pub(super) fn tell_embedder(
        &self,
        cx: &mut Context,
        what: impl FnOnce(RoomId, SessionId) -> Event,
    ) {
        cx.events.push(what(self.room.clone(), self.id));
    }

    /// Adds a participant to the state of the room. Gives its view of it; `None` if the room is full.
    pub(super) fn announce(&mut self, mut participant: Participant, capacity: u16) -> Option<View> {
        participant.censored = self.censored.contains(&participant.id);
        self.authority
            .change(RoomUpdate::Joined(participant))
            .ok()?;
        Some(View::new(&self.authority, capacity))
    }

    /// Adds an announced participant, with its streams.
    pub(super) fn enter(
        &mut self,
        cx: &mut Context,
        mut member: Box<Member>,
        (name, waited): (DisplayName, bool),
        streams: Vec<Stream>,
    ) {
        let id = member.id().clone();
        let peer = member.association.key;
        let censored = self.censored.contains(&id);
        member.sends.censored = censored;
        member.sends.streams = streams.iter().map(Publication::new).collect();
        let is_for_mix = member.receives.subscriptions.mix().is_some();
        let (grants, path) = (member.rights.grants, member.association.reach.path);
        let key = self.members.insert(member);
        self.by_id.insert(id.clone(), key);
        cx.directory
            .set_place(peer, Place::Session(self.room_key, key));
        for stream in &streams {
            let id = id.clone();
            self.publishers.insert(stream.ssrc, Publisher { key, id });
        }
        cx.statistics.joins += 1;
        self.lasting.entered(cx.now, self.members.len());
        self.tell_embedder(cx, |room, session| Event::ParticipantJoined {
            room,
            session,
            participant: id.clone(),
            name,
            grants,
            waited,
            censored,
            path,
        });
        for stream in streams {
            self.stream_appeared(cx, key, &id, stream);
        }
        if is_for_mix {
            self.start_or_end_mix(cx);
        }
        self.roster_changed(cx);
        self.rearm(cx, key);
    }

    /// Removes a member. The session goes on even if it is empty now; the caller decides about the member.
    pub(super) fn leave(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        reason: CloseReason,
    ) -> Option<Box<Member>> {
        let participant = self.get(who)?.id().clone();
        // The floor is free, and the embedder is told.
        let _ = self.release_floor(cx, who);
        let update = RoomUpdate::Left {
            participant: participant.clone(),
            reason,
        };
        self.change(cx, update);
        let member = self.members.remove(who)?;
        self.by_id.remove(&participant);
        for stream in &member.sends.streams {
            self.tap_ends(cx, &participant, stream);
        }
        let streams = member.sends.streams.iter();
        let ssrcs: Vec<u32> = streams.map(|stream| stream.ssrc).collect();
        for ssrc in &ssrcs {
            self.publishers.remove(ssrc);
        }
        self.members
            .for_each(|_, other| other.receives.left(&participant, &ssrcs));
        for ssrc in ssrcs {
            self.silence_in_mix(ssrc);
        }
        if self.is_mixed() {
            self.start_or_end_mix(cx);
        }
        self.lasting.left(cx.now, self.members.len(), reason);
        self.tell_embedder(cx, |room, session| Event::ParticipantLeft {
            room,
            session,
            participant,
            reason,
        });
        self.decide_speaker(cx);
        Some(member)
    }

    /// Closes all members' connections.
    pub(super) fn send_all_away(&mut self, cx: &mut Context, reason: CloseReason) {
        self.by_id.clear();
        for member in self.members.take_all() {
            cx.events.push(Event::ParticipantLeft {
                room: self.room.clone(),
                session: self.id,
                participant: member.id().clone(),
                reason,
            });
            member.say_goodbye(cx, reason);
        }
    }

    /// The session is over.
    pub(super) fn end(mut self, cx: &mut Context, reason: CloseReason) {
        let key = self.room_key;
        let timers = &mut cx.timers;
        timers.set(Wake::Speaker(key), &mut self.speaker.alarm, None);
        timers.set(Wake::Gather(key), &mut self.window, None);
        timers.set(Wake::Tell(key), &mut self.telling.alarm, None);
        timers.set(Wake::Session(key), &mut self.lasting.alarm, None);
        self.end_mix(cx);
        cx.events.push(Event::SessionEnded {
            room: self.room,
            session: self.id,
            reason,
        });
    }

    /// Keeps a participant out of this session; the longest kept out is forgotten beyond `limit`.
    pub(super) fn keep_out(&mut self, participant: ParticipantId, limit: usize) {
        remember(&mut self.kicked, participant, limit);
    }

    pub(super) fn was_kicked(&self, participant: &ParticipantId) -> bool {
        self.kicked.contains(participant)
    }

    /// Sets a member's timer to its next timeout.
    pub(super) fn rearm(&mut self, cx: &mut Context, who: MemberKey) {
        if let Some(member) = self.get_mut(who) {
            let at = member.next_timeout(&cx.config);
            cx.rearm(&mut member.association, at);
        }
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
