//! Frames that wait for others to the same receiver: see [`Gather`](crate::server::Gather).

use super::Session;
use crate::server::context::Context;
use crate::server::keys::Wake;
use crate::time::Instant;

impl Session {
    /// Sees to it that frames that wait are sent at `ends` at the latest.
    pub(super) fn open_window(&mut self, cx: &mut Context, ends: Instant) {
        if !self.gathered.is_empty() {
            let wake = Wake::Gather(self.room_key);
            cx.timers.set_sooner(wake, &mut self.window, Some(ends));
        }
    }

    /// The window has passed.
    pub(crate) fn close_window(&mut self, cx: &mut Context) {
        let wake = Wake::Gather(self.room_key);
        cx.timers.set(wake, &mut self.window, None);
        for key in self.gathered.drain(..) {
            if let Some(member) = self.members.get_mut(key) {
                member.receives.gathered = false;
                // Signalling sent meanwhile may have taken it along.
                if !member.receives.media.is_empty() {
                    cx.wake(&mut member.association);
                }
            }
        }
    }
}
