//! The embedder's answers to [`Event::JoinRequested`](super::Event::JoinRequested).

use alloc::vec::Vec;

use crate::room::{AttributeKey, AttributeValue, DisplayName, Grants, ParticipantId, RoomId};
use crate::signal::JoinRefusal;
use crate::time::Duration;

/// What a valid token says, and what the embedder knows of room and participant beside it.
///
/// ```
/// use parlour_core::room::{DisplayName, Grants, ParticipantId, RoomId};
/// use parlour_core::server::{Admission, RoomLimits};
///
/// let (room, anna) = (RoomId::new("green")?, ParticipantId::new("anna")?);
/// let limits = RoomLimits { max_participants: Some(12), ..RoomLimits::default() };
/// let admission = Admission {
///     limits: Some(limits),
///     ..Admission::new(room, anna, DisplayName::new("Anna")?, Grants::PARTICIPANT)
/// };
/// assert!(!admission.lobby);
/// # Ok::<(), parlour_core::room::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Where.
    pub room: RoomId,
    /// Who.
    pub participant: ParticipantId,
    /// What others see of it. A name that somebody else has chosen is best made by [`DisplayName::visible`].
    pub name: DisplayName,
    /// What it may do.
    pub grants: Grants,
    /// When the token runs out, from now; `None`: never.
    pub expires_in: Option<Duration>,
    /// Whether it has to wait until somebody lets it in. One that resumes does not.
    pub lobby: bool,
    /// What becomes of a participant of the same id that is there already.
    pub on_duplicate: OnDuplicate,
    /// Attributes that it has from the start, at most [`MAX_ATTRIBUTES`](crate::room::MAX_ATTRIBUTES). One that resumes
    /// keeps those that it has.
    pub attributes: Vec<(AttributeKey, AttributeValue)>,
    /// Limits of the room from now on; `None`: as they are.
    pub limits: Option<RoomLimits>,
}

impl Admission {
    /// Lets a participant in that may do so much, at once and for as long as it likes, in place of one of the same id.
    pub const fn new(
        room: RoomId,
        participant: ParticipantId,
        name: DisplayName,
        grants: Grants,
    ) -> Self {
        Self {
            room,
            participant,
            name,
            grants,
            expires_in: None,
            lobby: false,
            on_duplicate: OnDuplicate::Replace,
            attributes: Vec::new(),
            limits: None,
        }
    }
}

/// What becomes of a participant that is there when one of the same id joins anew. To resume is not to join anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnDuplicate {
    /// The new one takes its place.
    #[default]
    Replace,
    /// The new one is refused with [`JoinRefusal::DuplicateParticipant`], while the other one is in touch. One that is
    /// [reconnecting](crate::room::ConnectionState::Reconnecting) is replaced all the same: it may be the one that joins.
    Refuse,
}

/// Limits of one room, as long as a session, a lobby or a join under way keeps it. Without them the session has the
/// [`Config`](super::Config)'s capacity and lasts until the last one leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoomLimits {
    /// Most participants in its session; [`Config::participants_per_room`](super::Config::participants_per_room) holds in any
    /// case. Nobody is removed when it becomes less.
    pub max_participants: Option<usize>,
    /// How long the session outlasts the last one in it: who comes by then finds the same session. Until then the room counts
    /// among [`Config::rooms`](super::Config::rooms).
    pub empty_timeout: Option<Duration>,
    /// How long one participant may be alone in the session. Then it ends with
    /// [`CloseReason::AloneTooLong`](crate::room::CloseReason::AloneTooLong).
    pub solo_timeout: Option<Duration>,
    /// How long the session may last. Then it ends with
    /// [`CloseReason::SessionTooLong`](crate::room::CloseReason::SessionTooLong).
    pub max_session: Option<Duration>,
}

/// How a join is turned away. A [`JoinRefusal`] becomes one of a stranger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What the one who asked is told.
    pub refusal: JoinRefusal,
    /// Where it wanted to join, if that is known.
    pub room: Option<RoomId>,
    /// Who it is, if that is known.
    pub participant: Option<ParticipantId>,
}

impl From<JoinRefusal> for Refused {
    fn from(refusal: JoinRefusal) -> Self {
        Self {
            refusal,
            room: None,
            participant: None,
        }
    }
}
