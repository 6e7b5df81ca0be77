//! Frames of sound as they arrive, still encoded, with whose they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parlour_core::audio::Follower;
use parlour_core::room::Codec;
use parlour_core::rtp::AudioLevel;
use parlour_core::signal::StreamRef;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::shared::{Shared, SlotFrame};

/// Streams that are remembered at a time: four times as many as can be heard at once.
const REMEMBERED: usize = 128;

/// The frames that have arrived for one reader. If it is slow, the oldest are lost to it.
#[derive(Debug)]
pub(super) struct Frames {
    frames: Receiver<SlotFrame>,
    missed: u64,
}

impl Frames {
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            frames: shared.subscribe_frames(),
            missed: 0,
        }
    }

    /// The next of those that are here.
    pub(super) fn take(&mut self) -> Option<SlotFrame> {
        loop {
            match self.frames.try_recv() {
                Ok(frame) => return Some(frame),
                Err(TryRecvError::Lagged(lost)) => self.miss(lost),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    async fn next(&mut self) -> Option<SlotFrame> {
        loop {
            match self.frames.recv().await {
                Ok(frame) => return Some(frame),
                Err(RecvError::Lagged(lost)) => self.miss(lost),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn miss(&mut self, lost: u64) {
        self.missed += lost;
        tracing::debug!(lost, "audio read too slowly");
    }
}

/// The stream of the frames: the room's state is asked once for each stream.
#[derive(Debug)]
pub(super) struct Talkers {
    shared: Arc<Shared>,
    known: BTreeMap<u32, StreamRef>,
}

impl Talkers {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            known: BTreeMap::new(),
        }
    }

    /// The stream that a frame is of; `None` if it is of several, or of one that is not known here.
    pub(super) fn of(&mut self, frame: &SlotFrame) -> Option<StreamRef> {
        let ssrc = frame.speaker.filter(|_| !frame.mixed)?;
        if let Some(stream) = self.known.get(&ssrc) {
            return Some(stream.clone());
        }
        let stream = self.shared.stream_with(ssrc)?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(ssrc, stream.clone());
        Some(stream)
    }
}

/// One frame of sound, as its sender encoded it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodedFrame {
    /// The stream.
    pub stream: StreamRef,
    /// The codec of the payload.
    pub codec: Codec,
    /// Counts the packets of the stream that were sent to this participant: a gap is a loss. A packet that comes late has
    /// a lower number than the one before.
    pub sequence: u64,
    /// The time of the first sample, counted from the first frame of the stream that is read here, at 48 kHz for
    /// every codec. It goes on through pauses.
    pub timestamp: u64,
    /// The duration in the same units: 960 are 20 ms.
    pub duration: u32,
    /// How loud it is, if its sender says so.
    pub level: Option<AudioLevel>,
    /// Whether it follows a silence, or audio that was not sent to this participant.
    pub marker: bool,
    /// The time of arrival, by the clock of [`tokio::time`].
    pub arrived: tokio::time::Instant,
    /// One payload of `codec`, as RTP carries it.
    pub payload: Bytes,
}

/// The frames of all streams that reach this participant, in the order in which they come: for recorders and gateways, which
/// need not decode them.
///
/// It reads what the slots carry: in a room in which more talk than there are slots, the loudest. Nothing comes of a mix
/// of several ([`SubscribePolicy::Mix`](crate::SubscribePolicy::Mix)), which is nobody's.
///
/// Bounded: to a reader that is too slow the oldest are lost, and [`missed`](Self::missed) counts them.
#[derive(Debug)]
pub struct FrameReader {
    frames: Frames,
    talkers: Talkers,
    /// By the stream and not its SSRC, which is another one after each publication: the numbers go on.
    streams: BTreeMap<StreamRef, Follower>,
    unknown: u64,
}

impl FrameReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            frames: Frames::new(&shared),
            talkers: Talkers::new(shared),
            streams: BTreeMap::new(),
            unknown: 0,
        }
    }

    /// The next frame; `None` once the room is closed and all have been read.
    ///
    /// Cancellation-safe: a frame is either returned or still there.
    pub async fn next(&mut self) -> Option<EncodedFrame> {
        loop {
            let frame = self.frames.next().await?;
            if let Some(frame) = self.place(frame) {
                return Some(frame);
            }
        }
    }

    /// The number of frames this reader missed: it was too slow, or they arrived before their stream was known.
    pub fn missed(&self) -> u64 {
        self.frames.missed + self.unknown
    }

    fn place(&mut self, frame: SlotFrame) -> Option<EncodedFrame> {
        let stream = self.talkers.of(&frame);
        for (known, follower) in &mut self.streams {
            if stream.as_ref() != Some(known) {
                follower.other(frame.slot, frame.sequence);
            }
        }
        let Some(stream) = stream else {
            self.unknown += u64::from(!frame.mixed);
            return None;
        };
        let follower = self.streams.entry(stream.clone()).or_default();
        let SlotFrame { arrived, slot, .. } = frame;
        let place = follower.place(
            arrived,
            slot,
            frame.sequence,
            frame.timestamp,
            frame.duration,
        )?;
        Some(EncodedFrame {
            stream,
            codec: frame.codec,
            sequence: place.sequence,
            timestamp: place.timestamp,
            duration: frame.duration,
            level: frame.level,
            marker: frame.marker || place.begins,
            arrived: self.talkers.shared.clock.at(arrived),
            payload: frame.payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use parlour_core::time::Instant;

    use super::*;

    #[test]
    fn what_a_slow_reader_misses_is_counted() {
        let (sender, receiver) = tokio::sync::broadcast::channel(4);
        let mut frames = Frames {
            frames: receiver,
            missed: 0,
        };
        for sequence in 0..6 {
            let frame = SlotFrame {
                arrived: Instant::from_micros(0),
                slot: 0,
                codec: Codec::Pcmu,
                sequence,
                timestamp: 0,
                duration: 960,
                level: None,
                marker: false,
                speaker: None,
                mixed: false,
                payload: Bytes::new(),
            };
            assert!(sender.send(frame).is_ok());
        }
        let read: Vec<_> = std::iter::from_fn(|| frames.take()).collect();
        let sequences: Vec<_> = read.iter().map(|frame| frame.sequence).collect();
        assert_eq!((&sequences[..], frames.missed), (&[2, 3, 4, 5][..], 2));
    }
}
