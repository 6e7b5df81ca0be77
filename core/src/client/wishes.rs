//! The facts to tell the server, and how much of them it knows: one table.
//!
//! | [`Wish`] | stands in | told by |
//! |---|---|---|
//! | `Leave` | [`Leaving`](super::machine::Leaving) | [`Operation::Leave`] |
//! | `Unpublish`, `Publish` | [`Publication::told`] | [`Operation::Unpublish`], [`Operation::Publish`], the handshake |
//! | `Mute` | [`Publication::mute`] | [`Operation::SetMuted`], what publishes the stream |
//! | `Subscription` | [`Subscription::told`] | [`Operation::Subscribe`], [`Operation::Unsubscribe`] |
//! | `Policy` | [`Listening::policy_told`] | [`Operation::SetSubscribePolicy`], the handshake |
//! | `Pin` | [`Listening::pin_told`] | [`Operation::Pin`] |
//!
//! A command notes the wish, and in a session asks for it at once. A wish that could not be asked then, was asked too
//! fast, or has to be asked again because the connection is a new one, stands as [`Told::Untold`], and
//! [`Machine::tell`] asks for it in the order of the table. An answer finds its wish by the number of the request.

use super::events::Event;
use super::machine::{Machine, Telling};
use super::profile::Parts;
use super::told::Told;
use crate::room::ParticipantId;
use crate::signal::{Operation, Outcome, Refusal, RequestId};
use crate::time::Duration;

use rand_core::RngCore;

#[cfg(doc)]
use super::publications::Publication;
#[cfg(doc)]
use super::subscriptions::{Listening, Subscription};

/// How long to tell the server nothing of what can wait, after it had been told too fast.
const HASTE_PAUSE: Duration = Duration::from_secs(1);

/// A row of the table; places are those in the lists of [`Parts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Leave,
    Unpublish(usize),
    Publish(usize),
    Mute(usize),
    Subscription(usize),
    Policy,
    Pin,
}

/// The result of telling the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Granted(Outcome),
    /// There is no such stream now.
    Missing,
    /// Asked too fast: to be told again later.
    Postponed,
    Refused(Refusal),
}

impl Machine {
    /// Tells the server what it has not been told.
    pub(super) fn tell(&mut self, parts: &mut Parts<'_>) {
        if matches!(self.telling, Telling::Paused(end) if end <= self.now) {
            self.telling = Telling::Due;
        }
        while self.telling == Telling::Due {
            let window = self.live_link().map_or(0, |link| link.free_window());
            let Some(wish) = self.next_untold(parts) else {
                self.telling = Telling::Nothing;
                return;
            };
            let operation = self.operation(parts, wish);
            let sent = match operation {
                Some(operation) if window > 0 => self.send_request(&operation).ok(),
                _ => None,
            };
            match sent {
                Some(request) => self.note_told(parts, wish, request),
                None => self.telling = Telling::Blocked,
            }
        }
    }

    fn next_untold(&mut self, parts: &mut Parts<'_>) -> Option<Wish> {
        let may_ask = self.is_joined() && self.leaving.is_none();
        self.find(parts, Told::Untold)
            .filter(|wish| may_ask || *wish == Wish::Leave)
    }

    /// The first wish of which the server has been told like this.
    fn find(&mut self, parts: &mut Parts<'_>, told: Told) -> Option<Wish> {
        let (published, subscribed) = (parts.publications.len(), parts.subscriptions.len());
        let mut found = None;
        let mut look = |machine: &mut Self, wish| {
            if machine
                .told(parts, wish)
                .is_some_and(|known| *known == told)
            {
                found = Some(wish);
            }
            found.is_some()
        };
        let of_streams = [Wish::Unpublish, Wish::Publish, Wish::Mute];
        let _ = look(self, Wish::Leave)
            || (of_streams.iter()).any(|of| (0..published).any(|place| look(self, of(place))))
            || (0..subscribed).any(|place| look(self, Wish::Subscription(place)))
            || look(self, Wish::Policy)
            || look(self, Wish::Pin);
        found
    }

    /// The server's knowledge of a wish, if there is that wish.
    fn told<'a>(&'a mut self, parts: &'a mut Parts<'_>, wish: Wish) -> Option<&'a mut Told> {
        match wish {
            Wish::Leave => self.leaving.as_mut().map(|leaving| &mut leaving.told),
            Wish::Unpublish(place) | Wish::Publish(place) => {
                let publication = parts.publications.get_mut(place)?;
                let is_wanted = wish == Wish::Publish(place);
                (publication.is_wanted == is_wanted).then_some(&mut publication.told)
            }
            Wish::Mute(place) => {
                let publication = parts.publications.get_mut(place)?;
                let is_asked = publication.is_wanted && publication.told != Told::Untold;
                is_asked.then_some(&mut publication.mute)
            }
            Wish::Subscription(place) => {
                let subscription = parts.subscriptions.get_mut(place)?;
                Some(&mut subscription.told)
            }
            Wish::Policy => Some(&mut self.listening.policy_told),
            Wish::Pin => Some(&mut self.listening.pin_told),
        }
    }

    fn operation(&self, parts: &Parts<'_>, wish: Wish) -> Option<Operation<'static>> {
        let publish = |place: usize| Some(&parts.publications.get(place)?.publish);
        Some(match wish {
            Wish::Leave => Operation::Leave,
            Wish::Unpublish(place) => Operation::Unpublish {
                key: publish(place)?.key.clone(),
            },
            Wish::Publish(place) => Operation::Publish(publish(place)?.clone()),
            Wish::Mute(place) => Operation::SetMuted {
                key: publish(place)?.key.clone(),
                muted: publish(place)?.muted,
            },
            Wish::Subscription(place) => parts.subscriptions.get(place)?.operation(),
            Wish::Policy => Operation::SetSubscribePolicy(self.listening.policy),
            Wish::Pin => Operation::Pin(self.listening.pin.clone()),
        })
    }

    fn note_told(&mut self, parts: &mut Parts<'_>, wish: Wish, request: RequestId) {
        let request = Some(request);
        match wish {
            Wish::Publish(place) => {
                if let Some(publication) = parts.publications.get_mut(place) {
                    publication.asked(request);
                }
            }
            Wish::Mute(place) => {
                if let Some(publication) = parts.publications.get_mut(place) {
                    publication.set_muted(publication.publish.muted, request);
                }
            }
            Wish::Policy => self.listening.set_policy(self.listening.policy, request),
            _ => {
                if let Some(told) = self.told(parts, wish) {
                    *told = Told::Asked(request);
                }
            }
        }
    }

    /// Processes the answer to a request that may have told a wish. Earlier wishes are not given up because others are
    /// not back yet, or because much had to be told at once.
    pub(super) fn wish_answered(
        &mut self,
        parts: &mut Parts<'_>,
        request: RequestId,
        result: Result<Outcome, Refusal>,
        asked_by_application: bool,
    ) {
        if result == Err(Refusal::RateLimited) && self.leaving.is_none() {
            self.telling = Telling::Paused(self.now + HASTE_PAUSE);
        }
        let Some(wish) = self.find(parts, Told::Asked(Some(request))) else {
            return;
        };
        let lasts = matches!(wish, Wish::Unpublish(_) | Wish::Mute(_)) || !asked_by_application;
        let may_appear = matches!(wish, Wish::Subscription(_) | Wish::Pin) && !asked_by_application;
        let answer = match result {
            Ok(outcome) => Answer::Granted(outcome),
            Err(Refusal::RateLimited) if lasts => Answer::Postponed,
            Err(Refusal::UnknownParticipant | Refusal::UnknownStream) if may_appear => {
                Answer::Missing
            }
            Err(refusal) => Answer::Refused(refusal),
        };
        if let Some(told) = self.told(parts, wish) {
            *told = match answer {
                Answer::Granted(_) | Answer::Refused(_) => Told::Known,
                Answer::Missing => Told::Missing,
                Answer::Postponed => Told::Untold,
            };
        }
        match wish {
            Wish::Publish(place) => self.publish_answered(parts, place, request, answer),
            Wish::Unpublish(place) if answer != Answer::Postponed => {
                parts.publications.remove(place);
            }
            Wish::Mute(place) if answer == Answer::Postponed => {
                if let Some(publication) = parts.publications.get_mut(place) {
                    publication.known_muted = !publication.publish.muted;
                }
            }
            Wish::Subscription(place) if matches!(answer, Answer::Refused(_)) => {
                parts.subscriptions.remove(place);
            }
            Wish::Policy => self.policy_answered(answer, asked_by_application),
            Wish::Pin if matches!(answer, Answer::Refused(_)) => {
                self.listening.pin = None;
                self.notice(parts);
            }
            _ => {}
        }
    }

    fn publish_answered(
        &mut self,
        parts: &mut Parts<'_>,
        place: usize,
        request: RequestId,
        answer: Answer,
    ) {
        let Some(publication) = parts.publications.get_mut(place) else {
            return;
        };
        let key = publication.publish.key.clone();
        match answer {
            Answer::Granted(Outcome::Published { ssrc }) => {
                publication.published(ssrc, self.rng.next_u32() as u16);
                self.events.push(Event::Published { key, ssrc });
            }
            Answer::Granted(_) => {
                publication.told = Told::Asked(Some(request));
                self.count_bad_frame();
            }
            Answer::Refused(refusal) => {
                parts.publications.remove(place);
                // A Hello under way asks for it too; its answers are matched by their order.
                self.joining.renew(self.now);
                self.events.push(Event::PublishRefused { key, refusal });
            }
            Answer::Missing | Answer::Postponed => {}
        }
    }

    fn policy_answered(&mut self, answer: Answer, asked_by_application: bool) {
        if matches!(answer, Answer::Granted(_)) {
            return;
        }
        let listening = &mut self.listening;
        listening.known_policy = listening.former_policy;
        if let Answer::Refused(refusal) = answer
            && listening.policy != listening.former_policy
        {
            listening.policy = listening.former_policy;
            // A Hello under way asks for the one that is refused.
            self.joining.renew(self.now);
            if !asked_by_application {
                self.events.push(Event::PolicyRefused(refusal));
            }
        }
    }

    /// Takes in that there is news of what this participant publishes: the server is to be told again of what was
    /// missing.
    pub(super) fn appeared(&mut self, parts: &mut Parts<'_>, participant: &ParticipantId) {
        let listening = &mut self.listening;
        let pinned = listening
            .pin
            .as_ref()
            .map(|pin| (pin, &mut listening.pin_told));
        let subscribed = parts.subscriptions.iter_mut();
        for (stream, told) in subscribed
            .map(|known| (&known.stream, &mut known.told))
            .chain(pinned)
        {
            if *told == Told::Missing && stream.participant == *participant {
                *told = Told::Untold;
                self.telling = Telling::Due;
            }
        }
    }
}
