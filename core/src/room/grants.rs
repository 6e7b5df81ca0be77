//! The rights that a token gives its bearer.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::StreamKind;

bitflags::bitflags! {
    /// The rights of a participant. On the wire: the bits as a `u16`; bits that a receiver does not know are dropped,
    /// so that an older peer never grants an unknown right.
    ///
    /// ```
    /// use parlour_core::room::Grants;
    /// let speaker = Grants::PUBLISH_AUDIO | Grants::SUBSCRIBE;
    /// assert!(speaker.contains(Grants::SUBSCRIBE));
    /// assert!(!speaker.intersects(Grants::MODERATOR));
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct Grants: u16 {
        /// Publish `Audio` streams.
        const PUBLISH_AUDIO = 1 << 0;
        /// Publish `Video` streams.
        const PUBLISH_VIDEO = 1 << 1;
        /// Publish `Screen` streams.
        const PUBLISH_SCREEN = 1 << 2;
        /// Receive others' streams.
        const SUBSCRIBE = 1 << 3;
        /// Send messages.
        const SEND_MESSAGES = 1 << 4;
        /// Ask for the floor.
        const REQUEST_FLOOR = 1 << 5;
        /// Remove participants from the session.
        const KICK = 1 << 6;
        /// Silence participants, and lift that.
        const CENSOR = 1 << 7;
        /// End the session for all.
        const END_SESSION = 1 << 8;
        /// Let those who wait in the lobby in, or turn them away.
        const ADMIT = 1 << 9;
        /// Set the attributes of others. One's own take no grant.
        const SET_ATTRIBUTES = 1 << 10;

        /// An ordinary party of a meeting.
        const PARTICIPANT = Self::PUBLISH_AUDIO.bits()
            | Self::PUBLISH_VIDEO.bits()
            | Self::PUBLISH_SCREEN.bits()
            | Self::SUBSCRIBE.bits()
            | Self::SEND_MESSAGES.bits()
            | Self::REQUEST_FLOOR.bits();
        /// The additional rights of a moderator.
        const MODERATOR = Self::KICK.bits()
            | Self::CENSOR.bits()
            | Self::END_SESSION.bits()
            | Self::ADMIT.bits()
            | Self::SET_ATTRIBUTES.bits();
    }
}

impl Grants {
    /// The right that publishing a stream of this kind requires.
    pub const fn to_publish(kind: StreamKind) -> Self {
        match kind {
            StreamKind::Audio => Self::PUBLISH_AUDIO,
            StreamKind::Video => Self::PUBLISH_VIDEO,
            StreamKind::Screen => Self::PUBLISH_SCREEN,
        }
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bits().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u16::deserialize(deserializer).map(Self::from_bits_truncate)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Grants {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Grants({=u16:b})", self.bits());
    }
}
