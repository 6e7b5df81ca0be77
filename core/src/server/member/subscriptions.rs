//! What one participant wants to receive.

use alloc::vec::Vec;

use crate::room::{Codec, ParticipantId, StreamKind};
use crate::signal::{StreamRef, SubscribePolicy};

/// A policy, and the streams for which the participant said otherwise.
///
/// Wishes outlive the stream: who publishes again under the same key is received again. They end
/// with the publisher's stay in the session.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    policy: SubscribePolicy,
    wishes: Vec<Wish>,
    pinned: Option<StreamRef>,
}

#[derive(Debug)]
struct Wish {
    stream: StreamRef,
    wanted: bool,
    /// The stream's SSRC while it is published: what media packets are compared with.
    ssrc: Option<u32>,
}

/// There are as many wishes as allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Subscriptions {
    pub(crate) fn new(policy: SubscribePolicy) -> Self {
        Self {
            policy,
            wishes: Vec::new(),
            pinned: None,
        }
    }

    pub(crate) fn set_policy(&mut self, policy: SubscribePolicy) {
        self.policy = policy;
    }

    /// Whether a stream is to be forwarded as it is.
    pub(crate) fn want(&self, ssrc: u32, kind: StreamKind) -> bool {
        if kind == StreamKind::Audio && self.mix().is_some() {
            return false;
        }
        match self.wish_for(ssrc) {
            Some(wish) => wish.wanted,
            None => kind == StreamKind::Audio && self.policy == SubscribePolicy::All,
        }
    }

    /// The codec of the mix that takes the place of all audio streams, if that is what it wants.
    pub(crate) fn mix(&self) -> Option<Codec> {
        match self.policy {
            SubscribePolicy::Mix => Some(Codec::Opus),
            SubscribePolicy::MixPcmu => Some(Codec::Pcmu),
            _ => None,
        }
    }

    /// Whether a stream is to be left out of the mix.
    #[cfg(feature = "opus-fullband")]
    pub(crate) fn is_unwanted(&self, ssrc: u32) -> bool {
        self.wish_for(ssrc).is_some_and(|wish| !wish.wanted)
    }

    fn wish_for(&self, ssrc: u32) -> Option<&Wish> {
        self.wishes.iter().find(|wish| wish.ssrc == Some(ssrc))
    }

    /// Takes a wish for or against a stream, at most `limit` of each.
    pub(crate) fn wish(
        &mut self,
        stream: StreamRef,
        wanted: bool,
        ssrc: Option<u32>,
        limit: usize,
    ) -> Result<(), TooMany> {
        let others = self.wishes.iter().filter(|wish| wish.stream != stream);
        if others.filter(|wish| wish.wanted == wanted).count() >= limit {
            return Err(TooMany);
        }
        self.wishes.retain(|wish| wish.stream != stream);
        self.wishes.push(Wish {
            stream,
            wanted,
            ssrc,
        });
        Ok(())
    }

    /// Whether there is a wish for or against this stream.
    pub(crate) fn mentions(&self, stream: &StreamRef) -> bool {
        self.wishes.iter().any(|wish| wish.stream == *stream)
    }

    pub(crate) fn pin(&mut self, stream: Option<StreamRef>) {
        self.pinned = stream;
    }

    /// A stream appeared under this name, or disappeared. Gives whether it is the pinned one.
    pub(crate) fn resolve(&mut self, stream: &StreamRef, ssrc: Option<u32>) -> bool {
        for wish in &mut self.wishes {
            if wish.stream == *stream {
                wish.ssrc = ssrc;
            }
        }
        self.pinned.as_ref() == Some(stream)
    }

    /// The participant is out of the session: nothing of it can be wished for.
    pub(crate) fn forget(&mut self, participant: &ParticipantId) {
        self.wishes
            .retain(|wish| wish.stream.participant != *participant);
        self.pinned
            .take_if(|stream| stream.participant == *participant);
    }

    /// Those whom the participant asked for, the pinned one first.
    pub(crate) fn participants(&self) -> impl Iterator<Item = &ParticipantId> {
        let wanted = self.wishes.iter().filter(|wish| wish.wanted);
        let pinned = self.pinned.iter();
        pinned
            .chain(wanted.map(|wish| &wish.stream))
            .map(|stream| &stream.participant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::StreamKey;

    fn stream(participant: &str, key: &str) -> StreamRef {
        StreamRef {
            participant: ParticipantId::new(participant).unwrap(),
            key: StreamKey::new(key).unwrap(),
        }
    }

    #[test]
    fn the_policy_holds_for_audio_unless_a_wish_says_otherwise() {
        let mut all = Subscriptions::new(SubscribePolicy::All);
        assert!(all.want(1, StreamKind::Audio));
        assert!(!all.want(1, StreamKind::Video));
        all.wish(stream("a", "mic"), false, Some(1), 4).unwrap();
        all.wish(stream("a", "cam"), true, Some(2), 4).unwrap();
        assert!(!all.want(1, StreamKind::Audio));
        assert!(all.want(2, StreamKind::Video));
        all.set_policy(SubscribePolicy::None);
        assert!(!all.want(3, StreamKind::Audio));
        all.wish(stream("a", "mic"), true, Some(1), 4).unwrap();
        assert!(all.want(1, StreamKind::Audio));
    }

    #[test]
    fn wishes_follow_the_name_until_its_bearer_leaves() {
        let mut subscriptions = Subscriptions::new(SubscribePolicy::None);
        let cam = stream("a", "cam");
        subscriptions.wish(cam.clone(), true, Some(5), 4).unwrap();
        subscriptions.pin(Some(cam.clone()));
        assert!(subscriptions.resolve(&cam, None));
        assert!(!subscriptions.want(5, StreamKind::Video));
        subscriptions.resolve(&cam, Some(9));
        assert!(subscriptions.want(9, StreamKind::Video));
        assert_eq!(subscriptions.participants().count(), 2);
        subscriptions.forget(&cam.participant);
        assert!(!subscriptions.want(9, StreamKind::Video));
        assert!(!subscriptions.mentions(&cam));
        assert_eq!(subscriptions.participants().count(), 0);
    }

    #[test]
    fn wishes_are_limited_for_and_against() {
        let mut subscriptions = Subscriptions::new(SubscribePolicy::All);
        for key in ["a", "b"] {
            subscriptions.wish(stream("x", key), true, None, 2).unwrap();
            subscriptions
                .wish(stream("y", key), false, None, 2)
                .unwrap();
        }
        assert_eq!(
            subscriptions.wish(stream("x", "c"), true, None, 2),
            Err(TooMany)
        );
        // What is refused leaves the wish that was.
        let refused = subscriptions.wish(stream("y", "a"), true, None, 2);
        assert_eq!(refused, Err(TooMany));
        assert!(subscriptions.mentions(&stream("y", "a")));
        // The same one again is no further one.
        assert_eq!(subscriptions.wish(stream("x", "a"), true, None, 2), Ok(()));
    }
}
