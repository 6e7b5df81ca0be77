//! Answers to senders without a connection.

use super::Front;
use super::joins::{Stage, Welcomed};
use crate::server::context::Context;
use crate::server::{Dropped, Path, Transmit};
use crate::wire::{ConnectionId, Packet};

/// Answers to strangers that wait to be sent.
const MAX_STATELESS: usize = 64;
/// A Reset is sent only for packets longer than itself, so that two servers cannot go on and on.
const RESET_LEN: usize = 21;
/// An answer to a stranger: Retry, Reset or the supported version.
pub(super) type Stateless = heapless::Vec<u8, 22>;

impl Front {
    /// Whether half of the places for answers to strangers are taken.
    pub(crate) fn is_filling_up(&self) -> bool {
        self.stateless.len() >= MAX_STATELESS / 2
    }

    /// Says that a connection is unknown, if that is no help to an attacker.
    pub(crate) fn send_reset(
        &mut self,
        cx: &mut Context,
        to: Path,
        server_id: ConnectionId,
        received: usize,
    ) -> Result<(), Dropped> {
        if received <= RESET_LEN || !self.resets.take(cx.now) {
            return Err(Dropped::UnknownConnection);
        }
        let token = cx.reset_token(server_id).0;
        self.send_stateless(
            to,
            &Packet::Reset {
                server_id,
                token: &token,
            },
        )?;
        cx.statistics.resets += 1;
        Ok(())
    }

    /// Queues an answer to a stranger.
    pub(crate) fn send_stateless(&mut self, to: Path, packet: &Packet<'_>) -> Result<(), Dropped> {
        if self.stateless.len() >= MAX_STATELESS {
            return Err(Dropped::OutboxFull);
        }
        let mut bytes = Stateless::new();
        let sized = bytes.resize(packet.encoded_len(), 0);
        if sized.is_err() || packet.encode(&mut bytes).is_err() {
            return Err(Dropped::Malformed);
        }
        self.stateless.push_back((to, bytes));
        Ok(())
    }

    /// Writes a datagram for a stranger, or for a join under way.
    pub(crate) fn transmit(&mut self, cx: &Context, out: &mut [u8]) -> Option<Transmit> {
        if let Some((to, bytes)) = self.stateless.pop_front() {
            let len = bytes.len();
            out.get_mut(..len)?.copy_from_slice(&bytes);
            return Some(Transmit { to, len });
        }
        while let Some(join) = self.joins.pop_ready() {
            let Stage::Answered { welcome, .. } = &join.stage else {
                continue;
            };
            let len = welcome.len();
            // Withheld until the Hello is repeated, which allows for more.
            if len <= join.reach.budget()
                && let Some(place) = out.get_mut(..len)
            {
                place.copy_from_slice(welcome);
                join.reach.sent(len);
                join.welcomed = match join.welcomed {
                    Welcomed::Never => Welcomed::Once(cx.now),
                    _ => Welcomed::Repeatedly,
                };
                let to = join.reach.path;
                return Some(Transmit { to, len });
            }
        }
        None
    }
}
