//! The subscriptions of one participant.

use alloc::vec::Vec;

use crate::room::{Codec, ParticipantId, StreamKind};
use crate::signal::{StreamRef, SubscribePolicy};

/// A policy, and the streams for which the participant said otherwise.
///
/// Subscriptions outlive the stream and its publisher's stay: a participant that comes back under the same name and
/// publishes under the same key is received again, or not. They end with the subscriber's stay.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    policy: SubscribePolicy,
    /// The latest last.
    wishes: Vec<Wish>,
    pinned: Option<StreamRef>,
}

#[derive(Debug)]
struct Wish {
    stream: StreamRef,
    wanted: bool,
    /// The stream's SSRC while it is published, compared with media packets.
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

    /// The codec of the mix that replaces all audio streams, if subscribed.
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

    /// Takes a wish for or against a stream, at most `limit` of each. If there are as many, the oldest about a stream that is not
    /// published makes room.
    pub(crate) fn wish(
        &mut self,
        stream: StreamRef,
        wanted: bool,
        ssrc: Option<u32>,
        limit: usize,
    ) -> Result<(), TooMany> {
        let is_like = |wish: &Wish| wish.wanted == wanted && wish.stream != stream;
        if self.wishes.iter().filter(|wish| is_like(wish)).count() >= limit {
            let is_idle = |wish: &Wish| is_like(wish) && wish.ssrc.is_none();
            let idle = self.wishes.iter().position(is_idle).ok_or(TooMany)?;
            self.wishes.remove(idle);
        }
        self.wishes.retain(|wish| wish.stream != stream);
        self.wishes.push(Wish {
            stream,
            wanted,
            ssrc,
        });
        Ok(())
    }

    /// Whether this stream was subscribed or unsubscribed by name.
    pub(crate) fn mentions(&self, stream: &StreamRef) -> bool {
        self.wishes.iter().any(|wish| wish.stream == *stream)
    }

    pub(crate) fn pin(&mut self, stream: Option<StreamRef>) {
        self.pinned = stream;
    }

    /// Whether this stream is the pinned one.
    pub(crate) fn is_pinned(&self, stream: &StreamRef) -> bool {
        self.pinned.as_ref() == Some(stream)
    }

    /// A stream appeared under this name, or disappeared.
    pub(crate) fn resolve(&mut self, stream: &StreamRef, ssrc: Option<u32>) {
        for wish in &mut self.wishes {
            if wish.stream == *stream {
                wish.ssrc = ssrc;
            }
        }
    }

    /// The participant is out of the session, and so are its streams.
    pub(crate) fn left(&mut self, participant: &ParticipantId) {
        for wish in &mut self.wishes {
            if wish.stream.participant == *participant {
                wish.ssrc = None;
            }
        }
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
    fn wishes_follow_the_name_whoever_bears_it() {
        let mut subscriptions = Subscriptions::new(SubscribePolicy::None);
        let cam = stream("a", "cam");
        subscriptions.wish(cam.clone(), true, Some(5), 4).unwrap();
        subscriptions.pin(Some(cam.clone()));
        assert!(subscriptions.is_pinned(&cam));
        subscriptions.resolve(&cam, None);
        assert!(!subscriptions.want(5, StreamKind::Video));
        subscriptions.resolve(&cam, Some(9));
        assert!(subscriptions.want(9, StreamKind::Video));
        assert_eq!(subscriptions.participants().count(), 2);
        subscriptions.left(&cam.participant);
        assert!(!subscriptions.want(9, StreamKind::Video));
        subscriptions.resolve(&cam, Some(11));
        assert!(subscriptions.want(11, StreamKind::Video));
        assert!(subscriptions.is_pinned(&cam));
    }

    #[test]
    fn wishes_are_limited_for_and_against() {
        let mut subscriptions = Subscriptions::new(SubscribePolicy::All);
        for (ssrc, key) in ["a", "b"].into_iter().enumerate() {
            let ssrc = Some(ssrc as u32);
            subscriptions.wish(stream("x", key), true, ssrc, 2).unwrap();
            subscriptions
                .wish(stream("y", key), false, ssrc, 2)
                .unwrap();
        }
        assert_eq!(
            subscriptions.wish(stream("x", "c"), true, None, 2),
            Err(TooMany)
        );
        // A refused subscription leaves the former one.
        let refused = subscriptions.wish(stream("y", "a"), true, None, 2);
        assert_eq!(refused, Err(TooMany));
        assert!(subscriptions.mentions(&stream("y", "a")));
        // The same one again is no further one.
        assert_eq!(
            subscriptions.wish(stream("x", "a"), true, Some(0), 2),
            Ok(())
        );
    }

    #[test]
    fn what_is_not_published_makes_room_the_oldest_first() {
        let mut subscriptions = Subscriptions::new(SubscribePolicy::All);
        for name in ["a", "b", "c"] {
            subscriptions
                .wish(stream(name, "mic"), false, Some(1), 3)
                .unwrap();
        }
        subscriptions.left(&ParticipantId::new("b").unwrap());
        subscriptions.left(&ParticipantId::new("c").unwrap());
        // The last place of the other kind is no place for this one.
        subscriptions
            .wish(stream("d", "mic"), true, None, 3)
            .unwrap();
        let wish = |subscriptions: &mut Subscriptions, name| {
            subscriptions.wish(stream(name, "mic"), false, Some(2), 3)
        };
        assert_eq!(wish(&mut subscriptions, "e"), Ok(()));
        assert!(!subscriptions.mentions(&stream("b", "mic")));
        assert!(subscriptions.mentions(&stream("c", "mic")));
        assert_eq!(wish(&mut subscriptions, "f"), Ok(()));
        assert_eq!(wish(&mut subscriptions, "g"), Err(TooMany));
        for name in ["a", "d", "e", "f"] {
            assert!(subscriptions.mentions(&stream(name, "mic")), "{name}");
        }
    }
}
