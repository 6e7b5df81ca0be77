//! 16 kHz speech to Opus.

use super::config::{
    EncoderConfig, EncoderConfigError, MAX_PAYLOAD, check_bitrate, check_complexity,
    check_expected_loss,
};
use crate::audio::codec::{AudioEncoder, EncodeError, Encoded, FrameDuration, SampleRate};
use core::fmt;
use core::ops::RangeInclusive;

/// Encodes 16 kHz speech (SILK, wideband) without heap.
///
/// It takes 12 to 40 kb/s and has no DTX: [`AudioEncoder::encode`] never returns [`Encoded::Silence`]. The codec
/// library has more modes but works badly in them, so this encoder does not offer them.
///
/// The state is 309 KB, all inline. [`new`](Self::new) takes 920 KB of stack (optimised, x86-64; unoptimised builds may
/// need more than the 2 MB that Rust gives a thread), encoding 62 KB: this encoder is for computers and the largest
/// boards.
///
/// With [`EncoderConfig::expected_loss`], recovered frames are somewhat coarser than libopus's at the same bit rate;
/// where `std` is available, `FullbandEncoder` is the better choice. Below [`MIN_FEC_BITRATE`](Self::MIN_FEC_BITRATE)
/// there is no redundancy: the codec library would narrow the band for it, and produce noise.
///
/// ```
/// use parlour_core::audio::codec::{AudioEncoder, Encoded};
/// use parlour_core::audio::opus::{EncoderConfig, MAX_PAYLOAD, OpusEncoder, OpusPacket};
///
/// let mut encoder = OpusEncoder::new(EncoderConfig::default())?;
/// let mut out = [0; MAX_PAYLOAD];
/// let encoded = encoder.encode(&[0; 320], &mut out)?;
/// let payload = encoded.payload(&out).unwrap();
/// assert_eq!(OpusPacket::parse(payload)?.duration().as_millis(), 20);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct OpusEncoder {
    codec: opus_rs::OpusEncoder,
    frame: FrameDuration,
}

impl OpusEncoder {
    /// The lowest bit rate, in bits per second, with redundancy.
    pub const MIN_FEC_BITRATE: u32 = 24_000;

    const RATE: SampleRate = SampleRate::Hz16000;
    const BITRATES: RangeInclusive<u32> = 12_000..=40_000;

    /// An encoder for 16 kHz PCM.
    ///
    /// # Errors
    ///
    /// [`EncoderConfigError`] for a rate other than 16 kHz, a bit rate outside of 12 to
    /// 40 kb/s, complexity above 10, loss above 100 %, or DTX.
    // Inlined, the state is copied once less.
    #[inline]
    pub fn new(config: EncoderConfig) -> Result<Self, EncoderConfigError> {
        if config.sample_rate != Self::RATE {
            return Err(EncoderConfigError::SampleRate);
        }
        if config.dtx {
            return Err(EncoderConfigError::Dtx);
        }
        check_bitrate(config.bitrate, Self::BITRATES)?;
        check_complexity(config.complexity)?;
        check_expected_loss(config.expected_loss)?;
        // No combinators such as `map_err` here, and no failure afterwards: each would copy the state once more.
        let rate = Self::RATE.hz() as i32;
        let mut codec = match opus_rs::OpusEncoder::new(rate, 1, opus_rs::Application::Voip) {
            Ok(codec) => codec,
            Err(_) => return Err(EncoderConfigError::Codec),
        };
        codec.bitrate_bps = config.bitrate as i32;
        codec.complexity = config.complexity.into();
        expect_loss(&mut codec, config.expected_loss);
        Ok(Self {
            codec,
            frame: config.frame,
        })
    }

    /// Sets the target bit rate, in bits per second, from the next frame on.
    ///
    /// # Errors
    ///
    /// [`EncoderConfigError::Bitrate`] outside of 12 to 40 kb/s; nothing has changed.
    pub fn set_bitrate(&mut self, bitrate: u32) -> Result<(), EncoderConfigError> {
        check_bitrate(bitrate, Self::BITRATES)?;
        self.codec.bitrate_bps = bitrate as i32;
        choose_fec(&mut self.codec);
        Ok(())
    }

    /// The target bit rate in bits per second.
    pub fn bitrate(&self) -> u32 {
        // It was set from a `u32`.
        self.codec.bitrate_bps as u32
    }

    /// Prepares for a loss of `percent` of the packets, from the next frame on; see [`EncoderConfig::expected_loss`].
    ///
    /// # Errors
    ///
    /// [`EncoderConfigError::ExpectedLoss`] above 100; nothing has changed.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), EncoderConfigError> {
        check_expected_loss(percent)?;
        expect_loss(&mut self.codec, percent);
        Ok(())
    }
}

fn expect_loss(codec: &mut opus_rs::OpusEncoder, percent: u8) {
    codec.packet_loss_perc = percent.into();
    choose_fec(codec);
}

/// Enables redundancy if it is wanted and the bit rate suffices.
fn choose_fec(codec: &mut opus_rs::OpusEncoder) {
    let enough = codec.bitrate_bps >= OpusEncoder::MIN_FEC_BITRATE as i32;
    codec.use_inband_fec = enough && codec.packet_loss_perc > 0;
}

impl AudioEncoder for OpusEncoder {
    fn sample_rate(&self) -> SampleRate {
        Self::RATE
    }

    fn frame_samples(&self) -> usize {
        Self::RATE.samples(self.frame.ms())
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<Encoded, EncodeError> {
        let (pcm, out) = frame_and_room(self, pcm, out)?;
        self.codec
            .encode_i16(pcm, pcm.len(), out)
            .map(Encoded::Payload)
            .map_err(|_| EncodeError::Codec)
    }
}

/// Checks the buffer lengths of [`AudioEncoder::encode`], for any Opus encoder.
///
/// The codecs change their mode when the output gets tight, so they always get the same room.
pub(super) fn frame_and_room<'b>(
    encoder: &impl AudioEncoder,
    pcm: &'b [i16],
    out: &'b mut [u8],
) -> Result<(&'b [i16], &'b mut [u8]), EncodeError> {
    let needed = encoder.frame_samples();
    if pcm.len() != needed {
        return Err(EncodeError::FrameLength { needed });
    }
    let needed = MAX_PAYLOAD;
    let out = out
        .get_mut(..needed)
        .ok_or(EncodeError::OutputTooSmall { needed })?;
    Ok((pcm, out))
}

impl fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusEncoder")
            .field("frame", &self.frame)
            .field("bitrate", &self.codec.bitrate_bps)
            .field("complexity", &self.codec.complexity)
            .field("expected_loss", &self.codec.packet_loss_perc)
            .finish_non_exhaustive()
    }
}
