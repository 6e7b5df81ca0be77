//! One slot's packets to PCM: the jitter buffer, the decoder behind it, and the PCM buffered between the two.
//!
//! A packet holds 2.5 to 120 ms of audio, while the playing side reads as many samples as *its* clock needs.
//! [`Player::read`] returns any number of them:
//!
//! ```text
//! push ──► [ JitterBuffer ] ──pull──► [ Decoder ] ──► [ ready: up to PCM samples ] ──► read
//! ```

use super::codec::{AudioDecoder, DecodeError, FrameDuration};
use super::decoder::Decoder;
use super::{JitterBuffer, JitterConfig, JitterStatistics, Lateness, Packet, Pull, PushError};
use crate::room::Codec;
use crate::time::Instant;

/// RTP timestamp units per ms in a slot.
const CLOCK_PER_MS: usize = 48;

/// Plays one slot at the decoder's rate.
///
/// `PACKETS` and `BYTES` are those of its [`JitterBuffer`]; `PCM` is how many samples are decoded at
/// a time: 960 are 60 ms at 16 kHz, or 20 ms at 48 kHz. A packet that is longer, or longer than 60 ms, is decoded in parts,
/// which for Opus are its frames: one *frame* that is longer is concealed instead.
///
/// ```
/// use parlour_core::audio::codec::SampleRate;
/// use parlour_core::audio::decoder::Decoder;
/// use parlour_core::audio::{JitterConfig, Packet, Player};
/// use parlour_core::room::Codec;
/// use parlour_core::time::{Duration, Instant};
///
/// let decoder = Decoder::without_opus(SampleRate::Hz16000);
/// let mut player = Player::<_, 8, 160, 960>::new(decoder, JitterConfig::default());
/// let mut now = Instant::from_micros(0);
/// let mut heard = false;
/// for sequence in 0..10 {
///     player.push(now, Packet {
///         sequence,
///         timestamp: sequence * 960,
///         duration: 960,
///         codec: Codec::Pcmu,
///         speaker: Some(7),
///         marker: sequence == 0,
///         payload: &[0x80; 160],
///     })?;
///     let mut pcm = [0; 320];
///     player.read(now, &mut pcm);
///     heard |= player.speaker() == Some(7) && pcm.iter().any(|&sample| sample != 0);
///     now += Duration::from_millis(20);
/// }
/// assert!(heard);
/// # Ok::<(), parlour_core::audio::PushError>(())
/// ```
#[derive(Debug)]
pub struct Player<O, const PACKETS: usize, const BYTES: usize, const PCM: usize> {
    jitter: JitterBuffer<PACKETS, BYTES>,
    decoder: Decoder<O>,
    config: JitterConfig,
    /// Decoded PCM: the samples from `read` to `end` are still to be played.
    ready: [i16; PCM],
    read: usize,
    end: usize,
    /// Codec and stream of the last decoded audio.
    heard: Codec,
    speaker: Option<u32>,
    long: Long<BYTES>,
}

/// A packet that exceeds the PCM decoded at a time.
#[derive(Debug)]
struct Long<const BYTES: usize> {
    payload: [u8; BYTES],
    len: usize,
    /// The next part to decode.
    part: usize,
    /// The number of its samples that are not decoded yet.
    samples: usize,
}

impl<const BYTES: usize> Long<BYTES> {
    const NONE: Self = Self {
        payload: [0; BYTES],
        len: 0,
        part: 0,
        samples: 0,
    };

    fn set(&mut self, payload: &[u8], samples: usize) {
        if let Some(place) = self.payload.get_mut(..payload.len()) {
            place.copy_from_slice(payload);
            self.len = payload.len();
            self.part = 0;
            self.samples = samples;
        }
    }
}

impl<O: AudioDecoder, const PACKETS: usize, const BYTES: usize, const PCM: usize>
    Player<O, PACKETS, BYTES, PCM>
{
    /// A player that has heard nothing yet. The jitter buffer uses the slots' 48 kHz clock and ignores that of
    /// `config`.
    pub fn new(decoder: Decoder<O>, config: JitterConfig) -> Self {
        const {
            // The jitter buffer asks for silence in pieces of up to 20 ms at 48 kHz.
            assert!(PCM >= 160, "PCM must hold at least 20 ms at 8 kHz");
        }
        let config = JitterConfig {
            clock_rate: CLOCK_PER_MS as u32 * 1000,
            ..config
        };
        Self {
            jitter: JitterBuffer::new(config),
            decoder,
            config,
            ready: [0; PCM],
            read: 0,
            end: 0,
            heard: Codec::Opus,
            speaker: None,
            long: Long::NONE,
        }
    }

    /// Takes a packet that arrived at `now`.
    ///
    /// # Errors
    /// [`PushError`]; the packet was dropped.
    pub fn push(&mut self, now: Instant, packet: Packet<'_>) -> Result<(), PushError> {
        self.jitter.push(now, packet)
    }

    /// Takes a packet of one of several slots that come by the same path, and share what is learnt of it.
    ///
    /// # Errors
    /// [`PushError`]; the packet was dropped.
    pub fn push_sharing(
        &mut self,
        now: Instant,
        packet: Packet<'_>,
        lateness: &mut Lateness,
    ) -> Result<(), PushError> {
        self.jitter.push_sharing(now, packet, lateness)
    }

    /// Fills `pcm` with the audio to play from `now` on. Never waits.
    pub fn read(&mut self, now: Instant, pcm: &mut [i16]) {
        let mut rest = pcm;
        while !rest.is_empty() {
            if self.read >= self.end {
                self.pull(now);
            }
            let ready = self.ready.get(self.read..self.end).unwrap_or_default();
            let len = ready.len().min(rest.len());
            let (filled, later) = rest.split_at_mut(len);
            for (out, &sample) in filled.iter_mut().zip(ready) {
                *out = sample;
            }
            self.read += len;
            rest = later;
        }
    }

    /// SSRC of the stream of the last sample read; `None` in silence, or if the slot does not name it.
    pub fn speaker(&self) -> Option<u32> {
        self.speaker
    }

    /// The counters of the jitter buffer.
    pub fn statistics(&self) -> JitterStatistics {
        self.jitter.statistics()
    }

    /// Discards all packets, for a new session.
    pub fn restart(&mut self) {
        self.jitter = JitterBuffer::new(self.config);
        (self.read, self.end) = (0, 0);
        self.long.samples = 0;
        self.speaker = None;
    }

    /// Makes the next piece of audio: at least one sample.
    fn pull(&mut self, now: Instant) {
        if self.long.samples > 0 {
            return self.decode_part();
        }
        let rate = self.decoder.sample_rate();
        let at_once = rate.samples(FrameDuration::MAX_MS).min(PCM);
        let pull = self.jitter.pull(now);
        let samples = pull.samples() as usize * rate.samples(1) / CLOCK_PER_MS;
        if let Pull::Frame(frame) = pull
            && samples > at_once
        {
            self.speaker = frame.speaker;
            self.heard = frame.codec;
            self.long.set(frame.payload, samples);
            return self.decode_part();
        }
        let samples = samples.clamp(1, PCM);
        let decoded = match pull {
            Pull::Frame(frame) => {
                self.speaker = frame.speaker;
                self.heard = frame.codec;
                (self.decoder).decode(frame.codec, frame.payload, &mut self.ready)
            }
            Pull::Lost { next, .. } => {
                let missing = self.ready.get_mut(..samples).unwrap_or_default();
                match next {
                    Some(next) => {
                        self.decoder.recover(self.heard, next, missing);
                    }
                    None => self.decoder.conceal(missing),
                }
                Ok(samples)
            }
            Pull::Silence { .. } | Pull::Buffering { .. } => {
                self.speaker = None;
                self.ready
                    .iter_mut()
                    .take(samples)
                    .for_each(|sample| *sample = 0);
                Ok(samples)
            }
        };
        self.has_decoded(decoded, samples);
    }

    /// Makes the next part of a long packet.
    fn decode_part(&mut self) {
        let Long { len, part, .. } = self.long;
        let payload = self.long.payload.get_mut(..len).unwrap_or_default();
        let decoded = (self.decoder).decode_part(self.heard, payload, part, &mut self.ready);
        self.long.part += 1;
        self.has_decoded(decoded, self.long.samples.clamp(1, PCM));
        self.long.samples = self.long.samples.saturating_sub(self.end);
    }

    /// Makes decoded audio readable; if decoding failed, `samples` are concealed.
    fn has_decoded(&mut self, decoded: Result<usize, DecodeError>, samples: usize) {
        self.read = 0;
        self.end = match decoded {
            Ok(decoded) => decoded.clamp(1, PCM),
            Err(_) => {
                let missing = self.ready.get_mut(..samples).unwrap_or_default();
                self.decoder.conceal(missing);
                samples
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::codec::SampleRate;
    use crate::audio::decoder::NoOpus;
    use crate::time::Duration;
    use proptest::prelude::*;

    type Small = Player<NoOpus, 8, 160, 320>;

    fn player() -> Small {
        let config = JitterConfig {
            start_delay: Duration::from_millis(40),
            ..JitterConfig::default()
        };
        Small::new(Decoder::without_opus(SampleRate::Hz16000), config)
    }

    fn packet(sequence: u64, payload: &[u8]) -> Packet<'_> {
        Packet {
            sequence,
            timestamp: sequence * 960,
            duration: payload.len() as u32 * 6,
            codec: Codec::Pcmu,
            speaker: Some(5),
            marker: sequence == 0,
            payload,
        }
    }

    /// Plays `packets` 20 ms apart, read in pieces of `piece` samples. Returns the sum of all magnitudes, and whether
    /// the speaker was known.
    fn play(piece: usize, lost: impl Fn(u64) -> bool) -> (u64, bool) {
        let (mut player, mut heard, mut known) = (player(), 0, false);
        for sequence in 0..50_u64 {
            let now = Instant::from_micros(sequence * 20_000);
            if !lost(sequence) {
                player.push(now, packet(sequence, &[0x00; 160])).unwrap();
            }
            let mut pcm = [0; 320];
            for piece in pcm.chunks_mut(piece) {
                player.read(now, piece);
            }
            known |= player.speaker() == Some(5);
            heard += (pcm.iter())
                .map(|sample| u64::from(sample.unsigned_abs()))
                .sum::<u64>();
        }
        (heard, known)
    }

    #[test]
    fn pieces_of_any_length_are_the_same_sound() {
        let whole = play(320, |_| false);
        assert!(whole.0 > 40 * 320 * 20_000 && whole.1, "{whole:?}");
        for piece in [1, 7, 160, 319] {
            assert_eq!(play(piece, |_| false), whole, "{piece}");
        }
    }

    #[test]
    fn a_lost_packet_is_concealed() {
        let (whole, _) = play(320, |_| false);
        let (holed, _) = play(320, |sequence| sequence % 10 == 9);
        assert!(holed > whole * 8 / 10, "{holed} of {whole}");
    }

    /// The loud share of two seconds, in percent, with packets of `ms` at 48 kHz and room for 60 ms.
    fn loud_share(ms: usize) -> usize {
        let decoder = Decoder::without_opus(SampleRate::Hz48000);
        let mut player = Player::<_, 24, 1_200, 2_880>::new(decoder, JitterConfig::default());
        let loud = std::vec![0; ms * 8];
        assert!(crate::rtp::frame_samples(Codec::Pcmu, &loud).is_ok());
        let (mut heard, packets) = (0, 2_000 / ms);
        for sequence in 0..packets as u64 + 10 {
            let now = Instant::from_micros(sequence * ms as u64 * 1_000);
            let duration = ms as u32 * 48;
            let packet = Packet {
                sequence,
                timestamp: sequence * u64::from(duration),
                duration,
                ..packet(sequence, &loud)
            };
            if sequence < packets as u64 {
                player.push(now, packet).unwrap();
            }
            let mut pcm = std::vec![0; duration as usize];
            player.read(now, &mut pcm);
            heard += pcm
                .iter()
                .filter(|sample| sample.unsigned_abs() > 1_000)
                .count();
        }
        heard * 100 / (packets * ms * 48)
    }

    #[test]
    fn packets_of_up_to_120_ms_are_heard() {
        for ms in [20, 30, 60, 70, 80, 100, 120] {
            let share = loud_share(ms);
            assert!(share >= 99, "{ms} ms: {share} %");
        }
    }

    #[test]
    fn after_a_restart_earlier_sound_is_gone() {
        let mut player = player();
        for sequence in 0..6 {
            let _ = player.push(Instant::from_micros(0), packet(sequence, &[0; 160]));
        }
        player.restart();
        let mut pcm = [1; 2_000];
        player.read(Instant::from_micros(100_000), &mut pcm);
        assert_eq!(pcm, [0; 2_000]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_packets_in_any_order_fill_what_is_asked_for(
            packets in proptest::collection::vec(
                (0_u64..64, 0_u64..1_000_000, 0_u32..8_000, 0_usize..=200, 0_usize..2_000), 1..40),
        ) {
            let mut player = player();
            let payload = [0x55; 200];
            for (n, (sequence, timestamp, duration, len, read)) in packets.into_iter().enumerate() {
                let now = Instant::from_micros(n as u64 * 10_000);
                let _ = player.push(now, Packet {
                    sequence,
                    timestamp,
                    duration,
                    codec: if n % 3 == 0 { Codec::Opus } else { Codec::Pcma },
                    speaker: None,
                    marker: false,
                    payload: &payload[..len],
                });
                let mut pcm = [0; 2_000];
                player.read(now, &mut pcm[..read]);
            }
        }
    }
}
