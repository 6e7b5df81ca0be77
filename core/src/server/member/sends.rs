//! A participant's output to others.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::pictures::Pictures;
use super::progress::Progress;
use crate::audio::Loudness;
use crate::room::{Codec, Stream, StreamKey, StreamKind};
use crate::rtp::ReceptionStats;
use crate::server::Config;
use crate::server::context::Context;
use crate::server::limits::{Allowance, TokenBucket};
use crate::time::{Duration, Instant, earlier};
use crate::video::Question;
use crate::wire::FrameWriter;

/// The time from one report on what has arrived to the next.
const ARRIVED_INTERVAL: Duration = Duration::from_millis(100);
/// Most questions that wait.
const MAX_QUESTIONS: usize = 64;

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
    /// Of a stream of pictures.
    pub(crate) pictures: Option<Box<Pictures>>,
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
            pictures: (stream.kind != StreamKind::Audio).then(|| Box::new(Pictures::new())),
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
    /// When the newest packet with pictures came, unless it was told since; and when it may be told.
    pub(crate) arrival: Option<Instant>,
    pub(crate) arrival_due: Instant,
    /// What to ask for about streams of pictures.
    pub(crate) questions: VecDeque<(u32, Question)>,
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
            arrival: None,
            arrival_due: now,
            questions: VecDeque::new(),
            loss: 0,
            packets: 0,
        }
    }

    /// Gives up all packets that are kept: the streams end.
    pub(crate) fn clear_pictures(&mut self, cx: &mut Context) {
        for stream in &mut self.streams {
            if let Some(pictures) = &mut stream.pictures {
                pictures.clear(cx);
            }
        }
    }

    /// Does what is due about streams of pictures: gives up old packets, and puts what the publisher is to be asked for to
    /// those questions that wait. `round_trip` is that to it.
    pub(crate) fn tend_pictures(&mut self, cx: &mut Context, round_trip: Option<Duration>) {
        for stream in &mut self.streams {
            let Some(pictures) = &mut stream.pictures else {
                continue;
            };
            pictures.expire(cx);
            while let Some(question) = pictures.poll_question(cx.now, round_trip) {
                // If so many wait, they are late already, and asked again.
                if self.questions.len() < MAX_QUESTIONS {
                    self.questions.push_back((stream.ssrc, question));
                }
            }
        }
    }

    /// When the newest packet with pictures came, if the publisher is to be told now what has arrived.
    pub(crate) fn take_arrival(&mut self, now: Instant) -> Option<Instant> {
        let at = self.arrival.filter(|_| self.arrival_due <= now)?;
        self.arrival = None;
        self.arrival_due = now + ARRIVED_INTERVAL;
        Some(at)
    }

    /// Writes the questions that wait, as many as fit.
    pub(crate) fn write_questions(&mut self, writer: &mut FrameWriter<'_>) {
        while let Some((ssrc, question)) = self.questions.front() {
            if let Some(feedback) = question.as_feedback()
                && writer.push(&feedback.frame(*ssrc)).is_err()
            {
                return;
            }
            self.questions.pop_front();
        }
    }

    /// When [`tend_pictures`](Self::tend_pictures) has something to do.
    pub(crate) fn pictures_timeout(&self) -> Option<Instant> {
        let streams = self.streams.iter();
        let pictures = streams.filter_map(|stream| stream.pictures.as_ref());
        let timeouts = pictures.map(|pictures| pictures.next_timeout());
        timeouts.fold(None, earlier)
    }

    pub(crate) fn stream(&self, key: &StreamKey) -> Option<&Publication> {
        self.streams.iter().find(|stream| stream.key == *key)
    }

    pub(crate) fn stream_mut(&mut self, key: &StreamKey) -> Option<&mut Publication> {
        self.streams.iter_mut().find(|stream| stream.key == *key)
    }
}
