//! What participants may do, when that changes: by a new token, or because the application says so.

use super::Room;
use super::requests::reply;
use super::session::Session;
use crate::room::{Grants, ParticipantId};
use crate::server::context::Context;
use crate::server::keys::{MemberKey, PeerKey};
use crate::server::{Admission, Event, ModerateError, RefreshError};
use crate::signal::{Outcome, Refusal, ServerMessage};
use crate::time::Instant;

impl Room {
    /// The application says what a participant may do for the rest of its stay.
    pub(crate) fn set_grants(
        &mut self,
        cx: &mut Context,
        participant: &ParticipantId,
        grants: Grants,
    ) -> Result<(), ModerateError> {
        let unknown = ModerateError::UnknownParticipant;
        let session = self.session.as_mut().ok_or(unknown)?;
        let who = session.find(participant).ok_or(unknown)?;
        let member = session.get_mut(who).ok_or(unknown)?;
        let before = member.rights.grants;
        member.rights.fix(grants);
        if grants != before {
            member
                .association
                .tell(&ServerMessage::GrantsChanged { grants });
            cx.wake(&mut member.association);
        }
        session.grants_changed(cx, who, before);
        Ok(())
    }

    /// Takes in what the embedder says of the new token of one who is in the session, or else waits.
    pub(super) fn refresh(
        &mut self,
        cx: &mut Context,
        who: PeerKey,
        member: Option<MemberKey>,
        answer: Result<Admission, ()>,
    ) -> Result<(), RefreshError> {
        let unknown = RefreshError::UnknownRefresh;
        let (association, rights) = match member {
            Some(member) => {
                let session = self.session.as_mut().ok_or(unknown)?;
                let member = session.get_mut(member).ok_or(unknown)?;
                (&mut member.association, &mut member.rights)
            }
            None => {
                let guest = self.lobby.get_mut(who).ok_or(unknown)?;
                (&mut guest.association, &mut guest.rights)
            }
        };
        let request = rights.refresh.take().ok_or(unknown)?.request;
        let before = rights.grants;
        let (result, done) = match answer {
            Ok(new) if new.room == self.id && new.participant == association.id => {
                let expires = new.expires_in.map(|expires_in| cx.now + expires_in);
                rights.renew(new.grants, expires);
                if member.is_some() && rights.grants != before {
                    let grants = rights.grants;
                    association.tell(&ServerMessage::GrantsChanged { grants });
                }
                (Ok(Outcome::Done), Ok(()))
            }
            Ok(_) => (Err(Refusal::InvalidToken), Err(RefreshError::Mismatch)),
            Err(()) => (Err(Refusal::InvalidToken), Ok(())),
        };
        reply(cx, association, request, result);
        match member {
            Some(key) => {
                if let Some(session) = &mut self.session {
                    session.grants_changed(cx, key, before);
                    session.rearm(cx, key);
                }
            }
            None => {
                if let Some(guest) = self.lobby.get_mut(who) {
                    let at = guest.next_timeout(&cx.config);
                    cx.rearm(&mut guest.association, at);
                }
            }
        }
        done
    }
}

impl Session {
    /// A member has come back with a token that says so. The answer to its join has told it.
    pub(super) fn renew_rights(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        grants: Grants,
        expires: Option<Instant>,
    ) {
        if let Some(member) = self.get_mut(who) {
            let before = member.rights.grants;
            member.rights.renew(grants, expires);
            self.grants_changed(cx, who, before);
            self.rearm(cx, who);
        }
    }

    /// Tells the embedder if a member may do something else than before, and ends what it may not do any more.
    fn grants_changed(&mut self, cx: &mut Context, who: MemberKey, before: Grants) {
        let Some(member) = self.get(who) else {
            return;
        };
        let (participant, grants) = (member.id().clone(), member.rights.grants);
        if grants == before {
            return;
        }
        self.tell_embedder(cx, |room, session| Event::GrantsChanged {
            room,
            session,
            participant,
            grants,
        });
        self.enforce_grants(cx, who);
    }
}
