//! What the application wants to hear and see: kept, so that a new connection can be told again.

use super::profile::Parts;
use crate::room::ParticipantId;
use crate::signal::{Operation, RequestId, StreamRef, SubscribePolicy};

/// One explicit subscription, or the exception of one stream from the policy.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) stream: StreamRef,
    pub(super) subscribed: bool,
    /// Whether this association's server has been told.
    pub(super) told: bool,
    /// By which request, while that is unanswered.
    pub(super) request: Option<RequestId>,
    /// The server was told, and knows no such stream; it is told again when there may be one.
    missing: bool,
}

/// What came of telling the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    Granted,
    /// There is no such stream now.
    Missing,
    /// Asked too fast: the server is to be told again later.
    Postponed,
    Refused,
}

impl Wish {
    pub(super) const fn new(stream: StreamRef, subscribed: bool) -> Self {
        Self {
            stream,
            subscribed,
            told: false,
            request: None,
            missing: false,
        }
    }

    /// A new connection has to be told.
    pub(super) fn forget(&mut self) {
        self.told = false;
        self.request = None;
        self.missing = false;
    }

    pub(super) fn operation(&self) -> Operation<'static> {
        if self.subscribed {
            Operation::Subscribe(self.stream.clone())
        } else {
            Operation::Unsubscribe(self.stream.clone())
        }
    }

    pub(super) fn told(&mut self, request: RequestId) {
        self.told = true;
        self.request = Some(request);
        self.missing = false;
    }
}

/// The wishes of which there is one each.
#[derive(Debug)]
pub(super) struct Subscriptions {
    pub(super) policy: SubscribePolicy,
    /// What the server goes by.
    pub(super) told_policy: SubscribePolicy,
    /// The request that set it, and what it was before.
    policy_request: Option<(RequestId, SubscribePolicy)>,
    pub(super) pin: Option<StreamRef>,
    pub(super) pin_told: bool,
    pin_request: Option<RequestId>,
    pin_missing: bool,
}

impl Subscriptions {
    pub(super) const fn new(policy: SubscribePolicy) -> Self {
        Self {
            policy,
            told_policy: policy,
            policy_request: None,
            pin: None,
            pin_told: true,
            pin_request: None,
            pin_missing: false,
        }
    }

    pub(super) fn pinned(&self) -> Option<&ParticipantId> {
        self.pin.as_ref().map(|stream| &stream.participant)
    }

    pub(super) fn policy_told(&mut self, request: RequestId) {
        self.policy_request = Some((request, self.told_policy));
        self.told_policy = self.policy;
    }

    pub(super) fn pin_told(&mut self, request: RequestId) {
        self.pin_request = Some(request);
        self.pin_told = true;
        self.pin_missing = false;
    }

    /// The server knows nothing but the policy, with which the client joined.
    pub(super) fn forget(&mut self) {
        self.told_policy = self.policy;
        self.policy_request = None;
        self.pin_told = self.pin.is_none();
        self.pin_request = None;
        self.pin_missing = false;
    }

    /// The server does not take the policy with which the client joined, and goes by none.
    pub(super) fn policy_refused(&mut self) {
        self.policy = SubscribePolicy::None;
        self.told_policy = SubscribePolicy::None;
    }

    /// Nothing may be received any more. Gives true if something was to be.
    pub(super) fn give_up(&mut self) -> bool {
        let had_policy = self.policy != SubscribePolicy::None;
        *self = Self::new(SubscribePolicy::None);
        had_policy
    }

    /// Takes in the answer to a request that may be one of these. Gives true if the pin is gone.
    pub(super) fn answered(&mut self, request: RequestId, answer: Answered) -> bool {
        let of_policy = (self.policy_request).take_if(|(asked, _)| *asked == request);
        if let (Some((_, before)), false) = (of_policy, answer == Answered::Granted) {
            self.told_policy = before;
            if answer != Answered::Postponed {
                self.policy = before;
            }
        }
        let of_pin = self.pin_request.take_if(|asked| *asked == request);
        self.pin_missing |= of_pin.is_some() && answer == Answered::Missing;
        self.pin_told &= of_pin.is_none() || answer != Answered::Postponed;
        let gone = of_pin.is_some() && answer == Answered::Refused;
        if gone {
            self.pin = None;
        }
        gone
    }
}

/// Takes in the answer to a request that may be about one of the wishes: a refused one is given up.
pub(super) fn answered(parts: &mut Parts<'_>, request: RequestId, answer: Answered) {
    let asked = |wish: &Wish| wish.request == Some(request);
    if answer == Answered::Refused {
        parts.wishes.retain(|wish| !asked(wish));
    } else if let Some(wish) = parts.wishes.iter_mut().find(|wish| asked(wish)) {
        if answer == Answered::Postponed {
            wish.forget();
        }
        wish.request = None;
        wish.missing = answer == Answered::Missing;
    }
}

/// Takes in that there is news of what this participant publishes. True if the server is to be
/// told again of something that was missing.
pub(super) fn appeared(
    subscriptions: &mut Subscriptions,
    parts: &mut Parts<'_>,
    participant: &ParticipantId,
) -> bool {
    let mut any = false;
    for wish in parts.wishes.iter_mut() {
        if wish.missing && wish.stream.participant == *participant {
            wish.forget();
            any = true;
        }
    }
    if subscriptions.pin_missing && subscriptions.pinned() == Some(participant) {
        subscriptions.pin_told = false;
        subscriptions.pin_missing = false;
        any = true;
    }
    any
}
