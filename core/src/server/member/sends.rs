//! A participant's output to others.

use alloc::vec::Vec;

use super::progress::Progress;
use crate::audio::Loudness;
use crate::room::{Codec, Stream, StreamKey, StreamKind};
use crate::rtp::ReceptionStats;
use crate::server::Config;
use crate::server::limits::{Allowance, TokenBucket};
use crate::time::Instant;

/// One stream that a participant publishes.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) key: StreamKey,
    pub(crate) kind: StreamKind,
    pub(crate) codec: Codec,
    pub(crate) ssrc: u32,
    pub(crate) muted: bool,
    pub(crate) reception: ReceptionStats,
    pub(crate) progress: Progress,
    /// Whether anything arrived since the last report.
    pub(crate) unreported: bool,
    pub(crate) loudness: Loudness,
}

impl Publication {
    pub(crate) fn new(stream: &Stream) -> Self {
        Self {
            key: stream.key.clone(),
            kind: stream.kind,
            codec: stream.codec,
            ssrc: stream.ssrc,
            muted: stream.muted,
            reception: ReceptionStats::new(stream.ssrc, stream.codec.clock_rate()),
            progress: Progress::default(),
            unreported: false,
            loudness: Loudness::new(),
        }
    }

    /// The one of `streams` with this SSRC.
    pub(crate) fn by_ssrc(streams: &mut [Self], ssrc: u32) -> Option<&mut Self> {
        streams.iter_mut().find(|stream| stream.ssrc == ssrc)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Sends {
    pub(crate) streams: Vec<Publication>,
    pub(crate) censored: bool,
    pub(crate) media: Allowance,
    pub(crate) audio: Allowance,
    pub(crate) messages: Allowance,
    /// Of changes that all are told of.
    pub(crate) changes: TokenBucket,
    /// The time of its next report.
    pub(crate) report_at: Option<Instant>,
    /// An encoded report that waits to be sent.
    pub(crate) report: Vec<u8>,
    pub(crate) loss: u8,
    /// Packets of media that came.
    pub(crate) packets: u64,
}

impl Sends {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            streams: Vec::new(),
            censored: false,
            media: Allowance::new(config.media, now),
            audio: Allowance::new(config.audio, now),
            messages: Allowance::new(config.messages, now),
            changes: TokenBucket::new(config.changes, now),
            report_at: None,
            report: Vec::new(),
            loss: 0,
            packets: 0,
        }
    }

    pub(crate) fn stream(&self, key: &StreamKey) -> Option<&Publication> {
        self.streams.iter().find(|stream| stream.key == *key)
    }

    pub(crate) fn stream_mut(&mut self, key: &StreamKey) -> Option<&mut Publication> {
        self.streams.iter_mut().find(|stream| stream.key == *key)
    }
}
