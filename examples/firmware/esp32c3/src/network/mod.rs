//! The network: a radio where the chip has one, otherwise a cable. Both give a stack that gets its address by DHCP, and
//! a source of random numbers, since on these chips only the radio makes them true.

use embassy_net::{Config, StackResources};
use static_cell::StaticCell;

#[cfg_attr(feature = "wifi", path = "wifi.rs")]
#[cfg_attr(not(feature = "wifi"), path = "ethernet.rs")]
mod link;

pub use link::{Error, Parts, Random, start};

/// A socket each for DHCP, DNS and the room, and one more.
static SOCKETS: StaticCell<StackResources<4>> = StaticCell::new();

fn config() -> Config {
    Config::dhcpv4(Default::default())
}
