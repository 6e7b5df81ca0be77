//! How long a frame waits for others to the same receiver, so that they share a datagram.
//!
//! Talkers' frames arrive out of phase, so each would be sent in a datagram of its own, and a datagram costs far more
//! than its contents. The first frame that arrives in a room opens its window; when the window has passed, all frames
//! that arrived meanwhile are sent. Signalling does not wait, and takes waiting frames along.

use crate::time::Duration;

/// When and how long frames of sound wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// Not at all while the server is at most half busy, for this time when it is busy nine tenths of the time, and
    /// in between in proportion. The embedder reports the load: [`Server::set_load`](super::Server::set_load).
    UnderLoad(Duration),
    /// Always for this time. Fewer datagrams spare a device's radio and processor, too.
    Always(Duration),
}

/// From this share of the time on, in percent, frames wait.
const HALF_BUSY: u32 = 50;
/// From this share on they wait as long as they may.
const BUSY: u32 = 90;

impl Gather {
    /// How long a frame waits at this load, in percent.
    pub(super) fn window(self, load: u8) -> Duration {
        match self {
            Self::Always(window) => window,
            Self::UnderLoad(most) => {
                let above = u32::from(load).clamp(HALF_BUSY, BUSY) - HALF_BUSY;
                most * above / (BUSY - HALF_BUSY)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_grows_with_the_load() {
        let ms = Duration::from_millis;
        let gather = Gather::UnderLoad(ms(4));
        let windows = [0, 50, 60, 70, 90, 100, 255].map(|load| gather.window(load));
        assert_eq!(windows, [ms(0), ms(0), ms(1), ms(2), ms(4), ms(4), ms(4)]);
        assert_eq!(Gather::Always(ms(3)).window(0), ms(3));
    }
}
