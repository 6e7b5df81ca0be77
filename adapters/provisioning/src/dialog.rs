//! The line protocol, as a state machine.

use core::fmt;

use heapless::Vec;
use thiserror::Error;

use crate::settings::{OwnTicket, Settings, SettingsError, Wifi};

/// Bytes of a line, without its end: a ticket needs the most, 1,116.
pub const MAX_LINE: usize = 1_152;

/// Whether the device has Wi-Fi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Radio {
    /// It needs a network.
    Present,
    /// It has a cable, and takes no network.
    Absent,
}

/// What a line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Write this line.
    Answer(Answer<'a>),
    /// Store [`Dialog::settings`], then write [`Answer::Saved`] and end, or write the error.
    Save,
    /// Erase the stored settings, then write [`Answer::Forgotten`], or the error.
    Forget,
}

/// The answer to a line. Printed, it is one line without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The version of the protocol, and what is known.
    Hello {
        /// `None` without a radio.
        wifi: Option<bool>,
        /// Whether there is a ticket.
        ticket: bool,
    },
    /// The network's name is taken.
    Wifi,
    /// The network's password is taken.
    Password,
    /// The ticket is taken.
    Ticket {
        /// Its server.
        host: &'a str,
        /// The server's port.
        port: u16,
    },
    /// All is stored.
    Saved,
    /// Nothing is stored any more.
    Forgotten,
    /// The line has changed nothing.
    Error(Fault),
}

/// Why a line has changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The line does not begin with a command.
    #[error(
        "unknown command: there are hello, wifi NAME, password PASSWORD, ticket TICKET, save, forget"
    )]
    Unknown,
    /// The line has more than [`MAX_LINE`] bytes.
    #[error("the line is too long: at most 1152 bytes")]
    TooLong,
    /// The line is not UTF-8, or has control characters.
    #[error("the line has characters that are no text: send it again")]
    NotText,
    /// Something follows a command that takes nothing, or nothing follows one that takes something.
    #[error("{0}")]
    Argument(&'static str),
    /// The value is none.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no radio.
    #[error("this device has no Wi-Fi: only a ticket is needed")]
    NoRadio,
    /// A password came before a network.
    #[error("whose password? send wifi NAME first")]
    NoName,
    /// `save` came before a network.
    #[error("not complete: send wifi NAME, and password PASSWORD unless the network is open")]
    NoWifi,
    /// `save` came before a ticket.
    #[error("not complete: send ticket TICKET")]
    NoTicket,
    /// The flash does not take the settings.
    #[error(
        "the flash does not keep the settings: try again; if it stays so, the flash is worn out or its driver fails"
    )]
    Flash,
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |known: bool| if known { "set" } else { "missing" };
        match self {
            Self::Hello { wifi, ticket } => write!(
                f,
                "ok parlour-provisioning 1 wifi={} ticket={}",
                wifi.map_or("none", known),
                known(*ticket)
            ),
            Self::Wifi => f.write_str("ok wifi"),
            Self::Password => f.write_str("ok password"),
            Self::Ticket { host, port } => write!(f, "ok ticket for {host} port {port}"),
            Self::Saved => f.write_str("ok saved"),
            Self::Forgotten => f.write_str("ok forgotten"),
            Self::Error(fault) => write!(f, "error {fault}"),
        }
    }
}

impl From<Fault> for Answer<'_> {
    fn from(fault: Fault) -> Self {
        Self::Error(fault)
    }
}

/// Reads lines, and collects what they say.
pub struct Dialog {
    radio: Radio,
    line: Vec<u8, MAX_LINE>,
    /// The rest of the line does not fit.
    overlong: bool,
    wifi: Option<Wifi>,
    ticket: Option<OwnTicket>,
}

impl Dialog {
    /// A dialog that starts with the stored settings, so that one of them can be changed alone.
    pub fn new(radio: Radio, stored: Option<Settings>) -> Self {
        let (wifi, ticket) = match stored.map(Settings::into_parts) {
            Some((wifi, ticket)) => (wifi, Some(ticket)),
            None => (None, None),
        };
        Self {
            radio,
            line: Vec::new(),
            overlong: false,
            wifi,
            ticket,
        }
    }

    /// Takes a byte. With the last one of a line it says what to do; an empty line is ignored.
    pub fn push(&mut self, byte: u8) -> Option<Step<'_>> {
        if byte != b'\n' && byte != b'\r' {
            self.overlong |= self.line.push(byte).is_err();
            return None;
        }
        let line = core::mem::take(&mut self.line);
        if core::mem::take(&mut self.overlong) {
            return Some(Step::Answer(Fault::TooLong.into()));
        }
        if line.is_empty() {
            return None;
        }
        Some((self.obey(&line)).unwrap_or_else(|fault| Step::Answer(fault.into())))
    }

    /// Discards everything said, as `forget` does.
    pub(crate) fn forget(&mut self) {
        (self.wifi, self.ticket) = (None, None);
    }

    fn obey(&mut self, line: &[u8]) -> Result<Step<'_>, Fault> {
        let line = core::str::from_utf8(line).map_err(|_| Fault::NotText)?;
        if line.chars().any(char::is_control) {
            return Err(Fault::NotText);
        }
        let (command, argument) = match line.split_once(' ') {
            Some((command, argument)) => (command, Some(argument)),
            None => (line, None),
        };
        let answer = match command {
            "hello" => {
                nothing(argument, "hello takes nothing")?;
                Answer::Hello {
                    wifi: (self.radio == Radio::Present).then_some(self.wifi.is_some()),
                    ticket: self.ticket.is_some(),
                }
            }
            "wifi" | "password" if self.radio == Radio::Absent => return Err(Fault::NoRadio),
            "wifi" => {
                let name = something(argument, "a name is missing: wifi NAME")?;
                self.wifi = Some(Wifi::new(name, None)?);
                Answer::Wifi
            }
            "password" => {
                let password = something(argument, "a password is missing: password PASSWORD")?;
                let wifi = self.wifi.clone().ok_or(Fault::NoName)?;
                self.wifi = Some(wifi.with_password(password)?);
                Answer::Password
            }
            "ticket" => {
                let text = something(argument, "a ticket is missing: ticket TICKET")?;
                let ticket = self.ticket.insert(OwnTicket::parse(text)?).borrow();
                Answer::Ticket {
                    host: ticket.host,
                    port: ticket.port,
                }
            }
            "save" => {
                nothing(argument, "save takes nothing")?;
                return self.settings().map(|_| Step::Save);
            }
            "forget" => {
                nothing(argument, "forget takes nothing")?;
                return Ok(Step::Forget);
            }
            _ => return Err(Fault::Unknown),
        };
        Ok(Step::Answer(answer))
    }

    /// What was said so far, if it is all that the device needs.
    ///
    /// # Errors
    /// [`Fault::NoWifi`], [`Fault::NoTicket`]
    pub fn settings(&self) -> Result<Settings, Fault> {
        if self.radio == Radio::Present && self.wifi.is_none() {
            return Err(Fault::NoWifi);
        }
        let ticket = self.ticket.clone().ok_or(Fault::NoTicket)?;
        let wifi = (self.wifi.clone()).filter(|_| self.radio == Radio::Present);
        Ok(Settings::of(wifi, ticket))
    }
}

impl fmt::Debug for Dialog {
    /// Omits the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialog")
            .field("radio", &self.radio)
            .field("wifi", &self.wifi)
            .field("ticket", &self.ticket.as_ref().map(OwnTicket::borrow))
            .finish_non_exhaustive()
    }
}

fn nothing(argument: Option<&str>, fault: &'static str) -> Result<(), Fault> {
    match argument {
        None => Ok(()),
        Some(_) => Err(Fault::Argument(fault)),
    }
}

fn something<'a>(argument: Option<&'a str>, fault: &'static str) -> Result<&'a str, Fault> {
    argument.ok_or(Fault::Argument(fault))
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const TICKET: &str =
        "parlour://10.0.0.2:7900/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8#a.b.c";

    /// What is done for each line: its answer, or the debug output of another step.
    fn say(dialog: &mut Dialog, bytes: &[u8]) -> Vec<String> {
        let step = |byte: &u8| match dialog.push(*byte)? {
            Step::Answer(answer) => Some(answer.to_string()),
            other => Some(format!("{other:?}")),
        };
        bytes.iter().filter_map(step).collect()
    }

    /// The only answer to one line.
    fn answer(dialog: &mut Dialog, line: &str) -> String {
        let mut answers = say(dialog, format!("{line}\n").as_bytes());
        assert_eq!(answers.len(), 1, "{line:?}: {answers:?}");
        answers.remove(0)
    }

    #[test]
    fn a_device_is_told_all_it_needs() {
        let mut dialog = Dialog::new(Radio::Present, None);
        assert_eq!(
            answer(&mut dialog, "hello"),
            "ok parlour-provisioning 1 wifi=missing ticket=missing"
        );
        assert_eq!(answer(&mut dialog, "wifi  two spaces "), "ok wifi");
        assert_eq!(answer(&mut dialog, "password 12345678"), "ok password");
        let said = answer(&mut dialog, &format!("ticket {TICKET}"));
        assert_eq!(said, "ok ticket for 10.0.0.2 port 7900");
        assert_eq!(
            answer(&mut dialog, "hello"),
            "ok parlour-provisioning 1 wifi=set ticket=set"
        );
        assert_eq!(say(&mut dialog, b"save\r\n"), ["Save"]);
        let settings = dialog.settings().unwrap();
        let wifi = settings.wifi().unwrap();
        assert_eq!(wifi.name(), " two spaces ");
        assert_eq!(wifi.password(), Some("12345678"));
        assert_eq!(settings.ticket().to_string(), TICKET);
    }

    #[test]
    fn what_is_stored_can_be_changed_alone() {
        let wifi = Wifi::new("net", Some("12345678")).unwrap();
        let stored = Settings::new(Some(wifi), TICKET).unwrap();
        let mut dialog = Dialog::new(Radio::Present, Some(stored.clone()));
        assert_eq!(dialog.settings(), Ok(stored));
        // Another network has another password, or none.
        assert_eq!(say(&mut dialog, b"wifi cafe\nsave\n"), ["ok wifi", "Save"]);
        let settings = dialog.settings().unwrap();
        assert_eq!(settings.wifi().unwrap().password(), None);
        assert_eq!(settings.ticket().to_string(), TICKET);
    }

    #[test]
    fn every_slip_has_an_answer_and_changes_nothing() {
        let mut dialog = Dialog::new(Radio::Present, None);
        for (line, expected) in [
            ("helo", "unknown command"),
            (" hello", "unknown command"),
            ("hello you", "hello takes nothing"),
            ("save", "not complete: send wifi NAME"),
            ("save it", "save takes nothing"),
            ("forget it", "forget takes nothing"),
            ("wifi", "a name is missing"),
            ("wifi ", "the Wi-Fi name must have 1 to 32 bytes, not 0"),
            ("password 12345678", "whose password?"),
            ("ticket", "a ticket is missing"),
            ("ticket https://example.org", "this is not a ticket"),
            (
                "ticket parlour://host:1/short#t",
                "the ticket's server key is damaged",
            ),
            ("wifi a\tb", "the line has characters that are no text"),
            ("wifi \u{85}", "the line has characters that are no text"),
        ] {
            let said = answer(&mut dialog, line);
            assert!(
                said.starts_with(&format!("error {expected}")),
                "{line}: {said}"
            );
        }
        assert!(dialog.wifi.is_none() && dialog.ticket.is_none());
        answer(&mut dialog, "wifi net");
        assert!(answer(&mut dialog, "password 1234567").starts_with("error the password must"));
        assert!(answer(&mut dialog, "save").starts_with("error not complete: send ticket"));
    }

    #[test]
    fn without_a_radio_only_a_ticket_is_asked_for() {
        let mut dialog = Dialog::new(Radio::Absent, None);
        assert!(answer(&mut dialog, "hello").contains("wifi=none"));
        assert!(answer(&mut dialog, "wifi net").starts_with("error this device has no Wi-Fi"));
        answer(&mut dialog, &format!("ticket {TICKET}"));
        let expected = Settings::new(None, TICKET).unwrap();
        assert_eq!(say(&mut dialog, b"save\n"), ["Save"]);
        assert_eq!(dialog.settings(), Ok(expected));
    }

    #[test]
    fn the_longest_line_is_read_and_a_longer_one_named() {
        let mut dialog = Dialog::new(Radio::Present, None);
        let token = "t".repeat(800);
        let longest = TICKET
            .replace("10.0.0.2", &"h".repeat(253))
            .replace(":7900", ":65535")
            .replace("a.b.c", &token);
        assert!(answer(&mut dialog, &format!("ticket {longest}")).starts_with("ok ticket for hh"));
        let too_long = "x".repeat(MAX_LINE + 1);
        assert_eq!(
            answer(&mut dialog, &too_long),
            "error the line is too long: at most 1152 bytes"
        );
        // The line after it is whole.
        assert_eq!(answer(&mut dialog, "wifi net"), "ok wifi");
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        const COMMANDS: [&str; 7] = [
            "hello",
            "wifi ",
            "password ",
            "ticket ",
            "save",
            "forget",
            "",
        ];
        let word = prop::sample::select(&COMMANDS[..]);
        let rest = prop_oneof![
            Just(TICKET.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..80),
            "[ -~]{0,80}".prop_map(String::into_bytes),
        ];
        (word, rest).prop_map(|(word, rest)| [word.as_bytes(), &rest, b"\n"].concat())
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_by_lines_without_secrets(
            lines in prop::collection::vec(line(), 0..20),
        ) {
            let mut dialog = Dialog::new(Radio::Present, None);
            let bytes = lines.concat();
            let ends = bytes.split(|byte| matches!(byte, b'\r' | b'\n'));
            let expected = ends.filter(|line| !line.is_empty()).count();
            let steps = say(&mut dialog, &bytes);
            prop_assert_eq!(steps.len(), expected);
            for line in steps {
                let answer = line.starts_with("ok ") || line.starts_with("error ");
                prop_assert!(answer || line == "Save" || line == "Forget", "{}", line);
                prop_assert!(!line.contains(['\n', '\r']) && !line.contains("a.b.c"));
            }
            if let Ok(settings) = dialog.settings() {
                let wifi = settings.wifi().unwrap();
                prop_assert!((1..=32).contains(&wifi.name().len()));
                prop_assert!(wifi.password().is_none_or(|it| (8..=64).contains(&it.len())));
            }
        }
    }
}
