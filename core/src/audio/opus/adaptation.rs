//! Encoder settings for the packet loss of the network.

use crate::time::{Duration, Instant};

/// The interval between changes of the settings; the other end's reports are not more frequent.
const PERIOD: Duration = Duration::from_secs(2);
/// The highest loss in percent that redundancy is made for: above it, redundancy costs more than it brings.
const MAX_EXPECTED_LOSS: u8 = 30;
/// Loss from which the bit rate is reduced, in percent.
const TOLERATED_LOSS: u32 = 5;
/// The lowest share of the bit rate, in percent: used when a quarter of the packets is lost.
const MIN_RATE_SHARE: u32 = 50;
/// Below this, in bits per second, Opus is hard to understand.
const INTELLIGIBLE: u32 = 12_000;

/// Adapts an encoder to the loss that the server reports: redundancy for lost packets, and a lower bit rate under high
/// loss, when the network is likely too narrow.
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

/// The settings of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Adapted {
    /// Bits per second: between half of the chosen rate and the chosen rate.
    pub bitrate: u32,
    /// See [`EncoderConfig::expected_loss`](super::EncoderConfig::expected_loss), in percent.
    pub expected_loss: u8,
}

impl Adaptation {
    /// For an encoder that uses `bitrate` bits per second without loss.
    pub const fn new(bitrate: u32) -> Self {
        Self::not_below(INTELLIGIBLE, bitrate)
    }

    /// For an encoder that makes no redundancy below `min_bitrate`: the rate stays at or above it, unless `bitrate` is
    /// lower.
    pub const fn not_below(min_bitrate: u32, bitrate: u32) -> Self {
        Self {
            bitrate,
            min_bitrate,
            due: Instant::from_micros(0),
        }
    }

    /// The new settings, if they are due. `loss`, the share of packets lost in 1/256, is called once in two seconds;
    /// nothing changes if it returns `None`.
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
            // At most the chosen rate.
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
