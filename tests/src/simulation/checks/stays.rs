//! Joins, leaves, and their reasons.

use parlour_core::client::{CloseCause, ReconnectCause};
use parlour_core::room::CloseReason;
use parlour_core::server::Event;
use parlour_core::signal::JoinRefusal;
use parlour_core::time::{Duration, Instant};

use super::{Checks, Invariant};
use crate::world::World;

/// For how long after its trouble somebody may be given up: the server's patience with the silent (45 s), and a client's
/// with an unanswering server.
const AFTERMATH: Duration = Duration::from_secs(90);
/// Within which somebody without trouble has joined, or come back.
const BACK: Duration = Duration::from_secs(30);
/// From this loss on, in percent, somebody may lose all pings in a row by chance: at 10 %, of 4,000 times that nothing else
/// is said, once; with bursts four times.
const LOSSY: u8 = 7;
/// For how long after a session was ended people are told so.
const ENDING: Duration = Duration::from_secs(90);

impl Checks {
    /// A participant is in the session, as its device was told.
    pub(super) fn has_joined(&mut self, one: usize, now: Instant, resumed: bool) {
        self.count_joined += 1;
        let person = &mut self.people[one];
        person.joined = Some(now);
        if !resumed {
            // The policy came with the Hello; other wishes are asked for again, one by one.
            person.wants.unwanted_since.clear();
            person.wants.unwatched_since.clear();
            person.wants.none_since = None;
            person.wants.is_unclear = false;
            self.hearing.restart(one);
        }
    }

    pub(super) fn check_departure(&mut self, now: Instant, event: &Event) {
        let Event::ParticipantLeft {
            participant,
            reason,
            ..
        } = event
        else {
            return;
        };
        let number = self
            .people
            .iter()
            .position(|person| person.id == *participant);
        let one = number.expect("only people of the plan join");
        if !self.is_own_end(one, now, *reason) {
            let text =
                format!("the server gave p{one} up as {reason:?}, which nothing accounts for");
            self.fail(Invariant::OwnTrouble, now, text);
        }
    }

    /// Whether a participant's own history justifies this reason for its end.
    fn is_own_end(&self, one: usize, now: Instant, reason: CloseReason) -> bool {
        let person = &self.people[one];
        let recently = |at: Option<Instant>, how: Duration| at.is_some_and(|at| now <= at + how);
        match reason {
            CloseReason::Left => person.has_left || person.starts > 1,
            // It may be the moderator's request that takes long to arrive.
            CloseReason::Kicked | CloseReason::Denied => person.removed.is_some(),
            CloseReason::SessionEnded => recently(self.session_ended, ENDING),
            CloseReason::Replaced => person.starts > 1,
            CloseReason::TokenExpired => person.options.expires_in.is_some(),
            CloseReason::RoomFull => self.limits.participants_per_room < self.people.len(),
            CloseReason::ConnectionLost => !person.is_live() || self.is_in_trouble(one, now),
            _ => false,
        }
    }

    fn is_in_trouble(&self, one: usize, now: Instant) -> bool {
        let person = &self.people[one];
        now <= person.troubled_until.max(self.server_back) + AFTERMATH
    }

    /// Whether everyone who can be in the session, or wait, does.
    pub(super) fn check_back(&mut self, now: Instant, world: &World) {
        for one in 0..self.people.len() {
            let person = &self.people[one];
            let Some(handle) = person.handle.filter(|_| person.is_live()) else {
                continue;
            };
            let device = world.device_of(handle);
            let since = (person.out_since).max(person.troubled_until.max(self.server_back));
            if !device.is_joined() && !device.is_waiting() && since + BACK < now {
                let text = format!("p{one} is out for more than {BACK:?}, and had no trouble");
                self.fail(Invariant::Back, now, text);
            }
        }
    }

    pub(super) fn check_reconnecting(&mut self, one: usize, now: Instant, cause: ReconnectCause) {
        self.people[one].joined = None;
        self.people[one].out_since = now;
        let is_lossy = self.people[one].options.link.loss >= LOSSY;
        let by_chance = cause == ReconnectCause::Silence && is_lossy;
        if !by_chance && !self.is_in_trouble(one, now) {
            let text = format!("p{one} lost its connection ({cause:?}), and had no trouble");
            self.fail(Invariant::OwnTrouble, now, text);
        }
    }

    pub(super) fn check_closed(&mut self, one: usize, now: Instant, cause: CloseCause) {
        let person = &self.people[one];
        let own = match cause {
            CloseCause::Closed(reason) => self.is_own_end(one, now, reason),
            CloseCause::Refused(refusal) => match refusal {
                JoinRefusal::RoomFull => self.limits.participants_per_room < self.people.len(),
                JoinRefusal::Kicked | JoinRefusal::Denied => person.removed.is_some(),
                JoinRefusal::SessionEnded => self.session_ended.is_some(),
                JoinRefusal::Replaced => person.starts > 1,
                _ => false,
            },
            _ => false,
        };
        if !own {
            let text =
                format!("p{one} was told that it is over ({cause:?}), which nothing accounts for");
            self.fail(Invariant::OwnTrouble, now, text);
        }
    }
}
