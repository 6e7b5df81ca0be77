//! The cards that there are.

use std::fmt;

use cpal::traits::{DeviceTrait as _, HostTrait as _};
use cpal::{Device, DeviceId};

use crate::mode::Mode;
use crate::{CardError, Direction};

/// A sound card, in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Card {
    /// Whether it hears or plays.
    pub direction: Direction,
    /// The id by which the system knows it, to open it by.
    pub id: String,
    /// What it is called where people choose it.
    pub name: String,
    /// Whether the system chooses it by itself.
    pub is_default: bool,
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if self.name != self.id {
            write!(f, " ({})", self.name)?;
        }
        if self.is_default {
            f.write_str(", the system's choice")?;
        }
        Ok(())
    }
}

/// The microphones, with all else that records.
///
/// # Errors
/// [`CardError::Failed`]
pub fn microphones() -> Result<Vec<Card>, CardError> {
    all(Direction::Microphone)
}

/// The loudspeakers, headphones, and all else that plays.
///
/// # Errors
/// [`CardError::Failed`]
pub fn loudspeakers() -> Result<Vec<Card>, CardError> {
    all(Direction::Loudspeaker)
}

fn all(direction: Direction) -> Result<Vec<Card>, CardError> {
    let host = cpal::default_host();
    let devices: Result<Vec<_>, _> = match direction {
        Direction::Microphone => host.input_devices().map(Iterator::collect),
        Direction::Loudspeaker => host.output_devices().map(Iterator::collect),
    };
    let default = default(direction).map(|device| id(&device));
    let devices = devices.map_err(|error| failed(direction, &error))?;
    let card = |device: &Device| describe(direction, device, default.as_deref());
    Ok(devices.iter().map(card).collect())
}

fn default(direction: Direction) -> Option<Device> {
    let host = cpal::default_host();
    match direction {
        Direction::Microphone => host.default_input_device(),
        Direction::Loudspeaker => host.default_output_device(),
    }
}

fn describe(direction: Direction, device: &Device, default: Option<&str>) -> Card {
    let id = id(device);
    let described = device.description();
    Card {
        direction,
        name: described.map_or_else(|_| id.clone(), |described| described.name().to_owned()),
        is_default: default == Some(&id),
        id,
    }
}

fn id(device: &Device) -> String {
    device.id().map(|id| id.id().to_owned()).unwrap_or_default()
}

/// What the system says, in place of sound.
pub(crate) fn failed(direction: Direction, error: &cpal::Error) -> CardError {
    CardError::Failed {
        direction,
        reason: error.to_string(),
    }
}

/// A card, and how it will run.
pub(crate) struct Found {
    pub(crate) device: Device,
    pub(crate) card: Card,
    pub(crate) mode: Mode,
}

impl Found {
    /// The card of that id, or the system's own choice.
    pub(crate) fn new(direction: Direction, asked: Option<&str>) -> Result<Self, CardError> {
        let default = default(direction);
        let default_id = default.as_ref().map(id);
        let device = match asked {
            None => default.ok_or(CardError::None { direction })?,
            Some(asked) => {
                let host = cpal::default_host();
                let known = host.device_by_id(&DeviceId::new(host.id(), asked));
                known.map_or_else(|| Err(unknown(direction, asked)?), Ok)?
            }
        };
        let ranges: Result<Vec<_>, _> = match direction {
            Direction::Microphone => device.supported_input_configs().map(Iterator::collect),
            Direction::Loudspeaker => device.supported_output_configs().map(Iterator::collect),
        };
        let ranges = ranges.map_err(|error| failed(direction, &error))?;
        let mode = Mode::best(&ranges).ok_or(CardError::Format { direction })?;
        let card = describe(direction, &device, default_id.as_deref());
        Ok(Self { device, card, mode })
    }
}

/// The error of an id that no card has.
fn unknown(direction: Direction, asked: &str) -> Result<CardError, CardError> {
    let others = all(direction)?.into_iter().map(|card| card.id);
    Ok(CardError::Unknown {
        direction,
        id: asked.to_owned(),
        others: others.collect(),
    })
}
