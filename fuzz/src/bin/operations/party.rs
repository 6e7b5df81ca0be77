//! One participant's end, and its expected state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlour_core::client::{Client, Commands as _, Event};
use parlour_core::room::{ParticipantId, StreamKey};
use parlour_core::server::Path;
use parlour_core::signal::{Publish, RequestId};

use super::network::Datagram;
use super::{Device, Sound, id};

/// See the [module](self).
pub(super) struct Party {
    pub(super) client: Client<Device>,
    pub(super) path: Path,
    pub(super) up: VecDeque<Datagram>,
    pub(super) down: VecDeque<Datagram>,
    /// The streams that it wishes to publish.
    pub(super) wishes: BTreeMap<StreamKey, Publish>,
    pub(super) outstanding: BTreeSet<RequestId>,
    pub(super) is_over: bool,
    pub(super) is_waiting: bool,
    /// It never said whom it wants to hear: it hears everybody.
    pub(super) hears_all: bool,
    pub(super) timestamp: u32,
    /// Sounds handed to the client that no datagram has left with yet.
    pub(super) unsent: Vec<Sound>,
    pub(super) heard: BTreeSet<Sound>,
    /// The last message of each sender.
    pub(super) messages: BTreeMap<ParticipantId, u16>,
}

impl Party {
    pub(super) fn publish(&mut self, publish: Publish) {
        if let Ok(request) = self.client.publish(publish.clone()) {
            self.wishes.insert(publish.key.clone(), publish);
            if let Some(request) = request {
                assert!(
                    self.outstanding.insert(request),
                    "a number is used once at a time"
                );
            }
        }
    }

    pub(super) fn events(&mut self, who: usize) {
        while let Some(event) = self.client.poll_event() {
            assert!(!self.is_over, "{event:?} after the end");
            match event {
                Event::Replied { request, .. } => {
                    assert!(self.outstanding.remove(&request), "an answer too many");
                }
                Event::Waiting => self.is_waiting = true,
                Event::Joined { .. } => self.is_waiting = false,
                Event::PublishRefused { key, refusal } => {
                    panic!("{who}: {key} is refused, though all is granted: {refusal}");
                }
                Event::Closed(_) => {
                    assert_eq!(self.outstanding, BTreeSet::new(), "without an answer");
                    self.is_over = true;
                }
                _ => {}
            }
        }
        let mut buffer = [0; 640];
        while let Ok(Some(message)) = self.client.poll_message(&mut buffer) {
            let number = message.body.try_into().map(u16::from_be_bytes);
            let number = number.expect("all messages are numbers here");
            let last = self.messages.insert(message.from.clone(), number);
            assert!(last.is_none_or(|last| last < number), "once, and in order");
            assert_ne!(message.from, id(who), "nobody tells itself");
        }
    }
}
