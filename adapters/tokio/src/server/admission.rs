//! Who may join, and at which worker.

use std::sync::Arc;

use parlour_core::room::{DisplayName, IdError, RoomId};
use parlour_core::server::{Admission, JoinId, Path, RefreshId, Refused};
use parlour_core::signal::{JoinRefusal, Redirect};
use parlour_core::time::Instant;

use super::shared::Shared;
use super::{Doorkeeper, JoinRequest, RefreshRequest, ServerConfig};
use crate::clock::unix_seconds;
use crate::machine::Server;
use crate::token::verify;

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

/// Answers those who knock at one worker.
#[derive(Debug)]
pub(super) struct Admitter {
    /// Which worker this is.
    index: usize,
    /// The port of each worker. Its address is the one that a participant has reached another worker at: this machine
    /// may be known by several, and the participant may be able to use that one only.
    ports: Vec<u16>,
    shared: Arc<Shared>,
    doorkeeper: Arc<dyn Doorkeeper>,
    /// What is taken for a display name.
    name: fn(&str) -> Result<DisplayName, IdError>,
}

impl Admitter {
    pub(super) fn new(
        index: usize,
        ports: Vec<u16>,
        shared: Arc<Shared>,
        config: &ServerConfig,
    ) -> Self {
        Self {
            index,
            ports,
            shared,
            doorkeeper: Arc::clone(&config.doorkeeper),
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
        let keys = self.shared.keys();
        let (claims, key) = match verify(token, &keys, wall, self.name) {
            Ok(verified) => verified,
            Err(error) => {
                tracing::debug!(?from, %error, "join refused");
                // An error means that the join has timed out meanwhile.
                let _ = server.refuse(now, join, JoinRefusal::from(error));
                return;
            }
        };
        let (room, participant) = (&claims.room, &claims.participant);
        let worker = worker_of(room, self.ports.len());
        if let Some(&port) = self.ports.get(worker)
            && worker != self.index
        {
            tracing::debug!(%room, %participant, ?from, worker, "join redirected");
            let _ = server.redirect(now, join, Redirect::Port(port));
            return;
        }
        let request = JoinRequest {
            claims: &claims,
            key_id: key.id(),
            from,
            now: wall,
        };
        let admitted = match self.admit(server, &request) {
            Ok(admission) => server
                .admit(now, join, admission)
                .map_err(|error| error.to_string()),
            Err(refusal) => {
                let refused = Refused {
                    refusal,
                    room: Some(room.clone()),
                    participant: Some(participant.clone()),
                };
                let _ = server.refuse(now, join, refused);
                Err(refusal.to_string())
            }
        };
        match admitted {
            Ok(()) => tracing::debug!(%room, %participant, ?from, "join admitted"),
            Err(error) => tracing::debug!(%room, %participant, ?from, error, "join refused"),
        }
    }

    fn admit(&self, server: &Server, request: &JoinRequest<'_>) -> Result<Admission, JoinRefusal> {
        let room = &request.claims.room;
        let goes_on =
            |server: &Server| server.room(room).is_some_and(|view| view.session.is_some());
        if self.shared.is_draining() && !goes_on(server) {
            return Err(JoinRefusal::Unavailable);
        }
        let admission = self.doorkeeper.admit(request)?;
        Ok(Admission {
            room: room.clone(),
            participant: request.claims.participant.clone(),
            ..admission
        })
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
        let keys = self.shared.keys();
        let answer = match verify(token, &keys, wall, self.name) {
            Ok((claims, key)) => {
                let request = RefreshRequest {
                    claims: &claims,
                    key_id: key.id(),
                    now: wall,
                };
                let admission = self.doorkeeper.refresh(&request);
                admission.map(|admission| Admission {
                    room: claims.room,
                    participant: claims.participant,
                    ..admission
                })
            }
            Err(error) => {
                tracing::debug!(%error, "refreshed token refused");
                None
            }
        };
        if let Err(error) = server.refresh(now, refresh, answer.ok_or(())) {
            tracing::debug!(%error, "token not refreshed");
        }
    }
}
