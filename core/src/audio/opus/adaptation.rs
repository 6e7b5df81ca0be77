//! What an encoder is to be set to for the network that its packets cross.

use crate::time::{Duration, Instant};

/// How often an encoder is set anew; the other end's reports are not more frequent.
const PERIOD: Duration = Duration::from_secs(2);
/// Loss that redundancy is made for at most, in percent: beyond, it costs more than it brings.
const MAX_EXPECTED_LOSS: u8 = 30;
/// Loss from which the bit rate is reduced, in percent.
const TOLERATED_LOSS: u32 = 5;
/// The bit rate is reduced to this share at most, in percent: where a quarter of the packets is lost.
const MIN_RATE_SHARE: u32 = 50;
/// Below this, in bits per second, Opus is hard to understand.
const INTELLIGIBLE: u32 = 12_000;

/// Adapts an encoder to the loss that the server reports: redundancy for what is lost, fewer bits when that is
/// much, as then the network is likely too narrow.
///
/// ```
/// use parlour_core::audio::opus::{Adaptation, Adapted};
/// use parlour_core::time::Instant;
/// let at = |s: u64| Instant::from_micros(s * 1_000_000);
/// let mut adaptation = Adaptation::new(24_000);
/// // With each frame; the loss is `client.statistics().uplink_loss`.
/// let adapted = adaptation.poll(at(1), || Some(26));
/// assert_eq!(adapted, Some(Adapted { bitrate: 21_120, expected_loss: 10 }));
/// assert_eq!(adaptation.poll(at(2), || Some(0)), None, "not yet");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adaptation {
    bitrate: u32,
    min_bitrate: u32,
    due: Instant,
}

/// What to set an encoder to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Adapted {
    /// Bits per second: at most those that were chosen, at least half of them.
    pub bitrate: u32,
    /// See [`EncoderConfig::expected_loss`](super::EncoderConfig::expected_loss), in percent.
    pub expected_loss: u8,
}

impl Adaptation {
    /// For an encoder that has `bitrate` bits per second where nothing is lost.
    pub const fn new(bitrate: u32) -> Self {
        Self::not_below(INTELLIGIBLE, bitrate)
    }

    /// The same, for an encoder that makes no redundancy below `min_bitrate`: it is not set to less, unless
    /// `bitrate` is less.
    pub const fn not_below(min_bitrate: u32, bitrate: u32) -> Self {
        Self {
            bitrate,
            min_bitrate,
            due: Instant::from_micros(0),
        }
    }

    /// What to set the encoder to, if it is to be set now: `loss`, the share of packets lost in 1/256, is asked
    /// for once in two seconds, and nothing changes if it is not known.
    pub fn poll(&mut self, now: Instant, loss: impl FnOnce() -> Option<u8>) -> Option<Adapted> {
        if now < self.due {
            return None;
        }
        self.due = now + PERIOD;
        loss().map(|loss| self.adapted(loss))
    }

    fn adapted(&self, loss: u8) -> Adapted {
        let percent = u32::from(loss) * 100 / 256;
        // 2.5 % fewer bits for each percent lost.
        let less = percent.saturating_sub(TOLERATED_LOSS) * 5 / 2;
        let share = 100 - less.min(100 - MIN_RATE_SHARE);
        let bitrate = u64::from(self.bitrate) * u64::from(share) / 100;
        Adapted {
            // No more than it was.
            bitrate: (bitrate as u32).max(self.min_bitrate.min(self.bitrate)),
            expected_loss: (percent as u8).min(MAX_EXPECTED_LOSS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(bitrate: u32, loss: u8) -> (u32, u8) {
        let adapted = Adaptation::new(bitrate).adapted(loss);
        (adapted.bitrate, adapted.expected_loss)
    }

    #[test]
    fn the_more_is_lost_the_fewer_bits_within_limits() {
        assert_eq!(adapted(64_000, 0), (64_000, 0));
        assert_eq!(adapted(64_000, 15), (64_000, 5), "5.8 %");
        assert_eq!(adapted(64_000, 39), (48_000, 15), "15.2 %");
        assert_eq!(adapted(64_000, 66), (32_000, 25));
        assert_eq!(adapted(64_000, 255), (32_000, 30));
        assert_eq!(adapted(16_000, 255), (12_000, 30));
        assert_eq!(adapted(8_000, 255), (8_000, 30), "it was chosen");
        assert_eq!(adapted(u32::MAX, 255).1, 30, "no overflow");
    }

    #[test]
    fn bits_that_redundancy_needs_are_kept() {
        let adapted = |bitrate| Adaptation::not_below(24_000, bitrate).adapted(66).bitrate;
        assert_eq!(adapted(40_000), 24_000);
        assert_eq!(adapted(24_000), 24_000);
        assert_eq!(adapted(16_000), 16_000);
    }

    #[test]
    fn it_comes_every_two_seconds_and_not_without_a_report() {
        let at = |ms: u64| Instant::from_micros(ms * 1_000);
        let mut adaptation = Adaptation::new(24_000);
        assert_eq!(adaptation.poll(at(700), || None), None);
        assert_eq!(adaptation.poll(at(2_699), || unreachable!()), None);
        assert!(adaptation.poll(at(2_700), || Some(0)).is_some());
        assert_eq!(adaptation.poll(at(4_699), || unreachable!()), None);
    }
}
