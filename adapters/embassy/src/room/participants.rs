//! The other participants, one after the other.

use parlour_core::client::Profile;
use parlour_core::room::{self, ParticipantId};

use super::Room;
use crate::time::now;

/// A participant as this device knows it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant<'a> {
    /// Id, name, connection and streams.
    pub info: &'a room::Participant,
    /// Whether it speaks, as [`SpeakingStarted`](parlour_core::client::Event::SpeakingStarted) says it. Never so of oneself.
    pub speaking: bool,
    /// How loud it is, in dBov: 0 is the loudest possible, −127 is silence. `None` if nothing has been heard of it for
    /// 400 ms, and of oneself.
    pub level: Option<i8>,
}

impl<P: Profile> Room<'_, P> {
    /// Shows the others to `visit`, in the order of their ids: as many as the [profile](Profile) tracks. It must not command
    /// the room.
    pub fn participants(&self, mut visit: impl FnMut(Participant<'_>)) {
        self.visit(|participant, is_me| {
            if !is_me {
                visit(participant);
            }
        });
    }

    /// Shows one participant, oneself among them, to `look`; `None` if it is not known here. It must not command the room.
    pub fn participant<T>(
        &self,
        id: &ParticipantId,
        look: impl FnOnce(Participant<'_>) -> T,
    ) -> Option<T> {
        let (mut look, mut seen) = (Some(look), None);
        self.visit(|participant, _| {
            if participant.info.id == *id {
                seen = look.take().map(|look| look(participant));
            }
        });
        seen
    }

    /// Who this is; `None` before the first join.
    pub fn me(&self) -> Option<ParticipantId> {
        self.shared.look(|client| client.me().cloned())
    }

    fn visit(&self, mut visit: impl FnMut(Participant<'_>, bool)) {
        let now = now();
        self.shared.look(|client| {
            for info in client.state().participants() {
                let level = client.level_of(now, &info.id);
                let participant = Participant {
                    info,
                    speaking: client.speakers().any(|speaker| *speaker == info.id),
                    level: level.map(|level| 0_i8.saturating_sub_unsigned(level)),
                };
                visit(participant, client.me() == Some(&info.id));
            }
        });
    }
}
