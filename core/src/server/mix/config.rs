//! What an operator may set of mixes.

use crate::audio::codec::{FrameDuration, SampleRate};
use crate::audio::opus::{EncoderConfig, EncoderConfigError, FullbandEncoder};

/// How rooms are mixed for those who ask for that, see [`Config::mix`](super::super::Config::mix).
///
/// ```
/// use parlour_core::audio::codec::SampleRate;
/// use parlour_core::audio::opus::EncoderConfig;
/// use parlour_core::server::{Config, MixConfig};
/// let music = EncoderConfig { sample_rate: SampleRate::Hz48000, bitrate: 64_000, ..EncoderConfig::default() };
/// let mix = MixConfig { talkers: 4, ..MixConfig::default() }.with_opus(music)?;
/// let config = Config { mix: Some(mix), ..Config::default() };
/// # Ok::<(), parlour_core::audio::opus::EncoderConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MixConfig {
    /// Most sessions mixed at a time; in others a mix is refused. Each takes up to 0.22 MB for a talker
    /// and 0.1 MB for an encoder.
    pub sessions: usize,
    /// Most talkers that are heard in a mix at a time, the loudest: each is decoded once. At most 8.
    pub talkers: u8,
    /// Most different mixes of one session at a time, each encoded once: one for all who do not talk,
    /// one for each who talks and listens, and one for each other choice of who is left out. Who would
    /// need one more hears nothing meanwhile.
    pub encoders: usize,
    opus: EncoderConfig,
}

impl MixConfig {
    /// Has the mixes of Opus listeners encoded so. The sample rate is also the one at which talkers are
    /// decoded and mixed. Frames hold 20 ms, whatever `opus` says.
    ///
    /// # Errors
    /// [`EncoderConfigError`] for what a [`FullbandEncoder`] does not do.
    pub fn with_opus(self, opus: EncoderConfig) -> Result<Self, EncoderConfigError> {
        let opus = EncoderConfig {
            frame: FrameDuration::Ms20,
            ..opus
        };
        FullbandEncoder::new(opus)?;
        Ok(Self { opus, ..self })
    }

    /// How the mixes of Opus listeners are encoded.
    pub const fn opus(&self) -> EncoderConfig {
        self.opus
    }

    pub(super) const fn rate(&self) -> SampleRate {
        self.opus.sample_rate
    }
}

impl Default for MixConfig {
    /// 64 sessions of at most 8 talkers and 32 mixes, at 16 kHz and 24 kb/s with DTX.
    fn default() -> Self {
        Self {
            sessions: 64,
            talkers: 8,
            encoders: 32,
            opus: EncoderConfig {
                dtx: true,
                ..EncoderConfig::default()
            },
        }
    }
}
