//! Where in the picture who stands.

use super::{Layout, Region, Video};

/// How much of the picture's width the others have beside the one who speaks: a quarter.
const COLUMN: u32 = 4;
/// How many of them are in that column at most.
const MOST_BESIDE: usize = 6;

/// A part of the picture, in pixels: all even numbers, since colours stand for two by two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A participant, by its index, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) who: usize,
    pub(super) rect: Rect,
}

impl Rect {
    /// The `index`-th of so many parts of a length, from where to where.
    fn part(length: u32, parts: usize, index: usize) -> (u32, u32) {
        let even = |index: usize| {
            let place = u64::from(length) * index as u64 / parts.max(1) as u64;
            // Not more than the length.
            place as u32 & !1
        };
        (even(index), even(index + 1))
    }

    /// A cell of it, of so many columns and rows.
    fn cell(self, (columns, rows): (usize, usize), index: usize) -> Self {
        let (left, right) = Self::part(self.width, columns, index % columns.max(1));
        let (top, bottom) = Self::part(self.height, rows, index / columns.max(1));
        Self {
            x: self.x + left,
            y: self.y + top,
            width: right - left,
            height: bottom - top,
        }
    }

    /// As many cells as there are of these, in their order: those for whom there is no place are left out.
    fn filled(self, (columns, rows): (usize, usize), who: &[usize]) -> Vec<Tile> {
        let placed = who.iter().take(columns * rows).enumerate();
        let tiles = placed.map(|(index, who)| Tile {
            who: *who,
            rect: self.cell((columns, rows), index),
        });
        tiles.collect()
    }
}

/// The columns and rows for so many: about as many of either, and no row without anybody.
fn square(count: usize) -> (usize, usize) {
    let columns = (1..=count)
        .find(|columns| columns * columns >= count)
        .unwrap_or(1);
    (columns, count.div_ceil(columns).max(1))
}

/// Who stands where, those in front last. `present` are there, in the order in which they came; one of them, or nobody, is the
/// active speaker. `has` says whether a region shows a participant.
pub(super) fn tiles(
    video: &Video,
    present: &[usize],
    speaker: Option<usize>,
    has: impl Fn(&Region, usize) -> bool,
) -> Vec<Tile> {
    let all = Rect {
        x: 0,
        y: 0,
        width: video.width,
        height: video.height,
    };
    let first = speaker.or(present.first().copied());
    let mut tiles = match &video.layout {
        Layout::Grid => all.filled(square(present.len()), present),
        Layout::Single => all.filled((1, 1), first.as_slice()),
        Layout::Speaker => {
            let others: Vec<_> = present
                .iter()
                .copied()
                .filter(|who| Some(*who) != first)
                .collect();
            let column = match others.is_empty() {
                true => 0,
                false => (video.width / COLUMN) & !1,
            };
            let large = Rect {
                width: all.width - column,
                ..all
            };
            let beside = Rect {
                x: large.width,
                width: column,
                ..all
            };
            let rows = others.len().clamp(COLUMN as usize, MOST_BESIDE);
            let mut tiles = large.filled((1, 1), first.as_slice());
            tiles.extend(beside.filled((1, rows), &others));
            tiles
        }
        Layout::Regions(regions) => {
            let mut regions: Vec<_> = regions.iter().collect();
            regions.sort_by_key(|region| region.z);
            let of = |region: &Region| {
                let shown: Vec<_> = present
                    .iter()
                    .copied()
                    .filter(|who| has(region, *who))
                    .collect();
                let (columns, rows) = square(shown.len());
                let count = |asked: Option<u8>, own: usize| asked.map_or(own, usize::from);
                let grid = match (region.columns, region.rows) {
                    // As many of the other as there is need of.
                    (Some(columns), None) => (
                        columns.into(),
                        shown.len().div_ceil(usize::from(columns).max(1)).max(1),
                    ),
                    (None, Some(rows)) => (
                        shown.len().div_ceil(usize::from(rows).max(1)).max(1),
                        rows.into(),
                    ),
                    (asked, other) => (count(asked, columns), count(other, rows)),
                };
                let rect = Rect {
                    x: region.x & !1,
                    y: region.y & !1,
                    width: region.width & !1,
                    height: region.height & !1,
                };
                rect.filled(grid, &shown)
            };
            regions.into_iter().flat_map(of).collect()
        }
    };
    // Too many for so small a picture.
    tiles.retain(|tile| tile.rect.width >= 2 && tile.rect.height >= 2);
    tiles
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Side;
    use super::*;

    fn video(layout: Layout) -> Video {
        Video {
            width: 1_280,
            height: 720,
            fps: 25,
            layout,
        }
    }

    fn placed(layout: Layout, present: &[usize], speaker: Option<usize>) -> Vec<(usize, [u32; 4])> {
        let tiles = tiles(
            &video(layout),
            present,
            speaker,
            |region, who| match &region.sources {
                Side::Only(ids) => ids.contains(&who.to_string()),
                _ => true,
            },
        );
        let plain = |tile: &Tile| {
            let Rect {
                x,
                y,
                width,
                height,
            } = tile.rect;
            (tile.who, [x, y, width, height])
        };
        tiles.iter().map(plain).collect()
    }

    #[test]
    fn a_grid_is_about_square() {
        assert_eq!(placed(Layout::Grid, &[], None), []);
        assert_eq!(placed(Layout::Grid, &[7], None), [(7, [0, 0, 1_280, 720])]);
        assert_eq!(
            placed(Layout::Grid, &[3, 1, 2], Some(1)),
            [
                (3, [0, 0, 640, 360]),
                (1, [640, 0, 640, 360]),
                (2, [0, 360, 640, 360])
            ]
        );
        assert_eq!(
            [1, 2, 4, 5, 9, 10, 17].map(square),
            [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, 3), (5, 4)]
        );
    }

    #[test]
    fn the_speaker_is_large_and_the_others_are_in_a_column() {
        assert_eq!(
            placed(Layout::Speaker, &[4], None),
            [(4, [0, 0, 1_280, 720])]
        );
        assert_eq!(
            placed(Layout::Speaker, &[0, 1, 2], Some(1)),
            [
                (1, [0, 0, 960, 720]),
                (0, [960, 0, 320, 180]),
                (2, [960, 180, 320, 180])
            ]
        );
        // Of many, six are beside.
        let many: Vec<_> = (0..30).collect();
        assert_eq!(placed(Layout::Speaker, &many, Some(9)).len(), 7);
        assert_eq!(
            placed(Layout::Single, &many, Some(9)),
            [(9, [0, 0, 1_280, 720])]
        );
        assert_eq!(
            placed(Layout::Single, &many, None),
            [(0, [0, 0, 1_280, 720])]
        );
    }

    #[test]
    fn regions_have_their_places_and_those_in_front_come_last() {
        let region = |x, z, columns, rows, sources| Region {
            x,
            y: 0,
            width: 640,
            height: 720,
            z,
            columns,
            rows,
            sources,
        };
        let only = |who: &str| Side::Only(vec![who.to_owned()]);
        let regions = vec![
            region(640, 5, None, None, only("1")),
            region(0, 1, Some(1), None, Side::All),
            region(100, 3, Some(2), Some(1), Side::All),
        ];
        assert_eq!(
            placed(Layout::Regions(regions), &[0, 1, 2], None),
            [
                (0, [0, 0, 640, 240]),
                (1, [0, 240, 640, 240]),
                (2, [0, 480, 640, 240]),
                (0, [100, 0, 320, 720]),
                (1, [420, 0, 320, 720]),
                (1, [640, 0, 640, 720]),
            ]
        );
    }

    proptest! {
        /// Whatever the size and however many there are, all of it is within the picture, and in a grid nothing overlaps.
        #[test]
        fn tiles_are_within_the_picture(width in 80_u32..=960, height in 45_u32..=540, count in 0_usize..400, speaker: prop::sample::Index, kind in 0..3) {
            let layout = [Layout::Grid, Layout::Speaker, Layout::Single][kind as usize].clone();
            let video = Video { width: width * 2, height: height * 2, fps: 25, layout };
            let present: Vec<_> = (0..count).collect();
            let speaker = (count > 0).then(|| speaker.index(count));
            let tiles = tiles(&video, &present, speaker, |_, _| true);
            let mut area = 0;
            for Tile { rect, .. } in &tiles {
                prop_assert!(rect.x + rect.width <= video.width && rect.y + rect.height <= video.height);
                prop_assert!([rect.x, rect.y, rect.width, rect.height].iter().all(|number| number % 2 == 0));
                area += rect.width * rect.height;
            }
            prop_assert!(area <= video.width * video.height);
            prop_assert_eq!(tiles.is_empty(), count == 0);
        }
    }
}
