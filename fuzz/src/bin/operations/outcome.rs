//! The required outcome when the network has healed.

use std::collections::{BTreeMap, BTreeSet};

use parlour_core::room::{Grants, Participant, ParticipantId, StreamKind};
use parlour_core::signal::Publish;
use parlour_core::time::Duration;
use parlour_fuzz::messages;

use super::party::Party;
use super::{World, id};

impl World {
    /// The state of the room, the participants' replicas of it, and their wishes.
    pub(super) fn compare(&self) {
        let room = self.server.room(&messages::room(0));
        let state = room.and_then(|room| room.session).map(|(_, state)| state);
        let truth: BTreeMap<_, _> = state
            .into_iter()
            .flat_map(|state| state.participants())
            .map(|participant| (participant.id.clone(), participant.clone()))
            .collect();
        let mut expected = BTreeSet::new();
        for (who, party) in self.parties.iter().enumerate() {
            let Some(party) = party.as_ref().filter(|party| !party.is_over) else {
                continue;
            };
            assert_eq!(
                party.outstanding,
                BTreeSet::new(),
                "{who}: a request without answer"
            );
            if !party.client.is_joined() {
                assert!(party.is_waiting, "{who} wants to be in and is not");
                continue;
            }
            expected.insert(id(who));
            let me = truth
                .get(&id(who))
                .expect("the server knows who has joined");
            let published: BTreeMap<_, _> = me
                .streams
                .iter()
                .map(|stream| (stream.key.clone(), wish(stream)))
                .collect();
            assert_eq!(published, party.wishes, "{who}: published and wished");

            let known = party.client.state();
            assert!(known.is_complete(), "{who} knows the room");
            let known_participants: BTreeMap<ParticipantId, Participant> = known
                .participants()
                .map(|participant| (participant.id.clone(), participant.clone()))
                .collect();
            assert_eq!(
                known_participants, truth,
                "{who}: what it knows and what is"
            );
            let state = state.expect("there is a session");
            assert_eq!(known.active_speaker(), state.active_speaker());
            assert_eq!(known.floor(), state.floor());
            assert_eq!(known.is_recorded(), state.is_recorded());
            assert_eq!(known.participant_count(), state.participant_count());
            for id in known_participants.keys() {
                assert!(
                    known.attributes(id).eq(state.attributes(id)),
                    "{who} of {id}"
                );
            }
            let lobby = party.client.lobby();
            let may_know = party.client.grants().contains(Grants::ADMIT);
            let waiting = self.server.waiting(&messages::room(0));
            let waiting: Vec<_> = waiting.filter(|_| may_know).cloned().collect();
            assert_eq!(lobby.waiting, waiting, "{who}: the lobby");
            assert_eq!(lobby.count as usize, waiting.len(), "{who}: the lobby");
        }
        let present: BTreeSet<ParticipantId> = truth.into_keys().collect();
        assert_eq!(present, expected, "who is in, and who wants to be");
    }

    /// Each participant speaks in turn, and all that should hear it do.
    pub(super) fn listen(&mut self) {
        for who in 0..self.parties.len() {
            let is_joined = |party: &Party| !party.is_over && party.client.is_joined();
            if !self.parties[who].as_ref().is_some_and(is_joined) {
                continue;
            }
            let wishes = &self.parties[who].as_ref().expect("it is there").wishes;
            let audible = |publish: &Publish| publish.kind == StreamKind::Audio && !publish.muted;
            let can_speak = wishes.values().any(audible);
            let sound = self.say(who, 0x90);
            assert_eq!(
                sound.is_some(),
                can_speak,
                "{who} is published: it may speak"
            );
            for _ in 0..2 {
                self.settle_ends();
                self.deliver_all();
            }
            if let Some(sound) = sound.filter(|sound| self.sounds[usize::from(*sound)].1) {
                for (listener, party) in self.parties.iter().enumerate() {
                    if let Some(party) = party.as_ref().filter(|party| is_joined(party))
                        && listener != who
                        && party.hears_all
                    {
                        assert!(party.heard.contains(&sound), "{listener} hears {who}");
                    }
                }
            }
            // The slots are free for the next.
            self.pass(Duration::from_secs(1));
            self.settle_ends();
            self.deliver_all();
        }
    }
}

fn wish(stream: &parlour_core::room::Stream) -> Publish {
    Publish {
        key: stream.key.clone(),
        kind: stream.kind,
        codec: stream.codec,
        muted: stream.muted,
    }
}
