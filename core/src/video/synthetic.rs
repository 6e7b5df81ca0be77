//! Pictures that no encoder has made, which look like those of one from outside.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::{Picture, PicturePacketizer};
use crate::room::Codec;

pub(super) const CODECS: [Codec; 3] = [Codec::Vp8, Codec::H264, Codec::Jpeg];

/// A picture of about `len` bytes, filled with `fill`. A JPEG is always a key picture.
pub(super) fn bytes(codec: Codec, key: bool, len: usize, fill: u8) -> Vec<u8> {
    // No start code in it.
    let body = vec![fill | 1; len.max(1)];
    let parts: &[&[u8]] = match (codec, key) {
        (Codec::Vp8, true) => &[&[0x10, 0, 0, 0x9D, 0x01, 0x2A, 0, 0, 0, 0], &body],
        (Codec::Vp8, false) => &[&[0x11, 0, 0], &body],
        (Codec::H264, true) => &[
            &[
                0, 0, 0, 1, 0x67, 66, 1, 0, 0, 0, 1, 0x68, 9, 0, 0, 0, 1, 0x65,
            ],
            &body,
        ],
        (Codec::H264, false) => &[&[0, 0, 0, 1, 0x41], &body],
        _ => &[&[0xFF, 0xD8], &body, &[0xFF, 0xD9]],
    };
    parts.concat()
}

/// A picture with what is said of it; pictures of a stream are 3,000 units apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    pub(super) key: bool,
    pub(super) discardable: bool,
    pub(super) temporal_layer: u8,
}

impl Sample {
    pub(super) fn new(codec: Codec, key: bool, temporal_layer: u8, len: usize, fill: u8) -> Self {
        Self {
            bytes: bytes(codec, key, len, fill),
            key: key || codec == Codec::Jpeg,
            discardable: temporal_layer == 2 || codec == Codec::Jpeg,
            temporal_layer,
        }
    }

    pub(super) fn picture(&self, n: usize) -> Picture<'_> {
        Picture {
            bytes: &self.bytes,
            timestamp: (n as u32).wrapping_mul(3_000).wrapping_sub(9_000),
            discardable: self.discardable,
            temporal_layer: self.temporal_layer,
            layer: 0,
        }
    }
}

/// The packets of each picture.
pub(super) fn packets(codec: Codec, sequence: u16, samples: &[Sample]) -> Vec<Vec<Vec<u8>>> {
    let mut packetizer = PicturePacketizer::new(codec, 1, sequence);
    let cut = |(n, sample): (usize, &Sample)| {
        let mut packets = packetizer.packetize(&sample.picture(n)).unwrap();
        let mut out = [0; 1_008];
        let next = || {
            Some(
                packets
                    .write_next(&mut out)
                    .unwrap()
                    .map(|len| out[..len].to_vec()),
            )
        };
        core::iter::from_fn(next)
            .map_while(|packet| packet)
            .collect()
    };
    samples.iter().enumerate().map(cut).collect()
}

/// A codec, and a stream of it in three temporal layers; the first is a key picture, and some others. Mostly those of
/// temporal layer 2 are discardable, but any may be that or not: only key pictures never are, and pictures of JPEG always.
pub(super) fn streams(most: usize) -> impl Strategy<Value = (Codec, Vec<Sample>)> {
    let sample = (
        prop::bool::weighted(0.1),
        1usize..3_500,
        prop::bool::weighted(0.2),
    );
    let codec = prop::sample::select(CODECS.to_vec());
    (codec, prop::collection::vec(sample, 1..most)).prop_map(|(codec, samples)| {
        let mut since_key = 0;
        let sample = |(n, (key, len, is_odd)): (usize, (bool, usize, bool))| {
            let key = key || n == 0;
            since_key = if key { 0 } else { since_key + 1 };
            let temporal_layer = match codec {
                Codec::Jpeg => 0,
                _ => [0, 2, 1, 2][since_key % 4],
            };
            let sample = Sample::new(codec, key, temporal_layer, len, n as u8 * 2);
            Sample {
                discardable: sample.discardable ^ (is_odd && !sample.key),
                ..sample
            }
        };
        (codec, samples.into_iter().enumerate().map(sample).collect())
    })
}
