//! Opus to PCM.

use super::packet::{Mode, OpusPacket};
use crate::audio::codec::{AudioDecoder, DecodeError, FrameDuration, SampleRate};
use core::borrow::BorrowMut;
use core::fmt;
use core::mem::MaybeUninit;
use thiserror::Error;

/// The codec's own state: 179 KB, all inline.
pub type OpusState = opus_rs::OpusDecoder;

/// Room for one decoder's state, all of it uninitialised: a `static` of this type costs no flash.
pub struct OpusMemory(MaybeUninit<OpusState>);

impl OpusMemory {
    /// Room for one decoder.
    pub const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }
}

impl Default for OpusMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OpusMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusMemory").finish_non_exhaustive()
    }
}

/// The payloads that a decoder accepts. The output is mono in both cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Channels {
    /// Only mono payloads; stereo ones are refused with [`DecodeError::Stereo`]. For small devices in rooms that have
    /// only such devices.
    Mono,
    /// Mono and stereo payloads, stereo mixed down. Speech-only (SILK) payloads cost 3 % more than with a mono decoder,
    /// others 40 %; the memory is the same.
    Stereo,
}

/// Decodes payloads of 2.5 to 60 ms to mono PCM at 16, 24 or 48 kHz.
///
/// `S` is where the state lives: in the decoder itself ([`new`](Self::new)), in a `Box` around
/// the whole decoder, or in memory lent to [`new_in`](OpusDecoder::new_in). It is 179 KB in each
/// case, and nothing else is allocated.
///
/// | | KB of stack (optimised, x86-64) |
/// |---|---|
/// | `new` | 530: the state passes through it |
/// | `new_in` | 82 the first time in a program, then 4 |
/// | speech (SILK) to 16 kHz | 36 |
/// | anything, up to 20 ms at 48 kHz | 44 |
/// | anything, 60 ms at 48 kHz in stereo | 64 |
///
/// In unoptimised builds, `new` may need more than the 2 MB that Rust gives a thread.
///
/// ```
/// use parlour_core::audio::codec::{AudioDecoder, SampleRate};
/// use parlour_core::audio::opus::{Channels, OpusDecoder, OpusMemory};
///
/// let mut memory = Box::new(OpusMemory::new()); // on a device: a static
/// let mut decoder = OpusDecoder::new_in(&mut memory, SampleRate::Hz16000, Channels::Stereo)?;
/// let mut pcm = [0; 320];
/// decoder.conceal(&mut pcm); // nothing heard yet: silence
/// assert_eq!(pcm, [0; 320]);
/// # Ok::<(), parlour_core::audio::opus::UnsupportedRate>(())
/// ```
pub struct OpusDecoder<S = OpusState> {
    state: S,
    rate: SampleRate,
    channels: Channels,
    /// The mode of the last decoded payload.
    mode: Option<Mode>,
}

impl OpusDecoder {
    /// A decoder that holds its own state.
    ///
    /// # Errors
    ///
    /// [`UnsupportedRate`] at 8 kHz.
    // Inlined, the state is copied once less.
    #[inline]
    pub fn new(rate: SampleRate, channels: Channels) -> Result<Self, UnsupportedRate> {
        // No combinators such as `map_err` here: each would copy the state once more in unoptimised builds.
        match OpusState::new(codec_rate(rate)?, channels.count()) {
            Ok(state) => Ok(Self {
                state,
                rate,
                channels,
                mode: None,
            }),
            Err(_) => Err(UnsupportedRate),
        }
    }
}

#[cfg(any(feature = "server", feature = "opus-fullband"))]
impl OpusDecoder<alloc::boxed::Box<OpusState>> {
    /// A decoder whose state is on the heap.
    ///
    /// # Errors
    ///
    /// [`UnsupportedRate`] at 8 kHz.
    pub fn boxed(rate: SampleRate, channels: Channels) -> Result<Self, UnsupportedRate> {
        match OpusState::new(codec_rate(rate)?, channels.count()) {
            Ok(state) => Ok(Self {
                state: alloc::boxed::Box::new(state),
                rate,
                channels,
                mode: None,
            }),
            Err(_) => Err(UnsupportedRate),
        }
    }
}

impl<'m> OpusDecoder<&'m mut OpusState> {
    /// A decoder whose state is built in `memory`, never on the stack. Memory can be reused once its decoder is gone:
    /// also the way to start over.
    ///
    /// # Errors
    ///
    /// [`UnsupportedRate`] at 8 kHz.
    pub fn new_in(
        memory: &'m mut OpusMemory,
        rate: SampleRate,
        channels: Channels,
    ) -> Result<Self, UnsupportedRate> {
        let state = OpusState::init(&mut memory.0, codec_rate(rate)?, channels.count())
            .map_err(|_| UnsupportedRate)?;
        Ok(Self {
            state,
            rate,
            channels,
            mode: None,
        })
    }
}

/// The codec's 8 kHz output is wrong for streams of wider band.
const fn codec_rate(rate: SampleRate) -> Result<i32, UnsupportedRate> {
    match rate {
        SampleRate::Hz8000 => Err(UnsupportedRate),
        _ => Ok(rate.hz() as i32),
    }
}

/// Opus is not decoded to 8 kHz here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("Opus is decoded to 16, 24 or 48 kHz; decode to 16 kHz and resample")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnsupportedRate;

impl Channels {
    const fn count(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }
}

/// A request to the codec.
#[derive(Clone, Copy)]
enum Ask<'p> {
    /// The audio of this payload.
    Decode(&'p [u8]),
    /// The audio before this payload.
    Recover(&'p [u8]),
    Conceal,
}

/// 20 ms at 48 kHz or 60 ms at 16 kHz, mono.
const SMALL: usize = SampleRate::Hz48000.samples(20);
/// 60 ms at 48 kHz, stereo.
const LARGE: usize = 2 * SampleRate::Hz48000.samples(FrameDuration::MAX_MS);

impl<S: BorrowMut<OpusState>> OpusDecoder<S> {
    /// Requests as many samples as `pcm` holds. The codec writes interleaved floats; their buffer is only as large as
    /// needed, to spare small stacks.
    fn run(&mut self, ask: Ask<'_>, pcm: &mut [i16]) -> Result<(), DecodeError> {
        if pcm.len() * self.channels.count() <= SMALL {
            self.run_within::<SMALL>(ask, pcm)
        } else {
            self.run_within::<LARGE>(ask, pcm)
        }
    }

    #[inline(never)]
    fn run_within<const N: usize>(
        &mut self,
        ask: Ask<'_>,
        pcm: &mut [i16],
    ) -> Result<(), DecodeError> {
        let channels = self.channels.count();
        let mut floats = [0.0_f32; N];
        let floats = floats
            .get_mut(..pcm.len() * channels)
            .ok_or(DecodeError::FrameTooLong)?;
        let state = self.state.borrow_mut();
        let samples = match ask {
            Ask::Decode(payload) => state.decode(payload, pcm.len(), floats),
            Ask::Recover(next) => state.decode_fec(next, pcm.len(), floats),
            Ask::Conceal => state.decode(&[], pcm.len(), floats),
        };
        if samples != Ok(pcm.len()) {
            return Err(DecodeError::Malformed);
        }
        for (sample, frame) in pcm.iter_mut().zip(floats.chunks(channels)) {
            let sum: f32 = frame.iter().sum();
            *sample = to_i16(sum / channels as f32);
        }
        Ok(())
    }

    fn accept(&self, payload: &[u8]) -> Result<OpusPacket, DecodeError> {
        let packet = OpusPacket::parse(payload)?;
        if packet.is_stereo() && self.channels == Channels::Mono {
            return Err(DecodeError::Stereo);
        }
        Ok(packet)
    }

    /// `None` if there is no redundancy.
    fn try_recover(&mut self, next_payload: &[u8], pcm: &mut [i16]) -> Option<()> {
        let next = self.accept(next_payload).ok()?;
        // The codec fills whole multiples of 10 ms, and it cannot recover from a CELT stream.
        let whole = pcm.len().is_multiple_of(self.rate.samples(10));
        if !next.has_fec() || !whole || self.mode == Some(Mode::Celt) {
            return None;
        }
        self.run(Ask::Recover(next_payload), pcm).ok()?;
        self.mode = Some(next.mode());
        Some(())
    }
}

/// Rounds to the nearest value, limits to 16 bits, and maps NaN to silence.
fn to_i16(sample: f32) -> i16 {
    let scaled = sample * 32_768.0;
    (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i16
}

impl<S: BorrowMut<OpusState>> AudioDecoder for OpusDecoder<S> {
    fn sample_rate(&self) -> SampleRate {
        self.rate
    }

    /// A payload of one byte means that the sender paused (DTX): it is concealed.
    fn decode(&mut self, payload: &[u8], pcm: &mut [i16]) -> Result<usize, DecodeError> {
        let packet = self.accept(payload)?;
        let needed = packet.samples(self.rate);
        let pcm = pcm
            .get_mut(..needed)
            .ok_or(DecodeError::OutputTooSmall { needed })?;
        self.run(Ask::Decode(payload), pcm)?;
        if payload.len() > 1 {
            self.mode = Some(packet.mode());
        }
        Ok(needed)
    }

    fn conceal(&mut self, pcm: &mut [i16]) {
        for part in pcm.chunks_mut(self.rate.samples(20)) {
            // The codec conceals multiples of 2.5 ms; the remainder is silent.
            let unit = self.rate.samples(5) / 2;
            let (whole, rest) = part.split_at_mut(part.len() / unit * unit);
            if !whole.is_empty() && self.run(Ask::Conceal, whole).is_err() {
                whole.fill(0);
            }
            rest.fill(0);
        }
    }

    /// Uses redundancy if `pcm` is a multiple of 10 ms, 60 ms at most. If `pcm` is longer than one frame of
    /// `next_payload`, only its end is recovered.
    fn recover(&mut self, next_payload: &[u8], pcm: &mut [i16]) -> bool {
        let recovered = self.try_recover(next_payload, pcm).is_some();
        if !recovered {
            self.conceal(pcm);
        }
        recovered
    }
}

impl<S> fmt::Debug for OpusDecoder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusDecoder")
            .field("rate", &self.rate)
            .field("channels", &self.channels)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
