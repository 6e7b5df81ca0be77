//! The check of seeing: those who film and those who watch.

use parlour_core::room::Grants;
use parlour_core::time::{Duration, Instant};

use super::{Checks, Invariant};
use crate::camera::Shown;
use crate::network::LinkConfig;
use crate::party::Handle;

/// The time within which a participant that films is seen, and the longest gap in its pictures: a key picture may have to be asked
/// for and repaired more than once.
const SEEN: Duration = Duration::from_secs(6);
/// The time after the last trouble of either from which that holds.
const HEALED: Duration = Duration::from_secs(30);

/// From this loss on, in percent, a way may be taken for one that carries too little for pictures.
const LOSSY: u8 = 5;

/// Whether a way carries all pictures. What does not fit on a narrow one is paused.
fn carries_pictures(link: &LinkConfig) -> bool {
    link.bottleneck.is_none() && link.loss < LOSSY
}

impl Checks {
    /// A participant got a packet of the pictures of `ssrc`.
    pub(super) fn check_seen(&mut self, handle: Handle, now: Instant, sent_at: Instant, ssrc: u32) {
        let one = self.owner(handle);
        let Some(&other) = self.cameras.get(&ssrc) else {
            let text = format!("p{one} sees {ssrc:08x}, which is nobody's");
            return self.fail(Invariant::MaySee, now, text);
        };
        if let Some(why) = self.forbids_seeing(one, other, sent_at) {
            let text = format!("p{one} sees p{other}, who {why}; sent at {sent_at:?}");
            self.fail(Invariant::MaySee, now, text);
        }
    }

    fn forbids_seeing(&self, one: usize, other: usize, sent_at: Instant) -> Option<&'static str> {
        let forwarded = self.forwarded(one, sent_at);
        let film = &self.people[other];
        let wants = &self.people[one].wants;
        let unwatched = wants.unwatched_since.get(&other);
        let mut standings = film.standing.within(forwarded, sent_at);
        if let Some(why) = self.forbids(one, other, sent_at) {
            Some(why)
        } else if one == other {
            Some("is itself")
        } else if !standings.any(|standing| standing.visible) {
            Some("has no camera")
        } else if !film.may(Grants::PUBLISH_VIDEO) {
            Some("may not publish a camera")
        } else if !wants.watched.contains_key(&other) {
            Some("was never to be seen")
        } else if unwatched.is_some_and(|since| *since < forwarded) {
            Some("is not to be seen any more")
        } else {
            None
        }
    }

    /// A participant could decode a picture of `ssrc`.
    pub(super) fn has_seen(&mut self, handle: Handle, ssrc: u32, shown: &Shown) {
        let one = self.owner(handle);
        if let Some(other) = self.cameras.get(&ssrc) {
            self.people[one].seen.insert(*other, shown.shot.taken_at);
        }
    }

    pub(super) fn check_unseen(&mut self, now: Instant) {
        if self.server_back + HEALED + SEEN > now {
            return;
        }
        for other in 0..self.people.len() {
            if !self.is_to_be_seen(other, now) {
                continue;
            }
            for one in 0..self.people.len() {
                let last = self.people[one].seen.get(&other);
                let is_seen = last.is_some_and(|last| *last + SEEN >= now);
                if one != other && !is_seen && self.should_see(one, other, now) {
                    let text = format!("p{one} has not seen p{other} for {SEEN:?}, last {last:?}");
                    self.fail(Invariant::ShouldSee, now, text);
                }
            }
        }
    }

    /// Whether a participant has been filming for long enough, and without trouble, that all who want to see it do.
    fn is_to_be_seen(&self, one: usize, now: Instant) -> bool {
        let person = &self.people[one];
        let standing = person.standing.now();
        let films = person
            .film
            .is_some_and(|(since, until)| since + SEEN <= now && now <= until);
        films
            && person.is_calm(now, HEALED + SEEN)
            && person.standing.since() + SEEN <= now
            && (standing.present, standing.visible) == (true, true)
            && carries_pictures(&person.options.link)
    }

    fn should_see(&self, one: usize, other: usize, now: Instant) -> bool {
        let (watcher, film) = (&self.people[one], &self.people[other]);
        let wants = &watcher.wants;
        let watched = wants.watched.get(&other);
        watcher.options.room == film.options.room
            && watcher.is_calm(now, HEALED + SEEN)
            && watcher.standing.now().present
            && watcher.standing.since() + SEEN <= now
            && watcher.may(Grants::SUBSCRIBE)
            && carries_pictures(&watcher.options.link)
            && watched.is_some_and(|(since, wanted)| *wanted && *since + HEALED <= now)
            && !wants.is_unclear
    }
}
