//! One slot's packets to PCM: the jitter buffer, the decoder behind it, and the PCM buffered between the two.
//!
//! A packet holds 2.5 to 120 ms of audio, while the playing side reads as many samples as *its* clock needs.
//! [`Player::read`] returns any number of them:
//!
//! ```text
//! push ──► [ JitterBuffer ] ──pull──► [ Decoder ] ──► [ ready: up to PCM samples ] ──► read
//! ```

use super::codec::{AudioDecoder, DecodeError, FrameDuration};
use super::comfort::Comfort;
use super::decoder::Decoder;
use super::ready::Ready;
use super::{JitterBuffer, JitterConfig, JitterStatistics, Lateness, Packet, Pull, PushError};
use crate::room::Codec;
use crate::time::Instant;

/// RTP timestamp units per ms in a slot.
const CLOCK_PER_MS: usize = 48;

/// Plays one slot at the decoder's rate, a little faster or slower where the delay has to change, and with noise like that
/// behind the talker in its pauses.
///
/// `PACKETS` and `BYTES` are those of its [`JitterBuffer`]; `PCM` is how many samples are decoded at
/// a time: 960 are 60 ms at 16 kHz, or 20 ms at 48 kHz. A packet that is longer, or longer than 60 ms, is decoded in parts,
/// which for Opus are its frames: one *frame* that is longer is concealed instead.
///
/// ```
/// use parlour_core::audio::codec::SampleRate;
/// use parlour_core::audio::decoder::Decoder;
/// use parlour_core::audio::{JitterConfig, Lateness, Packet, Player};
/// use parlour_core::room::Codec;
/// use parlour_core::time::{Duration, Instant};
///
/// let decoder = Decoder::without_opus(SampleRate::Hz16000);
/// let mut player = Player::<_, 8, 160, 960>::new(decoder, JitterConfig::default());
/// let mut lateness = Lateness::new();
/// let mut now = Instant::from_micros(0);
/// let mut heard = false;
/// for sequence in 0..10 {
///     let packet = Packet {
///         sequence,
///         timestamp: sequence * 960,
///         duration: 960,
///         codec: Codec::Pcmu,
///         speaker: Some(7),
///         marker: sequence == 0,
///         payload: &[0x80; 160],
///     };
///     player.push(now, packet, &mut lateness)?;
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
    ready: Ready<PCM>,
    /// Codec and stream of the last decoded audio.
    heard: Codec,
    speaker: Option<u32>,
    long: Long<BYTES>,
    comfort: Comfort,
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
            jitter: JitterBuffer::stretching(config),
            decoder,
            config,
            ready: Ready::new(),
            heard: Codec::Opus,
            speaker: None,
            long: Long::NONE,
            comfort: Comfort::new(),
        }
    }

    /// Takes a packet that arrived at `now`; see [`JitterBuffer::push`].
    ///
    /// # Errors
    /// [`PushError`]; the packet was dropped.
    pub fn push(
        &mut self,
        now: Instant,
        packet: Packet<'_>,
        lateness: &mut Lateness,
    ) -> Result<(), PushError> {
        self.jitter.push(now, packet, lateness)
    }

    /// Fills `pcm` with the audio to play from `now` on: of blocks that are read at once, each is played later than the one
    /// before. Never waits.
    pub fn read(&mut self, now: Instant, pcm: &mut [i16]) {
        let (whole, mut rest) = (pcm.len(), pcm);
        while !rest.is_empty() {
            if self.ready.is_empty() {
                self.pull(self.due(now, whole, rest.len()));
            }
            let len = self.ready.read(rest);
            rest = rest.get_mut(len..).unwrap_or_default();
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
        self.jitter = JitterBuffer::stretching(self.config);
        self.ready.clear();
        self.long.samples = 0;
        self.comfort = Comfort::new();
        self.speaker = None;
    }

    /// When the next sample is played, if `rest` samples of a read of `whole` are missing; earlier by half of the read,
    /// by which time on average what it needs has to be there.
    fn due(&self, now: Instant, whole: usize, rest: usize) -> Instant {
        let per_ms = self.decoder.sample_rate().samples(1) as u64;
        let micros = |samples: usize| samples as u64 * 1_000 / per_ms;
        let due = now.as_micros().saturating_add(micros(whole - rest));
        Instant::from_micros(due.saturating_sub(micros(whole) / 2))
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
        let room = self.ready.make_room(samples, rate);
        let decoded = match pull {
            Pull::Frame(frame) => {
                self.speaker = frame.speaker;
                self.heard = frame.codec;
                (self.decoder).decode(frame.codec, frame.payload, room)
            }
            Pull::Lost {
                next: Some(next), ..
            } => {
                let missing = room.get_mut(..samples).unwrap_or_default();
                self.decoder.recover(self.heard, next, missing);
                Ok(samples)
            }
            Pull::Lost { next: None, .. } => {
                let missing = room.get_mut(..samples).unwrap_or_default();
                self.decoder.conceal(missing);
                self.comfort.fade(missing, rate);
                return self.ready.add(samples);
            }
            Pull::Silence { .. } | Pull::Buffering { .. } => {
                self.speaker = None;
                let pause = room.get_mut(..samples).unwrap_or_default();
                self.comfort.fill(pause, rate);
                return self.ready.add(samples);
            }
        };
        self.has_decoded(decoded, samples);
    }

    /// Makes the next part of a long packet.
    fn decode_part(&mut self) {
        let Long { len, part, .. } = self.long;
        let payload = self.long.payload.get_mut(..len).unwrap_or_default();
        let rate = self.decoder.sample_rate();
        let samples = (self.long.samples).clamp(1, rate.samples(FrameDuration::MAX_MS).min(PCM));
        let room = self.ready.make_room(samples, rate);
        let decoded = (self.decoder).decode_part(self.heard, payload, part, room);
        self.long.part += 1;
        let decoded = self.has_decoded(decoded, samples);
        self.long.samples = self.long.samples.saturating_sub(decoded);
    }

    /// Makes decoded audio readable; if decoding failed, `samples` are concealed. Returns how many it was.
    fn has_decoded(&mut self, decoded: Result<usize, DecodeError>, samples: usize) -> usize {
        let rate = self.decoder.sample_rate();
        let decoded = decoded.unwrap_or_else(|_| {
            let room = self.ready.make_room(samples, rate);
            self.decoder
                .conceal(room.get_mut(..samples).unwrap_or_default());
            samples
        });
        self.ready.add(decoded);
        self.comfort.hear(self.ready.unread());
        let (per_ms, clock) = (rate.samples(1) as i64, CLOCK_PER_MS as i64);
        let excess = self.jitter.excess() * per_ms / clock;
        let longer = self.ready.stretch(rate, excess);
        self.jitter.stretch(longer * clock / per_ms);
        decoded
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
            // So that nothing is stretched.
            min_delay: Duration::from_millis(40),
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
        let mut lateness = Lateness::new();
        for sequence in 0..50_u64 {
            let now = Instant::from_micros(sequence * 20_000);
            if !lost(sequence) {
                player
                    .push(now, packet(sequence, &[0x00; 160]), &mut lateness)
                    .unwrap();
            }
            let mut pcm = [0; 320];
            let mut at = now;
            for piece in pcm.chunks_mut(piece) {
                player.read(at, piece);
                at += Duration::from_micros(piece.len() as u64 * 1_000 / 16);
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
            let (heard, known) = play(piece, |_| false);
            // The length of a read is part of the delay.
            assert!(
                heard.abs_diff(whole.0) < whole.0 / 25 && known,
                "{piece}: {heard} of {whole:?}"
            );
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
        let mut lateness = Lateness::new();
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
                player.push(now, packet, &mut lateness).unwrap();
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

    /// Plays a voice in packets of 20 ms that arrive `late(n)` ms late, in reads of 10 ms; returns the player, and the
    /// magnitude of each 10 ms.
    fn hear(
        config: JitterConfig,
        packets: u64,
        late: impl Fn(u64) -> u64,
    ) -> (Player<NoOpus, 24, 160, 960>, std::vec::Vec<u64>) {
        let decoder = Decoder::without_opus(SampleRate::Hz16000);
        let mut player = Player::<_, 24, 160, 960>::new(decoder, config);
        let mut lateness = Lateness::new();
        let said = crate::audio::synth::voice(SampleRate::Hz8000, packets as u16 * 20);
        let mut arrivals: std::vec::Vec<(u64, u64)> =
            (0..packets).map(|n| (n * 20 + late(n), n)).collect();
        arrivals.sort_unstable();
        let mut arrivals = arrivals.into_iter().peekable();
        let mut heard = std::vec::Vec::new();
        for ms in (0..packets * 20).step_by(10) {
            while let Some((at, n)) = arrivals.next_if(|(at, _)| *at <= ms) {
                let voice = &said[n as usize * 160..][..160];
                let mut payload = [0; 160];
                for (code, &sample) in payload.iter_mut().zip(voice) {
                    *code = crate::audio::g711::Law::Mu.encode(sample);
                }
                let _ = player.push(
                    Instant::from_micros(at * 1_000),
                    packet(n, &payload),
                    &mut lateness,
                );
            }
            let mut pcm = [0; 160];
            player.read(Instant::from_micros(ms * 1_000), &mut pcm);
            heard.push(
                pcm.iter()
                    .map(|sample| u64::from(sample.unsigned_abs()))
                    .sum::<u64>()
                    / 160,
            );
        }
        (player, heard)
    }

    #[test]
    fn the_delay_shrinks_and_grows_by_stretching_and_no_packet_is_left_out() {
        let config = JitterConfig {
            start_delay: Duration::from_millis(200),
            ..JitterConfig::default()
        };
        let (player, _) = hear(config, 400, |_| 0);
        let statistics = player.statistics();
        assert!(statistics.delay < 20 * 48, "{statistics:?}");
        assert_eq!((statistics.dropped, statistics.concealed), (0, 0));
        // Every second packet 60 ms late from two seconds on, so that half of them are overtaken.
        let (player, _) = hear(JitterConfig::default(), 500, |n| {
            if n > 100 { n % 2 * 60 } else { 0 }
        });
        let statistics = player.statistics();
        assert!(
            (55 * 48..80 * 48).contains(&statistics.delay),
            "{statistics:?}"
        );
        assert_eq!(statistics.dropped, 0);
        assert!(statistics.lost < 30, "{statistics:?}");
    }

    #[test]
    fn a_stall_is_caught_up_without_leaving_packets_out() {
        let stall = |n| {
            if (100..110).contains(&n) {
                (110 - n) * 20
            } else {
                0
            }
        };
        let (player, heard) = hear(JitterConfig::default(), 1_200, stall);
        let statistics = player.statistics();
        assert_eq!(
            (statistics.dropped, statistics.lost),
            (0, 0),
            "{statistics:?}"
        );
        assert!(statistics.delay < 30 * 48, "{statistics:?}");
        assert!(statistics.concealed >= 150 * 48, "{statistics:?}");
        let loud = |heard: &[u64]| heard.iter().filter(|&&level| level > 100).count();
        let (_, undisturbed) = hear(JitterConfig::default(), 1_200, |_| 0);
        let (heard, whole) = (loud(&heard), loud(&undisturbed));
        assert!(heard + 30 > whole && whole > 300, "{heard} of {whole}");
    }

    #[test]
    fn after_a_restart_earlier_sound_is_gone() {
        let mut player = player();
        let mut lateness = Lateness::new();
        for sequence in 0..6 {
            let _ = player.push(
                Instant::from_micros(0),
                packet(sequence, &[0; 160]),
                &mut lateness,
            );
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
        let mut lateness = Lateness::new();
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
                }, &mut lateness);
                let mut pcm = [0; 2_000];
                player.read(now, &mut pcm[..read]);
            }
        }
    }
}
