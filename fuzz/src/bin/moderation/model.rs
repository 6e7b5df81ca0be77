//! The model of hearing, after the documentation: rights and subscriptions, no packets and no time.

use std::collections::{BTreeMap, BTreeSet};

use parlour_core::room::{Grants, ParticipantId};
use parlour_core::signal::{Moderation, SubscribePolicy, Targets};
use parlour_fuzz::messages;

/// The number of people.
pub(super) const PEOPLE: usize = 5;

/// A participant's state in the session, or its state if it were let in.
#[derive(Debug, Clone)]
pub(super) struct Stay {
    grants: Grants,
    policy: SubscribePolicy,
    /// Its subscriptions to single microphones.
    wishes: BTreeMap<usize, bool>,
    /// Whether its microphone is muted; `None` if it is not published.
    microphone: Option<bool>,
}

#[derive(Debug, Clone)]
enum Place {
    Out,
    Waiting(Stay),
    In(Stay),
}

/// A participant's request.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Publish { muted: bool },
    Unpublish,
    Mute(bool),
    Wish(usize, bool),
    Policy(SubscribePolicy),
    Moderate(Moderation, Box<Targets>),
    EndSession,
    Refresh(Grants),
}

/// The room.
#[derive(Debug, Clone)]
pub(super) struct Model {
    places: [Place; PEOPLE],
    /// The participants that this session keeps out, and those that it silences.
    kicked: BTreeSet<usize>,
    censored: BTreeSet<usize>,
    mixes: bool,
}

impl Model {
    /// An empty room, mixed for participants that want that or not.
    pub(super) fn new(mixes: bool) -> Self {
        Self {
            places: [const { Place::Out }; PEOPLE],
            kicked: BTreeSet::new(),
            censored: BTreeSet::new(),
            mixes,
        }
    }

    pub(super) fn is_in(&self, who: usize) -> bool {
        self.stay(who).is_some()
    }

    pub(super) fn is_waiting(&self, who: usize) -> bool {
        matches!(self.places[who], Place::Waiting(_))
    }

    fn stay(&self, who: usize) -> Option<&Stay> {
        match &self.places[who] {
            Place::In(stay) => Some(stay),
            _ => None,
        }
    }

    /// Whether `listener` hears `talker` once it speaks.
    pub(super) fn hears(&self, listener: usize, talker: usize) -> bool {
        let (Some(ear), Some(voice)) = (self.stay(listener), self.stay(talker)) else {
            return false;
        };
        let wish = ear.wishes.get(&talker).copied();
        let is_wanted = match ear.policy {
            SubscribePolicy::None => wish == Some(true),
            SubscribePolicy::All | SubscribePolicy::Mix | SubscribePolicy::MixPcmu => {
                wish != Some(false)
            }
            other => panic!("nobody told the model what {other:?} means"),
        };
        listener != talker
            && ear.grants.contains(Grants::SUBSCRIBE)
            && is_wanted
            && voice.microphone == Some(false)
            && !self.censored.contains(&talker)
    }

    /// One joins, and takes the place of its own former device.
    pub(super) fn join(
        &mut self,
        who: usize,
        grants: Grants,
        policy: SubscribePolicy,
        microphone: Option<bool>,
        lobby: bool,
    ) {
        if self.kicked.contains(&who) {
            return;
        }
        let is_allowed = self.allows(policy, grants);
        let stay = Stay {
            grants,
            policy: if is_allowed {
                policy
            } else {
                SubscribePolicy::None
            },
            wishes: BTreeMap::new(),
            microphone: microphone.filter(|_| grants.contains(Grants::PUBLISH_AUDIO)),
        };
        self.places[who] = match lobby {
            true => Place::Waiting(stay),
            false => Place::In(stay),
        };
    }

    /// One leaves, or is removed. The session forgets everything with its last participant.
    pub(super) fn leave(&mut self, who: usize) {
        self.places[who] = Place::Out;
        if !(0..PEOPLE).any(|one| self.is_in(one)) {
            self.kicked.clear();
            self.censored.clear();
        }
    }

    /// The session ends; the lobby goes on waiting. False if there is none.
    pub(super) fn end_session(&mut self) -> bool {
        let present: Vec<usize> = (0..PEOPLE).filter(|one| self.is_in(*one)).collect();
        for one in &present {
            self.leave(*one);
        }
        !present.is_empty()
    }

    /// A present participant asks for something. Applies the request; returns whether it is granted.
    pub(super) fn ask(&mut self, who: usize, ask: &Ask) -> bool {
        let Some(stay) = self.stay(who) else {
            return false;
        };
        let grants = stay.grants;
        let is_allowed = match ask {
            Ask::Publish { .. } => {
                stay.microphone.is_none() && grants.contains(Grants::PUBLISH_AUDIO)
            }
            Ask::Unpublish | Ask::Mute(_) => stay.microphone.is_some(),
            // A wish is about a stream that there is, or that was wished for or against before.
            Ask::Wish(other, wanted) => {
                let is_known = stay.wishes.contains_key(other)
                    || (self.stay(*other)).is_some_and(|other| other.microphone.is_some());
                is_known && (!wanted || grants.contains(Grants::SUBSCRIBE))
            }
            Ask::Policy(policy) => self.allows(*policy, grants),
            Ask::Moderate(action, targets) => {
                let needed = match action {
                    Moderation::Kick => Grants::KICK,
                    Moderation::Admit | Moderation::Deny => Grants::ADMIT,
                    _ => Grants::CENSOR,
                };
                return grants.contains(needed) && self.moderate(who, *action, targets);
            }
            Ask::EndSession => {
                return grants.contains(Grants::END_SESSION) && self.end_session();
            }
            Ask::Refresh(_) => true,
        };
        if is_allowed && let Place::In(stay) = &mut self.places[who] {
            stay.take(ask);
        }
        is_allowed
    }

    fn allows(&self, policy: SubscribePolicy, grants: Grants) -> bool {
        let is_mix = matches!(policy, SubscribePolicy::Mix | SubscribePolicy::MixPcmu);
        policy == SubscribePolicy::None
            || grants.contains(Grants::SUBSCRIBE) && (self.mixes || !is_mix)
    }

    /// A moderator's action: on all named participants, or on none if one of them is absent.
    fn moderate(&mut self, moderator: usize, action: Moderation, targets: &Targets) -> bool {
        let is_concerned = |model: &Self, one: usize| match action {
            Moderation::Admit | Moderation::Deny => model.is_waiting(one),
            _ => model.is_in(one) && one != moderator,
        };
        let number =
            |id: &ParticipantId| (0..PEOPLE).find(|one| messages::participant(*one as u8) == *id);
        let named: Vec<usize> = match targets {
            Targets::All { except } => (0..PEOPLE)
                .filter(|one| is_concerned(self, *one))
                .filter(|one| !except.contains(&messages::participant(*one as u8)))
                .collect(),
            Targets::List(ids) => ids.iter().filter_map(number).collect(),
        };
        if !named.iter().all(|one| is_concerned(self, *one)) {
            return false;
        }
        for one in named {
            self.act(action, one);
        }
        true
    }

    /// The application's action from outside; false if the participant is not where it would have to be.
    pub(super) fn act(&mut self, action: Moderation, who: usize) -> bool {
        let is_there = match action {
            Moderation::Admit | Moderation::Deny => self.is_waiting(who),
            _ => self.is_in(who),
        };
        if !is_there {
            return false;
        }
        match action {
            Moderation::Kick => {
                self.kicked.insert(who);
                self.leave(who);
            }
            Moderation::Censor => drop(self.censored.insert(who)),
            Moderation::Uncensor => drop(self.censored.remove(&who)),
            Moderation::Admit => {
                let place = std::mem::replace(&mut self.places[who], Place::Out);
                if let Place::Waiting(stay) = place {
                    self.places[who] = Place::In(stay);
                }
            }
            Moderation::Deny => self.places[who] = Place::Out,
            other => panic!("nobody told the model what {other:?} means"),
        }
        true
    }
}

impl Stay {
    /// Has what was asked for, and granted.
    fn take(&mut self, ask: &Ask) {
        match ask {
            Ask::Publish { muted } => self.microphone = Some(*muted),
            Ask::Unpublish => self.microphone = None,
            Ask::Mute(muted) => self.microphone = Some(*muted),
            Ask::Wish(other, wanted) => drop(self.wishes.insert(*other, *wanted)),
            Ask::Policy(policy) => self.policy = *policy,
            Ask::Refresh(grants) => self.renew(*grants),
            // They change more than this stay.
            Ask::Moderate(..) | Ask::EndSession => {}
        }
    }

    /// A grant that is lost takes along what it allowed; one that comes back brings nothing.
    fn renew(&mut self, grants: Grants) {
        self.grants = grants;
        if !grants.contains(Grants::PUBLISH_AUDIO) {
            self.microphone = None;
        }
        if !grants.contains(Grants::SUBSCRIBE) {
            self.policy = SubscribePolicy::None;
            self.wishes.clear();
        }
    }
}
