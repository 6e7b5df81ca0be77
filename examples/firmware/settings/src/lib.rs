//! The settings in `config.toml`, checked when the firmware is built. Without that file a firmware is built that has to
//! be provisioned.

use std::path::{Path, PathBuf};
use std::process::exit;
use std::{env, fs};

use parlour_core::ticket::{Ticket, TicketError};
use thiserror::Error;
use toml::{Table, Value};

/// The settings of a firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The room, the server and the participant.
    pub ticket: String,
    /// Only for a chip with a radio.
    pub wifi: Option<Wifi>,
}

/// A Wi-Fi network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wifi {
    /// Its name, 1 to 32 bytes.
    pub ssid: String,
    /// For WPA2, 8 to 64 bytes; none for an open network.
    pub password: Option<String>,
}

/// Why the firmware cannot be built with these settings.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// The text is not TOML.
    #[error("it is not TOML: {0}")]
    Syntax(String),
    /// A value is missing.
    #[error("`{0}` is missing: see config.example.toml")]
    Missing(&'static str),
    /// A value is not a text.
    #[error("`{0}` must be a text in quotes")]
    NotText(&'static str),
    /// An unknown key or table.
    #[error("`{0}` is unknown: see config.example.toml for the known settings")]
    Unknown(String),
    /// The name has an invalid length.
    #[error("`wifi.ssid` must have 1 to 32 bytes, not {0}")]
    Ssid(usize),
    /// The password has an invalid length for WPA2.
    #[error("`wifi.password` must have 8 to 64 bytes, not {0}; leave it out for an open network")]
    Password(usize),
    /// The text is not a ticket.
    #[error("`ticket`: {0}")]
    Ticket(#[from] TicketError),
}

/// What a firmware's build script does: reads `config.toml`, or the file that `PARLOUR_CONFIG` names, and writes the
/// constants `TICKET` and `WIFI` to `config.rs` in Cargo's output folder. Without the file it sets `cfg(provisioning)`
/// instead, if the firmware can be provisioned. A mistake in the file ends the build with a message.
pub fn include(radio: bool, provisioning: bool) {
    println!("cargo::rustc-check-cfg=cfg(provisioning)");
    println!("cargo::rerun-if-env-changed=PARLOUR_CONFIG");
    let named = env::var_os("PARLOUR_CONFIG").map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| "config.toml".into());
    println!("cargo::rerun-if-changed={}", path.display());
    if provisioning && named.is_none() && !path.exists() {
        println!("cargo::rustc-cfg=provisioning");
        return;
    }
    let settings = match fs::read_to_string(&path) {
        Ok(text) => Settings::parse(&text, radio).map_err(|error| error.to_string()),
        Err(error) => Err(format!(
            "{error}: copy config.example.toml to config.toml, and fill it in"
        )),
    };
    let settings = settings.unwrap_or_else(|error| {
        println!("cargo::error={}: {error}", path.display());
        exit(1)
    });
    let out = env::var_os("OUT_DIR").expect("Cargo sets it");
    let written = fs::write(Path::new(&out).join("config.rs"), settings.to_rust());
    written.expect("Cargo's own directory can be written to");
}

impl Settings {
    /// Reads the text of a settings file. A chip with a radio requires Wi-Fi settings; for a chip without one they are
    /// allowed, so that one file serves several boards.
    ///
    /// # Errors
    /// [`SettingsError`] names the wrong value and the fault.
    pub fn parse(text: &str, radio: bool) -> Result<Self, SettingsError> {
        let mut table: Table = (text.parse())
            .map_err(|error: toml::de::Error| SettingsError::Syntax(error.to_string()))?;
        let ticket =
            take(&mut table, "ticket", "ticket")?.ok_or(SettingsError::Missing("ticket"))?;
        let ticket = ticket.trim().to_owned();
        Ticket::parse(&ticket)?;
        let wifi = match table.remove("wifi") {
            Some(Value::Table(wifi)) => Some(Wifi::parse(wifi)?),
            Some(_) => return Err(SettingsError::Missing("[wifi]")),
            None => None,
        };
        nothing_left(&table, "")?;
        if radio && wifi.is_none() {
            return Err(SettingsError::Missing("[wifi]"));
        }
        Ok(Self { ticket, wifi })
    }

    /// The constants that the firmware includes.
    pub fn to_rust(&self) -> String {
        let wifi = self.wifi.as_ref().map(|wifi| (&wifi.ssid, &wifi.password));
        format!(
            "pub const TICKET: &str = {:?};\n\
             pub const WIFI: Option<(&str, Option<&str>)> = {wifi:?};\n",
            self.ticket
        )
    }
}

impl Wifi {
    fn parse(mut table: Table) -> Result<Self, SettingsError> {
        let ssid = take(&mut table, "ssid", "wifi.ssid")?;
        let ssid = ssid.ok_or(SettingsError::Missing("wifi.ssid"))?;
        if !(1..=32).contains(&ssid.len()) {
            return Err(SettingsError::Ssid(ssid.len()));
        }
        let password = take(&mut table, "password", "wifi.password")?;
        if let Some(password) = &password
            && !(8..=64).contains(&password.len())
        {
            return Err(SettingsError::Password(password.len()));
        }
        nothing_left(&table, "wifi.")?;
        Ok(Self { ssid, password })
    }
}

fn take(table: &mut Table, key: &str, name: &'static str) -> Result<Option<String>, SettingsError> {
    match table.remove(key) {
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(SettingsError::NotText(name)),
        None => Ok(None),
    }
}

/// A misspelt key would otherwise be ignored silently.
fn nothing_left(table: &Table, prefix: &str) -> Result<(), SettingsError> {
    match table.keys().next() {
        Some(key) => Err(SettingsError::Unknown(format!("{prefix}{key}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../esp32c3/config.example.toml");
    const TICKET: &str =
        r#"ticket = "parlour://10.0.0.2:7900/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8#a.b.c""#;

    fn error(text: &str) -> SettingsError {
        Settings::parse(text, true).expect_err(text)
    }

    #[test]
    fn the_example_can_be_built_for_every_chip() {
        let settings = Settings::parse(EXAMPLE, true).expect("the example");
        assert!(settings.wifi.is_some());
        assert_eq!(Settings::parse(EXAMPLE, false), Ok(settings));
    }

    #[test]
    fn what_is_said_reaches_the_firmware_as_it_was_said() {
        let text = format!("{TICKET}\n[wifi]\nssid = 'a \"b\\'\npassword = \"\\u00e9 12345678\"");
        let settings = Settings::parse(&text, true).expect("settings");
        let source = settings.to_rust();
        assert!(
            source.contains(r#" = Some(("a \"b\\", Some("é 12345678")));"#),
            "{source}"
        );
        assert!(source.contains("parlour://10.0.0.2:7900/"), "{source}");
    }

    #[test]
    fn an_open_network_has_no_password() {
        let text = format!("{TICKET}\n[wifi]\nssid = 'cafe'");
        let wifi = Settings::parse(&text, true).expect("settings").wifi;
        assert_eq!(wifi.expect("wifi").password, None);
    }

    #[test]
    fn every_slip_has_an_error_of_its_own() {
        assert!(matches!(error("ticket = "), SettingsError::Syntax(_)));
        assert_eq!(error(""), SettingsError::Missing("ticket"));
        assert_eq!(error("ticket = 7"), SettingsError::NotText("ticket"));
        assert_eq!(
            error("ticket = 'https://example.org'"),
            TicketError::Scheme.into()
        );
        assert_eq!(error(&TICKET.replace("Hh8#", "#")), TicketError::Key.into());
        assert_eq!(error(TICKET), SettingsError::Missing("[wifi]"));
        let wifi = |rest: &str| error(&format!("{TICKET}\n[wifi]\n{rest}"));
        assert_eq!(wifi(""), SettingsError::Missing("wifi.ssid"));
        assert_eq!(wifi("ssid = 1"), SettingsError::NotText("wifi.ssid"));
        assert_eq!(wifi("ssid = ''"), SettingsError::Ssid(0));
        assert_eq!(
            wifi(&format!("ssid = '{}'", "x".repeat(33))),
            SettingsError::Ssid(33)
        );
        assert_eq!(
            wifi("ssid = 'x'\npassword = '1234567'"),
            SettingsError::Password(7)
        );
        let unknown = SettingsError::Unknown("wifi.pasword".into());
        assert_eq!(wifi("ssid = 'x'\npasword = '12345678'"), unknown);
    }

    #[test]
    fn a_chip_without_radio_needs_no_wifi() {
        assert_eq!(Settings::parse(TICKET, false).expect("settings").wifi, None);
    }
}
