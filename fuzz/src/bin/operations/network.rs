//! The network, which does as the input says, and the ends that it delivers to.

use std::collections::VecDeque;

use parlour_core::client::Incoming;
use parlour_core::room::{DisplayName, Grants};
use parlour_core::server::{self, Admission, Path};
use parlour_core::time::Duration;
use parlour_core::wire::MAX_DATAGRAM;
use parlour_fuzz::messages;

use super::{CLIENTS, Sound, UNDER_WAY, World, id};

/// A datagram on its way, with the sounds that may be inside.
#[derive(Clone)]
pub(super) struct Datagram {
    pub(super) path: Path,
    pub(super) bytes: Vec<u8>,
    pub(super) sounds: Vec<Sound>,
}

impl World {
    pub(super) fn link(&mut self, who: usize, up: bool) -> Option<&mut VecDeque<Datagram>> {
        let party = self.parties[who].as_mut()?;
        Some(if up { &mut party.up } else { &mut party.down })
    }

    pub(super) fn rebind(&mut self, who: usize, is_noticed: bool) {
        let path = self.new_path();
        if let Some(party) = &mut self.parties[who] {
            party.path = path;
            if is_noticed {
                party.client.network_changed(self.now);
            }
        }
    }

    pub(super) fn deliver_all(&mut self) {
        for who in 0..self.parties.len() {
            self.deliver_up(who, usize::MAX);
        }
        self.settle_ends();
        for who in 0..self.parties.len() {
            self.deliver_down(who, usize::MAX);
        }
    }

    pub(super) fn deliver_up(&mut self, who: usize, most: usize) {
        for _ in 0..most {
            let Some(mut datagram) = self.parties[who]
                .as_mut()
                .and_then(|party| party.up.pop_front())
            else {
                return;
            };
            let before = self.may_speak(who);
            let _ = self
                .server
                .handle_datagram(self.now, datagram.path, &mut datagram.bytes);
            // A participant silenced when its sound arrives is not heard; the first packet may bring sound and its
            // speaker.
            if before.or(self.may_speak(who)) == Some(true) {
                for sound in &datagram.sounds {
                    self.sounds[usize::from(*sound)].1 = true;
                }
            }
        }
    }

    /// Whether the participant is not censored; `None` if it is not in the session.
    fn may_speak(&self, who: usize) -> Option<bool> {
        let (_, state) = self.server.room(&messages::room(0))?.session?;
        Some(!state.participant(&id(who))?.censored)
    }

    pub(super) fn deliver_down(&mut self, who: usize, most: usize) {
        let Some(party) = &mut self.parties[who] else {
            return;
        };
        let sounds = &self.sounds;
        let heard = &mut party.heard;
        for _ in 0..most {
            let Some(mut datagram) = party.down.pop_front() else {
                return;
            };
            if datagram.path != party.path {
                continue;
            }
            let _ = party
                .client
                .handle_datagram(self.now, &mut datagram.bytes, &mut |incoming| {
                    let Incoming::Audio { frame, .. } = incoming else {
                        return;
                    };
                    let [_, high, low] = *frame.payload else {
                        panic!("nobody said {:?}", frame.payload);
                    };
                    let sound = Sound::from_be_bytes([high, low]);
                    let (speaker, may_be_heard) = sounds[usize::from(sound)];
                    assert_ne!(speaker, who, "nobody hears itself");
                    assert!(may_be_heard, "nobody hears who is silenced or out");
                    assert!(heard.insert(sound), "nobody hears a sound twice");
                });
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
        for party in self.parties.iter_mut().flatten() {
            party.client.handle_timeout(self.now);
        }
    }

    /// Takes from all ends what they have to say.
    pub(super) fn settle_ends(&mut self) {
        self.settle_server();
        let mut out = [0; MAX_DATAGRAM];
        for (who, party) in self.parties.iter_mut().enumerate() {
            let Some(party) = party else {
                continue;
            };
            party.events(who);
            for number in 0.. {
                assert!(number < 200, "the client goes on sending");
                let sent = party.client.poll_transmit(self.now, &mut out);
                let Some(len) = sent.expect("the buffer is large enough") else {
                    break;
                };
                party.up.push_back(Datagram {
                    path: party.path,
                    bytes: out[..len].to_vec(),
                    sounds: party.unsent.clone(),
                });
                if party.up.len() > UNDER_WAY {
                    party.up.pop_front();
                }
            }
            party.unsent.clear();
        }
    }

    fn settle_server(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                server::Event::JoinRequested { join, token, .. } => {
                    let admission = self.admission(&token);
                    let _ = self.server.admit(self.now, join, admission);
                }
                server::Event::RefreshRequested { refresh, token, .. } => {
                    let admission = self.admission(&token);
                    let _ = self.server.refresh(self.now, refresh, Ok(admission));
                }
                _ => {}
            }
        }
        let mut out = [0; MAX_DATAGRAM];
        for number in 0.. {
            assert!(number < 2_000, "the server goes on sending");
            let sent = self.server.poll_transmit(self.now, &mut out);
            let Some(sent) = sent.expect("the buffer is large enough") else {
                return;
            };
            let mut parties = self.parties.iter_mut().flatten();
            if let Some(party) = parties.find(|party| party.path == sent.to) {
                party.down.push_back(Datagram {
                    path: sent.to,
                    bytes: out[..sent.len].to_vec(),
                    sounds: Vec::new(),
                });
                if party.down.len() > UNDER_WAY {
                    party.down.pop_front();
                }
            }
        }
    }

    fn admission(&self, token: &str) -> Admission {
        let who: u8 = token.parse().expect("tokens are numbers here");
        let moderates = who == 0;
        let grants = if moderates {
            Grants::all()
        } else {
            Grants::PARTICIPANT
        };
        let name = DisplayName::new(token).expect("a name");
        Admission {
            lobby: self.may_wait && who + 1 == CLIENTS,
            ..Admission::new(messages::room(0), messages::participant(who), name, grants)
        }
    }

    /// Two minutes without a loss.
    pub(super) fn heal(&mut self) {
        let end = self.now + Duration::from_secs(120);
        for number in 0.. {
            assert!(number < 20_000, "the room does not come to rest");
            self.settle_ends();
            self.deliver_all();
            self.settle_ends();
            let parties = self.parties.iter().flatten();
            let is_under_way = parties
                .clone()
                .any(|party| !party.up.is_empty() || !party.down.is_empty());
            let wakes = parties.filter_map(|party| party.client.poll_timeout());
            let next = wakes.chain(self.server.poll_timeout()).min();
            let delay = Duration::from_millis(10);
            let next = match next {
                // A datagram takes 10 ms.
                _ if is_under_way => self.now + delay,
                Some(next) => next.max(self.now + delay),
                None => return,
            };
            if next > end {
                return;
            }
            self.now = next;
            self.pass(Duration::ZERO);
        }
    }
}
