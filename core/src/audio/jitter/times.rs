//! The fixed times of playing, in samples of the flow's clock.

use super::buffer::JitterConfig;
use crate::time::{Duration, micros};

/// The fixed times, in samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) rate: i64,
    /// 2.5 ms: the grain of everything but frames.
    pub(super) tick: i64,
    /// 20 ms: the amount of silence or concealment inserted at once.
    pub(super) chunk: i64,
    /// 10 ms: the tolerated difference between the delay (or a packet above it) and its target.
    pub(super) margin: i64,
    /// 200 ms: the time that a starved decoder conceals before silence is better.
    pub(super) conceal: i64,
    /// 200 ms: the time between two audible corrections.
    pub(super) pace: i64,
    /// 300 ms: the lag from which packets are skipped at once.
    pub(super) hard: i64,
    /// 120 ms: the longest packet.
    pub(super) longest: i64,
    /// 3 s: a jump in transit that no network makes.
    pub(super) jump: i64,
    /// 10 s: the time after a loss in which the next one is expected.
    pub(super) lossy: i64,
    pub(super) start: i64,
    pub(super) minimum: i64,
    pub(super) maximum: i64,
}

impl Times {
    pub(super) fn new(config: JitterConfig) -> Self {
        let rate = i64::from(config.clock_rate.clamp(8_000, 192_000));
        let ms = |ms| samples(rate, ms);
        // Clamped far above any useful value, so that products stay small.
        let of = |duration: Duration| {
            let most = duration.min(Duration::from_secs(60));
            ms((micros(most) / 1_000).cast_signed())
        };
        let tick = rate / 400;
        let maximum = of(config.max_delay).min(rate);
        Self {
            rate,
            tick,
            chunk: tick * 8,
            margin: tick * 4,
            conceal: tick * 80,
            pace: ms(200),
            hard: ms(300),
            longest: ms(120),
            jump: ms(3_000),
            lossy: ms(10_000),
            start: of(config.start_delay),
            minimum: of(config.min_delay).min(maximum),
            maximum,
        }
    }

    /// A time in eighths of a ms: up to two seconds.
    pub(super) fn eighths(&self, time: i64) -> u16 {
        // Small enough for 32 bits: 2 × 192,000 × 8,000.
        let time = time.clamp(0, self.rate * 2) as u32;
        (time * 8_000).checked_div(self.rate as u32).unwrap_or(0) as u16
    }

    /// The samples of a time in eighths of a ms.
    pub(super) fn samples(&self, eighths: u16) -> i64 {
        self.rate * i64::from(eighths) / 8_000
    }
}

/// The number of samples in this time: a division of 64 bits, which a microcontroller should hold once.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn samples(rate: i64, ms: i64) -> i64 {
    rate * ms / 1_000
}
