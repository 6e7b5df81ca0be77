//! What a device has to know before it can join.

use core::fmt;

use heapless::String;
use parlour_core::secure::PublicKey;
use parlour_core::signal::MAX_TOKEN;
use parlour_core::ticket::{Ticket, TicketError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of a ticket's host: those of the longest name in DNS.
const MAX_HOST: usize = 253;
const MAX_NAME: usize = 32;
const MIN_PASSWORD: usize = 8;
const MAX_PASSWORD: usize = 64;

/// Why a value is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The Wi-Fi's name has an invalid length.
    #[error("the Wi-Fi name must have 1 to 32 bytes, not {0}")]
    Name(usize),
    /// The password has an invalid length for WPA2.
    #[error("the password must have 8 to 64 bytes, not {0}; without one, the network is open")]
    Password(usize),
    /// It is not a ticket.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The ticket's host is longer than any name.
    #[error("the ticket's server name is too long: at most 253 bytes")]
    Host,
}

/// A Wi-Fi network.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wifi {
    name: String<MAX_NAME>,
    password: Option<String<MAX_PASSWORD>>,
}

impl Wifi {
    /// A network with this name, 1 to 32 bytes, and password, 8 to 64 bytes; without a password it is open.
    ///
    /// # Errors
    /// [`SettingsError::Name`], [`SettingsError::Password`]
    pub fn new(name: &str, password: Option<&str>) -> Result<Self, SettingsError> {
        let wrong = SettingsError::Name(name.len());
        let name = String::try_from(name).map_err(|_| wrong)?;
        if name.is_empty() {
            return Err(wrong);
        }
        let wifi = Self {
            name,
            password: None,
        };
        match password {
            Some(password) => wifi.with_password(password),
            None => Ok(wifi),
        }
    }

    /// The same network with another password.
    ///
    /// # Errors
    /// [`SettingsError::Password`]
    pub fn with_password(mut self, password: &str) -> Result<Self, SettingsError> {
        let wrong = SettingsError::Password(password.len());
        let text = String::try_from(password).map_err(|_| wrong)?;
        if text.len() < MIN_PASSWORD {
            return Err(wrong);
        }
        self.password = Some(text);
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its password; `None` for an open network.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl fmt::Debug for Wifi {
    /// Omits the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wifi")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The settings of a device.
///
/// ```
/// use parlour_provisioning::{Settings, Wifi};
/// let ticket = "parlour://10.0.0.2:7900/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8#a.b.c";
/// let settings = Settings::new(Some(Wifi::new("my network", None)?), ticket)?;
/// assert_eq!(settings.ticket().host, "10.0.0.2");
/// # Ok::<(), parlour_provisioning::SettingsError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    wifi: Option<Wifi>,
    ticket: OwnTicket,
}

impl Settings {
    /// Settings with this ticket, as text. A device without a radio needs no Wi-Fi.
    ///
    /// # Errors
    /// [`SettingsError::Ticket`], [`SettingsError::Host`]
    pub fn new(wifi: Option<Wifi>, ticket: &str) -> Result<Self, SettingsError> {
        Ok(Self::of(wifi, OwnTicket::parse(ticket)?))
    }

    pub(crate) fn of(wifi: Option<Wifi>, ticket: OwnTicket) -> Self {
        Self { wifi, ticket }
    }

    pub(crate) fn into_parts(self) -> (Option<Wifi>, OwnTicket) {
        (self.wifi, self.ticket)
    }

    /// The same, if every value is one that [`new`](Self::new) takes.
    pub(crate) fn checked(self) -> Result<Self, SettingsError> {
        let wifi = match &self.wifi {
            Some(wifi) => Some(Wifi::new(wifi.name(), wifi.password())?),
            None => None,
        };
        let mut text = String::<{ MAX_HOST + MAX_TOKEN + 128 }>::new();
        fmt::write(&mut text, format_args!("{}", self.ticket()))
            .map_err(|_| TicketError::TokenTooLong)?;
        Self::new(wifi, &text)
    }

    /// Replaces the ticket's token.
    ///
    /// # Errors
    /// [`SettingsError::Ticket`]: it is no token; nothing has changed.
    pub fn set_token(&mut self, token: &str) -> Result<(), SettingsError> {
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) || token.is_empty() {
            return Err(TicketError::Token.into());
        }
        self.ticket.token = String::try_from(token).map_err(|_| TicketError::TokenTooLong)?;
        Ok(())
    }

    /// The Wi-Fi, if there is one.
    pub fn wifi(&self) -> Option<&Wifi> {
        self.wifi.as_ref()
    }

    /// The ticket.
    pub fn ticket(&self) -> Ticket<'_> {
        self.ticket.borrow()
    }
}

impl fmt::Debug for Settings {
    /// Omits password and token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("wifi", &self.wifi)
            .field("ticket", &self.ticket())
            .finish()
    }
}

/// A ticket that borrows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnTicket {
    host: String<MAX_HOST>,
    port: u16,
    server_key: [u8; 32],
    token: String<MAX_TOKEN>,
}

impl OwnTicket {
    pub(crate) fn parse(text: &str) -> Result<Self, SettingsError> {
        let ticket = Ticket::parse(text)?;
        Ok(Self {
            host: String::try_from(ticket.host).map_err(|_| SettingsError::Host)?,
            port: ticket.port,
            server_key: ticket.server_key.0,
            token: String::try_from(ticket.token).map_err(|_| TicketError::TokenTooLong)?,
        })
    }

    pub(crate) fn borrow(&self) -> Ticket<'_> {
        Ticket {
            host: &self.host,
            port: self.port,
            server_key: PublicKey(self.server_key),
            token: &self.token,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    const TICKET: &str =
        "parlour://10.0.0.2:7900/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8#a.b.c";

    #[test]
    fn lengths_that_no_network_has_are_refused() {
        let long = "x".repeat(65);
        assert_eq!(Wifi::new("", None), Err(SettingsError::Name(0)));
        assert_eq!(Wifi::new(&long[..33], None), Err(SettingsError::Name(33)));
        assert!(Wifi::new(&long[..32], Some(&long[..64])).is_ok());
        for len in [0, 7, 65] {
            let wrong = Wifi::new("x", Some(&long[..len]));
            assert_eq!(wrong, Err(SettingsError::Password(len)));
        }
    }

    #[test]
    fn a_ticket_stays_what_it_was() {
        let settings = Settings::new(None, TICKET).unwrap();
        assert_eq!(format!("{}", settings.ticket()), TICKET);
        let host = TICKET.replace("10.0.0.2", &"x".repeat(254));
        assert_eq!(Settings::new(None, &host), Err(SettingsError::Host));
    }

    #[test]
    fn a_token_that_is_none_changes_nothing() {
        let mut settings = Settings::new(None, TICKET).unwrap();
        for (token, error) in [
            ("", TicketError::Token),
            ("a b", TicketError::Token),
            (&"x".repeat(801), TicketError::TokenTooLong),
        ] {
            assert_eq!(settings.set_token(token), Err(error.into()));
            assert_eq!(settings.ticket().token, "a.b.c");
        }
        settings.set_token("d.e.f").unwrap();
        assert_eq!(settings.ticket().token, "d.e.f");
    }

    #[test]
    fn what_is_printed_has_no_secret() {
        let wifi = Wifi::new("net", Some("a password")).unwrap();
        let printed = format!("{:?}", Settings::new(Some(wifi), TICKET).unwrap());
        assert!(
            printed.contains("net") && printed.contains("10.0.0.2"),
            "{printed}"
        );
        assert!(
            !printed.contains("password") && !printed.contains("a.b.c"),
            "{printed}"
        );
    }
}
