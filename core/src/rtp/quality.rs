//! The quality of a conversation, derived from loss, delay and jitter.

use crate::time::{Duration, micros};

/// One number for loss (in 1/256), delay and jitter, from 0 to 100.
///
/// The E-model of [ITU-T G.107](https://www.itu.int/rec/T-REC-G.107) in its usual simplification. It starts from 93,
/// takes 1 per 40 ms of mouth-to-ear delay and another 1 per 9 ms above 177 ms. It takes 30·ln(1 + 15·loss) for the
/// loss of a codec that conceals, here by a table of its values. Then the 93 are stretched to 100.
///
/// ```
/// use parlour_core::rtp::quality;
/// use parlour_core::time::Duration;
/// let ms = Duration::from_millis;
/// assert_eq!(quality(0, ms(20), ms(0)), 100);
/// assert!(quality(26, ms(20), ms(0)) < 80); // a tenth lost
/// assert!(quality(0, ms(900), ms(50)) < 60);
/// ```
pub fn quality(loss: u8, round_trip: Duration, jitter: Duration) -> u8 {
    // 30·ln(1 + 15·loss/256), at loss = 0, 4, 8, 16, 32, 64, 128 and 256.
    const LOSS_COST: [(u32, u32); 8] = [
        (0, 0),
        (4, 6),
        (8, 12),
        (16, 20),
        (32, 32),
        (64, 47),
        (128, 64),
        (256, 83),
    ];
    let loss = u32::from(loss);
    let loss_cost = LOSS_COST
        .iter()
        .zip(LOSS_COST.iter().skip(1))
        .find(|(_, (upper, _))| loss <= *upper)
        .map_or(83, |((x0, y0), (x1, y1))| {
            let share = ((y1 - y0) * (loss - x0)).checked_div(x1 - x0);
            y0 + share.unwrap_or(0)
        });
    // A jitter buffer holds about twice the jitter.
    let delay = (round_trip / 2).saturating_add(jitter.saturating_mul(2));
    let delay = u32::try_from(micros(delay) / 1_000)
        .unwrap_or(u32::MAX)
        .min(10_000);
    let delay_cost = delay / 40 + delay.saturating_sub(177) / 9;
    let rating = 93_u32.saturating_sub(loss_cost + delay_cost);
    u8::try_from(rating * 100 / 93).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_delay_is_too_long() {
        assert_eq!(quality(0, Duration::MAX, Duration::MAX), 0);
    }

    proptest! {
        #[test]
        fn quality_never_rises_with_trouble(
            loss in 0u8..255,
            round_trip in 0u64..20_000,
            jitter in 0u64..5_000,
        ) {
            let ms = Duration::from_millis;
            let score = quality(loss, ms(round_trip), ms(jitter));
            prop_assert!(score <= 100);
            prop_assert!(quality(loss + 1, ms(round_trip), ms(jitter)) <= score);
            prop_assert!(quality(loss, ms(round_trip + 100), ms(jitter)) <= score);
            prop_assert!(quality(loss, ms(round_trip), ms(jitter + 100)) <= score);
        }
    }
}
