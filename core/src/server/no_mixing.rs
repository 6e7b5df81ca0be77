//! What a build without an encoder has in place of `mixing`: nobody is given a mix.

use super::Server;
use super::machine::RoomKey;
use crate::time::Instant;

impl Server {
    pub(super) const fn can_mix(&self, _room: RoomKey) -> bool {
        false
    }

    pub(super) const fn start_or_end_mix(&mut self, _now: Instant, _room: RoomKey) {}

    pub(super) const fn silence_in_mix(&mut self, _room: RoomKey, _ssrc: u32) {}
}
