//! Provisioning: gives a device its Wi-Fi and its ticket over a serial line, keeps them in flash, and replaces the
//! ticket's token before it expires. No IO, no clock, no allocation: bytes go in, lines come out, and the flash is
//! whatever implements [`NorFlash`](embedded_storage_async::nor_flash::NorFlash).
//!
//! | part | does |
//! |---|---|
//! | [`Settings`] | what a device has to know, checked |
//! | [`Dialog`] | the line protocol, as a state machine |
//! | [`Store`] | the settings in flash |
//! | [`Refresh`] | a newer token, by message of the server |
//! | [`Keeper`] | the last two, while the device is in its room |
//! | [`provision`] | all of it, over a [`Serial`] line |
//!
//! # The protocol
//! Lines of UTF-8 text, ended by LF, CR or both. Each line is a command, and each command has one line as its answer,
//! which starts with `ok` or with `error` and a space. Every other line is the firmware's log. Nothing is stored before
//! `save`, and no answer contains a password or a token.
//!
//! | command | answer | means |
//! |---|---|---|
//! | `hello` | `ok parlour-provisioning 1 wifi=missing ticket=missing` | version of the protocol; each is `set` or `missing`; `wifi=none` without a radio |
//! | `wifi NAME` | `ok wifi` | all after the first space is the name; the network is open unless `password` follows |
//! | `password PASSWORD` | `ok password` | of that network |
//! | `ticket TICKET` | `ok ticket for HOST port PORT` | `parlour://…`, which the server prints |
//! | `save` | `ok saved` | stores all three and leaves provisioning |
//! | `forget` | `ok forgotten` | erases all settings in flash |
//!
//! ```
//! use parlour_provisioning::{Dialog, Radio, Step};
//!
//! let mut dialog = Dialog::new(Radio::Present, None);
//! let mut answers = Vec::new();
//! for byte in b"wifi my network\npassword its password\npassword short\n" {
//!     if let Some(Step::Answer(answer)) = dialog.push(*byte) {
//!         answers.push(answer.to_string());
//!     }
//! }
//! assert_eq!(answers[..2], ["ok wifi", "ok password"]);
//! assert_eq!(answers[2], "error the password must have 8 to 64 bytes, not 5; without one, the network is open");
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod dialog;
mod keeper;
mod refresh;
mod session;
mod settings;
mod store;
#[cfg(test)]
mod tests;

pub use dialog::{Answer, Dialog, Fault, MAX_LINE, Radio, Step};
pub use keeper::Keeper;
pub use refresh::{Refresh, SENDER, TOPIC};
pub use session::{Reason, Serial, Start, provision, start};
pub use settings::{Settings, SettingsError, Wifi};
pub use store::{LoadError, SaveError, Store};
