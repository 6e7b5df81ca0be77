//! The settings of a device.

use parlour_core::audio::JitterConfig;
use parlour_core::audio::codec::SampleRate;
use parlour_core::client::{Config as ClientConfig, Message};
use parlour_core::time::Duration;

/// Settings of a [`Room`](crate::Room). The defaults suit an intercom at 16 kHz.
///
/// ```
/// use parlour_embassy::Config;
/// use parlour_embassy::core::audio::codec::SampleRate;
/// let telephone = Config { output_rate: SampleRate::Hz8000, ..Config::default() };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The settings of the client: the audio to hear, keepalive, keys.
    pub client: ClientConfig,
    /// Samples per second of [`MixedReader`](crate::MixedReader): the loudspeaker's rate. Opus is not decoded to 8
    /// kHz.
    pub output_rate: SampleRate,
    /// The delay of the jitter buffers.
    pub jitter: JitterConfig,
    /// After how long without an answer [`Room::join`](crate::Room::join) gives up.
    pub join_timeout: Duration,
    /// Called by the runner with each lossy message, which is kept nowhere. It must not use the room.
    pub on_lossy_message: Option<fn(&Message<'_>)>,
}

impl Default for Config {
    /// All participants' audio at 16 kHz, 15 s for an answer.
    fn default() -> Self {
        Self {
            client: ClientConfig::default(),
            output_rate: SampleRate::Hz16000,
            jitter: JitterConfig::default(),
            join_timeout: Duration::from_secs(15),
            on_lossy_message: None,
        }
    }
}
