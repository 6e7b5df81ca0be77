//! How long a session lasts by itself: with nobody in it, with one alone, altogether.

use super::Room;
use crate::room::CloseReason;
use crate::server::RoomLimits;
use crate::server::context::Context;
use crate::server::keys::Wake;
use crate::server::timers::Alarm;
use crate::time::Instant;

/// What is known of a session's age.
#[derive(Debug)]
pub(super) struct Lasting {
    started: Instant,
    /// Since when one is alone in it.
    alone: Option<Instant>,
    /// Since when nobody is in it, and why the last one left.
    empty: Option<(Instant, CloseReason)>,
    pub(super) alarm: Alarm,
}

impl Lasting {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            alone: None,
            empty: None,
            alarm: Alarm::default(),
        }
    }

    /// Somebody came, so that so many are there now.
    pub(super) fn entered(&mut self, now: Instant, there: usize) {
        self.empty = None;
        self.alone = (there == 1).then(|| self.alone.unwrap_or(now));
    }

    /// Somebody went. One that is replaced comes back at once, and is as alone as before.
    pub(super) fn left(&mut self, now: Instant, there: usize, reason: CloseReason) {
        self.empty = (there == 0).then_some((now, reason));
        self.alone = match there {
            0 => self.alone.filter(|_| reason == CloseReason::Replaced),
            1 => Some(now),
            _ => None,
        };
    }

    /// When the session ends if nobody comes or goes, and why.
    fn end(&self, limits: &RoomLimits) -> Option<(Instant, CloseReason)> {
        let altogether = limits.max_session.map(|limit| self.started + limit);
        let alone = self.alone.zip(limits.solo_timeout);
        let alone = alone.map(|(since, limit)| since + limit);
        let empty = self.empty.map(|(since, reason)| {
            let end = since + limits.empty_timeout.unwrap_or_default();
            (end, reason)
        });
        let ends = [
            altogether.map(|end| (end, CloseReason::SessionTooLong)),
            alone.map(|end| (end, CloseReason::AloneTooLong)),
            empty,
        ];
        ends.into_iter().flatten().min_by_key(|(end, _)| *end)
    }
}

impl Room {
    pub(crate) fn set_limits(&mut self, cx: &mut Context, limits: RoomLimits) {
        self.limits = limits;
        self.end_in_time(cx);
    }

    /// Ends the session if its time is over; else has it looked at again when it will be.
    pub(super) fn end_in_time(&mut self, cx: &mut Context) {
        let (key, limits) = (self.key, self.limits);
        let Some(session) = &mut self.session else {
            return;
        };
        match session.lasting.end(&limits) {
            Some((end, reason)) if end <= cx.now => self.end_session(cx, reason),
            end => {
                let at = end.map(|(end, _)| end);
                (cx.timers).set(Wake::Session(key), &mut session.lasting.alarm, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_first_limit_that_is_reached_ends_it() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let limits = RoomLimits {
            empty_timeout: seconds(10),
            solo_timeout: seconds(20),
            max_session: seconds(100),
            ..RoomLimits::default()
        };
        let none = RoomLimits::default();
        let mut lasting = Lasting::new(at(0));
        lasting.entered(at(0), 1);
        assert_eq!(
            lasting.end(&limits),
            Some((at(20), CloseReason::AloneTooLong))
        );
        assert_eq!(lasting.end(&none), None);
        lasting.entered(at(5), 2);
        assert_eq!(
            lasting.end(&limits),
            Some((at(100), CloseReason::SessionTooLong))
        );
        lasting.left(at(85), 1, CloseReason::Left);
        assert_eq!(
            lasting.end(&limits),
            Some((at(100), CloseReason::SessionTooLong))
        );
        lasting.left(at(86), 0, CloseReason::Kicked);
        assert_eq!(lasting.end(&limits), Some((at(96), CloseReason::Kicked)));
        assert_eq!(lasting.end(&none), Some((at(86), CloseReason::Kicked)));
        lasting.entered(at(90), 1);
        assert_eq!(lasting.end(&none), None, "it goes on");
    }

    #[test]
    fn one_that_is_replaced_is_as_alone_as_before() {
        let limits = RoomLimits {
            solo_timeout: Some(Duration::from_secs(20)),
            ..RoomLimits::default()
        };
        let mut lasting = Lasting::new(at(0));
        lasting.entered(at(0), 1);
        lasting.left(at(10), 0, CloseReason::Replaced);
        lasting.entered(at(10), 1);
        let end = |lasting: &Lasting| lasting.end(&limits).map(|(end, _)| end);
        assert_eq!(end(&lasting), Some(at(20)));
        lasting.left(at(15), 0, CloseReason::Left);
        lasting.entered(at(15), 1);
        assert_eq!(end(&lasting), Some(at(35)), "another one, or a new stay");
    }
}
