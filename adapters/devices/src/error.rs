//! What is wrong with a sound card.

use std::fmt;

/// The direction of a sound card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It hears.
    Microphone,
    /// It plays: a loudspeaker, or headphones.
    Loudspeaker,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Microphone => "microphone",
            Self::Loudspeaker => "loudspeaker",
        })
    }
}

/// A sound card that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The system has none.
    #[error("this system has no {direction}: connect one")]
    None {
        /// The direction that was asked for.
        direction: Direction,
    },
    /// No card has the id that was asked for.
    #[error("there is no {direction} {id:?}; there are: {}", or_none(others))]
    Unknown {
        /// The direction that was asked for.
        direction: Direction,
        /// The id that was asked for.
        id: String,
        /// The ids that there are.
        others: Vec<String>,
    },
    /// The card has no format that is supported.
    #[error(
        "the {direction} has no PCM of 16 bits or floats at 8, 16, 24, 32, 44.1 or 48 kHz: name another one"
    )]
    Format {
        /// The card's direction.
        direction: Direction,
    },
    /// The card gives nothing, or takes nothing.
    #[error("the {direction} does not work: no sound for {seconds} s")]
    Silent {
        /// The card's direction.
        direction: Direction,
        /// For how long.
        seconds: u64,
    },
    /// The system says that it does not work.
    #[error("the {direction} does not work: {reason}")]
    Failed {
        /// The card's direction.
        direction: Direction,
        /// The system's words.
        reason: String,
    },
}

fn or_none(ids: &[String]) -> String {
    match ids {
        [] => "none".to_owned(),
        _ => ids.join(", "),
    }
}
