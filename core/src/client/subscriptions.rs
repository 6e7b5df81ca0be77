//! The application's subscriptions: kept, so that a new connection can be told again.

use super::told::Told;
use crate::room::ParticipantId;
use crate::signal::{Operation, RequestId, StreamRef, SubscribePolicy};

/// One explicit subscription, or the exception of one stream from the policy.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) stream: StreamRef,
    pub(super) subscribed: bool,
    pub(super) told: Told,
}

impl Subscription {
    pub(super) fn operation(&self) -> Operation<'static> {
        if self.subscribed {
            Operation::Subscribe(self.stream.clone())
        } else {
            Operation::Unsubscribe(self.stream.clone())
        }
    }
}

/// The wishes of which there is one each.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) policy: SubscribePolicy,
    /// The server's policy, if it grants the request.
    pub(super) known_policy: SubscribePolicy,
    /// The server's policy, if it refuses the request.
    pub(super) former_policy: SubscribePolicy,
    pub(super) policy_told: Told,
    pub(super) pin: Option<StreamRef>,
    pub(super) pin_told: Told,
}

impl Listening {
    /// The state of a server that was told the policy by the handshake.
    pub(super) const fn new(policy: SubscribePolicy) -> Self {
        Self {
            policy,
            known_policy: policy,
            former_policy: policy,
            policy_told: Told::Known,
            pin: None,
            pin_told: Told::Known,
        }
    }

    pub(super) fn pinned(&self) -> Option<&ParticipantId> {
        self.pin.as_ref().map(|stream| &stream.participant)
    }

    /// This policy is wanted, which the server is told by `request`, if it is told yet.
    pub(super) fn set_policy(&mut self, policy: SubscribePolicy, request: Option<RequestId>) {
        if request.is_some() {
            self.former_policy = self.known_policy;
            self.known_policy = policy;
        }
        self.policy = policy;
        self.policy_told = Told::by_or(request, policy == self.known_policy);
    }

    /// The server does not take the policy with which the client joined, and goes by none.
    pub(super) fn policy_refused(&mut self) {
        self.policy = SubscribePolicy::None;
        self.known_policy = SubscribePolicy::None;
        self.policy_told = Told::Known;
    }

    /// The server knows nothing but the policy, with which the client joined.
    pub(super) fn forget(&mut self) {
        let pin = self.pin.take();
        *self = Self::new(self.policy);
        if pin.is_some() {
            self.pin = pin;
            self.pin_told = Told::Untold;
        }
    }
}
