//! A picture in YUV 4:2:0: a plane of lightness, and two of colour with a quarter of its samples.

use super::layout::Rect;

/// A colour by its lightness and its two differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

/// Behind everybody.
pub(super) const BACKGROUND: Colour = Colour(24, 128, 128);
/// Around who speaks: green.
pub(super) const SPEAKING: Colour = Colour(172, 74, 61);

/// A picture. Its width and height are even.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Canvas {
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

/// The bytes of a picture.
pub(super) fn len(width: u32, height: u32) -> usize {
    width as usize * height as usize * 3 / 2
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let mut canvas = Self {
            width,
            height,
            bytes: vec![0; len(width, height)],
        };
        canvas.clear();
        canvas
    }

    /// One of these bytes, if there are as many as it needs.
    pub(super) fn of(width: u32, height: u32, bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == len(width, height)).then_some(Self {
            width,
            height,
            bytes,
        })
    }

    /// All of it: the three planes, one behind the other.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        let all = Rect {
            x: 0,
            y: 0,
            width: self.width,
            height: self.height,
        };
        self.fill(all, BACKGROUND);
    }

    /// Where each plane begins, and by how many bits it is smaller in each direction.
    fn planes(&self) -> [(usize, u32); 3] {
        let light = self.width as usize * self.height as usize;
        [(0, 0), (light, 1), (light + light / 4, 1)]
    }

    /// A row of a part of a plane.
    fn row(&mut self, (start, shift): (usize, u32), rect: Rect, row: u32) -> &mut [u8] {
        let width = (self.width >> shift) as usize;
        let from = start + ((rect.y >> shift) + row) as usize * width + (rect.x >> shift) as usize;
        let to = from + (rect.width >> shift) as usize;
        self.bytes.get_mut(from..to).unwrap_or_default()
    }

    pub(super) fn fill(&mut self, rect: Rect, Colour(y, u, v): Colour) {
        for (plane, value) in self.planes().into_iter().zip([y, u, v]) {
            for row in 0..rect.height >> plane.1 {
                self.row(plane, rect, row).fill(value);
            }
        }
    }

    /// Draws a frame that is so thick within a part, which is larger.
    pub(super) fn frame(&mut self, rect: Rect, thickness: u32, colour: Colour) {
        let half = rect.width.min(rect.height) / 2;
        let thickness = (thickness & !1).clamp(2, 2.max(half & !1));
        let Rect {
            x,
            y,
            width,
            height,
        } = rect;
        let (right, bottom) = (x + width - thickness, y + height - thickness);
        for side in [
            Rect {
                height: thickness,
                ..rect
            },
            Rect {
                y: bottom,
                height: thickness,
                ..rect
            },
            Rect {
                width: thickness,
                ..rect
            },
            Rect {
                x: right,
                width: thickness,
                ..rect
            },
        ] {
            self.fill(side, colour);
        }
    }

    /// Lays another picture on it, with its upper left corner at that of a part.
    pub(super) fn lay(&mut self, other: &Self, rect: Rect) {
        let planes = self.planes().into_iter().zip(other.planes());
        for (plane, (start, shift)) in planes {
            let width = (other.width >> shift) as usize;
            let from = other.bytes.get(start..).unwrap_or_default();
            let rows = from.chunks_exact(width.max(1));
            for (row, bytes) in (0..rect.height.min(other.height) >> shift).zip(rows) {
                for (to, from) in self.row(plane, rect, row).iter_mut().zip(bytes) {
                    *to = *from;
                }
            }
        }
    }

    /// The lightness of a pixel.
    #[cfg(test)]
    pub(super) fn lightness(&self, x: u32, y: u32) -> u8 {
        self.bytes[(y * self.width + x) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_laid_where_it_belongs_and_framed_within_that() {
        let mut canvas = Canvas::new(16, 12);
        let rect = Rect {
            x: 4,
            y: 2,
            width: 8,
            height: 8,
        };
        let light = Canvas::of(8, 8, vec![200; len(8, 8)]).unwrap();
        canvas.lay(&light, rect);
        let lightness =
            |canvas: &Canvas, y| (0..16).map(|x| canvas.lightness(x, y)).collect::<Vec<_>>();
        let dark = BACKGROUND.0;
        let row = lightness(&canvas, 5);
        assert!(
            row[..4]
                .iter()
                .chain(&row[12..])
                .all(|value| *value == dark)
        );
        assert!(row[4..12].iter().all(|value| *value == 200));
        assert!(lightness(&canvas, 10).iter().all(|value| *value == dark));
        // A colour stands for four pixels.
        let colours = &canvas.bytes()[16 * 12..][..8 * 6];
        assert_eq!(colours.iter().filter(|value| **value == 200).count(), 16);
        canvas.frame(rect, 2, SPEAKING);
        let row = lightness(&canvas, 5);
        assert_eq!(
            (row[4], row[5], row[6], row[9], row[10], row[11]),
            (172, 172, 200, 200, 172, 172)
        );
        assert!(
            lightness(&canvas, 2)[4..12]
                .iter()
                .all(|value| *value == 172)
        );
        canvas.clear();
        assert_eq!(canvas, Canvas::new(16, 12));
        assert_eq!(Canvas::of(8, 8, vec![0; 95]), None);
    }
}
