//! The resume tickets of one participant.

use alloc::collections::VecDeque;

use rand_core::CryptoRngCore;

use crate::secure::ResumeTicket;

/// Tickets that were given out and have not taken effect. A participant that asks again and again
/// without getting through makes the oldest of them worthless.
const MAX_OFFERED: usize = 8;

/// The ticket of the association in use, and those of associations offered since. Any of them may
/// be the last one that the participant has received: a Welcome may be lost, and so may the first
/// packet after it.
#[derive(Debug)]
pub(crate) struct Tickets {
    handle: u64,
    /// Oldest first.
    valid: VecDeque<ResumeTicket>,
    /// With which it waited in the lobby: good until it knows that it was let in.
    lobby: Option<ResumeTicket>,
    /// Handles of tickets promised to its participant for a new stay, which may never begin. A join with one of them
    /// is from the same participant. The oldest first.
    promised: VecDeque<u64>,
}

impl Tickets {
    pub(crate) fn new(ticket: ResumeTicket) -> Self {
        Self {
            handle: ticket.handle(),
            valid: VecDeque::from([ticket]),
            lobby: None,
            promised: VecDeque::new(),
        }
    }

    /// The tickets of a participant that waited with `self` and is let in.
    pub(crate) fn admit(mut self, ticket: ResumeTicket) -> Self {
        Self {
            lobby: self.valid.pop_back(),
            promised: self.promised,
            ..Self::new(ticket)
        }
    }

    /// All by which it may still be found.
    pub(crate) fn handles(&self) -> impl Iterator<Item = u64> {
        let lobby = self.lobby.as_ref().map(ResumeTicket::handle);
        [self.handle].into_iter().chain(lobby)
    }

    /// Notes that its participant is promised a ticket with this handle for a new stay.
    pub(crate) fn promise(&mut self, handle: u64) {
        if self.promised.len() >= MAX_OFFERED {
            self.promised.pop_front();
        }
        self.promised.push_back(handle);
    }

    /// Whether a ticket with this handle was given to this participant, for this stay or one that has yet to begin.
    pub(crate) fn has_given(&self, handle: u64) -> bool {
        self.handles().any(|known| known == handle) || self.promised.contains(&handle)
    }

    /// It knows that it is in no lobby any more. Gives the handle that is free.
    pub(crate) fn forget_lobby(&mut self) -> Option<u64> {
        self.lobby.take().map(|ticket| ticket.handle())
    }

    /// The handle by which the server finds the participant.
    pub(crate) fn handle(&self) -> u64 {
        self.handle
    }

    pub(crate) fn accept(&self, shown: &ResumeTicket) -> bool {
        // All are compared, so that the time does not tell which one it is like.
        self.valid
            .iter()
            .chain(&self.lobby)
            .fold(false, |found, ticket| ticket.matches(shown) | found)
    }

    /// One more, for an association that is offered.
    pub(crate) fn offer(&mut self, rng: &mut dyn CryptoRngCore) -> ResumeTicket {
        if self.valid.len() > MAX_OFFERED {
            // The first one stays: it is that of the association in use.
            self.valid.remove(1);
        }
        let ticket = ResumeTicket::generate(self.handle, rng);
        self.valid.push_back(ticket.clone());
        ticket
    }

    /// The association offered with this ticket is in use: those before it are worthless.
    pub(crate) fn take_effect(&mut self, ticket: ResumeTicket) {
        let place = self.valid.iter().position(|valid| valid.matches(&ticket));
        match place {
            Some(place) => drop(self.valid.drain(..place)),
            None => self.valid = VecDeque::from([ticket]),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn what_was_offered_since_is_valid_and_what_was_before_is_not() {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let first = ResumeTicket::generate(7, &mut rng);
        let mut tickets = Tickets::new(first.clone());
        let second = tickets.offer(&mut rng);
        let third = tickets.offer(&mut rng);
        assert!(
            [&first, &second, &third]
                .iter()
                .all(|ticket| tickets.accept(ticket))
        );
        assert!(!tickets.accept(&ResumeTicket::generate(7, &mut rng)));
        tickets.take_effect(second.clone());
        assert!(!tickets.accept(&first));
        assert!(tickets.accept(&second) && tickets.accept(&third));
    }

    #[test]
    fn the_ticket_of_the_lobby_is_good_until_it_is_forgotten() {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let lobby = ResumeTicket::generate(7, &mut rng);
        let session = ResumeTicket::generate(8, &mut rng);
        let mut tickets = Tickets::new(lobby.clone()).admit(session.clone());
        assert!(tickets.accept(&lobby) && tickets.accept(&session));
        assert!(tickets.handles().eq([8, 7]));
        assert_eq!(tickets.forget_lobby(), Some(7));
        assert!(!tickets.accept(&lobby) && tickets.accept(&session));
        assert!(tickets.handles().eq([8]));
        assert_eq!(tickets.forget_lobby(), None);
    }

    #[test]
    fn the_one_in_use_outlasts_any_number_of_offers() {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let first = ResumeTicket::generate(7, &mut rng);
        let mut tickets = Tickets::new(first.clone());
        let early = tickets.offer(&mut rng);
        for _ in 0..100 {
            let latest = tickets.offer(&mut rng);
            assert!(tickets.accept(&latest) && tickets.accept(&first));
        }
        assert!(!tickets.accept(&early));
        assert_eq!(tickets.valid.len(), MAX_OFFERED + 1);
    }
}
