//! When the network heals, every replica equals the authority's state, whatever happened.

use parlour_core::client::Commands as _;
use parlour_core::room::{AttributeKey, AttributeValue, Grants, RoomId, StreamKey, Topic};
use parlour_core::server::Config;
use parlour_core::signal::{Moderation, Recipients, StreamRef, SubscribePolicy, Targets};
use parlour_core::time::Duration;
use parlour_tests::token::Token;
use parlour_tests::{Handle, LinkConfig, Options, Size, World, microphone, screen};
use proptest::collection::vec;
use proptest::prelude::*;

const KEYS: [&str; 3] = ["mic", "music", "screen"];

/// The possible steps. A number names a party, modulo the number of parties.
#[derive(Debug, Clone)]
enum Act {
    Join { small: bool, weak: bool },
    Knock { weak: bool },
    Leave(usize),
    PowerOff(usize),
    Publish(usize, usize),
    Unpublish(usize, usize),
    Mute(usize, usize, bool),
    Censor(usize, usize, bool),
    Kick(usize, usize),
    Answer(usize, Option<usize>, bool),
    Permit(usize, bool),
    Subscribe(usize, usize, bool),
    Policy(usize, bool),
    Pin(usize, Option<usize>),
    Floor(usize, bool),
    Attribute(usize, usize, u8, bool),
    Message(usize),
    Talk(usize, usize, u8),
    Partition(usize, bool),
    Network(usize, u8),
    Rebind(usize),
    NewSocket(usize),
    RestartServer,
    Record(bool),
    Run(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let (party, key) = (|| 0..16usize, || 0..KEYS.len());
    prop_oneof![
        4 => (any::<bool>(), any::<bool>()).prop_map(|(small, weak)| Act::Join { small, weak }),
        3 => any::<bool>().prop_map(|weak| Act::Knock { weak }),
        2 => party().prop_map(Act::Leave),
        1 => party().prop_map(Act::PowerOff),
        5 => (party(), key()).prop_map(|(party, key)| Act::Publish(party, key)),
        2 => (party(), key()).prop_map(|(party, key)| Act::Unpublish(party, key)),
        3 => (party(), key(), any::<bool>()).prop_map(|(p, key, on)| Act::Mute(p, key, on)),
        2 => (party(), party(), any::<bool>()).prop_map(|(by, of, on)| Act::Censor(by, of, on)),
        1 => (party(), party()).prop_map(|(by, of)| Act::Kick(by, of)),
        2 => (party(), proptest::option::of(party()), any::<bool>())
            .prop_map(|(by, of, admit)| Act::Answer(by, of, admit)),
        2 => (party(), any::<bool>()).prop_map(|(party, on)| Act::Permit(party, on)),
        2 => (party(), party(), any::<bool>()).prop_map(|(by, of, on)| Act::Subscribe(by, of, on)),
        1 => (party(), any::<bool>()).prop_map(|(party, all)| Act::Policy(party, all)),
        2 => (party(), proptest::option::of(party())).prop_map(|(by, of)| Act::Pin(by, of)),
        2 => (party(), any::<bool>()).prop_map(|(party, on)| Act::Floor(party, on)),
        4 => (party(), party(), 0..10u8, any::<bool>())
            .prop_map(|(by, of, key, on)| Act::Attribute(by, of, key, on)),
        1 => party().prop_map(Act::Message),
        4 => (party(), key(), 10..80u8).prop_map(|(p, key, level)| Act::Talk(p, key, level)),
        3 => (party(), any::<bool>()).prop_map(|(party, on)| Act::Partition(party, on)),
        2 => (party(), 0..60u8).prop_map(|(party, loss)| Act::Network(party, loss)),
        1 => party().prop_map(Act::Rebind),
        1 => party().prop_map(Act::NewSocket),
        1 => Just(Act::RestartServer),
        1 => any::<bool>().prop_map(Act::Record),
        12 => (1..3_000u64).prop_map(Act::Run),
        2 => (3_000..40_000u64).prop_map(Act::Run),
    ]
}

struct Play {
    world: World,
    parties: Vec<Handle>,
}

impl Play {
    fn party(&self, number: usize) -> Handle {
        self.parties[number % self.parties.len()]
    }

    fn join(&mut self, small: bool, lobby: bool, weak: bool) {
        if self.parties.len() >= 12 {
            return;
        }
        let options = Options {
            size: if small { Size::Small } else { Size::Desktop },
            link: if weak {
                LinkConfig::WEAK
            } else {
                LinkConfig::GOOD
            },
            lobby,
            ..Options::moderator()
        };
        let name = format!("p{}", self.parties.len());
        let handle = self.world.join(&name, options);
        self.parties.push(handle);
    }

    /// Does one step. A refusal by a device or the server is part of the test.
    fn act(&mut self, act: &Act) {
        let key = |number: usize| StreamKey::new(KEYS[number]).unwrap();
        match *act {
            Act::Join { small, weak } => self.join(small, false, weak),
            Act::Knock { weak } => self.join(false, true, weak),
            // The first one stays, so that the session does.
            Act::Leave(p) if p % self.parties.len() != 0 => {
                let handle = self.party(p);
                let clock = self.world.clock(handle);
                let _ = self.world.device(handle).leave(clock);
            }
            Act::PowerOff(p) if p % self.parties.len() != 0 => {
                self.world.power_off(self.party(p));
            }
            Act::Leave(_) | Act::PowerOff(_) => {}
            Act::Publish(p, k) => {
                let publish = if k == 2 {
                    screen(KEYS[k])
                } else {
                    microphone(KEYS[k])
                };
                let _ = self.world.device(self.party(p)).publish(publish);
            }
            Act::Unpublish(p, k) => {
                let _ = self.world.device(self.party(p)).unpublish(&key(k));
            }
            Act::Mute(p, k, on) => {
                let _ = self.world.device(self.party(p)).set_muted(&key(k), on);
            }
            Act::Censor(by, of, on) => {
                let action = if on {
                    Moderation::Censor
                } else {
                    Moderation::Uncensor
                };
                let targets = self.only(of);
                let _ = self.world.device(self.party(by)).moderate(action, &targets);
            }
            Act::Kick(by, of) if of % self.parties.len() != 0 => {
                let targets = self.only(of);
                let _ = self
                    .world
                    .device(self.party(by))
                    .moderate(Moderation::Kick, &targets);
            }
            Act::Kick(..) => {}
            Act::Answer(by, of, admit) => {
                let action = if admit {
                    Moderation::Admit
                } else {
                    Moderation::Deny
                };
                let everybody = Targets::all();
                let targets = of.map_or(everybody, |of| self.only(of));
                let _ = self.world.device(self.party(by)).moderate(action, &targets);
            }
            Act::Permit(p, on) => {
                let mut grants = Grants::all();
                grants.set(Grants::ADMIT, on);
                let token = Token {
                    grants,
                    ..Token::new("green", self.world.id(self.party(p)).as_str())
                };
                let device = self.world.device(self.party(p));
                let _ = device.refresh_token(&token.to_string());
            }
            Act::Subscribe(by, of, on) => {
                let stream = self.stream(of);
                let device = self.world.device(self.party(by));
                let _ = if on {
                    device.subscribe(&stream)
                } else {
                    device.unsubscribe(&stream)
                };
            }
            Act::Policy(p, all) => {
                let policy = if all {
                    SubscribePolicy::All
                } else {
                    SubscribePolicy::None
                };
                let _ = self
                    .world
                    .device(self.party(p))
                    .set_subscribe_policy(policy);
            }
            Act::Pin(by, of) => {
                let stream = of.map(|of| self.stream(of));
                let _ = self.world.device(self.party(by)).pin(stream.as_ref());
            }
            Act::Floor(p, on) => {
                let device = self.world.device(self.party(p));
                let _ = if on {
                    device.request_floor()
                } else {
                    device.release_floor()
                };
            }
            Act::Attribute(by, of, key, on) => {
                let of = self.world.id(self.party(of));
                let key = AttributeKey::new(&format!("k{key}")).unwrap();
                let value = AttributeValue::new(if on { "on" } else { "" }).unwrap();
                let device = self.world.device(self.party(by));
                let _ = device.set_attribute_of(&of, &key, &value);
            }
            Act::Message(p) => {
                let topic = Topic::new("t").unwrap();
                let device = self.world.device(self.party(p));
                let _ = device.send_message(&Recipients::All, &topic, &[1; 100]);
            }
            Act::Talk(p, k, level) => {
                if k != 2 {
                    let handle = self.party(p);
                    self.world
                        .talk_at(handle, KEYS[k], level, Duration::from_millis(700));
                }
            }
            Act::Partition(p, on) => self.world.partition(self.party(p), on),
            Act::Network(p, loss) => {
                let link = LinkConfig {
                    loss,
                    ..LinkConfig::WEAK
                };
                self.world.set_link(self.party(p), link);
            }
            Act::Rebind(p) => drop(self.world.rebind(self.party(p))),
            Act::NewSocket(p) => drop(self.world.new_socket(self.party(p))),
            Act::RestartServer => self.world.restart_server(),
            Act::Record(recorded) => self.world.set_recorded("green", recorded),
            Act::Run(millis) => self.world.run_for(Duration::from_millis(millis)),
        }
    }

    fn only(&self, number: usize) -> Targets {
        Targets::from(self.world.id(self.party(number)))
    }

    fn stream(&self, number: usize) -> StreamRef {
        StreamRef {
            participant: self.world.id(self.party(number)),
            key: StreamKey::new(KEYS[0]).unwrap(),
        }
    }

    /// Gives everybody a good network, and checks that all comes to agree.
    fn heal(mut self) {
        for handle in &self.parties {
            self.world.set_link(*handle, LinkConfig::GOOD);
            self.world.hush(*handle);
        }
        // Long enough for every backoff, grace and farewell.
        self.world.run_for(Duration::from_secs(70));
        let present: Vec<_> = self
            .parties
            .iter()
            .copied()
            .filter(|handle| self.world.is_on(*handle) && self.world.closed(*handle).is_none())
            .collect();
        let is_waiting = |handle: &Handle| self.world.device_of(*handle).is_waiting();
        let (waiting, present): (Vec<_>, Vec<_>) = present.into_iter().partition(is_waiting);
        for handle in &present {
            assert!(self.world.is_joined(*handle), "{handle:?} is still away");
        }
        self.world
            .run_until_agreed(&present, Duration::from_secs(5));
        let mut expected: Vec<_> = present
            .iter()
            .map(|handle| self.world.id(*handle))
            .collect();
        expected.sort();
        let there = self.world.authority("green").unwrap().participants;
        assert!(
            there.keys().eq(&expected),
            "{:?} {expected:?}",
            there.keys()
        );
        let mut expected: Vec<_> = waiting
            .iter()
            .map(|handle| self.world.id(*handle))
            .collect();
        expected.sort();
        let room = RoomId::new("green").unwrap();
        let there = self.world.server().waiting(&room);
        let mut there: Vec<_> = there.map(|one| one.participant.clone()).collect();
        there.sort();
        assert_eq!(there, expected, "in the lobby");
        for handle in present {
            self.check_streams(handle);
        }
    }

    /// The streams that a device believes to publish are those that the room shows.
    fn check_streams(&mut self, handle: Handle) {
        let id = self.world.id(handle);
        let there = self.world.authority("green").unwrap().participants;
        let shown = &there[&id].streams;
        for key in KEYS {
            let key = StreamKey::new(key).unwrap();
            let shown = shown.iter().find(|stream| stream.key == key);
            let believed = self.world.device(handle).published_ssrc(&key);
            assert_eq!(believed, shown.map(|stream| stream.ssrc), "{id} {key}");
        }
    }
}

fn play(seed: u64, acts: &[Act]) {
    let config = Config {
        room_log: 24,
        ..Config::default()
    };
    let mut play = Play {
        world: World::with_seed("replica", config, seed),
        parties: Vec::new(),
    };
    play.join(false, false, false);
    play.join(true, false, false);
    play.world.run_for(Duration::from_millis(200));
    for act in acts {
        play.act(act);
    }
    play.heal();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn replicas_heal(seed: u64, acts in vec(act(), 1..60)) {
        play(seed, &acts);
    }
}

#[test]
fn a_large_room_on_small_devices_heals() {
    let mut acts = vec![
        Act::Join {
            small: true,
            weak: true
        };
        12
    ];
    for number in 0..12 {
        acts.push(Act::Run(300));
        acts.push(Act::Publish(number, number % 3));
        acts.push(Act::Mute(number, number % 3, number % 4 == 0));
        acts.push(Act::Pin(number, Some(number + 5)));
        acts.push(Act::Talk(number, 0, 30));
        acts.push(Act::Partition(number, number % 5 == 1));
    }
    for seed in 0..4 {
        play(seed, &acts);
    }
}
