//! People's actions, by the steps of a plan.

use parlour_core::client::{CommandError, Commands as _};
use parlour_core::room::{StreamKey, Topic};
use parlour_core::signal::{
    Moderation, Recipients, RequestId, StreamRef, SubscribePolicy, Targets,
};
use parlour_core::time::Duration;

use super::hostile;
use super::person::{CAMERA, Meaning};
use super::plan::Op;
use super::run::{Run, TICK};
use crate::camera::Filming;
use crate::device::Device;
use crate::party::{camera, microphone_in, screen};

impl Run<'_> {
    pub(super) fn act(&mut self, number: usize, op: &Op) {
        let now = self.world.now();
        match op {
            Op::Join(one) => self.join(*one),
            Op::Leave(one) => {
                if let Some(handle) = self.awake(*one) {
                    let clock = self.world.clock(handle);
                    // An error means that it is leaving already.
                    let _ = self.world.device(handle).leave(clock);
                    self.with(*one, |person| {
                        person.has_left = true;
                        person.talk = None;
                        person.film = None;
                    });
                }
            }
            Op::Crash(one) => {
                if let Some(handle) = self.live(*one) {
                    self.world.retire(handle);
                    self.with(*one, |person| {
                        person.handle = None;
                        person.trouble(now);
                    });
                }
            }
            Op::Talk(one, time, level) => {
                let is_talking = self.with(*one, |person| {
                    person.talk.is_some_and(|(_, until)| until + TICK > now)
                });
                if let Some(handle) = self.awake(*one).filter(|_| !is_talking) {
                    let codec = self.plan.codec;
                    self.world.talk_in(codec, handle, "mic", *level, *time);
                    self.with(*one, |person| person.talk = Some((now, now + *time)));
                }
            }
            Op::Mute(one, muted) => {
                let done = self.ask(*one, Meaning::Other, |device| {
                    device.set_muted(&mic(), *muted)
                });
                if done {
                    self.with(*one, |person| person.muted.set(now, *muted));
                }
            }
            Op::Publish(one) => {
                let microphone = microphone_in(self.plan.codec, "mic");
                if self.ask(*one, Meaning::Other, |device| {
                    device.publish(microphone.clone())
                }) {
                    self.with(*one, |person| person.muted.set(now, false));
                }
            }
            Op::Unpublish(one) => {
                self.ask(*one, Meaning::Other, |device| device.unpublish(&mic()));
            }
            Op::Screen(one, true) => {
                self.ask(*one, Meaning::Other, |device| {
                    device.publish(screen("screen"))
                });
            }
            Op::Screen(one, false) => {
                let key = StreamKey::new("screen").expect("a stream key");
                self.ask(*one, Meaning::Other, |device| device.unpublish(&key));
            }
            Op::Film(one, time) => self.film(*one, *time),
            Op::CameraOff(one) => {
                if let Some(handle) = self.awake(*one) {
                    self.world.stop_filming(handle, &camera_key());
                    self.with(*one, |person| person.film = None);
                    self.ask(*one, Meaning::Other, |device| {
                        device.unpublish(&camera_key())
                    });
                }
            }
            Op::Watch(one, other, wanted) => self.watch(*one, *other, *wanted),
            Op::Subscribe(one, other, wanted) => self.subscribe(*one, *other, *wanted),
            Op::Policy(one, policy) => self.set_policy(*one, *policy),
            Op::Pin(one, other) => {
                let stream = other.map(|other| self.mic_of(other));
                if self.ask(*one, Meaning::Other, |device| device.pin(stream.as_ref())) {
                    self.with(*one, |person| person.wants.has_pinned = true);
                }
            }
            Op::Message(one, reliable) => {
                let topic = Topic::new("chat").expect("a topic");
                let body = [0x55; 40];
                if *reliable {
                    self.ask(*one, Meaning::Other, |device| {
                        device.send_message(&Recipients::All, &topic, &body)
                    });
                } else if let Some(handle) = self.awake(*one) {
                    let device = self.world.device(handle);
                    // An error means that there is no session now.
                    let _ = device.send_lossy_message(&Recipients::All, &topic, &body);
                }
            }
            Op::Floor(one, true) => {
                self.ask(*one, Meaning::Other, Device::request_floor);
            }
            Op::Floor(one, false) => {
                self.ask(*one, Meaning::Other, Device::release_floor);
            }
            Op::Kick(one, other) => {
                self.moderate(*one, *other, Moderation::Kick);
            }
            Op::Censor(one, other, true) => {
                self.moderate(*one, *other, Moderation::Censor);
            }
            Op::Censor(one, other, false) => {
                self.moderate(*one, *other, Moderation::Uncensor);
            }
            Op::Admit(one, other, true) => {
                self.moderate(*one, *other, Moderation::Admit);
            }
            Op::Admit(one, other, false) => {
                self.moderate(*one, *other, Moderation::Deny);
            }
            Op::EndSession(one) => {
                if self.ask(*one, Meaning::Other, Device::end_session) {
                    self.checks.borrow_mut().session_ended = Some(now);
                }
            }
            Op::Refresh(one) => {
                let (options, id) =
                    self.with(*one, |person| (person.options.clone(), person.id.clone()));
                let token = options.token(id.as_str()).to_string();
                self.ask(*one, Meaning::Other, |device| device.refresh_token(&token));
            }
            Op::Partition(one, time) => self.partition(*one, *time),
            Op::NarrowPath(one, time, mtu) => self.narrow(*one, *time, *mtu),
            Op::Link(one, link) => {
                self.with(*one, |person| person.options.link = **link);
                self.impair(*one, now);
            }
            Op::Rebind(one) => self.rebind(*one),
            Op::NewSocket(one) => {
                if let Some(handle) = self.awake(*one) {
                    self.world.new_socket(handle);
                    self.with(*one, |person| person.trouble(now));
                }
            }
            Op::BusyRadio(one, time) => self.busy_radio(*one, *time),
            Op::Sleep(one, time, counted) => self.sleep(*one, *time, *counted),
            Op::Storm(time) => self.storm(*time),
            Op::CutAddress(which, time) => self.cut_address(*which, *time),
            Op::Restart(time) => self.restart(*time),
            Op::Replay(count) => hostile::replay(&mut self.world, self.plan.seed, number, *count),
            Op::Release(count) => {
                hostile::release(&mut self.world, self.plan.seed, number, *count);
            }
            Op::Spoof(count) => hostile::spoof(&mut self.world, self.plan.seed, number, *count),
            Op::Flip(count) => hostile::flip(&mut self.world, self.plan.seed, number, *count),
            Op::Hellos(count) => hostile::hellos(&mut self.world, self.plan.seed, number, *count),
            Op::Record(recorded) => self.world.set_recorded("green", *recorded),
        }
    }

    fn join(&mut self, one: usize) {
        if self.live(one).is_some() {
            return;
        }
        let (former, id, options) = self.with(one, |person| {
            (person.handle, person.id.clone(), person.options.clone())
        });
        if let Some(former) = former {
            self.world.retire(former);
        }
        let handle = self.world.join(id.as_str(), options);
        let now = self.world.now();
        self.checks.borrow_mut().started(one, handle, now);
        self.world.watch_all(handle, FILMING.slots);
        self.relink(one);
    }

    fn film(&mut self, one: usize, time: Duration) {
        let now = self.world.now();
        if let Some(handle) = self.awake(one) {
            self.ask(one, Meaning::Other, |device| device.publish(camera(CAMERA)));
            self.world.film(handle, CAMERA, FILMING, time);
            self.with(one, |person| person.film = Some((now, now + time)));
        }
    }

    fn watch(&mut self, one: usize, other: usize, wanted: bool) {
        let now = self.world.now();
        let stream = StreamRef {
            participant: self.with(other, |person| person.id.clone()),
            key: camera_key(),
        };
        let done = self.ask(one, Meaning::Watch(other, wanted), |device| match wanted {
            true => device.subscribe(&stream),
            false => device.unsubscribe(&stream),
        });
        if done {
            self.with(one, |person| {
                person.wants.watched.insert(other, (now, wanted));
                person.wants.unwatched_since.remove(&other);
            });
        }
    }

    fn subscribe(&mut self, one: usize, other: usize, wanted: bool) {
        let now = self.world.now();
        let stream = self.mic_of(other);
        let done = self.ask(one, Meaning::Wish(other, wanted), |device| match wanted {
            true => device.subscribe(&stream),
            false => device.unsubscribe(&stream),
        });
        if done {
            self.with(one, |person| {
                person.wants.wished.insert(other, now);
                person.wants.unwanted_since.remove(&other);
            });
        }
    }

    fn set_policy(&mut self, one: usize, policy: SubscribePolicy) {
        let now = self.world.now();
        let meaning = Meaning::Policy(policy);
        if self.ask(one, meaning, |device| device.set_subscribe_policy(policy)) {
            self.with(one, |person| {
                person.wants.policy.set(now, policy);
                person.wants.policy_asked = now;
                person.wants.none_since = None;
            });
        }
    }

    fn moderate(&mut self, one: usize, other: usize, action: Moderation) {
        let now = self.world.now();
        let targets = Targets::from(self.with(other, |person| person.id.clone()));
        let asked = self.ask(one, Meaning::Other, |device| {
            device.moderate(action, &targets)
        });
        if asked && matches!(action, Moderation::Kick | Moderation::Deny) {
            self.with(other, |person| person.removed = Some(now));
        }
    }

    /// Gives a command; false if the device did not take it, which is its right.
    fn ask<R: Into<Option<RequestId>>>(
        &mut self,
        one: usize,
        meaning: Meaning,
        command: impl FnOnce(&mut Device) -> Result<R, CommandError>,
    ) -> bool {
        let Some(handle) = self.awake(one) else {
            return false;
        };
        let taken = command(self.world.device(handle));
        let now = self.world.now();
        if let Ok(request) = taken {
            if let Some(request) = request.into() {
                self.checks.borrow_mut().asked(one, now, request, meaning);
            }
            return true;
        }
        false
    }

    fn mic_of(&self, one: usize) -> StreamRef {
        StreamRef {
            participant: self.with(one, |person| person.id.clone()),
            key: mic(),
        }
    }
}

/// A camera, small so that a meeting takes seconds.
const FILMING: Filming = Filming {
    rate: 15,
    bits_per_second: 250_000,
    key_len: 6_000,
    slots: 160,
};

fn camera_key() -> StreamKey {
    StreamKey::new(CAMERA).expect("a stream key")
}

fn mic() -> StreamKey {
    StreamKey::new("mic").expect("a stream key")
}
