//! Wi-Fi: joins the access point of the settings, and rejoins it after a loss.

use embassy_executor::{SpawnError, Spawner};
use embassy_net::{Runner, Stack};
use embassy_time::{Duration, Timer};
use esp_hal::peripherals::WIFI;
use esp_hal::rng::{Trng, TrngError};
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ControllerConfig, Interface, WifiController, WifiError,
};
use log::{info, warn};
use thiserror::Error;

use crate::settings::Wifi;

/// True random numbers, as long as the radio is on; it is never turned off.
pub type Random = Trng;

/// The peripherals of the network.
pub struct Parts {
    pub wifi: WIFI<'static>,
}

/// Why there is no network.
#[derive(Debug, Error)]
pub enum Error {
    #[error("the radio does not start: {0:?}")]
    Radio(WifiError),
    #[error("the settings have no Wi-Fi")]
    Settings,
    #[error("no true random numbers: {0:?}")]
    Random(TrngError),
    #[error(transparent)]
    Task(#[from] SpawnError),
}

impl From<WifiError> for Error {
    fn from(error: WifiError) -> Self {
        Self::Radio(error)
    }
}

/// Turns the radio on. The stack has a link and an address some seconds later.
pub fn start(
    spawner: Spawner,
    parts: Parts,
    wifi: Option<Wifi>,
) -> Result<(Stack<'static>, Random), Error> {
    let (name, password) = wifi.ok_or(Error::Settings)?;
    // The radio's firmware allocates; nothing else here does.
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: 64 * 1024);
    esp_alloc::heap_allocator!(size: 36 * 1024);
    let authentication = match password {
        Some(password) => AuthenticationMethodConfig::Wpa2Personal(password.try_into()?),
        None => AuthenticationMethodConfig::Open,
    };
    let station = StationConfig::default()
        .with_ssid(name.try_into()?)
        .with_authentication(authentication);
    let config = ControllerConfig::default().with_initial_config(Config::Station(station));
    // It never sleeps, unlike the default: between beacons audio would arrive up to 100 ms late.
    let controller = WifiController::new(parts.wifi, config)?;
    let random = Trng::try_new().map_err(Error::Random)?;
    let seed = u64::from(random.random()) << 32 | u64::from(random.random());
    let sockets = super::SOCKETS.init_with(embassy_net::StackResources::new);
    let (stack, runner) = embassy_net::new(Interface::station(), super::config(), sockets, seed);
    spawner.spawn(stay_connected(controller, name)?);
    spawner.spawn(carry_frames(runner)?);
    Ok((stack, random))
}

#[embassy_executor::task]
async fn stay_connected(mut controller: WifiController<'static>, name: &'static str) -> ! {
    loop {
        match controller.connect_async().await {
            Ok(point) => {
                info!("Wi-Fi: connected, channel {}", point.channel);
                match controller.wait_for_disconnect_async().await {
                    Ok(lost) => warn!("Wi-Fi: lost, {:?}", lost.reason),
                    Err(error) => warn!("Wi-Fi: lost, {error:?}"),
                }
            }
            Err(error) => warn!("Wi-Fi: no connection to {name:?}: {error:?}"),
        }
        Timer::after(Duration::from_secs(2)).await;
    }
}

#[embassy_executor::task]
async fn carry_frames(mut runner: Runner<'static, Interface>) -> ! {
    runner.run().await
}
