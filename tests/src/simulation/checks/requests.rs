//! Requests and their answers.

use parlour_core::client::RequestFailure;
use parlour_core::signal::{Outcome, RequestId, SubscribePolicy};
use parlour_core::time::{Duration, Instant};

use super::{Checks, Invariant};
use crate::simulation::person::Meaning;

/// The time limit of an answer without trouble: the signalling of a link that loses every tenth datagram.
const ANSWERED: Duration = Duration::from_secs(30);

impl Checks {
    /// A participant has made a request.
    pub(in crate::simulation) fn asked(
        &mut self,
        one: usize,
        now: Instant,
        request: RequestId,
        meaning: Meaning,
    ) {
        let before = self.people[one].asked.insert(request, (now, meaning));
        if before.is_some() {
            let text = format!("p{one}: {request:?} was given twice");
            self.fail(Invariant::AnsweredOnce, now, text);
        }
    }

    pub(super) fn has_reply(
        &mut self,
        one: usize,
        now: Instant,
        request: RequestId,
        result: Result<Outcome, RequestFailure>,
    ) {
        let person = &mut self.people[one];
        let Some((asked, meaning)) = person.asked.remove(&request) else {
            let text =
                format!("p{one}: {request:?} was answered twice, or never asked: {result:?}");
            return self.fail(Invariant::AnsweredOnce, now, text);
        };
        let wants = &mut person.wants;
        match (meaning, result) {
            (Meaning::Other, _) => {}
            // A later request may be in force already.
            (Meaning::Policy(policy), Ok(_)) if asked == wants.policy_asked => {
                wants.none_since = (policy == SubscribePolicy::None).then_some(now);
            }
            (Meaning::Wish(other, false), Ok(_)) if wants.wished.get(&other) == Some(&asked) => {
                wants.unwanted_since.insert(other, now);
            }
            (Meaning::Watch(other, false), Ok(_))
                if wants.watched.get(&other) == Some(&(asked, false)) =>
            {
                wants.unwatched_since.insert(other, now);
            }
            (_, Ok(_)) => {}
            (Meaning::Watch(other, true), Err(_))
                if wants.watched.get(&other) == Some(&(asked, true)) =>
            {
                wants.watched.insert(other, (asked, false));
            }
            (_, Err(_)) => wants.is_unclear = true,
        }
    }

    /// All requests of a connection that ends are answered before that is told.
    pub(super) fn check_all_answered(&mut self, one: usize, now: Instant) {
        if let Some((request, (asked, meaning))) = self.people[one].asked.first_key_value() {
            let text = format!(
                "p{one} is closed, and {request:?} ({meaning:?}, of {asked:?}) is not answered"
            );
            self.fail(Invariant::AnsweredOnce, now, text);
        }
    }

    pub(super) fn check_unanswered(&mut self, now: Instant) {
        for one in 0..self.people.len() {
            let person = &self.people[one];
            if !person.is_calm(now, ANSWERED) {
                continue;
            }
            let mut waiting = person.asked.iter();
            let late = waiting.find(|(_, (asked, _))| *asked + ANSWERED < now);
            if let Some((request, (_, meaning))) = late {
                let text =
                    format!("p{one}: {request:?} ({meaning:?}) got no answer within {ANSWERED:?}");
                self.fail(Invariant::AnsweredOnce, now, text);
            }
        }
    }
}
