//! The button that is held to talk, and the lamp that shows the state.

use embassy_time::{Duration, Instant, Ticker};
use esp_hal::gpio::{AnyPin, Input, InputConfig, Level, Output, OutputConfig, Pull};
use parlour_device_parts::lamp::State;

use crate::talk;

/// Polls both 20 times a second, which also debounces the button.
#[embassy_executor::task]
pub async fn watch(button: AnyPin<'static>, lamp: AnyPin<'static>, place: talk::Place) -> ! {
    let button = Input::new(button, InputConfig::default().with_pull(Pull::Up));
    let mut lamp = Output::new(lamp, Level::Low, OutputConfig::default());
    let mut looks = Ticker::every(Duration::from_millis(50));
    loop {
        looks.next().await;
        // It connects the pin to ground.
        let held = button.is_low();
        talk::BUTTON.set_pressed(held);
        let state = State::of(place.has_network(), place.is_joined(), held);
        lamp.set_level(state.is_lit(Instant::now().as_millis()).into());
    }
}
