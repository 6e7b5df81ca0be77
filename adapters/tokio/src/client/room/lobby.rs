//! The participants in the lobby.

use parlour_core::room::Waiting;

use super::Room;

/// The lobby, as a participant that may admit knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Lobby {
    /// The first waiting participants, at most [`MAX_WAITING`](parlour_core::room::MAX_WAITING), in the order of
    /// arrival.
    pub waiting: Vec<Waiting>,
    /// The number of further waiting participants.
    pub others: u32,
}

impl Room {
    /// The participants waiting in the lobby; none if this participant lacks
    /// [`Grants::ADMIT`](parlour_core::room::Grants::ADMIT). [`LobbyChanged`](crate::RoomEvent::LobbyChanged) reports
    /// changes.
    ///
    /// ```no_run
    /// # use parlour_tokio::{Room, RequestError, core::signal::Targets};
    /// # async fn open(room: Room) -> Result<(), RequestError> {
    /// let lobby = room.lobby();
    /// for one in &lobby.waiting {
    ///     println!("{} waits", one.name);
    /// }
    /// println!("and {} more", lobby.others);
    /// room.admit(Targets::all()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn lobby(&self) -> Lobby {
        let state = self.shared.lock();
        let known = state.client.lobby();
        Lobby {
            waiting: known.waiting.to_vec(),
            others: known.others(),
        }
    }
}
