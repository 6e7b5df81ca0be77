//! The button that is held to talk, and the lamp that shows the state.

use embassy_time::{Duration, Instant, Ticker};
use esp_hal::gpio::{AnyPin, Input, InputConfig, Level, Output, OutputConfig, Pull};
use parlour_device_parts::lamp::State;

use crate::talk;

pub struct Hands {
    button: Input<'static>,
    lamp: Output<'static>,
}

impl Hands {
    pub fn new(button: AnyPin<'static>, lamp: AnyPin<'static>) -> Self {
        Self {
            button: Input::new(button, InputConfig::default().with_pull(Pull::Up)),
            lamp: Output::new(lamp, Level::Low, OutputConfig::default()),
        }
    }

    /// Whether the button is held two seconds after the start: at the start itself, some chips' button has another
    /// meaning.
    #[cfg(provisioning)]
    pub async fn is_held_at_start(&mut self) -> bool {
        let end = embassy_time::Timer::after(Duration::from_secs(2));
        self.blink_during(end).await;
        self.button.is_low()
    }

    /// Shows that the device waits for its settings.
    #[cfg(provisioning)]
    pub async fn blink_during<T>(&mut self, asking: impl Future<Output = T>) -> T {
        use embassy_futures::select::{Either, select};
        match select(asking, self.show(|_| State::Provisioning)).await {
            Either::First(settings) => settings,
            Either::Second(never) => never,
        }
    }

    /// Polls both 20 times a second, which also debounces the button.
    async fn show(&mut self, state: impl Fn(bool) -> State) -> ! {
        let mut looks = Ticker::every(Duration::from_millis(50));
        loop {
            looks.next().await;
            // It connects the pin to ground.
            let lit = state(self.button.is_low()).is_lit(Instant::now().as_millis());
            self.lamp.set_level(lit.into());
        }
    }
}

/// Looks after them for good.
#[embassy_executor::task]
pub async fn watch(mut hands: Hands, place: talk::Place) -> ! {
    hands
        .show(|held| {
            talk::BUTTON.set_pressed(held);
            State::of(place.has_network(), place.is_joined(), held)
        })
        .await
}
