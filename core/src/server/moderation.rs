//! Moderation by the embedder: what is done, to whom, and what came of it.

use alloc::vec::Vec;

use crate::room::ParticipantId;
use crate::signal;

/// What is done to participants. See [`Server::moderate`](super::Server::moderate).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Remove them from the session.
    Kick {
        /// Whether to keep them out of this session, whatever token they bring.
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
    /// Whether it concerns those in the lobby, and not those in the session.
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

/// Which participants are meant, any number of them.
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
    /// Everybody there but those excepted.
    All {
        /// Those left alone.
        except: Vec<ParticipantId>,
    },
    /// Those named.
    Only(Vec<ParticipantId>),
}

impl Selection {
    /// Everybody.
    pub const fn all() -> Self {
        Self::All { except: Vec::new() }
    }

    /// Everybody but these.
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

/// What came of a moderation, for each who was meant once, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moderated {
    /// Those for whom it took effect.
    pub affected: Vec<ParticipantId>,
    /// Those for whom it was so before, or who go on waiting because the room is full.
    pub unchanged: Vec<ParticipantId>,
    /// Those who are not there.
    pub unknown: Vec<ParticipantId>,
}

/// What came of it for one.
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
