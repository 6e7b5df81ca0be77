//! Wi-Fi and ticket: from `config.toml`, if the firmware was built with one, otherwise from flash, where the serial line
//! has put them.

#[cfg_attr(not(provisioning), path = "settings/built_in.rs")]
#[cfg_attr(provisioning, path = "settings/stored.rs")]
mod source;

pub use source::{Error, Keeper};

/// The name and the password of a network.
pub type Wifi = (&'static str, Option<&'static str>);
