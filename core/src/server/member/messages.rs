//! Messages that wait for a participant that receives them slower than they arrive.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

/// Encoded messages, each kept once however many it is for, up to a number; newer ones are lost,
/// and in their place stands how many they are.
#[derive(Debug)]
pub(crate) struct Messages {
    queue: VecDeque<Waiting>,
    capacity: usize,
}

/// One thing to tell the participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// An encoded message.
    Message(Arc<[u8]>),
    /// So many messages were lost here.
    Missed(u16),
}

impl Messages {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            capacity,
        }
    }

    /// Takes a message; false if it is lost.
    pub(crate) fn push(&mut self, message: &Arc<[u8]>) -> bool {
        if self.queue.len() < self.capacity {
            self.queue.push_back(Waiting::Message(message.clone()));
            return true;
        }
        match self.queue.back_mut() {
            Some(Waiting::Missed(count)) => *count = count.saturating_add(1),
            _ => self.queue.push_back(Waiting::Missed(1)),
        }
        false
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        self.queue.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The output equals the input, in order, with every loss counted where it happened.
        #[test]
        fn losses_are_told_where_they_happened(pushes in prop::collection::vec(prop::bool::weighted(0.7), 0..100)) {
            let mut messages = Messages::new(3);
            let (mut sent, mut seen) = (0u8, 0u8);
            let take = |waiting: Option<Waiting>, seen: &mut u8| match waiting {
                Some(Waiting::Message(bytes)) => { assert_eq!(bytes[0], *seen); *seen += 1; }
                Some(Waiting::Missed(count)) => *seen += u8::try_from(count).unwrap(),
                None => {}
            };
            for push in pushes {
                if push {
                    messages.push(&Arc::from(Vec::from([sent])));
                    sent += 1;
                } else {
                    take(messages.pop(), &mut seen);
                }
                prop_assert!(messages.len() <= 4);
            }
            while !messages.is_empty() {
                take(messages.pop(), &mut seen);
            }
            prop_assert_eq!(sent, seen);
        }
    }
}
