//! The audio of one slot, in the codec of its current talker.

use super::codec::{AudioDecoder, DecodeError, FrameDuration, SampleRate};
use super::g711::{G711Decoder, Law};
use super::resample::Resampler;
use crate::room::Codec;
#[cfg(feature = "opus")]
use crate::rtp::frame_at;

/// Decodes the packets of one audio slot to PCM at one rate: Opus directly, G.711 resampled.
///
/// `O` is the Opus decoder (`OpusDecoder`, feature `opus`), and its rate is the output's. A
/// device without Opus uses [`NoOpus`].
///
/// ```
/// use parlour_core::audio::codec::SampleRate;
/// use parlour_core::audio::decoder::Decoder;
/// use parlour_core::room::Codec;
///
/// let mut decoder = Decoder::without_opus(SampleRate::Hz16000);
/// let mut pcm = [0; 320];
/// assert_eq!(decoder.decode(Codec::Pcmu, &[0xff; 160], &mut pcm), Ok(320));
/// decoder.conceal(&mut pcm); // one was lost
/// ```
#[derive(Debug)]
pub struct Decoder<O> {
    opus: O,
    g711: G711Decoder,
    from_g711: Resampler,
    /// The codec whose decoder conceals a loss.
    heard: Codec,
}

/// The Opus decoder of a device that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoOpus(SampleRate);

impl AudioDecoder for NoOpus {
    fn sample_rate(&self) -> SampleRate {
        self.0
    }

    fn decode(&mut self, _payload: &[u8], _pcm: &mut [i16]) -> Result<usize, DecodeError> {
        Err(DecodeError::UnsupportedCodec)
    }

    fn conceal(&mut self, pcm: &mut [i16]) {
        pcm.fill(0);
    }

    fn recover(&mut self, _next_payload: &[u8], pcm: &mut [i16]) -> bool {
        pcm.fill(0);
        false
    }
}

impl Decoder<NoOpus> {
    /// A decoder of G.711 alone, writing PCM at `rate`.
    pub fn without_opus(rate: SampleRate) -> Self {
        Self::new(NoOpus(rate))
    }
}

/// 60 ms of G.711.
const G711_MAX: usize = SampleRate::Hz8000.samples(FrameDuration::MAX_MS);

impl<O: AudioDecoder> Decoder<O> {
    /// A decoder that writes PCM at the rate of `opus`.
    pub fn new(opus: O) -> Self {
        let from_g711 = Resampler::new(SampleRate::Hz8000, opus.sample_rate());
        Self {
            opus,
            g711: G711Decoder::new(Law::Mu),
            from_g711,
            heard: Codec::Opus,
        }
    }

    /// The sample rate of the output.
    pub fn sample_rate(&self) -> SampleRate {
        self.opus.sample_rate()
    }

    /// Decodes one `payload` of `codec`, as its RTP payload type names it, to the front of
    /// `pcm`; returns the number of samples.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`]. Nothing has changed; treat the frame as lost.
    pub fn decode(
        &mut self,
        codec: Codec,
        payload: &[u8],
        pcm: &mut [i16],
    ) -> Result<usize, DecodeError> {
        let samples = match codec {
            Codec::Opus => self.opus.decode(payload, pcm)?,
            Codec::Pcmu => self.decode_g711(Law::Mu, payload, pcm)?,
            Codec::Pcma => self.decode_g711(Law::A, payload, pcm)?,
            _ => return Err(DecodeError::UnsupportedCodec),
        };
        self.heard = codec;
        Ok(samples)
    }

    /// Decodes a part of a `payload` that is longer than `pcm`, or than one call of a codec allows, to the front of
    /// `pcm`: part 0 first, then the next, until all audio is decoded. Returns the number of samples. The payload is
    /// modified during the call and restored.
    ///
    /// # Errors
    /// See [`DecodeError`]; [`DecodeError::Empty`] if the payload has fewer parts.
    pub fn decode_part(
        &mut self,
        codec: Codec,
        payload: &mut [u8],
        part: usize,
        pcm: &mut [i16],
    ) -> Result<usize, DecodeError> {
        match codec {
            #[cfg(feature = "opus")]
            Codec::Opus => self.decode_opus_frame(payload, part, pcm),
            Codec::Pcmu | Codec::Pcma => {
                let ratio = self.from_g711.output_len(1).unwrap_or(1);
                let len = pcm.len().checked_div(ratio).unwrap_or(0).clamp(1, G711_MAX);
                let part = payload.chunks(len).nth(part).ok_or(DecodeError::Empty)?;
                self.decode(codec, part, pcm)
            }
            _ => Err(DecodeError::UnsupportedCodec),
        }
    }

    /// Decodes one of a packet's frames as a separate packet: with the packet's first byte before it, changed to
    /// announce a single frame.
    #[cfg(feature = "opus")]
    fn decode_opus_frame(
        &mut self,
        packet: &mut [u8],
        number: usize,
        pcm: &mut [i16],
    ) -> Result<usize, DecodeError> {
        const FRAME_COUNT: u8 = 3;
        let frame = frame_at(packet, number).ok_or(DecodeError::Empty)?;
        let head = packet.first().copied().unwrap_or_default() & !FRAME_COUNT;
        let alone = packet.get_mut(frame.start.saturating_sub(1)..frame.end);
        let alone = alone.ok_or(DecodeError::Malformed)?;
        let Some(first) = alone.first_mut() else {
            return Err(DecodeError::Malformed);
        };
        let before = core::mem::replace(first, head);
        let decoded = self.decode(Codec::Opus, alone, pcm);
        if let Some(first) = alone.first_mut() {
            *first = before;
        }
        decoded
    }

    /// Fills all of `pcm` in place of a lost frame; see [`AudioDecoder::conceal`].
    pub fn conceal(&mut self, pcm: &mut [i16]) {
        match self.heard {
            Codec::Pcmu | Codec::Pcma => self.conceal_g711(pcm),
            _ => self.opus.conceal(pcm),
        }
    }

    /// Fills all of `pcm` with the frame lost just before `next_payload`, a payload of `codec`;
    /// see [`AudioDecoder::recover`].
    pub fn recover(&mut self, codec: Codec, next_payload: &[u8], pcm: &mut [i16]) -> bool {
        if (codec, self.heard) == (Codec::Opus, Codec::Opus) {
            self.opus.recover(next_payload, pcm)
        } else {
            self.conceal(pcm);
            false
        }
    }

    fn decode_g711(
        &mut self,
        law: Law,
        payload: &[u8],
        pcm: &mut [i16],
    ) -> Result<usize, DecodeError> {
        let needed = self
            .from_g711
            .output_len(payload.len())
            .ok_or(DecodeError::Malformed)?;
        let pcm = pcm
            .get_mut(..needed)
            .ok_or(DecodeError::OutputTooSmall { needed })?;
        let mut narrow = [0; G711_MAX];
        self.g711.set_law(law);
        let samples = self.g711.decode(payload, &mut narrow)?;
        self.widen(narrow.get(..samples).unwrap_or_default(), pcm);
        Ok(needed)
    }

    fn conceal_g711(&mut self, pcm: &mut [i16]) {
        let mut narrow = [0; G711_MAX];
        for part in pcm.chunks_mut(self.sample_rate().samples(FrameDuration::MAX_MS)) {
            let ratio = self.from_g711.output_len(1).unwrap_or(1);
            let (whole, rest) = part.split_at_mut(part.len() / ratio * ratio);
            if let Some(narrow) = narrow.get_mut(..whole.len() / ratio) {
                self.g711.conceal(narrow);
                self.widen(narrow, whole);
            }
            rest.fill(0);
        }
    }

    fn widen(&mut self, narrow: &[i16], pcm: &mut [i16]) {
        // The lengths were chosen to fit, so this cannot fail; if it did, silence would be right.
        if self.from_g711.process(narrow, pcm).is_err() {
            pcm.fill(0);
        }
    }
}

#[cfg(test)]
mod tests;
