//! The settings of mixes.

use crate::audio::codec::{FrameDuration, SampleRate};
use crate::audio::opus::{EncoderConfig, EncoderConfigError, FullbandEncoder};

/// How rooms are mixed for participants that ask for it, see [`Config::mix`](crate::server::Config::mix).
///
/// ```
/// use parlour_core::audio::codec::SampleRate;
/// use parlour_core::audio::opus::EncoderConfig;
/// use parlour_core::server::{Config, MixConfig, MixOpus};
/// let music = EncoderConfig { sample_rate: SampleRate::Hz48000, bitrate: 64_000, ..EncoderConfig::default() };
/// let mix = MixConfig { talkers: 4, opus: MixOpus::new(music)?, ..MixConfig::default() };
/// let config = Config { mix: Some(mix), ..Config::default() };
/// # Ok::<(), parlour_core::audio::opus::EncoderConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MixConfig {
    /// Most sessions mixed at a time; in others a mix is refused. Each takes 0.21 MB for a talker
    /// and 0.04 MB for an encoder, at most.
    pub sessions: usize,
    /// Most talkers that are heard in a mix at a time, the loudest: each is decoded once. At most 8.
    pub talkers: u8,
    /// Most different mixes of one session at a time, each encoded once: one for all listeners that do not talk, one
    /// for each talker that listens, and one for each other set of excluded talkers. A listener that would need one
    /// more hears nothing meanwhile.
    pub encoders: usize,
    /// How the mixes of Opus listeners are encoded.
    pub opus: MixOpus,
}

/// Encoder settings of a mix. Talkers are decoded and mixed at the same sample rate. By default 16 kHz, 24 kb/s, and
/// no DTX: a silent participant sends nothing to mix, and an encoder may take several simultaneous voices for noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MixOpus(EncoderConfig);

impl MixOpus {
    /// These settings, but frames always hold 20 ms.
    ///
    /// # Errors
    /// [`EncoderConfigError`] for settings that a [`FullbandEncoder`] does not support.
    pub fn new(config: EncoderConfig) -> Result<Self, EncoderConfigError> {
        let config = EncoderConfig {
            frame: FrameDuration::Ms20,
            ..config
        };
        FullbandEncoder::new(config)?;
        Ok(Self(config))
    }

    /// The settings.
    pub const fn config(self) -> EncoderConfig {
        self.0
    }

    pub(super) const fn rate(self) -> SampleRate {
        self.0.sample_rate
    }
}

impl Default for MixConfig {
    /// 64 sessions of at most 8 talkers and 32 mixes.
    fn default() -> Self {
        Self {
            sessions: 64,
            talkers: 8,
            encoders: 32,
            opus: MixOpus::default(),
        }
    }
}
