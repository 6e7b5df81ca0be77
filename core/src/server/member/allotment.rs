//! How a receiver's way is divided among the streams of pictures that it watches.
//!
//! First each gets temporal layer 0, then each layer 1, and so on, screens before cameras, as long as the way carries it. So all
//! are seen, if not as smoothly, before one is seen better than another. What is too little for a stream goes to others.

use alloc::vec;
use alloc::vec::Vec;

use super::thinning::ALL;

/// What a stream of pictures takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taker {
    pub(crate) is_screen: bool,
    /// Bits per second of each temporal layer, without key pictures.
    pub(crate) rates: [u32; ALL as usize],
}

/// The temporal layers of each stream that fit so many bits per second, and how many bits it takes to send one layer more; that
/// is `None` if all fit.
pub(crate) fn allot(streams: &[Taker], budget: u32) -> (Vec<u8>, Option<u32>) {
    let mut layers = vec![0; streams.len()];
    let mut used = 0u32;
    let mut wanting = None;
    for layer in 0..ALL {
        for is_screen in [true, false] {
            let all = streams.iter().zip(&mut layers);
            for (stream, layers) in all.filter(|(stream, _)| stream.is_screen == is_screen) {
                if *layers < layer {
                    continue;
                }
                let rate = stream.rates.get(usize::from(layer)).copied().unwrap_or(0);
                let needed = used.saturating_add(rate);
                if needed <= budget {
                    used = needed;
                    *layers = layer + 1;
                } else {
                    wanting.get_or_insert(needed);
                }
            }
        }
    }
    (layers, wanting)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAMERA: Taker = Taker {
        is_screen: false,
        rates: [300, 200, 200, 0],
    };
    const SCREEN: Taker = Taker {
        is_screen: true,
        rates: [500, 0, 0, 0],
    };

    #[test]
    fn all_are_seen_before_one_is_seen_better() {
        let streams = [CAMERA, SCREEN, CAMERA];
        assert_eq!(allot(&streams, 2_000), (vec![4, 4, 4], None));
        assert_eq!(allot(&streams, 1_899), (vec![4, 4, 2], Some(1_900)));
        assert_eq!(allot(&streams, 1_300), (vec![2, 4, 1], Some(1_500)));
        assert_eq!(allot(&streams, 1_099), (vec![2, 4, 0], Some(1_100)));
        assert_eq!(allot(&streams, 499), (vec![1, 0, 0], Some(500)));
        assert_eq!(allot(&streams, 0), (vec![0, 0, 0], Some(500)));
        assert_eq!(allot(&[], 0), (vec![], None));
    }

    proptest! {
        #[test]
        fn what_is_allotted_fits_and_more_would_not(
            streams in prop::collection::vec((any::<bool>(), any::<[u16; 4]>()), 0..8),
            budget in 0u32..300_000,
        ) {
            let streams: Vec<Taker> = streams
                .iter()
                .map(|&(is_screen, rates)| Taker { is_screen, rates: rates.map(u32::from) })
                .collect();
            let (layers, wanting) = allot(&streams, budget);
            let taken = streams.iter().zip(&layers);
            let used: u32 = taken
                .map(|(stream, layers)| stream.rates[..usize::from(*layers)].iter().sum::<u32>())
                .sum();
            prop_assert!(used <= budget);
            prop_assert_eq!(wanting.is_none(), layers.iter().all(|layers| *layers == ALL));
            prop_assert!(wanting.is_none_or(|wanting| wanting > budget));
        }
    }
}
