//! The contents of a room's state, independent of its storage, so that both ends can be compared.

use std::collections::BTreeMap;

use parlour_core::client::{Desktop, Event, Profile as _};
use parlour_core::room::{
    AttributeKey, AttributeValue, Participant, ParticipantId, RoomState, Roster,
};

/// Whether an event tells who speaks, as it goes on all the time in a room that nothing disturbs.
pub fn is_about_speech(event: &Event) -> bool {
    matches!(
        event,
        Event::SpeakerChanged(_)
            | Event::MainChanged(_)
            | Event::SpeakingStarted { .. }
            | Event::SpeakingStopped { .. }
    )
}

/// The participants that speak, as a participant is told.
#[derive(Debug, Default)]
pub(crate) struct Speech {
    speaks: BTreeMap<ParticipantId, bool>,
    /// Events are missing: of whom nothing was told since, anything may be true.
    is_incomplete: bool,
}

impl Speech {
    /// Takes in what it is told. Starts and stops must alternate for each.
    pub(crate) fn check(&mut self, event: &Event) {
        let (participant, speaks) = match event {
            Event::SpeakingStarted { participant } => (participant, true),
            Event::SpeakingStopped { participant } => (participant, false),
            Event::EventsMissed => {
                self.speaks.clear();
                self.is_incomplete = true;
                return;
            }
            _ => return,
        };
        let before = self.speaks.insert(participant.clone(), speaks);
        let before = before.or((!self.is_incomplete).then_some(false));
        assert_ne!(before, Some(speaks), "twice: {event:?}");
    }
}

/// All that a [`RoomState`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The tracked participants.
    pub participants: BTreeMap<ParticipantId, Participant>,
    /// The attributes of all participants that have any.
    pub attributes: BTreeMap<(ParticipantId, AttributeKey), AttributeValue>,
    /// The number of participants, tracked or not.
    pub count: u32,
    /// The active speaker.
    pub speaker: Option<ParticipantId>,
    /// The presenter.
    pub presenter: Option<ParticipantId>,
    /// The holder of the floor.
    pub floor: Option<ParticipantId>,
    /// Whether the session is recorded.
    pub recorded: bool,
    /// Whether a snapshot was completed, and none has begun since.
    pub complete: bool,
}

impl Facts {
    /// The contents of `state`.
    pub fn of<R: Roster>(state: &RoomState<R>) -> Self {
        let participants = state.participants();
        let attributes = participants.clone().flat_map(|participant| {
            let id = &participant.id;
            let attributes = state.attributes(id);
            attributes.map(|(key, value)| ((id.clone(), key.clone()), value.clone()))
        });
        Self {
            attributes: attributes.collect(),
            participants: participants
                .map(|participant| (participant.id.clone(), participant.clone()))
                .collect(),
            count: state.participant_count(),
            speaker: state.active_speaker().cloned(),
            presenter: state.active_presenter().cloned(),
            floor: state.floor().cloned(),
            recorded: state.is_recorded(),
            complete: state.is_complete(),
        }
    }

    /// Whether this is the right content for a replica that tracks at most `capacity` participants, and belongs to
    /// `me`, of the room that `authority` describes.
    ///
    /// # Errors
    /// A description of the difference, for people to read.
    pub fn check_against(
        &self,
        authority: &Self,
        me: &ParticipantId,
        capacity: usize,
    ) -> Result<(), String> {
        let expect = |holds: bool, what: &str| {
            holds
                .then_some(())
                .ok_or_else(|| format!("{me}: {what}\nreplica: {self:#?}\nroom: {authority:#?}"))
        };
        expect(self.complete, "has no complete snapshot")?;
        expect(self.count == authority.count, "counts otherwise")?;
        expect(self.speaker == authority.speaker, "hears another speaker")?;
        expect(self.floor == authority.floor, "sees the floor elsewhere")?;
        expect(
            self.recorded == authority.recorded,
            "is told otherwise of the recording",
        )?;
        expect(self.participants.contains_key(me), "does not track itself")?;
        let tracked = authority.participants.len().min(capacity);
        expect(
            self.participants.len() == tracked,
            "tracks too few or too many",
        )?;
        for (id, participant) in &self.participants {
            let truth = authority.participants.get(id);
            expect(truth == Some(participant), &format!("is wrong about {id}"))?;
        }
        for (of, value) in &self.attributes {
            let truth = authority.attributes.get(of);
            expect(truth == Some(value), &format!("is wrong about {of:?}"))?;
        }
        // Small ones keep none.
        if capacity >= Desktop::PARTICIPANTS {
            let tracked = |id| self.participants.contains_key(id);
            let truth = authority.attributes.keys().filter(|(id, _)| tracked(id));
            let is_all = self.attributes.keys().eq(truth);
            expect(is_all, "does not know all attributes")?;
        }
        if authority.presenter.is_none() || tracked > 1 {
            expect(
                self.presenter == authority.presenter,
                "sees another presenter",
            )?;
        }
        Ok(())
    }
}
