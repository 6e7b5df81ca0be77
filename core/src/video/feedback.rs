//! What watchers tell publishers of their pictures.

use crate::time::Duration;
#[cfg(feature = "server")]
use crate::wire::Frame;
use crate::wire::{Arrived, Lost, LostList};

/// How long a lost packet is asked for after it was found missing. A publisher keeps packets a little longer.
pub(crate) const REPAIR_PATIENCE: Duration = Duration::from_millis(450);
/// How long packets are kept for those who have lost them.
pub(crate) const KEPT_FOR: Duration = Duration::from_millis(500);
/// The round-trip time before one was measured.
pub(crate) const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(100);
/// The least time from one key picture of a layer to the next, and from one request for one to the next.
pub(crate) const KEY_INTERVAL: Duration = Duration::from_millis(300);

/// What the receivers of a stream need of its publisher. It goes to [`PictureSender::handle_feedback`](super::PictureSender::handle_feedback).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Feedback<'a> {
    /// These packets again.
    Lost(Lost<'a>),
    /// A key picture.
    KeyWanted {
        /// Of which layer.
        layer: u8,
    },
    /// Nothing, but this has arrived of all that its end of the connection sends.
    Arrived(Arrived),
}

impl Feedback<'_> {
    /// As a frame about the flow `ssrc`.
    #[cfg(feature = "server")]
    pub(crate) const fn frame(&self, ssrc: u32) -> Frame<'_> {
        match *self {
            Self::Lost(lost) => Frame::Nack { ssrc, lost },
            Self::KeyWanted { layer } => Frame::KeyWanted { ssrc, layer },
            Self::Arrived(arrived) => Frame::Arrived(arrived),
        }
    }
}

/// The same, by one who makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    Lost(LostList),
    KeyWanted { layer: u8 },
}

impl Question {
    /// `None` if it asks for nothing.
    pub(crate) fn as_feedback(&self) -> Option<Feedback<'_>> {
        match self {
            Self::Lost(list) => list.as_lost().map(Feedback::Lost),
            Self::KeyWanted { layer } => Some(Feedback::KeyWanted { layer: *layer }),
        }
    }
}
