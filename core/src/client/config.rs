//! The settings of a client, apart from its ticket.

use crate::signal::SubscribePolicy;
use crate::time::Duration;

/// Settings of a [`Client`](super::Client); the defaults suit a party of a meeting.
///
/// ```
/// use parlour_core::client::Config;
/// use parlour_core::signal::SubscribePolicy;
/// let speaker_only = Config { policy: SubscribePolicy::None, slots: Some(0), ..Config::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// Which audio to hear from the start: the loudest streams, or a mix of them if the server makes one.
    pub policy: SubscribePolicy,
    /// How many audio streams to hear at a time; as many as the profile has slots if `None`, and
    /// never more than those.
    pub slots: Option<u8>,
    /// After how long a silence to ask the server for a sign of life. The server may ask for
    /// less, and by default asks for 4 s. It takes as long and a few seconds more to notice that the network is gone;
    /// while media flows, it takes about 1.4 s whatever this says.
    /// Less than a second counts as a second.
    pub keepalive: Duration,
    /// How long to use the same keys. Less than a second counts as a second.
    pub rekey_after: Duration,
}

/// The minimum interval of a client's repeated actions.
pub(super) const MIN_INTERVAL: Duration = Duration::from_secs(1);

impl Config {
    /// The same, but without intervals so short that the client would do nothing else.
    pub(super) fn checked(self) -> Self {
        Self {
            keepalive: self.keepalive.max(MIN_INTERVAL),
            rekey_after: self.rekey_after.max(MIN_INTERVAL),
            ..self
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: SubscribePolicy::All,
            slots: None,
            keepalive: Duration::from_secs(10),
            rekey_after: Duration::from_secs(3600),
        }
    }
}
