//! Moderation by the embedder: operations, targets and outcomes.

use alloc::vec::Vec;

use crate::room::ParticipantId;
use crate::signal;

/// A moderation of participants. See [`Server::moderate`](super::Server::moderate).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Remove them from the session.
    Kick {
        /// Whether to keep them out of this session, even with a valid token.
        keep_out: bool,
    },
    /// Silence them, also when they join this session anew.
    Censor,
    /// Lift that.
    Uncensor,
    /// Let them in from the lobby.
    Admit,
    /// Turn them away from the lobby.
    Deny,
}

impl Act {
    /// Whether it concerns the lobby, and not the session.
    pub(super) const fn is_for_lobby(self) -> bool {
        matches!(self, Self::Admit | Self::Deny)
    }
}

impl From<signal::Moderation> for Act {
    fn from(moderation: signal::Moderation) -> Self {
        match moderation {
            signal::Moderation::Kick => Self::Kick { keep_out: true },
            signal::Moderation::Censor => Self::Censor,
            signal::Moderation::Uncensor => Self::Uncensor,
            signal::Moderation::Admit => Self::Admit,
            signal::Moderation::Deny => Self::Deny,
        }
    }
}

/// The participants concerned, any number of them.
///
/// ```
/// use parlour_core::room::ParticipantId;
/// use parlour_core::server::Selection;
/// let anna = ParticipantId::new("anna")?;
/// assert_eq!(Selection::from(&anna), Selection::Only(vec![anna.clone()]));
/// assert_eq!(Selection::all_but([anna.clone()]), Selection::All { except: vec![anna] });
/// # Ok::<(), parlour_core::room::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All participants but those excepted.
    All {
        /// Those left alone.
        except: Vec<ParticipantId>,
    },
    /// Those named.
    Only(Vec<ParticipantId>),
}

impl Selection {
    /// All participants.
    pub const fn all() -> Self {
        Self::All { except: Vec::new() }
    }

    /// All participants but these.
    pub fn all_but(except: impl IntoIterator<Item = ParticipantId>) -> Self {
        let except = except.into_iter().collect();
        Self::All { except }
    }
}

impl From<ParticipantId> for Selection {
    fn from(id: ParticipantId) -> Self {
        Self::Only(Vec::from([id]))
    }
}

impl From<&ParticipantId> for Selection {
    fn from(id: &ParticipantId) -> Self {
        id.clone().into()
    }
}

impl FromIterator<ParticipantId> for Selection {
    fn from_iter<I: IntoIterator<Item = ParticipantId>>(ids: I) -> Self {
        Self::Only(ids.into_iter().collect())
    }
}

/// The outcome of a moderation: each participant concerned once, in the order of ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moderated {
    /// Those for whom it took effect.
    pub affected: Vec<ParticipantId>,
    /// Those that already were in that state, or that go on waiting because the room is full.
    pub unchanged: Vec<ParticipantId>,
    /// Those that are not in the room.
    pub unknown: Vec<ParticipantId>,
}

/// The outcome for one participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Affected,
    Unchanged,
    Unknown,
}

impl Moderated {
    pub(super) fn note(&mut self, id: ParticipantId, effect: Effect) {
        let list = match effect {
            Effect::Affected => &mut self.affected,
            Effect::Unchanged => &mut self.unchanged,
            Effect::Unknown => &mut self.unknown,
        };
        list.push(id);
    }
}
