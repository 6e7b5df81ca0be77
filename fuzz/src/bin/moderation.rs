//! A room whose people join and leave, silence and remove each other, and choose whom to hear, against a model of
//! hearing.
//!
//! Input: one byte of configuration, then steps: joins into the session or the lobby with various grants, what a
//! participant may ask for, moderation by participants and from outside, new tokens. It is carried out in the simulated
//! world, by true clients and a true server. On a good network, people act within the same round trip; on a weak one,
//! each waits until the former has been told.
//!
//! When the network has settled, each participant with a device speaks: each hears exactly those that the model says
//! it hears. The server grants and refuses what the model does, and its rooms hold the model's participants.

#[path = "moderation/model.rs"]
mod model;

use std::collections::BTreeSet;

use parlour_core::client::{CommandError, Commands as _};
use parlour_core::room::{Codec, Grants, StreamKey};
use parlour_core::server::{Config, MixConfig, Rate, Selection};
use parlour_core::signal::{Moderation, RequestId, StreamRef};
use parlour_core::time::{Duration, Instant};
use parlour_fuzz::input::Input;
use parlour_fuzz::messages;
use parlour_world::party::microphone_in;
use parlour_world::{Device, Handle, LinkConfig, Options, World};

use self::model::{Ask, Model, PEOPLE};

/// The only stream of each.
const MICROPHONE: u8 = 0;
/// How loud all are, in -dBov.
const LEVEL: u8 = 30;
/// More than a datagram is under way on a good network.
const ARRIVED: Duration = Duration::from_millis(20);
/// Within which what was done has become known, however many datagrams get lost. A device that leaves and is not heard
/// is given up after silence and grace.
const KNOWN: Duration = Duration::from_secs(60);
/// How long each speaks to be heard, and when its audio has arrived or never will.
const SPOKEN: Duration = Duration::from_millis(400);
const HEARD: Duration = Duration::from_secs(1);

/// A request under way.
struct Asked {
    who: usize,
    handle: Handle,
    request: RequestId,
    is_granted: bool,
}

struct Meeting {
    world: World,
    model: Model,
    /// The latest device of each.
    devices: [Option<Handle>; PEOPLE],
    asked: Vec<Asked>,
    /// Those that asked for something since all requests were last settled.
    acted: BTreeSet<usize>,
    codec: Codec,
    link: LinkConfig,
}

fn main() {
    parlour_fuzz::search(run);
}

/// Lives a room's life.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut meeting = Meeting::new(input.byte());
    for _ in 0..200 {
        let Some(opcode) = input.opcode() else {
            break;
        };
        meeting.step(opcode, &mut input);
    }
    meeting.listen();
}

impl Meeting {
    fn new(how: u8) -> Self {
        let plenty = Rate {
            per_second: 1_000,
            burst: 10_000,
        };
        let mixes = how & 1 != 0;
        let config = Config {
            mix: mixes.then(MixConfig::default),
            requests: plenty,
            changes: plenty,
            joins: plenty,
            handshakes: plenty,
            ..Config::default()
        };
        Self {
            world: World::with_seed("moderation", config, how.into()),
            model: Model::new(mixes),
            devices: [None; PEOPLE],
            asked: Vec::new(),
            acted: BTreeSet::new(),
            // Opus would have to be decoded to be mixed, which takes longer than all the rest.
            codec: if mixes { Codec::Pcmu } else { Codec::Opus },
            link: if how & 2 == 0 {
                LinkConfig::GOOD
            } else {
                LinkConfig::WEAK
            },
        }
    }

    fn step(&mut self, opcode: u8, input: &mut Input<'_>) {
        let who = usize::from(opcode >> 4) % PEOPLE;
        match opcode & 15 {
            0 | 1 => self.join(who, input),
            2 => self.leave(who),
            3 => {
                let muted = input.flag();
                self.ask(who, &Ask::Publish { muted });
            }
            4 => self.ask(who, &Ask::Unpublish),
            5 => self.ask(who, &Ask::Mute(input.flag())),
            6 | 7 => {
                let other = usize::from(input.below(PEOPLE as u8));
                self.ask(who, &Ask::Wish(other, opcode & 1 == 0));
            }
            8 => self.ask(who, &Ask::Policy(messages::policy(input))),
            9 | 10 => {
                let action = messages::moderation(input);
                let targets = Box::new(messages::targets(input));
                self.ask(who, &Ask::Moderate(action, targets));
            }
            11 => self.act(who, messages::moderation(input)),
            12 => match input.byte() {
                0xf0.. => self.end_session(),
                0xe0.. => self.ask(who, &Ask::EndSession),
                number => self.ask(who, &Ask::Refresh(grants(number))),
            },
            13 => self.talk(who, Duration::from_secs(2)),
            14 => self.world.run_for(input.duration()),
            _ => self.listen(),
        }
    }

    /// Joins, unless it waits: from outside, or with another device.
    fn join(&mut self, who: usize, input: &mut Input<'_>) {
        let how = input.byte();
        let policy = messages::policy(input);
        self.settle();
        if self.model.is_waiting(who) {
            return;
        }
        if let Some(former) = self.devices[who] {
            self.world.hush(former);
        }
        let grants = if who == 0 { Grants::all() } else { grants(how) };
        let lobby = how & 8 != 0 && !self.model.is_in(who);
        let microphone = (how & 0x30 != 0).then_some(how & 0x30 == 0x10);
        let mut publish = microphone_in(self.codec, messages::key(MICROPHONE).as_str());
        publish.muted = microphone.unwrap_or_default();
        let options = Options {
            grants,
            lobby,
            policy,
            link: self.link,
            publish: microphone.iter().map(|_| publish.clone()).collect(),
            ..if how & 0x40 == 0 {
                Options::small()
            } else {
                Options::default()
            }
        };
        let options = options.in_room(messages::room(0).as_str());
        let id = messages::participant(who as u8);
        self.devices[who] = Some(self.world.join(id.as_str(), options));
        self.model.join(who, grants, policy, microphone, lobby);
        self.settle();
    }

    fn leave(&mut self, who: usize) {
        if !self.model.is_in(who) && !self.model.is_waiting(who) {
            return;
        }
        self.takes_turn(who);
        if let Some(handle) = self.devices[who] {
            self.world.leave(handle);
            self.model.leave(who);
            self.done();
        }
    }

    fn ask(&mut self, who: usize, ask: &Ask) {
        let Some(handle) = self.devices[who].filter(|_| self.model.is_in(who)) else {
            return;
        };
        self.takes_turn(who);
        let is_settled = self.asked.is_empty();
        let mut after = self.model.clone();
        let is_granted = after.ask(who, ask);
        match give(self.world.device(handle), self.codec, who, ask) {
            Ok(request) => {
                self.model = after;
                self.asked.extend(request.map(|request| Asked {
                    who,
                    handle,
                    request,
                    is_granted,
                }));
            }
            // It need not know yet what the server knows.
            Err(error) => assert!(!is_settled || !is_granted, "{who}: {ask:?}: {error}"),
        }
        self.done();
    }

    /// The application does something from outside, which needs no time to arrive.
    fn act(&mut self, who: usize, action: Moderation) {
        self.world.run_for(ARRIVED);
        let (room, id) = (messages::room(0), messages::participant(who as u8));
        let (server, now) = self.world.server_and_clock();
        let done = server.moderate(now, &room, action.into(), &Selection::from(&id));
        // A full room leaves a guest unchanged; there is none here.
        let was_there = done.is_ok_and(|done| done.unknown.is_empty());
        assert_eq!(was_there, self.model.act(action, who), "{action:?}");
        self.done();
    }

    fn end_session(&mut self) {
        self.world.run_for(ARRIVED);
        let (server, now) = self.world.server_and_clock();
        let done = server.end_session(now, &messages::room(0));
        assert_eq!(done.is_ok(), self.model.end_session());
        self.done();
    }

    /// A request may depend on the answer to an earlier one of the same round trip.
    fn takes_turn(&mut self, who: usize) {
        if !self.acted.insert(who) {
            self.settle();
            self.acted.insert(who);
        }
    }

    /// On a good network what was done first arrives first.
    fn done(&mut self) {
        match self.link.loss {
            0 => self.world.run_for(Duration::from_millis(1)),
            _ => self.settle(),
        }
    }

    fn talk(&mut self, who: usize, time: Duration) {
        if let Some(handle) = self.devices[who] {
            self.world.hush(handle);
            let key = messages::key(MICROPHONE);
            self.world
                .talk_in(self.codec, handle, key.as_str(), LEVEL, time);
        }
    }

    /// Lets all requests be answered, and all earlier audio be heard.
    fn settle(&mut self) {
        let Self {
            world,
            model,
            devices,
            asked,
            ..
        } = self;
        world.run_until("all are where the model says", KNOWN, |world| {
            let mut asked = asked.iter();
            asked.all(|asked| world.reply(asked.handle, asked.request).is_some())
                && (0..PEOPLE).all(|who| is_where(world, model, who, devices[who]))
        });
        world.run_for(HEARD);
        for asked in self.asked.drain(..) {
            let reply = self.world.reply(asked.handle, asked.request);
            let is_granted = reply.is_some_and(|reply| reply.is_ok());
            // A participant that is out need not have been answered.
            let is_in = self.model.is_in(asked.who);
            let is_as_said = is_granted == asked.is_granted || !is_in;
            assert!(is_as_said, "{}: {reply:?}, and not so", asked.who);
        }
        self.acted.clear();
    }

    /// All speak, and each hears whom the model says.
    fn listen(&mut self) {
        self.settle();
        let since = self.world.now();
        for who in 0..PEOPLE {
            if let Some(handle) = self.devices[who] {
                self.world.forget(handle);
                self.talk(who, SPOKEN);
            }
        }
        self.world.run_for(SPOKEN + HEARD);
        for listener in 0..PEOPLE {
            for talker in 0..PEOPLE {
                let heard = self.has_heard(listener, talker, since);
                let expected = self.model.hears(listener, talker);
                assert_eq!(heard, expected, "{listener} hears {talker}");
            }
        }
    }

    fn has_heard(&self, listener: usize, talker: usize, since: Instant) -> bool {
        let (Some(listener), Some(talker)) = (self.devices[listener], self.devices[talker]) else {
            return false;
        };
        let mut heard = self.world.heard(listener).iter();
        let key = messages::key(MICROPHONE);
        let ssrc = self.world.device_of(talker).published_ssrc(&key);
        let mut mixed = self.world.mixed(listener).iter();
        heard.any(|frame| frame.talker() == talker && frame.said.said_at >= since.as_micros())
            || mixed.any(|frame| ssrc.is_some_and(|ssrc| frame.contributors.contains(&ssrc)))
    }
}

/// Whether a participant, and its device, is where the model says.
fn is_where(world: &World, model: &Model, who: usize, device: Option<Handle>) -> bool {
    let Some(handle) = device else {
        return true;
    };
    let device = world.device_of(handle);
    let (room, id) = (messages::room(0), messages::participant(who as u8));
    let Some(server) = world.running_server() else {
        return false;
    };
    let session = server.room(&room).and_then(|room| room.session);
    let is_present = session.is_some_and(|(_, state)| state.participant(&id).is_some());
    // On a bad network a device may be in a lobby which the server takes it out of, for a later join of it.
    let is_waiting = server.waiting(&room).any(|guest| guest.participant == id);
    is_present == model.is_in(who)
        && device.is_joined() == is_present
        && is_waiting == model.is_waiting(who)
        && device.is_waiting() == is_waiting
        && (is_present || device.is_waiting() || device.closed().is_some())
}

/// The grants of a token.
fn grants(number: u8) -> Grants {
    const CHOICES: [Grants; 8] = [
        Grants::PARTICIPANT,
        Grants::all(),
        Grants::PARTICIPANT.difference(Grants::SUBSCRIBE),
        Grants::PARTICIPANT.difference(Grants::PUBLISH_AUDIO),
        Grants::PARTICIPANT.union(Grants::CENSOR),
        Grants::PARTICIPANT.union(Grants::KICK),
        Grants::PARTICIPANT.union(Grants::ADMIT),
        Grants::PARTICIPANT.union(Grants::END_SESSION),
    ];
    CHOICES[usize::from(number & 7)]
}

fn give(
    device: &mut Device,
    codec: Codec,
    who: usize,
    ask: &Ask,
) -> Result<Option<RequestId>, CommandError> {
    let key: StreamKey = messages::key(MICROPHONE);
    let microphone_of = |other: usize| StreamRef {
        participant: messages::participant(other as u8),
        key: messages::key(MICROPHONE),
    };
    match ask {
        Ask::Publish { muted } => {
            let mut publish = microphone_in(codec, key.as_str());
            publish.muted = *muted;
            device.publish(publish)
        }
        Ask::Unpublish => device.unpublish(&key),
        Ask::Mute(muted) => device.set_muted(&key, *muted),
        Ask::Wish(other, true) => device.subscribe(&microphone_of(*other)),
        Ask::Wish(other, false) => device.unsubscribe(&microphone_of(*other)),
        Ask::Policy(policy) => device.set_subscribe_policy(*policy),
        Ask::Moderate(action, targets) => device.moderate(*action, targets).map(Some),
        Ask::EndSession => device.end_session().map(Some),
        Ask::Refresh(grants) => {
            let options = Options {
                grants: *grants,
                ..Options::default()
            };
            let options = options.in_room(messages::room(0).as_str());
            let token = options.token(messages::participant(who as u8).as_str());
            device.refresh_token(&token.to_string())
        }
    }
}
