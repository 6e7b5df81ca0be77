//! The settings of `config.toml`.

use core::convert::Infallible;

use super::Wifi;
use crate::board::Memory;
use crate::hands::Hands;

#[allow(dead_code, reason = "not every chip and every build needs all of it")]
mod constants {
    include!(concat!(env!("OUT_DIR"), "/config.rs"));
}

/// They are always there.
pub type Error = Infallible;

/// The settings never change.
pub struct Keeper;

impl Keeper {
    pub async fn find(_memory: Memory, _hands: &mut Hands) -> Result<Self, Error> {
        Ok(Self)
    }

    pub fn wifi(&self) -> Option<Wifi> {
        constants::WIFI
    }
}

#[cfg(feature = "parlour")]
mod room {
    use parlour_embassy::core::client::Event;
    use parlour_embassy::core::ticket::{Ticket, TicketError};
    use parlour_embassy::{Events, Room};

    use super::{Keeper, constants};

    impl Keeper {
        pub fn ticket(&self) -> Result<Ticket<'static>, TicketError> {
            Ticket::parse(constants::TICKET)
        }

        pub async fn hear(
            &mut self,
            _room: Room<'static>,
            _events: &mut Events<'static>,
            _event: &Event,
        ) {
        }

        pub fn has_newer_ticket(&self) -> bool {
            false
        }
    }
}
