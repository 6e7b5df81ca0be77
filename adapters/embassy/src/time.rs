//! The embedder's clock as the core's.

use parlour_core::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// Waits until `instant`; for ever if there is none.
pub(crate) async fn wait_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => {
            // A tick later, since the conversion rounds down; what the driver cannot count to is never.
            let at = embassy_time::Instant::try_from_micros(instant.as_micros())
                .and_then(|at| at.checked_add(embassy_time::Duration::from_ticks(1)))
                .unwrap_or(embassy_time::Instant::MAX);
            embassy_time::Timer::at(at).await;
        }
        None => core::future::pending().await,
    }
}
