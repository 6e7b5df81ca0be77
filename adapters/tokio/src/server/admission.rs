//! Who may join, and at which worker.

use std::time::Duration;

use parlour_core::room::{DisplayName, IdError, RoomId};
use parlour_core::server::{Admission, JoinId, Path, RefreshId};
use parlour_core::signal::{JoinRefusal, Redirect};
use parlour_core::time::Instant;

use super::ServerConfig;
use crate::clock::unix_seconds;
use crate::machine::Server;
use crate::token::{ApiKey, Claims, LEEWAY, TokenError, verify};

/// The worker that a room lives on, of so many. Stable: the FNV-1a hash of the room's id, modulo the number of workers.
pub(super) fn worker_of(room: &RoomId, workers: usize) -> usize {
    let hash = room
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    // Less than `workers`, so it is a usize again.
    hash.checked_rem(workers as u64).unwrap_or(0) as usize
}

/// One worker's doorkeeper.
#[derive(Debug)]
pub(super) struct Admitter {
    /// Which worker this is.
    index: usize,
    /// The port of each worker. Its address is the one that a participant has reached another worker at: this machine
    /// may be known by several, and the participant may be able to use that one only.
    ports: Vec<u16>,
    keys: Vec<ApiKey>,
    /// What is taken for a display name.
    name: fn(&str) -> Result<DisplayName, IdError>,
}

impl Admitter {
    pub(super) fn new(index: usize, ports: Vec<u16>, config: &ServerConfig) -> Self {
        Self {
            index,
            ports,
            keys: config.api_keys.clone(),
            name: if config.hidden_characters {
                DisplayName::new
            } else {
                DisplayName::visible
            },
        }
    }

    /// Answers a join.
    pub(super) fn answer_join(
        &self,
        server: &mut Server,
        now: Instant,
        join: JoinId,
        token: &str,
        from: Path,
    ) {
        let wall = unix_seconds();
        let claims = match verify(token, &self.keys, wall, self.name) {
            Ok(claims) => claims,
            Err(error) => {
                tracing::debug!(?from, %error, "join refused");
                // An error means that the join has timed out meanwhile.
                let _ = server.refuse(now, join, JoinRefusal::from(error));
                return;
            }
        };
        let (room, participant) = (claims.room.clone(), claims.participant.clone());
        let worker = worker_of(&room, self.ports.len());
        match self.ports.get(worker) {
            Some(&port) if worker != self.index => {
                tracing::debug!(%room, %participant, ?from, worker, "join redirected");
                let _ = server.redirect(now, join, Redirect::Port(port));
            }
            _ => match server.admit(now, join, admission(claims, wall)) {
                Ok(()) => tracing::debug!(%room, %participant, ?from, "join admitted"),
                Err(error) => tracing::debug!(%room, %participant, ?from, %error, "join refused"),
            },
        }
    }

    /// Answers a participant's newer token.
    pub(super) fn answer_refresh(
        &self,
        server: &mut Server,
        now: Instant,
        refresh: RefreshId,
        token: &str,
    ) {
        let wall = unix_seconds();
        let verified = verify(token, &self.keys, wall, self.name);
        if let Err(error) = verified {
            tracing::debug!(%error, "refreshed token refused");
        }
        let answer = verified
            .map(|claims| admission(claims, wall))
            .map_err(|_: TokenError| ());
        if let Err(error) = server.refresh(now, refresh, answer) {
            tracing::debug!(%error, "token not refreshed");
        }
    }
}

fn admission(claims: Claims, wall: u64) -> Admission {
    let expires = claims.expires.saturating_add(LEEWAY);
    Admission {
        expires_in: Some(Duration::from_secs(expires.saturating_sub(wall))),
        lobby: claims.lobby,
        ..Admission::new(claims.room, claims.participant, claims.name, claims.grants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one_and_spreads_rooms() {
        // FNV-1a of "a" and "foobar", from its authors' test vectors.
        for (room, hash) in [
            ("a", 0xaf63_dc4c_8601_ec8c_u64),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            let room = RoomId::new(room).unwrap();
            for workers in [1, 2, 7, 64] {
                assert_eq!(worker_of(&room, workers) as u64, hash % workers as u64);
            }
        }
        let mut rooms = [0; 4];
        for n in 0..400 {
            rooms[worker_of(&RoomId::new(&format!("room-{n}")).unwrap(), 4)] += 1;
        }
        assert!(rooms.iter().all(|&rooms| rooms > 50), "{rooms:?}");
    }
}
