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
}

impl Wish {
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
    }

    /// The server knows nothing but the policy, with which the client joined.
    pub(super) fn forget(&mut self) {
        self.told_policy = self.policy;
        self.policy_request = None;
        self.pin_told = self.pin.is_none();
        self.pin_request = None;
    }

    /// The server does not take the policy with which the client joined, and goes by none.
    pub(super) fn policy_refused(&mut self) {
        self.policy = SubscribePolicy::None;
        self.told_policy = SubscribePolicy::None;
    }

    /// Takes in the answer to a request that may be one of these. Gives true if the pin is gone.
    pub(super) fn answered(&mut self, request: RequestId, granted: bool) -> bool {
        if let Some((_, before)) = self.policy_request.take_if(|(asked, _)| *asked == request)
            && !granted
        {
            self.policy = before;
            self.told_policy = before;
        }
        if self
            .pin_request
            .take_if(|asked| *asked == request)
            .is_some()
            && !granted
        {
            self.pin = None;
            return true;
        }
        false
    }
}

/// Takes in the answer to a request that may be about one of the wishes: a refused one is given up.
pub(super) fn answered(parts: &mut Parts<'_>, request: RequestId, granted: bool) {
    if let Some(wish) = parts
        .wishes
        .iter_mut()
        .find(|wish| wish.request == Some(request))
    {
        wish.request = None;
        if !granted {
            let stream = wish.stream.clone();
            parts.wishes.retain(|wish| wish.stream != stream);
        }
    }
}
