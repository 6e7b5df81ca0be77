//! PCM to the payloads of a published stream: the counterpart of [`Player`](super::Player).
//!
//! ```text
//! take ──► [ Resampler ] ──► [ one frame ] ──► level, [ encoder ], [ SendClock ] ──► Spoken
//! ```

use super::codec::{AdaptiveEncoder, EncodeError, SampleRate};
use super::level::level;
use super::resample::Resampler;
use crate::rtp::{AudioLevel, SendClock};
use crate::time::{Duration, Instant, micros};

/// The largest number of samples that only together give a whole one at another rate: six at 48 kHz are one at 8 kHz.
const MAX_GROUP: usize = 6;

/// Encodes mono PCM that comes in pieces of any length.
///
/// `FRAME` is the number of samples in a frame of the encoder: 320 are 20 ms at 16 kHz. All memory is inline: the
/// encoder, the frame and about 850 bytes. It sends nothing: it returns the payloads and their send times.
///
/// ```
/// use parlour_core::audio::Talker;
/// use parlour_core::audio::codec::{FrameDuration, SampleRate};
/// use parlour_core::audio::g711::{G711Encoder, Law};
/// use parlour_core::time::Instant;
///
/// let encoder = G711Encoder::new(Law::Mu, FrameDuration::Ms20);
/// let mut talker = Talker::<_, 160>::new(encoder, SampleRate::Hz48000, 8_000).unwrap();
/// let (mut payload, mut sent) = ([0; 160], 0);
/// let mut pcm = &[1_000; 2_000][..];
/// talker.begin(Instant::from_micros(0), || None);
/// while let Some(spoken) = talker.take(&mut pcm, &mut payload)? {
///     assert_eq!(spoken.time.timestamp, sent * 160);
///     assert_eq!(spoken.payload.unwrap().len(), 160);
///     sent += 1;
/// }
/// assert_eq!(sent, 2); // 40 ms; the rest waits for more
/// # Ok::<(), parlour_core::audio::codec::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Talker<E, const FRAME: usize> {
    encoder: E,
    rate: SampleRate,
    resampler: Resampler,
    clock: SendClock,
    now: Instant,
    /// RTP timestamp units of a frame.
    units: u32,
    /// Received samples that do not yet give a whole one at the encoder's rate.
    group: [i16; MAX_GROUP],
    grouped: usize,
    /// The samples of the next frame so far, at the encoder's rate.
    frame: [i16; FRAME],
    framed: usize,
    voice: bool,
}

/// The place of a frame in its stream, and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameTime {
    /// The RTP timestamp.
    pub timestamp: u32,
    /// When to send it; see [`SendClock::due`].
    pub due: Instant,
}

/// One frame of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoken<'a> {
    /// Its RTP timestamp and send time.
    pub time: FrameTime,
    /// Its level, with the voice bit of [`Talker::set_voice`].
    pub level: AudioLevel,
    /// The RTP payload; `None` for silence, which is not sent.
    pub payload: Option<&'a [u8]>,
}

impl<E: AdaptiveEncoder, const FRAME: usize> Talker<E, FRAME> {
    /// A stream of PCM at `rate`, whose RTP timestamps count `clock_rate` units per second. `None` unless the encoder's
    /// frames have `FRAME` samples or fewer.
    pub fn new(encoder: E, rate: SampleRate, clock_rate: u32) -> Option<Self> {
        let samples = encoder.frame_samples();
        if samples > FRAME {
            return None;
        }
        let encoded = encoder.sample_rate();
        let units = u64::from(clock_rate) * samples as u64 / u64::from(encoded.hz());
        Some(Self {
            resampler: Resampler::new(rate, encoded),
            encoder,
            rate,
            clock: SendClock::new(clock_rate),
            now: Instant::from_micros(0),
            units: u32::try_from(units).unwrap_or(u32::MAX),
            group: [0; MAX_GROUP],
            grouped: 0,
            frame: [0; FRAME],
            framed: 0,
            voice: true,
        })
    }

    /// Sets the voice bit of the frames from now on, by what a voice detector says. There is none here: until the first
    /// call every frame counts as a voice.
    pub fn set_voice(&mut self, voice: bool) {
        self.voice = voice;
    }

    /// The sample rate of the PCM.
    pub fn sample_rate(&self) -> SampleRate {
        self.rate
    }

    /// Begins a piece of audio handed over at `now`: [`take`](Self::take) all of it. After a pause, the rest of an
    /// unfinished frame is discarded. The encoder adapts to `loss`, the share of packets lost on the way in 1/256,
    /// which is called now and then.
    pub fn begin(&mut self, now: Instant, loss: impl FnOnce() -> Option<u8>) {
        self.now = now;
        if self.clock.skip_pause(now) {
            (self.grouped, self.framed) = (0, 0);
        }
        self.encoder.adapt(now, loss);
    }

    /// Takes PCM from the front of `pcm` until a frame is complete, and encodes it into `out`. `None` if all of `pcm`
    /// was taken and the frame is not complete.
    ///
    /// # Errors
    /// [`EncodeError`]; the frame is lost, the next one may succeed.
    pub fn take<'o>(
        &mut self,
        pcm: &mut &[i16],
        out: &'o mut [u8],
    ) -> Result<Option<Spoken<'o>>, EncodeError> {
        self.fill(pcm);
        let samples = self.encoder.frame_samples();
        if self.framed < samples {
            return Ok(None);
        }
        self.framed = 0;
        let time = self.time(self.now, self.units);
        let frame = self.frame.get(..samples).unwrap_or_default();
        let level = AudioLevel {
            voice: self.voice,
            level: level(frame),
        };
        let encoded = self.encoder.encode(frame, out)?;
        Ok(Some(Spoken {
            time,
            level,
            payload: encoded.payload(out),
        }))
    }

    /// At `now`, lets a frame of unsent silence pass, for a closed gate. The rest of an unfinished frame is discarded.
    pub fn silence(&mut self, now: Instant) {
        self.encoded(now, self.units);
    }

    /// The time of an already encoded frame of `units`, handed over at `now` in place of PCM. The rest of an unfinished
    /// frame is discarded.
    pub fn encoded(&mut self, now: Instant, units: u32) -> FrameTime {
        (self.grouped, self.framed) = (0, 0);
        self.time(now, units)
    }

    /// The remaining duration, from `now` on, of the audio handed over.
    pub fn left(&self, now: Instant) -> Duration {
        self.clock.left(now)
    }

    /// Takes back, at `now`, the audio that the caller will not send: all frames from the one with the timestamp
    /// `first` on, or else the silence ahead; and the rest of an unfinished frame. The next audio takes its place.
    /// Returns its duration.
    pub fn take_back(&mut self, now: Instant, first: Option<u32>) -> Duration {
        (self.grouped, self.framed) = (0, 0);
        let frame = u64::from(self.units);
        let frames = match first {
            Some(first) => u64::from(self.clock.since(first)).checked_div(frame),
            None => {
                let early = micros(self.due(now).saturating_duration_since(now));
                early.saturating_sub(1).checked_div(self.frame_micros())
            }
        };
        let frames = frames.unwrap_or(0);
        self.clock.take_back(frames.saturating_mul(frame) as u32);
        Duration::from_micros(frames.saturating_mul(self.frame_micros()))
    }

    fn frame_micros(&self) -> u64 {
        let micros = self.encoder.frame_samples() as u64 * 1_000_000;
        let rate = u64::from(self.encoder.sample_rate().hz());
        micros.checked_div(rate).unwrap_or(0)
    }

    /// The send time of a frame that is handed over at `now`: see [`SendClock::due`].
    pub fn due(&self, now: Instant) -> Instant {
        self.clock.due(now)
    }

    fn time(&mut self, now: Instant, units: u32) -> FrameTime {
        FrameTime {
            due: self.clock.due(now),
            timestamp: self.clock.next(now, units),
        }
    }

    /// Moves PCM from the front of `pcm` to the frame, until `pcm` is empty or the frame is full.
    fn fill(&mut self, pcm: &mut &[i16]) {
        let group = self.resampler.group();
        loop {
            // A frame is a whole number of groups.
            let missing = self.encoder.frame_samples() - self.framed;
            let missing = self.resampler.input_len(missing).unwrap_or(0);
            if missing == 0 || pcm.is_empty() {
                return;
            }
            if self.grouped == 0 {
                let most = missing.min(pcm.len());
                let taken = split_front(pcm, most - most.checked_rem(group).unwrap_or(0));
                self.resample(taken);
            }
            if self.grouped > 0 || pcm.len() < group {
                self.collect(pcm, group);
            }
        }
    }

    /// Moves PCM from the front of `pcm` to the group, and a whole group to the frame.
    fn collect(&mut self, pcm: &mut &[i16], group: usize) {
        let taken = split_front(pcm, group - self.grouped);
        let places = self.group.iter_mut().skip(self.grouped);
        places
            .zip(taken)
            .for_each(|(place, sample)| *place = *sample);
        self.grouped += taken.len();
        if self.grouped == group {
            self.grouped = 0;
            let whole = self.group;
            self.resample(whole.get(..group).unwrap_or_default());
        }
    }

    /// Appends `pcm`, a whole number of groups that fits, to the frame.
    fn resample(&mut self, pcm: &[i16]) {
        let place = self.frame.get_mut(self.framed..).unwrap_or_default();
        self.framed += self.resampler.process(pcm, place).unwrap_or(0);
    }
}

/// Takes at most `len` samples from the front of `pcm`.
fn split_front<'p>(pcm: &mut &'p [i16], len: usize) -> &'p [i16] {
    let (taken, rest) = pcm.split_at_checked(len).unwrap_or((pcm, &[]));
    *pcm = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::codec::FrameDuration;
    use crate::audio::g711::{G711Encoder, Law};
    use proptest::prelude::*;
    use std::vec::Vec;

    const RATES: [SampleRate; 4] = [
        SampleRate::Hz8000,
        SampleRate::Hz16000,
        SampleRate::Hz24000,
        SampleRate::Hz48000,
    ];

    type Telephone = Talker<G711Encoder, 160>;

    fn telephone(rate: SampleRate) -> Telephone {
        let encoder = G711Encoder::new(Law::Mu, FrameDuration::Ms20);
        Talker::new(encoder, rate, 8_000).unwrap()
    }

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    /// Hands over all of `pcm`, in pieces with the lengths of `pieces` in turn, each when it is due.
    fn say(talker: &mut Telephone, pcm: &[i16], pieces: &[usize]) -> Vec<(u32, Vec<u8>)> {
        let (mut frames, mut said, mut rest) = (Vec::new(), 0, pcm);
        for len in pieces.iter().cycle() {
            let (mut piece, later) = rest.split_at((*len).min(rest.len()));
            let micros = said * 1_000_000 / u64::from(talker.sample_rate().hz());
            talker.begin(Instant::from_micros(micros), || None);
            said += piece.len() as u64;
            let mut payload = [0; 160];
            while let Some(spoken) = talker.take(&mut piece, &mut payload).unwrap() {
                assert!(spoken.time.due >= Instant::from_micros(micros));
                frames.push((spoken.time.timestamp, spoken.payload.unwrap().to_vec()));
            }
            assert!(piece.is_empty(), "what is no whole frame is kept");
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        frames
    }

    #[test]
    fn the_voice_bit_is_the_detectors() {
        let mut talker = telephone(SampleRate::Hz8000);
        let mut payload = [0; 160];
        for (said, voice) in [(None, true), (Some(false), false), (Some(true), true)] {
            if let Some(said) = said {
                talker.set_voice(said);
            }
            let spoken = talker.take(&mut &[20_000; 160][..], &mut payload).unwrap();
            assert_eq!(spoken.unwrap().level.voice, voice);
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused() {
        let encoder = G711Encoder::new(Law::Mu, FrameDuration::Ms40);
        assert!(Talker::<_, 160>::new(encoder, SampleRate::Hz8000, 8_000).is_none());
    }

    #[test]
    fn what_is_taken_back_is_not_in_the_way_of_what_comes_next() {
        let mut talker = telephone(SampleRate::Hz8000);
        let (mut payload, second) = ([0; 160], [20_000; 8_000]);
        // A second and a half frame at once, of which 300 ms are sent; or all silence, so nothing waits.
        for first in [Some(15 * 160), None] {
            let mut talker = telephone(SampleRate::Hz8000);
            talker.begin(at(0), || None);
            let mut rest = &second[..];
            while talker.take(&mut rest, &mut payload).unwrap().is_some() {}
            let mut half = &second[..80];
            assert_eq!(talker.take(&mut half, &mut payload), Ok(None));
            assert_eq!(talker.left(at(250)), Duration::from_millis(750));
            let taken = talker.take_back(at(250), first);
            assert!((680..=700).contains(&taken.as_millis()), "{taken:?}");
            talker.begin(at(260), || None);
            let mut rest = &second[..160];
            let spoken = talker.take(&mut rest, &mut payload).unwrap().unwrap();
            assert!(spoken.time.due <= at(290), "{spoken:?}");
            assert!(
                [15 * 160, 16 * 160].contains(&spoken.time.timestamp),
                "{spoken:?}"
            );
        }
        assert_eq!(talker.take_back(at(0), None), Duration::ZERO);
    }

    #[test]
    fn after_a_pause_a_frame_begins_anew_and_time_has_passed() {
        let mut talker = telephone(SampleRate::Hz8000);
        let (mut payload, mut first) = ([0; 160], &[20_000; 200][..]);
        talker.begin(at(0), || None);
        assert!(talker.take(&mut first, &mut payload).unwrap().is_some());
        assert_eq!(talker.take(&mut first, &mut payload), Ok(None));
        talker.begin(at(1_000), || None);
        let mut second = &[0; 160][..];
        let spoken = talker.take(&mut second, &mut payload).unwrap().unwrap();
        assert_eq!(spoken.time.timestamp, 8_000);
        assert_eq!(spoken.level.level, 127, "nothing is left of the first");
    }

    #[test]
    fn silence_takes_time_and_is_not_sent() {
        let mut talker = telephone(SampleRate::Hz16000);
        let mut payload = [0; 160];
        for frame in 0..10 {
            let mut pcm = &[1_000; 320][..];
            if frame % 2 == 0 {
                talker.begin(at(frame * 20), || None);
                let spoken = talker.take(&mut pcm, &mut payload).unwrap().unwrap();
                assert_eq!(u64::from(spoken.time.timestamp), frame * 160);
            } else {
                talker.silence(at(frame * 20));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pieces_of_any_length_are_the_same_sound(
            rate in 0_usize..4,
            pcm in prop::collection::vec(any::<i16>(), 1..20_000),
            // More than a sample each: the writer decides how many pieces a second has.
            pieces in prop::collection::vec(prop_oneof![2_usize..100, 100_usize..10_000], 1..20),
        ) {
            let rate = RATES[rate];
            let whole = say(&mut telephone(rate), &pcm, &[pcm.len()]);
            prop_assert_eq!(whole.len(), pcm.len() / rate.samples(20));
            for ((timestamp, _), number) in whole.iter().zip(0..) {
                prop_assert_eq!(*timestamp, number * 160);
            }
            prop_assert_eq!(say(&mut telephone(rate), &pcm, &pieces), whole);
        }
    }
}
