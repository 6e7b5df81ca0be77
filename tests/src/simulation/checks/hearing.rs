//! The check of hearing: listeners and talkers.

use std::collections::{BTreeMap, BTreeSet};

use parlour_core::room::Grants;
use parlour_core::signal::SubscribePolicy;
use parlour_core::time::{Duration, Instant};

use super::{Checks, Invariant, mixing};
use crate::party::{Handle, Heard, Mixed};

/// The time within which a participant that talks without a pause is heard, and the longest gap in its audio. Bursts
/// of loss on either side are part of it.
const HEARD: Duration = Duration::from_secs(3);
/// The time after the last trouble of either from which that holds.
const HEALED: Duration = Duration::from_secs(30);
/// The time that audio may wait in the server for a participant with a new, unproven address, and the time after the
/// change in which this may happen.
const WITHHELD: Duration = Duration::from_secs(2);
const ROAMING: Duration = Duration::from_secs(20);
/// Frames that are remembered for each flow: more than any datagram may be late, which is the window of counters.
const KEPT: usize = 1_100;

/// The numbers of packets in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// By listener and slot: the sequence numbers received, with their frames.
    slots: BTreeMap<(usize, u8), BTreeMap<u64, Frame>>,
    /// By listener and stream: the frames received.
    streams: BTreeMap<(usize, u16), BTreeSet<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    /// `None`: the mix.
    stream: Option<u16>,
    number: u32,
    timestamp: u64,
}

impl Flows {
    /// The slots of a participant begin anew.
    pub(super) fn restart(&mut self, one: usize) {
        self.slots.retain(|(listener, _), _| *listener != one);
    }

    /// Takes in a frame, and says what is wrong with its place.
    fn insert(&mut self, one: usize, heard: &Heard) -> Option<String> {
        let said = heard.said;
        let numbers = self.streams.entry((one, said.stream)).or_default();
        if !numbers.insert(said.number) {
            return Some("came before".to_owned());
        }
        if numbers.len() > KEPT {
            numbers.pop_first();
        }
        let frame = Frame {
            stream: Some(said.stream),
            number: said.number,
            timestamp: heard.timestamp,
        };
        self.place(one, heard.slot, heard.sequence, frame)
    }

    /// Takes in a frame of a mix, and says what is wrong with its place. Only its slot numbers it.
    pub(super) fn insert_mixed(&mut self, one: usize, mixed: &Mixed) -> Option<String> {
        let frame = Frame {
            stream: None,
            number: 0,
            timestamp: mixed.timestamp,
        };
        self.place(one, mixed.slot, mixed.sequence, frame)
    }

    fn place(&mut self, one: usize, slot: u8, sequence: u64, frame: Frame) -> Option<String> {
        let slot = self.slots.entry((one, slot)).or_default();
        let before = slot.range(..sequence).next_back();
        let after = slot.range(sequence + 1..).next();
        let misplaced = |earlier: Frame, later: Frame| {
            let same = earlier.stream.is_some() && earlier.stream == later.stream;
            earlier.timestamp >= later.timestamp || same && earlier.number >= later.number
        };
        let wrong = if slot.contains_key(&sequence) {
            Some("has another's sequence number".to_owned())
        } else if let Some(before) = before.filter(|(_, before)| misplaced(**before, frame)) {
            Some(format!("is not after {before:?}"))
        } else {
            let after = after.filter(|(_, after)| misplaced(frame, **after));
            after.map(|after| format!("is not before {after:?}"))
        };
        slot.insert(sequence, frame);
        if slot.len() > KEPT {
            slot.pop_first();
        }
        wrong
    }
}

impl Checks {
    pub(super) fn check_heard(&mut self, handle: Handle, sent_at: Instant, frame: &Heard) {
        let (one, other) = (self.owner(handle), self.owner(frame.talker()));
        let now = frame.at;
        if let Some(wrong) = self.hearing.insert(one, frame) {
            let text = format!("p{one} hears a frame of p{other} that {wrong}: {frame:?}");
            self.fail(Invariant::InOrder, now, text);
        }
        let said_at = Instant::from_micros(frame.said.said_at);
        let is_of_now = self.people[other].handle == Some(frame.talker());
        let was_muted = is_of_now && !(self.people[other].muted.at(said_at)).any(|muted| !muted);
        let why = self.forbids_hearing(one, other, sent_at);
        if let Some(why) = why.or(was_muted.then_some("was muted when it said that")) {
            let text = format!("p{one} hears p{other}, who {why}; sent at {sent_at:?}: {frame:?}");
            self.fail(Invariant::MayHear, now, text);
        }
        let last = self.people[one].heard.entry(other).or_insert(said_at);
        *last = said_at.max(*last);
    }

    /// The reason that a participant must get nothing of another's media sent then.
    pub(super) fn forbids(
        &self,
        one: usize,
        other: usize,
        sent_at: Instant,
    ) -> Option<&'static str> {
        let (listener, talker) = (&self.people[one], &self.people[other]);
        let forwarded = self.forwarded(one, sent_at);
        if listener.options.room != talker.options.room {
            Some("is in another room")
        } else if !listener
            .standing
            .at(sent_at)
            .any(|standing| standing.present)
        {
            Some("is in a session, and the listener is not")
        } else if !listener.may(Grants::SUBSCRIBE) {
            Some("is not for those who may not subscribe")
        } else if !talker
            .standing
            .within(forwarded, sent_at)
            .any(|standing| standing.present)
        {
            Some("is not in the session")
        } else {
            None
        }
    }

    /// The same of what it says.
    pub(super) fn forbids_hearing(
        &self,
        one: usize,
        other: usize,
        sent_at: Instant,
    ) -> Option<&'static str> {
        let forwarded = self.forwarded(one, sent_at);
        let before = |since: Option<&Instant>| since.is_some_and(|since| *since < forwarded);
        let wants = &self.people[one].wants;
        let asked_for = wants.wished.contains_key(&other);
        if let Some(why) = self.forbids(one, other, sent_at) {
            Some(why)
        } else if !(self.people[other].standing.at(sent_at)).any(|standing| !standing.censored) {
            Some("is censored")
        } else if !self.people[other].may(Grants::PUBLISH_AUDIO) {
            Some("may not publish")
        } else if before(wants.unwanted_since.get(&other)) {
            Some("was unsubscribed")
        } else if before(wants.none_since.as_ref()) && !asked_for {
            Some("was never asked for")
        } else {
            None
        }
    }

    /// The earliest time from which audio sent to a participant then may have waited in the server.
    pub(super) fn forwarded(&self, one: usize, sent_at: Instant) -> Instant {
        let is_roaming = sent_at <= self.people[one].troubled_until + ROAMING;
        let waited = if is_roaming { WITHHELD } else { Duration::ZERO };
        let forwarded = sent_at
            .as_micros()
            .saturating_sub(waited.as_micros() as u64);
        Instant::from_micros(forwarded)
    }

    pub(super) fn check_unheard(&mut self, now: Instant) {
        if self.server_back + HEALED + HEARD > now {
            return;
        }
        for other in 0..self.people.len() {
            if !self.is_to_be_heard(other, now) {
                continue;
            }
            for one in 0..self.people.len() {
                let last = self.people[one].heard.get(&other);
                let is_heard = last.is_some_and(|last| *last + HEARD >= now);
                if one != other && !is_heard && self.should_hear(one, other, now) {
                    let text =
                        format!("p{one} has not heard p{other} for {HEARD:?}, last {last:?}");
                    self.fail(Invariant::ShouldHear, now, text);
                }
            }
        }
    }

    /// Whether a participant has been talking for long enough, and without trouble, that all who want to hear it do.
    fn is_to_be_heard(&self, one: usize, now: Instant) -> bool {
        let person = &self.people[one];
        let standing = person.standing.now();
        let talks = person
            .talk
            .is_some_and(|(since, until)| since + HEARD <= now && now <= until);
        talks
            && person.is_calm(now, HEALED + HEARD)
            && person.standing.since() + HEARD <= now
            && (standing.present, standing.censored, standing.audible) == (true, false, true)
            && !person.muted.now()
            && person.muted.since() + HEARD <= now
    }

    fn should_hear(&self, one: usize, other: usize, now: Instant) -> bool {
        let (listener, talker) = (&self.people[one], &self.people[other]);
        let wants = &listener.wants;
        // With as many slots as talkers it does not matter who is louder.
        let recently = |(since, until): (Instant, Instant)| since <= now && now <= until + HEARD;
        let talkers = self
            .people
            .iter()
            .filter(|person| person.talk.is_some_and(recently))
            .count();
        let voices = match wants.policy.now() {
            SubscribePolicy::Mix | SubscribePolicy::MixPcmu => mixing::VOICES,
            _ => listener.slots(),
        };
        listener.options.room == talker.options.room
            && listener.is_calm(now, HEALED + HEARD)
            && listener.standing.now().present
            && listener.standing.since() + HEARD <= now
            && listener.may(Grants::SUBSCRIBE)
            && talkers + usize::from(wants.has_pinned) <= voices
            && wants.policy.now() != SubscribePolicy::None
            && wants.policy.since() + HEALED <= now
            && !wants.wished.contains_key(&other)
            && !wants.is_unclear
    }
}
