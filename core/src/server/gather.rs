//! How long a frame waits for others to the same receiver, so that they share a datagram.
//!
//! Talkers' frames come out of phase, so each would go out in a datagram of its own, and a datagram costs far more than
//! what is in it. The first frame that comes to a room opens its window; when that has passed, all that came meanwhile is sent.
//! Signalling does not wait, and takes along what does.

use crate::time::Duration;

/// When and how long frames of sound wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// Not at all while the server is at most half busy, so long when it is busy nine tenths of the time, and in between in
    /// proportion. The embedder says how busy it is: [`Server::set_load`](super::Server::set_load).
    UnderLoad(Duration),
    /// Always so long. Fewer datagrams spare a device's radio and processor, too.
    Always(Duration),
}

/// From this share of the time on, in percent, frames wait.
const HALF_BUSY: u32 = 50;
/// From this share on they wait as long as they may.
const BUSY: u32 = 90;

impl Gather {
    /// How long a frame waits that comes at such a load, in percent.
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
