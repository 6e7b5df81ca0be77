//! What a room's state says, free of where it is kept, so that both ends can be compared.

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

/// Who speaks, as a participant is told it.
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
    /// The attributes of those who have any.
    pub attributes: BTreeMap<(ParticipantId, AttributeKey), AttributeValue>,
    /// How many there are, tracked or not.
    pub count: u32,
    /// Who is loudest.
    pub speaker: Option<ParticipantId>,
    /// Who shares a screen.
    pub presenter: Option<ParticipantId>,
    /// Who holds the floor.
    pub floor: Option<ParticipantId>,
    /// Whether a snapshot was completed, and none has begun since.
    pub complete: bool,
}

impl Facts {
    /// What `state` says.
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
            complete: state.is_complete(),
        }
    }

    /// Whether this is what a replica that tracks at most `capacity` participants, and belongs to
    /// `me`, should hold of the room that `authority` describes.
    ///
    /// # Errors
    /// What is wrong with it, for people to read.
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
