//! The button that is held to talk, the lamp that shows the state, and the watchdog, which bites if nobody looks at
//! them any more.

#[cfg(provisioning)]
use core::future::Future;

#[cfg(provisioning)]
use embassy_futures::select::{Either, select};
use embassy_rp::Peri;
use embassy_rp::gpio::{Input, Output};
use embassy_rp::peripherals::WATCHDOG;
use embassy_rp::watchdog::Watchdog;
#[cfg(provisioning)]
use embassy_time::Timer;
use embassy_time::{Duration, Instant, Ticker};
use log::warn;
use parlour_device_parts::lamp::State;

use crate::talk;

/// Longer than the longest handshake, and than an erasure of flash.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often it looks; that debounces the button, too.
const LOOK: Duration = Duration::from_millis(50);

pub struct Hands {
    button: Input<'static>,
    lamp: Output<'static>,
    watchdog: Watchdog,
}

impl Hands {
    pub fn new(
        button: Input<'static>,
        lamp: Output<'static>,
        watchdog: Peri<'static, WATCHDOG>,
    ) -> Self {
        let watchdog = Watchdog::new(watchdog);
        if let Some(reason) = watchdog.reset_reason() {
            warn!("restarted by the watchdog: {reason:?}");
        }
        Self {
            button,
            lamp,
            watchdog,
        }
    }

    /// Whether the button is held two seconds after the start.
    #[cfg(provisioning)]
    pub async fn is_held_at_start(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(2);
        select(Timer::at(end), self.show(|_| State::Provisioning)).await;
        self.button.is_low()
    }

    /// Shows that the device waits for its settings.
    #[cfg(provisioning)]
    pub async fn blink_during<T>(&mut self, asking: impl Future<Output = T>) -> T {
        match select(asking, self.show(|_| State::Provisioning)).await {
            Either::First(settings) => settings,
            Either::Second(never) => never,
        }
    }

    async fn show(&mut self, state: impl Fn(bool) -> State) -> ! {
        let mut looks = Ticker::every(LOOK);
        loop {
            looks.next().await;
            self.watchdog.feed(PATIENCE);
            // It connects the pin to ground.
            let lit = state(self.button.is_low()).is_lit(Instant::now().as_millis());
            self.lamp.set_level(lit.into());
        }
    }
}

/// Looks after them for good.
#[embassy_executor::task]
pub async fn watch(mut hands: Hands, place: talk::Place) -> ! {
    // Not before: a device that cannot start says why, and does not restart for ever.
    hands.watchdog.start(PATIENCE);
    hands
        .show(|held| {
            talk::BUTTON.set_pressed(held);
            State::of(place.has_network(), place.is_joined(), held)
        })
        .await
}
