use alloc::format;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn waiting(number: u8) -> Waiting {
    Waiting {
        participant: ParticipantId::new(&format!("p{number}")).unwrap(),
        name: DisplayName::new(&format!("P {number}")).unwrap(),
    }
}

/// A receiver at the end of a reliable channel.
#[derive(Default)]
struct Receiver {
    view: LobbyView,
    known: heapless::Vec<Waiting, MAX_WAITING>,
    version: Version,
    count: u32,
}

impl Receiver {
    /// Tells it at most so many things; gives whether it knows all.
    fn tell(&mut self, list: Option<&WaitingList>, most: usize) -> bool {
        for _ in 0..most {
            match self.view.poll(list) {
                None => return true,
                Some(Told::Waits(Waiting { participant, name })) => {
                    assert!(self.known.len() < MAX_WAITING, "more than there are places");
                    note(&mut self.known, &participant, &name);
                }
                Some(Told::Gone(participant)) => {
                    let before = self.known.len();
                    strike(&mut self.known, &participant);
                    assert_eq!(self.known.len() + 1, before, "it was not known");
                }
                Some(Told::Whole { version, waiting }) => {
                    (self.version, self.count) = (version, waiting);
                }
            }
        }
        false
    }

    fn lobby(&self) -> Lobby<'_> {
        Lobby {
            version: self.version,
            count: self.count,
            waiting: &self.known,
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    Enter(u8),
    Leave(usize),
    Permit(bool),
    Tell(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => any::<u8>().prop_map(Act::Enter),
        4 => any::<usize>().prop_map(Act::Leave),
        1 => any::<bool>().prop_map(Act::Permit),
        4 => (0..12_usize).prop_map(Act::Tell),
    ]
}

proptest! {
    /// However slowly it is told, and whenever it gets or loses the grant, a receiver comes to know the first of the list,
    /// and how many there are; without the grant it comes to know nothing.
    #[test]
    fn a_receiver_comes_to_know_the_lobby(acts in proptest::collection::vec(act(), 0..200)) {
        let mut list = WaitingList::default();
        let mut there: Vec<(Place, Waiting)> = Vec::new();
        let mut receiver = Receiver::default();
        let mut permitted = true;
        for act in acts {
            match act {
                Act::Enter(number) if there.iter().all(|(_, known)| *known != waiting(number)) => {
                    let new = waiting(number);
                    there.push((list.enter(new.participant.clone(), new.name.clone()), new));
                }
                Act::Leave(which) if !there.is_empty() => {
                    list.leave(there.remove(which % there.len()).0);
                }
                Act::Permit(is_permitted) => permitted = is_permitted,
                Act::Tell(most) => drop(receiver.tell(permitted.then_some(&list), most)),
                Act::Enter(_) | Act::Leave(_) => {}
            }
            prop_assert!(list.iter().eq(there.iter().map(|(_, waiting)| waiting)));
        }
        prop_assert!(receiver.tell(permitted.then_some(&list), 1_000), "it never ends");
        let lobby = receiver.lobby();
        if permitted {
            let first: Vec<_> = list.iter().take(MAX_WAITING).cloned().collect();
            prop_assert_eq!(lobby.waiting, first);
            prop_assert_eq!(lobby.version, list.version());
            prop_assert_eq!(lobby.count as usize, there.len());
            prop_assert_eq!(lobby.others() as usize, there.len().saturating_sub(MAX_WAITING));
        } else {
            prop_assert_eq!(lobby, Lobby::default());
        }
    }
}

#[test]
fn who_is_not_told_costs_nothing() {
    let mut list = WaitingList::default();
    let mut receiver = Receiver::default();
    assert!(receiver.tell(Some(&list), 1), "an empty lobby was told");
    let new = waiting(1);
    list.enter(new.participant, new.name);
    assert!(receiver.tell(None, 1), "told without the grant");
}
