//! Ethernet of the ESP32-P4, with the transceiver of its reference board (IP101) or any other on the same wires.

use embassy_executor::{SpawnError, Spawner};
use embassy_net::{Runner, Stack};
use esp_hal::Async;
use esp_hal::delay::Delay;
use esp_hal::efuse;
use esp_hal::ethernet::clock::ExternalRefClock;
use esp_hal::ethernet::phy::generic::GenericPhy;
use esp_hal::ethernet::{Ethernet, EthernetDmaStorage, RmiiPinBundle};
use esp_hal::gpio::{AnyPin, Level, Output, OutputConfig};
use esp_hal::peripherals::{
    ETH, GPIO28, GPIO29, GPIO30, GPIO31, GPIO34, GPIO35, GPIO49, GPIO50, GPIO52,
};
use esp_hal::rng::Rng;
use log::warn;
use static_cell::StaticCell;
use thiserror::Error;

use crate::settings::Wifi;

type Cable = Ethernet<'static, Async, GenericPhy>;
type Wires = RmiiPinBundle<
    ExternalRefClock<GPIO50<'static>>,
    GPIO29<'static>,
    GPIO30<'static>,
    GPIO28<'static>,
    GPIO34<'static>,
    GPIO35<'static>,
    GPIO49<'static>,
    GPIO31<'static>,
    GPIO52<'static>,
>;

/// The peripherals of the network.
pub struct Parts {
    pub mac: ETH<'static>,
    /// The transceiver's reset, active low.
    pub reset: AnyPin<'static>,
    pub wires: Wires,
}

/// Why there is no network.
#[derive(Debug, Error)]
pub enum Error {
    #[error("no Ethernet transceiver answers: {0:?}")]
    Transceiver(esp_hal::ethernet::Error),
    #[error(transparent)]
    Task(#[from] SpawnError),
}

/// Frames in each direction.
const FRAMES: usize = 8;
static FRAMES_IN_FLIGHT: StaticCell<EthernetDmaStorage<FRAMES, FRAMES>> = StaticCell::new();

/// Starts the transceiver. The stack has a link and an address some seconds after the cable is plugged in.
pub fn start(
    spawner: Spawner,
    parts: Parts,
    _wifi: Option<Wifi>,
) -> Result<(Stack<'static>, Random), Error> {
    let mut reset = Output::new(parts.reset, Level::Low, OutputConfig::default());
    Delay::new().delay_millis(10);
    // The pin keeps its level when its driver is gone.
    reset.set_high();
    Delay::new().delay_millis(10);

    let mut address = [0; 6];
    address.copy_from_slice(efuse::base_mac_address().as_bytes());
    let frames = FRAMES_IN_FLIGHT.init_with(EthernetDmaStorage::new);
    let phy = GenericPhy::new_auto();
    let cable = Ethernet::new(parts.mac, frames, address, phy, parts.wires);
    let cable = cable.map_err(Error::Transceiver)?.into_async();

    let random = Random::new();
    let seed = u64::from(random.0.random()) << 32 | u64::from(random.0.random());
    let sockets = super::SOCKETS.init_with(embassy_net::StackResources::new);
    let (stack, runner) = embassy_net::new(cable, super::config(), sockets, seed);
    spawner.spawn(carry_frames(runner)?);
    Ok((stack, random))
}

#[embassy_executor::task]
async fn carry_frames(mut runner: Runner<'static, Cable>) -> ! {
    runner.run().await
}

/// The chip's random numbers. Without a radio they are true only while its converters feed them with noise, which
/// esp-hal 1.2 does not do for this chip.
pub struct Random(Rng);

impl Random {
    fn new() -> Self {
        warn!(
            "random numbers of unproven quality: do not rely on this build's secrecy, see README.md"
        );
        Self(Rng::new())
    }
}

#[cfg(feature = "parlour")]
mod rand_core {
    use parlour_embassy::core::rand_core::{CryptoRng, Error, RngCore, impls};

    use super::Random;

    impl RngCore for Random {
        fn next_u32(&mut self) -> u32 {
            self.0.random()
        }
        fn next_u64(&mut self) -> u64 {
            impls::next_u64_via_u32(self)
        }
        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            self.0.read(bytes);
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
            self.0.read(bytes);
            Ok(())
        }
    }

    // The firmware warns of its weakness at the start; without this claim the chip could not join a room at all.
    impl CryptoRng for Random {}
}
