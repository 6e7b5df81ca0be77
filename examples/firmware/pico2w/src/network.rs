//! Wi-Fi: joins the access point of the settings, and rejoins it after a loss.

use cyw43::{Control, JoinOptions, NetDriver, PowerManagementMode, SpiBus};
use cyw43_pio::{PioSpi, RM2_CLOCK_DIVIDER};
use embassy_executor::{SpawnError, Spawner};
use embassy_net::{Config, Runner, Stack, StackResources};
use embassy_rp::dma;
use embassy_rp::gpio::{Level, Output};
use embassy_rp::peripherals::PIO0;
use embassy_rp::pio::Pio;
use embassy_time::{Duration, Timer};
use log::{info, warn};
use parlour_provisioning::Wifi;
use static_cell::StaticCell;

use crate::board::{Interrupts, Radio};

type Bus = SpiBus<Output<'static>, PioSpi<'static, PIO0, 0>>;

/// Turns the radio on. The stack has a link and an address some seconds later.
pub async fn start(
    spawner: Spawner,
    radio: Radio,
    wifi: Option<&Wifi>,
    seed: u64,
) -> Result<Stack<'static>, SpawnError> {
    static STATE: StaticCell<cyw43::State> = StaticCell::new();
    /// A socket each for DHCP, DNS and the room, and one more.
    static SOCKETS: StaticCell<StackResources<4>> = StaticCell::new();

    let power = Output::new(radio.power, Level::Low);
    let select = Output::new(radio.select, Level::High);
    let mut pio = Pio::new(radio.pio, Interrupts);
    let spi = PioSpi::new(
        &mut pio.common,
        pio.sm0,
        RM2_CLOCK_DIVIDER,
        pio.irq0,
        select,
        radio.data,
        radio.clock,
        dma::Channel::new(radio.dma, Interrupts),
    );
    let state = STATE.init_with(cyw43::State::new);
    let (device, mut control, runner) =
        cyw43::new(state, power, spi, &cyw43_setup::FW, &cyw43_setup::NVRAM).await;
    spawner.spawn(drive(runner)?);
    control.init(cyw43_setup::CLM).await;
    // It never sleeps: between beacons audio would arrive up to 100 ms late.
    control
        .set_power_management(PowerManagementMode::None)
        .await;

    let config = Config::dhcpv4(Default::default());
    let sockets = SOCKETS.init_with(StackResources::new);
    let (stack, runner) = embassy_net::new(device, config, sockets, seed);
    spawner.spawn(carry_frames(runner)?);
    if let Some(wifi) = wifi {
        spawner.spawn(stay_connected(control, wifi.clone(), stack)?);
    }
    Ok(stack)
}

#[embassy_executor::task]
async fn drive(runner: cyw43::Runner<'static, Bus>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn carry_frames(mut runner: Runner<'static, NetDriver<'static>>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn stay_connected(mut control: Control<'static>, wifi: Wifi, stack: Stack<'static>) -> ! {
    const PAUSE: Duration = Duration::from_secs(2);
    loop {
        let options = match wifi.password() {
            Some(password) => JoinOptions::new(password.as_bytes()),
            None => JoinOptions::new_open(),
        };
        let name = wifi.name();
        match control.join(name, options).await {
            Ok(()) => {
                info!("Wi-Fi: connected");
                Timer::after(PAUSE).await;
                // Looked at now and then: only embassy-net's runner and the room's may wait for the link.
                while stack.is_link_up() {
                    Timer::after(PAUSE).await;
                }
                warn!("Wi-Fi: lost");
            }
            Err(error) => warn!(
                "Wi-Fi: no connection to {name:?}: {error:?}; check name, password and 2.4 GHz"
            ),
        }
        Timer::after(PAUSE).await;
    }
}
