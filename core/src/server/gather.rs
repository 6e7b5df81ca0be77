//! How long a frame waits for others to the same receiver, so that they share a datagram.
//!
//! Talkers' frames come out of phase, so each would go out in a datagram of its own, and a datagram costs far more than
//! what is in it. The first frame that comes to a room opens its window; when that has passed, all that came meanwhile is sent.
//! Signalling does not wait, and takes along what does.

use super::machine::{MemberKey, RoomKey, Wake, set_ready};
use super::{ModerateError, Server};
use crate::room::RoomId;
use crate::time::{Duration, Instant};

/// When and how long frames of sound wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// Not at all while the server is at most half busy, so long when it is busy nine tenths of the time, and in between in
    /// proportion. The embedder says how busy it is: [`Server::set_load`].
    UnderLoad(Duration),
    /// Always so long. Fewer datagrams spare a device's radio and processor, too.
    Always(Duration),
}

/// From this share of the time on, in percent, frames wait.
const HALF_BUSY: u32 = 50;
/// From this share on they wait as long as they may.
const BUSY: u32 = 90;

impl Gather {
    fn window(self, load: u8) -> Duration {
        match self {
            Self::Always(window) => window,
            Self::UnderLoad(most) => {
                let above = u32::from(load).clamp(HALF_BUSY, BUSY) - HALF_BUSY;
                most * above / (BUSY - HALF_BUSY)
            }
        }
    }
}

impl Server {
    /// Takes in how busy the thread is that this server runs on, in percent of the time.
    ///
    /// ```
    /// # use parlour_core::server::{Config, Gather};
    /// # use parlour_core::time::Duration;
    /// let config = Config { gather: Gather::Always(Duration::from_millis(3)), ..Config::default() };
    /// ```
    pub fn set_load(&mut self, percent: u8) {
        self.load = percent;
    }

    /// Sets how long frames wait for each other in one room, as long as somebody is there; `None`: as the
    /// [`Config`](super::Config) says.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub fn set_gather(
        &mut self,
        room: &RoomId,
        gather: Option<Gather>,
    ) -> Result<(), ModerateError> {
        let key = self.rooms_by_id.get(room);
        let room = key.and_then(|key| self.rooms.get_mut(key.0));
        room.ok_or(ModerateError::UnknownRoom)?.gather = gather;
        Ok(())
    }

    /// How long a frame that comes to this room now waits.
    pub(super) fn gather_window(&self, key: RoomKey) -> Duration {
        let gather = self.rooms.get(key.0).and_then(|room| room.gather);
        gather.unwrap_or(self.config.gather).window(self.load)
    }

    /// Sees to it that the frames in this room are sent when the window has passed.
    pub(super) fn open_window(&mut self, key: RoomKey, ends: Instant) {
        let room = self.rooms.get_mut(key.0);
        if let Some(session) = room.and_then(|room| room.session.as_mut())
            && !session.gathered.is_empty()
        {
            self.timers
                .set_sooner(Wake::Gather(key), &mut session.window, Some(ends));
        }
    }

    /// The window has passed.
    pub(super) fn close_window(&mut self, key: RoomKey) {
        let room = self.rooms.get_mut(key.0);
        let Some(session) = room.and_then(|room| room.session.as_mut()) else {
            return;
        };
        self.timers
            .set(Wake::Gather(key), &mut session.window, None);
        for MemberKey(key) in session.gathered.drain(..) {
            if let Some(member) = self.members.get_mut(key) {
                member.gathered = false;
                // What was signalled meanwhile may have taken it along.
                if !member.media.is_empty() {
                    set_ready(&mut self.ready, MemberKey(key), member);
                }
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
