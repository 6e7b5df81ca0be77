//! The duration of an Opus packet and the check of its format, [RFC 6716 section
//! 3](https://www.rfc-editor.org/rfc/rfc6716#section-3).
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+
//! | config  |s| c |   config: mode, bandwidth and length of a frame; s: stereo
//! +-+-+-+-+-+-+-+-+   c: 0 one frame, 1 two of one size, 2 two of two sizes, 3 as the next byte says
//! |v|p|     M     |   v: sizes vary, p: padding follows, M: number of frames
//! +-+-+-+-+-+-+-+-+
//! ```

use super::frame::FrameError;

/// The longest that a frame within a packet can be.
const MAX_FRAME_LEN: usize = 1275;

/// 120 ms at 48 kHz, the most that one packet may hold (requirement R5).
const MAX_SAMPLES: u32 = 5760;

/// Samples per channel at 48 kHz in `packet`, which is checked against all of RFC 6716's
/// requirements R1 to R7.
pub(super) fn packet_samples(packet: &[u8]) -> Result<u32, FrameError> {
    let (&toc, rest) = packet.split_first().ok_or(FrameError::Empty)?;
    let frame = frame_samples(toc >> 3);
    let frames = match toc & 3 {
        0 => fits(rest.len()).then_some(1),
        1 => equal_frames(2, rest),
        2 => varying_frames(2, rest),
        _ => {
            let (&shape, rest) = rest.split_first().ok_or(FrameError::Malformed)?;
            let count = shape & 0x3F;
            if frame * u32::from(count) > MAX_SAMPLES {
                return Err(FrameError::TooLong);
            }
            let frames = if shape & 0x40 == 0 {
                Some(rest)
            } else {
                without_padding(rest)
            };
            frames.and_then(|frames| {
                if shape & 0x80 == 0 {
                    equal_frames(count, frames)
                } else {
                    varying_frames(count, frames)
                }
            })
        }
    };
    Ok(frame * u32::from(frames.ok_or(FrameError::Malformed)?))
}

/// Samples per frame at 48 kHz, by the `config` of section 3.1.
const fn frame_samples(config: u8) -> u32 {
    match (config, config & 3) {
        (0..=11, 3) => 2880,
        (0..=11, size) => 480 << size,
        (12..=15, size) => 480 << (size & 1),
        (_, size) => 120 << size,
    }
}

/// Where the bytes of frame `number` lie in `packet`, which is well formed; `None` if it has fewer frames.
#[cfg(feature = "opus")]
pub(crate) fn frame_at(packet: &[u8], number: usize) -> Option<core::ops::Range<usize>> {
    let (&toc, rest) = packet.split_first()?;
    let (count, vary, frames, start) = match toc & 3 {
        0 => (1, false, rest, 1),
        1 => (2, false, rest, 1),
        2 => (2, true, rest, 1),
        _ => {
            let (&shape, rest) = rest.split_first()?;
            let (count, vary) = (usize::from(shape & 0x3F), shape & 0x80 != 0);
            if shape & 0x40 == 0 {
                (count, vary, rest, 2)
            } else {
                let length = rest.iter().position(|&byte| byte < 255)? + 1;
                (count, vary, without_padding(rest)?, 2 + length)
            }
        }
    };
    let last = count.checked_sub(1).filter(|last| number <= *last)?;
    if !vary {
        let size = frames.len() / count;
        return Some(start + number * size..start + (number + 1) * size);
    }
    let (mut sizes, mut before, mut own, mut sum) = (frames, 0, None, 0);
    for each in 0..last {
        let (size, rest) = split_size(sizes)?;
        if each < number {
            before += size;
        } else if each == number {
            own = Some(size);
        }
        sum += size;
        sizes = rest;
    }
    let first = start + (frames.len() - sizes.len()) + before;
    let size = own.or_else(|| sizes.len().checked_sub(sum))?;
    Some(first..first + size)
}

const fn fits(len: usize) -> bool {
    len <= MAX_FRAME_LEN
}

/// `count`, if `bytes` are that many frames of one size.
fn equal_frames(count: u8, bytes: &[u8]) -> Option<u8> {
    let size = bytes.len().checked_div(count.into())?;
    (bytes.len().is_multiple_of(count.into()) && fits(size)).then_some(count)
}

/// `count`, if `bytes` are the sizes of all frames but the last, and then the frames.
fn varying_frames(count: u8, mut bytes: &[u8]) -> Option<u8> {
    let mut sum = 0;
    for _ in 0..count.checked_sub(1)? {
        let (size, rest) = split_size(bytes)?;
        sum += size;
        bytes = rest;
    }
    fits(bytes.len().checked_sub(sum)?).then_some(count)
}

/// A frame's size, of one byte or two (section 3.2.1), and what follows it.
fn split_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&low, rest) = bytes.split_first()?;
    if low < 252 {
        return Some((low.into(), rest));
    }
    let (&high, rest) = rest.split_first()?;
    Some((usize::from(low) + 4 * usize::from(high), rest))
}

/// `bytes` without the padding's length at their start and the padding at their end (section
/// 3.2.5).
fn without_padding(mut bytes: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    loop {
        let (&more, rest) = bytes.split_first()?;
        bytes = rest;
        if more < 255 {
            padding += usize::from(more);
            return bytes.get(..bytes.len().checked_sub(padding)?);
        }
        padding += 254;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// The frame lengths of section 3.1's table 2, in units of 2.5 ms.
    const TABLE: [u32; 32] = [
        4, 8, 16, 24, 4, 8, 16, 24, 4, 8, 16, 24, 4, 8, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8,
        1, 2, 4, 8,
    ];

    #[test]
    fn frame_lengths_are_those_of_the_table() {
        for (config, units) in (0..).zip(TABLE) {
            for stereo in [0, 4] {
                assert_eq!(packet_samples(&[config << 3 | stereo]), Ok(units * 120));
            }
        }
    }

    fn push_size(packet: &mut Vec<u8>, size: usize) {
        if size < 252 {
            packet.push(size as u8);
        } else {
            let low = 252 + size % 4;
            packet.extend([low as u8, ((size - low) / 4) as u8]);
        }
    }

    /// An independent writer of code 3 packets: the same frames, with and without padding.
    fn code_3(config: u8, sizes: &[usize], vary: bool, padding: Option<usize>) -> Vec<u8> {
        let mut packet = std::vec![
            config << 3 | 3,
            u8::from(vary) << 7 | u8::from(padding.is_some()) << 6 | sizes.len() as u8,
        ];
        let mut pad = 0;
        if let Some(length) = padding {
            packet.extend(std::iter::repeat_n(255, length / 255));
            packet.push((length % 255) as u8);
            pad = length / 255 * 254 + length % 255;
        }
        if vary {
            for &size in &sizes[..sizes.len() - 1] {
                push_size(&mut packet, size);
            }
        }
        packet.extend(std::iter::repeat_n(0x55, sizes.iter().sum::<usize>() + pad));
        packet
    }

    proptest! {
        #[test]
        fn packets_of_many_frames_last_as_long_as_their_frames(
            config in 0u8..32,
            sizes in prop::collection::vec(0usize..=1275, 1..=63),
            vary: bool,
            padding in prop::option::of(0usize..600),
        ) {
            let sizes = if vary { sizes } else { std::vec![sizes[0]; sizes.len()] };
            let units = TABLE[usize::from(config)] * sizes.len() as u32;
            let packet = code_3(config, &sizes, vary, padding);
            let expected = if units > 48 { Err(FrameError::TooLong) } else { Ok(units * 120) };
            prop_assert_eq!(packet_samples(&packet), expected);
        }

        #[cfg(feature = "opus")]
        #[test]
        fn frames_lie_one_behind_the_other(
            sizes in prop::collection::vec(0usize..=1275, 1..=48),
            vary: bool,
            padding in prop::option::of(0usize..600),
        ) {
            let sizes: Vec<_> = match vary {
                true => sizes,
                false => sizes.iter().map(|_| sizes[0]).collect(),
            };
            let packet = code_3(16, &sizes, vary, padding);
            let pad = padding.map_or(0, |length| length / 255 * 254 + length % 255);
            let mut start = packet.len() - pad - sizes.iter().sum::<usize>();
            for (number, size) in sizes.iter().enumerate() {
                prop_assert_eq!(frame_at(&packet, number), Some(start..start + size));
                start += size;
            }
            prop_assert_eq!(frame_at(&packet, sizes.len()), None);
        }

        #[cfg(feature = "opus")]
        #[test]
        fn any_bytes_have_frames_within_them(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            number in 0usize..70,
        ) {
            // A malformed packet may have none.
            if packet_samples(&bytes).is_ok()
                && let Some(frame) = frame_at(&bytes, number)
            {
                prop_assert!(frame.start >= 1 && bytes.get(frame).is_some());
            } else {
                let _ = frame_at(&bytes, number);
            }
        }

        #[test]
        fn two_frames_of_two_sizes(config in 0u8..32, first in 0usize..=1275, second in 0usize..=1275) {
            let mut packet = std::vec![config << 3 | 2];
            push_size(&mut packet, first);
            packet.extend(std::iter::repeat_n(0, first + second));
            prop_assert_eq!(packet_samples(&packet), Ok(TABLE[usize::from(config)] * 240));
            // A packet without any byte of the first frame is truncated.
            if first > 0 {
                packet.truncate(packet.len() - second - 1);
                prop_assert_eq!(packet_samples(&packet), Err(FrameError::Malformed));
            }
        }

        #[test]
        fn any_bytes_are_at_most_120_ms(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(samples) = packet_samples(&bytes) {
                prop_assert!((120..=MAX_SAMPLES).contains(&samples) && samples % 120 == 0);
            }
        }
    }

    #[test]
    fn no_packet_is_longer_than_120_ms() {
        let sizes = [1; 49];
        for vary in [false, true] {
            assert_eq!(
                packet_samples(&code_3(16, &sizes[..48], vary, None)),
                Ok(5760)
            );
            assert_eq!(
                packet_samples(&code_3(16, &sizes, vary, None)),
                Err(FrameError::TooLong)
            );
        }
    }

    #[test]
    fn malformed_packets_are_told() {
        let long = [0; 2 + 2 * 1276];
        assert_eq!(packet_samples(&[]), Err(FrameError::Empty));
        for packet in [
            &long[..1277],    // R2: one frame of 1276 bytes
            &[1, 0],          // R3: two equal frames in one byte
            &[2],             // R4: no size
            &[2, 252],        // R4: half a size
            &[2, 5, 0, 0],    // R4: first frame beyond the end
            &[3],             // R6, R7: no frame count
            &[3, 0],          // R5: no frames
            &[3, 0x80],       // R5: no frames, of varying sizes
            &[3, 2, 0],       // R6: two equal frames in one byte
            &[3, 0x41],       // R6: no padding length
            &[3, 0x41, 255],  // R6: padding length without end
            &[3, 0x41, 2, 0], // R6: more padding than bytes
            &[3, 0x82],       // R7: no size
            &[3, 0x82, 2, 0], // R7: first frame beyond the end
        ] {
            assert_eq!(
                packet_samples(packet),
                Err(FrameError::Malformed),
                "{:?}",
                &packet[..packet.len().min(4)]
            );
        }
        let mut two = long;
        two[0] = 1;
        assert_eq!(packet_samples(&two[..2553]), Err(FrameError::Malformed));
        assert_eq!(packet_samples(&two[..2551]), Ok(960));
    }
}
