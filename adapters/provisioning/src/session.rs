//! What a firmware does at its start: takes the settings from flash, or has them told over the serial line.

use core::fmt;

use embedded_storage_async::nor_flash::NorFlash;
use thiserror::Error;

use crate::dialog::{Answer, Dialog, Fault, Radio, Step};
use crate::settings::Settings;
use crate::store::{LoadError, Store};

/// The firmware's serial line.
#[expect(
    async_fn_in_trait,
    reason = "firmware has one executor: no future needs to be `Send`"
)]
pub trait Serial {
    /// Waits for a byte.
    async fn read(&mut self) -> u8;

    /// Writes a line; adds its end.
    async fn write(&mut self, line: fmt::Arguments<'_>);
}

/// Why a device has to be provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// It is new, or was told to forget.
    #[error("this device has no settings yet")]
    New,
    /// The button was held.
    #[error("the button was held at the start")]
    Button,
    /// The stored settings are of no use.
    #[error(transparent)]
    Stored(#[from] LoadError),
    /// They have no network, but this device has a radio.
    #[error("the settings in flash have no Wi-Fi")]
    NoWifi,
}

/// How a device starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With these settings.
    Run(Settings),
    /// It has to be provisioned first, beginning with what is stored.
    Provision(Reason, Option<Settings>),
}

/// Decides how to start. Settings that cannot be used are no error that ends the firmware, which would reset for ever:
/// they lead to the dialog.
pub async fn start<F: NorFlash>(store: &mut Store<F>, radio: Radio, button: bool) -> Start {
    match store.load().await {
        Ok(stored) if button => Start::Provision(Reason::Button, stored),
        Ok(None) => Start::Provision(Reason::New, None),
        Ok(Some(stored)) if radio == Radio::Present && stored.wifi().is_none() => {
            Start::Provision(Reason::NoWifi, Some(stored))
        }
        Ok(Some(stored)) => Start::Run(stored),
        Err(error) => Start::Provision(error.into(), None),
    }
}

/// Speaks the protocol on the serial line until settings are stored, and returns them.
pub async fn provision<F: NorFlash>(
    store: &mut Store<F>,
    dialog: &mut Dialog,
    reason: Reason,
    serial: &mut impl Serial,
) -> Settings {
    serial
        .write(format_args!("provisioning: {reason}; send hello"))
        .await;
    loop {
        let byte = serial.read().await;
        let answer = match dialog.push(byte) {
            None => continue,
            Some(Step::Answer(answer)) => answer,
            Some(Step::Save) => match save(store, dialog).await {
                Ok(settings) => {
                    serial.write(format_args!("{}", Answer::Saved)).await;
                    return settings;
                }
                Err(fault) => fault.into(),
            },
            Some(Step::Forget) => match store.erase().await {
                Ok(()) => {
                    dialog.forget();
                    Answer::Forgotten
                }
                Err(_) => Fault::Flash.into(),
            },
        };
        serial.write(format_args!("{answer}")).await;
    }
}

async fn save<F: NorFlash>(store: &mut Store<F>, dialog: &Dialog) -> Result<Settings, Fault> {
    let settings = dialog.settings()?;
    match store.save(&settings).await {
        Ok(()) => Ok(settings),
        Err(_) => Err(Fault::Flash),
    }
}
