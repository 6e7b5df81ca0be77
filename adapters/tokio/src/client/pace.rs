//! Frames of sound that was handed over before it is due.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use parlour_core::audio::FrameTime;
use parlour_core::room::StreamKey;
use parlour_core::rtp::AudioLevel;
use parlour_core::time::Instant;

/// Frames of a stream that wait: a minute of 20 ms each.
const MOST: usize = 3_000;

pub(super) struct Frame {
    time: FrameTime,
    pub(super) level: AudioLevel,
    pub(super) payload: Bytes,
}

impl Frame {
    pub(super) fn timestamp(&self) -> u32 {
        self.time.timestamp
    }
}

/// Each stream's frames, in the order in which they were handed over.
#[derive(Default)]
pub(super) struct Paced(BTreeMap<StreamKey, VecDeque<Frame>>);

impl Paced {
    /// Whether a frame of the stream `key` has to wait, for its time or for another before it.
    pub(super) fn has_to_wait(&self, now: Instant, key: &StreamKey, time: FrameTime) -> bool {
        time.due > now || self.0.contains_key(key)
    }

    pub(super) fn push(
        &mut self,
        key: &StreamKey,
        time: FrameTime,
        level: AudioLevel,
        payload: &[u8],
    ) {
        let frames = self.0.entry(key.clone()).or_default();
        if frames.len() >= MOST {
            frames.pop_front();
            tracing::debug!(%key, "more than a minute of sound waits, the oldest is dropped");
        }
        frames.push_back(Frame {
            time,
            level,
            payload: Bytes::copy_from_slice(payload),
        });
    }

    /// Hands what is due at `now` to `send`.
    pub(super) fn release(&mut self, now: Instant, mut send: impl FnMut(&StreamKey, &Frame)) {
        self.0.retain(|key, frames| {
            while let Some(frame) = frames.pop_front_if(|frame| frame.time.due <= now) {
                send(key, &frame);
            }
            !frames.is_empty()
        });
    }

    /// The time of the next frame.
    pub(super) fn due(&self) -> Option<Instant> {
        let first = |frames: &VecDeque<Frame>| frames.front().map(|frame| frame.time.due);
        self.0.values().filter_map(first).min()
    }

    /// Forgets the frames of a stream; gives the timestamp of the first of them.
    pub(super) fn forget(&mut self, key: &StreamKey) -> Option<u32> {
        let frames = self.0.remove(key)?;
        frames.front().map(Frame::timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::AudioOptions;
    use crate::client::encoder::talker;
    use parlour_core::audio::codec::SampleRate;
    use parlour_core::audio::decoder::Decoder;
    use parlour_core::audio::{JitterConfig, Lateness, Packet, Player};
    use parlour_core::room::Codec;

    fn key(name: &str) -> StreamKey {
        StreamKey::new(name).unwrap()
    }

    /// The timestamps of four seconds of sound, written in pieces of `ms` when they are due, with the ms at which each
    /// is sent; and how many blocks of 20 ms a listener hears of it.
    fn sent(ms: u64) -> (Vec<(u32, u64)>, u64) {
        let rate = SampleRate::Hz48000;
        let mut talker = talker(&AudioOptions::pcmu(rate)).unwrap();
        let (mut paced, mic, mut sent) = (Paced::default(), key("mic"), Vec::new());
        let mut payload = [0; 160];
        // As small a jitter buffer as devices have.
        let decoder = Decoder::without_opus(SampleRate::Hz16000);
        let mut player = Player::<_, 12, 160, 960>::new(decoder, JitterConfig::default());
        let mut lateness = Lateness::new();
        let (mut arrived, mut heard) = (0, 0);
        for tick in 0..4_500 {
            let now = Instant::from_micros(tick * 1_000);
            paced.release(now, |_, frame| sent.push((frame.timestamp(), tick)));
            if tick.is_multiple_of(ms) && tick + ms <= 4_000 {
                let pcm = vec![1_000; ms as usize * 48];
                let mut rest = &pcm[..];
                talker.begin(now, || None);
                while let Some(spoken) = talker.take(&mut rest, &mut payload).unwrap() {
                    if paced.has_to_wait(now, &mic, spoken.time) {
                        paced.push(&mic, spoken.time, spoken.level, spoken.payload.unwrap());
                    } else {
                        sent.push((spoken.time.timestamp, tick));
                    }
                }
            }
            for (timestamp, _) in sent.iter().skip(arrived) {
                let packet = Packet {
                    sequence: arrived as u64,
                    timestamp: u64::from(*timestamp) * 6,
                    duration: 960,
                    codec: Codec::Pcmu,
                    speaker: Some(1),
                    marker: arrived == 0,
                    payload: &[0x10; 160],
                };
                player.push(now, packet, &mut lateness).unwrap();
                arrived += 1;
            }
            if tick.is_multiple_of(20) {
                let mut block = [0; 320];
                player.read(now, &mut block);
                heard += u64::from(block.iter().any(|sample| sample.unsigned_abs() > 4_000));
            }
        }
        assert_eq!(paced.due(), None, "all is sent");
        (sent, heard)
    }

    #[test]
    fn pieces_of_any_length_are_heard_whole_and_sent_at_the_pace_of_sound() {
        for ms in [7, 20, 50, 200, 300, 500, 1_000, 2_000] {
            let (sent, heard) = sent(ms);
            std::println!("{ms} ms: {heard} of {} heard", sent.len());
            let whole = 4_000 / ms * ms / 20;
            assert_eq!(sent.len() as u64, whole, "pieces of {ms} ms");
            assert!(
                heard >= whole,
                "pieces of {ms} ms: {heard} of {whole} heard"
            );
            for ((timestamp, at), frame) in sent.into_iter().zip(0_u64..) {
                assert_eq!(u64::from(timestamp), frame * 160, "pieces of {ms} ms");
                // With the piece in which its last sample is, or when it is due, up to one frame late.
                let written = (frame * 20 + 19) / ms * ms;
                let due = written.max((frame * 20).saturating_sub(40));
                assert!(
                    (due..due + 20).contains(&at),
                    "pieces of {ms} ms: {frame} at {at} ms"
                );
            }
        }
    }

    #[test]
    fn more_than_a_minute_does_not_wait_and_what_is_forgotten_is_not_sent() {
        let mut paced = Paced::default();
        let (mic, other) = (key("mic"), key("other"));
        for frame in 0..=MOST as u64 {
            let time = FrameTime {
                timestamp: frame as u32,
                due: Instant::from_micros(frame),
            };
            paced.push(&mic, time, AudioLevel::SILENCE, &[1]);
            paced.push(&other, time, AudioLevel::SILENCE, &[1]);
        }
        paced.forget(&other);
        let mut sent = Vec::new();
        paced.release(Instant::from_micros(u64::MAX), |key, frame| {
            assert_eq!(*key, mic);
            sent.push(frame.timestamp());
        });
        assert_eq!(sent, (1..=MOST as u32).collect::<Vec<_>>());
    }
}
