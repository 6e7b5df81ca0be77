//! How a card runs.

use cpal::{BufferSize, SampleFormat, StreamConfig, SupportedStreamConfigRange};
use parlour_tokio::SampleRate;

/// What a card may run at, the best first.
const RATES: [SampleRate; 6] = [
    SampleRate::Hz48000,
    SampleRate::Hz44100,
    SampleRate::Hz32000,
    SampleRate::Hz24000,
    SampleRate::Hz16000,
    SampleRate::Hz8000,
];
const FORMATS: [SampleFormat; 2] = [SampleFormat::I16, SampleFormat::F32];

/// How a card runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) rate: SampleRate,
    pub(crate) channels: u16,
    pub(crate) format: SampleFormat,
}

impl Mode {
    /// The best of those that a card has: the highest rate, then the fewest channels.
    pub(crate) fn best(ranges: &[SupportedStreamConfigRange]) -> Option<Self> {
        RATES.into_iter().find_map(|rate| {
            let fitting = ranges.iter().filter(|range| range.contains_rate(rate.hz()));
            let fitting = fitting.filter_map(|range| {
                let format = range.sample_format();
                let place = FORMATS.iter().position(|known| *known == format)?;
                Some((range.channels(), place))
            });
            let (channels, place) = fitting.min()?;
            let format = FORMATS[place];
            Some(Self {
                rate,
                channels,
                format,
            })
        })
    }

    pub(crate) fn config(self) -> StreamConfig {
        StreamConfig {
            channels: self.channels,
            sample_rate: self.rate.hz(),
            buffer_size: BufferSize::Default,
        }
    }
}

#[cfg(test)]
mod tests {
    use cpal::SupportedBufferSize;

    use super::*;

    fn range(channels: u16, rates: [u32; 2], format: SampleFormat) -> SupportedStreamConfigRange {
        let any = SupportedBufferSize::Unknown;
        SupportedStreamConfigRange::new(channels, rates[0], rates[1], any, format)
    }

    #[test]
    fn the_highest_rate_with_the_fewest_channels_is_chosen() {
        let mode = |rate, channels, format| {
            Some(Mode {
                rate,
                channels,
                format,
            })
        };
        let all = [
            range(1, [8_000, 16_000], SampleFormat::I16),
            range(2, [8_000, 48_000], SampleFormat::F32),
            range(2, [8_000, 48_000], SampleFormat::I16),
            range(1, [44_100, 44_100], SampleFormat::I16),
            range(1, [8_000, 48_000], SampleFormat::U8),
        ];
        let best = mode(SampleRate::Hz48000, 2, SampleFormat::I16);
        assert_eq!(Mode::best(&all), best);
        let best = mode(SampleRate::Hz44100, 1, SampleFormat::I16);
        assert_eq!(Mode::best(&all[3..]), best);
        assert_eq!(Mode::best(&all[4..]), None);
        assert_eq!(Mode::best(&[]), None);
    }
}
