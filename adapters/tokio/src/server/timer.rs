//! The worker's timer: to the microsecond on Linux, to the millisecond elsewhere, as tokio counts.

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;
#[cfg(not(target_os = "linux"))]
pub(super) use portable::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::future::pending;
    use std::io;
    use std::os::fd::{AsFd as _, AsRawFd, RawFd};

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use parlour_core::time::Instant;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use crate::clock::Clock;
    use crate::server::watch::watch;

    /// The kernel's timer. It is set only for a time earlier than the one it is set for: a server's next time moves on
    /// with almost every datagram, and a needless wake now and then costs less than a system call each time.
    #[derive(Debug)]
    pub(in crate::server) struct Timer {
        clock: Clock,
        fd: AsyncFd<Fd>,
        set_for: Option<Instant>,
    }

    /// Lets tokio wait for the file.
    #[derive(Debug)]
    struct Fd(TimerFd);

    impl AsRawFd for Fd {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    impl Timer {
        /// Needs a runtime.
        pub(in crate::server) fn new(clock: Clock) -> io::Result<Self> {
            let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
            Ok(Self {
                clock,
                fd: watch(Fd(fd), Interest::READABLE)?,
                set_for: None,
            })
        }

        /// Waits until `at`; for ever if that is `None`. Cancellation-safe.
        pub(in crate::server) async fn wait(&mut self, at: Option<Instant>) {
            let Some(at) = at else {
                return pending().await;
            };
            loop {
                let left = at.saturating_duration_since(self.clock.now());
                if left.is_zero() {
                    return;
                }
                if self.set_for.is_none_or(|set_for| at < set_for) {
                    let left = Expiration::OneShot(TimeSpec::from_duration(left));
                    let set = self.fd.get_ref().0.set(left, TimerSetTimeFlags::empty());
                    if set.is_err() {
                        return tokio::time::sleep_until(self.clock.at(at)).await;
                    }
                    self.set_for = Some(at);
                }
                if let Ok(mut ready) = self.fd.readable().await {
                    ready.clear_ready();
                }
                self.set_for = None;
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::future::pending;
    use std::io;

    use parlour_core::time::Instant;

    use crate::clock::Clock;

    /// Tokio's timer.
    #[derive(Debug)]
    pub(in crate::server) struct Timer(Clock);

    impl Timer {
        /// Needs a runtime.
        pub(in crate::server) fn new(clock: Clock) -> io::Result<Self> {
            Ok(Self(clock))
        }

        /// Waits until `at`; for ever if that is `None`. Cancellation-safe.
        pub(in crate::server) async fn wait(&mut self, at: Option<Instant>) {
            match at {
                Some(at) => tokio::time::sleep_until(self.0.at(at)).await,
                None => pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn wakes_when_it_is_time_and_not_before() {
        let clock = Clock::new();
        let mut timer = Timer::new(clock).unwrap();
        let later = |ms| clock.now() + Duration::from_millis(ms);
        // Waits that were given up: for an earlier time, a later one, and none.
        for given_up in [Some(later(1)), Some(later(3_600_000)), None] {
            tokio::select! {
                biased;
                () = timer.wait(given_up) => {}
                () = ready(()) => {}
            }
            let at = later(5);
            let wait = tokio::time::timeout(Duration::from_secs(30), timer.wait(Some(at)));
            wait.await.expect("it takes far too long");
            assert!(clock.now() >= at);
            timer.wait(Some(at)).await;
        }
    }
}
