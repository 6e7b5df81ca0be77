//! Operations of moderators.

use parlour_core::room::ParticipantId;
use parlour_core::signal::{MAX_TARGETS, Moderation, Operation, Outcome, ParticipantList, Targets};

use super::Room;
use crate::client::RequestError;

/// The targets of a moderation: one participant, a list of any length, or all.
///
/// ```
/// use parlour_tokio::{ParticipantId, Targets, Whom};
///
/// let anna = ParticipantId::new("anna")?;
/// let one = Whom::from(anna.clone());
/// let two = Whom::from([anna.clone(), ParticipantId::new("ben")?]);
/// let many = Whom::from(vec![anna; 20]);
/// let everybody = Whom::from(Targets::all());
/// # Ok::<(), parlour_tokio::core::room::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom {
    /// The requests to the server, one after the other, because each names a limited number of targets.
    requests: Vec<Targets>,
}

impl From<Targets> for Whom {
    fn from(targets: Targets) -> Self {
        Self {
            requests: vec![targets],
        }
    }
}

impl From<ParticipantId> for Whom {
    fn from(id: ParticipantId) -> Self {
        Targets::from(id).into()
    }
}

impl From<Vec<ParticipantId>> for Whom {
    fn from(ids: Vec<ParticipantId>) -> Self {
        let parts = ids.chunks(MAX_TARGETS);
        let lists = parts.filter_map(|part| ParticipantList::of(part.iter().cloned()).ok());
        Self {
            requests: lists.map(Targets::from).collect(),
        }
    }
}

impl<const N: usize> From<[ParticipantId; N]> for Whom {
    fn from(ids: [ParticipantId; N]) -> Self {
        Vec::from(ids).into()
    }
}

impl Room {
    /// Removes participants from the session; says how many.
    ///
    /// A list of more than eight is sent in parts, here and in the four methods that follow: if a part is refused,
    /// those before it are done and those behind it are not. Unchanged participants are not counted: admitting all
    /// from an empty lobby returns 0.
    ///
    /// # Errors
    /// [`RequestError`]; [`Refusal::UnknownParticipant`](parlour_core::signal::Refusal::UnknownParticipant) if one of those named
    /// is not there: then nothing has happened to any of that part.
    pub async fn kick(&self, whom: impl Into<Whom>) -> Result<u16, RequestError> {
        self.moderate(Moderation::Kick, whom.into()).await
    }

    /// Silences participants; says how many.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn censor(&self, whom: impl Into<Whom>) -> Result<u16, RequestError> {
        self.moderate(Moderation::Censor, whom.into()).await
    }

    /// Lifts participants' silence; says of how many.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn uncensor(&self, whom: impl Into<Whom>) -> Result<u16, RequestError> {
        self.moderate(Moderation::Uncensor, whom.into()).await
    }

    /// Lets participants in from the lobby; says how many.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn admit(&self, whom: impl Into<Whom>) -> Result<u16, RequestError> {
        self.moderate(Moderation::Admit, whom.into()).await
    }

    /// Turns participants in the lobby away; says how many.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn deny(&self, whom: impl Into<Whom>) -> Result<u16, RequestError> {
        self.moderate(Moderation::Deny, whom.into()).await
    }

    async fn moderate(&self, action: Moderation, whom: Whom) -> Result<u16, RequestError> {
        let mut moderated: u16 = 0;
        for targets in whom.requests {
            let asked = self.shared.ask(Operation::Moderate { action, targets });
            if let Some(Outcome::Moderated { participants }) = asked.await? {
                moderated = moderated.saturating_add(participants);
            }
        }
        Ok(moderated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_any_length_is_asked_for_in_parts() {
        for (len, parts) in [(0, 0), (1, 1), (8, 1), (9, 2), (100, 13)] {
            let ids: Vec<_> = (0..len)
                .map(|n| ParticipantId::new(&format!("p{n}")).unwrap())
                .collect();
            let requests = Whom::from(ids.clone()).requests;
            assert_eq!(requests.len(), parts);
            let asked = requests.into_iter().flat_map(|targets| match targets {
                Targets::List(list) => list.to_vec(),
                Targets::All { .. } => panic!("nobody said all"),
            });
            assert_eq!(asked.collect::<Vec<_>>(), ids);
        }
    }
}
