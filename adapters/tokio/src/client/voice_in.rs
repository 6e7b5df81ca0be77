//! The sound of one participant, beside that of all.

use std::sync::Arc;

use parlour_core::audio::{Follower, Lateness};
use parlour_core::room::{MAX_STREAMS, ParticipantId, StreamKey};
use parlour_core::signal::StreamRef;

use super::audio_in::{Mix, Pace};
use super::frames::{Frames, Talkers};
use super::player::Player;
use super::rate::{Output, SampleRate};
use super::shared::{Shared, SlotFrame};

/// The audio to read: all of a participant's, or one stream.
///
/// ```
/// use parlour_tokio::{AudioSource, ParticipantId};
/// let anna = ParticipantId::new("anna")?;
/// let source = AudioSource::from(&anna);
/// # Ok::<(), parlour_tokio::core::room::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioSource {
    /// All audio streams of a participant, mixed.
    Participant(ParticipantId),
    /// One stream.
    Stream(StreamRef),
}

impl AudioSource {
    fn has(&self, stream: &StreamRef) -> bool {
        match self {
            Self::Participant(participant) => stream.participant == *participant,
            Self::Stream(wanted) => stream == wanted,
        }
    }
}

impl From<ParticipantId> for AudioSource {
    fn from(participant: ParticipantId) -> Self {
        Self::Participant(participant)
    }
}

impl From<&ParticipantId> for AudioSource {
    fn from(participant: &ParticipantId) -> Self {
        participant.clone().into()
    }
}

impl From<StreamRef> for AudioSource {
    fn from(stream: StreamRef) -> Self {
        Self::Stream(stream)
    }
}

impl From<&StreamRef> for AudioSource {
    fn from(stream: &StreamRef) -> Self {
        stream.clone().into()
    }
}

/// One stream that is or was heard.
#[derive(Debug)]
struct Track {
    key: StreamKey,
    follower: Follower,
    player: Player,
}

/// The audio of one participant, or of one of its streams, as mono PCM: silence while there is none, and when it has
/// left. If it comes back it is heard again.
///
/// The reader follows the participant through the slots, so it is heard as well as by a
/// [`MixedReader`](crate::MixedReader). If more participants talk than there are slots, the loudest are heard: to
/// hear one in any case, [`pin`](crate::Room::pin) its stream. If the server mixes
/// ([`SubscribePolicy::Mix`](crate::SubscribePolicy::Mix)), it is heard only while no other participant is.
///
/// Decoding happens in [`read`](Self::read), on the caller's thread: give that 512 KB of stack, in debug builds 1 MB;
/// tokio's and Rust's own threads have 2 MB.
#[derive(Debug)]
pub struct ParticipantReader {
    shared: Arc<Shared>,
    frames: Frames,
    talkers: Talkers,
    source: AudioSource,
    rate: SampleRate,
    tracks: Vec<Track>,
    lateness: Lateness,
    /// For the first stream, so that nothing is allocated when it begins.
    spare: Option<Player>,
    output: Output,
    pace: Pace,
    mix: Mix,
    /// The track heard last, if any.
    heard: Option<usize>,
}

impl ParticipantReader {
    pub(super) fn new(shared: Arc<Shared>, source: AudioSource, rate: SampleRate) -> Self {
        Self {
            frames: Frames::new(&shared),
            talkers: Talkers::new(Arc::clone(&shared)),
            shared,
            source,
            rate,
            tracks: Vec::with_capacity(MAX_STREAMS),
            lateness: Lateness::new(),
            spare: Player::new(rate.decoded()),
            output: Output::new(rate),
            pace: Pace::new(rate),
            mix: Mix::default(),
            heard: None,
        }
    }

    /// Fills `pcm` with the next audio to play, and returns the stream heard at its end: `None` in silence. Never
    /// waits.
    pub fn read(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        let now = self.shared.clock.now();
        while let Some(frame) = self.frames.take() {
            self.push(&frame);
        }
        let (tracks, mix, heard) = (&mut self.tracks, &mut self.mix, &mut self.heard);
        self.output.fill(pcm, |later, pcm| {
            let players = tracks.iter_mut().map(|track| &mut track.player);
            *heard = mix.read(now + later, players, pcm);
        });
        let key = self.tracks.get(self.heard?)?.key.clone();
        Some(match &self.source {
            AudioSource::Participant(participant) => StreamRef {
                participant: participant.clone(),
                key,
            },
            AudioSource::Stream(stream) => stream.clone(),
        })
    }

    /// [Reads](Self::read) as much as `pcm` holds, at the pace of this machine's clock: the next call waits as long as
    /// these samples last.
    ///
    /// Cancellation-safe.
    pub async fn next_frame(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        self.pace.wait_for(pcm.len()).await;
        self.read(pcm)
    }

    fn push(&mut self, frame: &SlotFrame) {
        let stream = self.talkers.of(frame);
        let key = (stream.filter(|stream| self.source.has(stream))).map(|stream| stream.key);
        for track in &mut self.tracks {
            if Some(&track.key) != key.as_ref() {
                track.follower.other(frame.slot, frame.sequence);
            }
        }
        let Some(index) = key.and_then(|key| self.track(key)) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(index) else {
            return;
        };
        let place = (track.follower).place(
            frame.arrived,
            frame.slot,
            frame.sequence,
            frame.timestamp,
            frame.duration,
        );
        if let Some(place) = place {
            let frame = SlotFrame {
                sequence: place.sequence,
                timestamp: place.timestamp,
                marker: frame.marker || place.begins,
                ..frame.clone()
            };
            track.player.push(&frame, &mut self.lateness);
        }
    }

    /// The track of a stream; of five, the first is one that is published no more.
    fn track(&mut self, key: StreamKey) -> Option<usize> {
        let known = self.tracks.iter().position(|track| track.key == key);
        if known.is_some() {
            return known;
        }
        if self.tracks.len() >= MAX_STREAMS {
            self.tracks.remove(0);
        }
        let spare = self.spare.take();
        let player = spare.or_else(|| Player::new(self.rate.decoded()))?;
        self.tracks.push(Track {
            key,
            follower: Follower::new(),
            player,
        });
        self.tracks.len().checked_sub(1)
    }
}
