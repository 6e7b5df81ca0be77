//! A client whose inputs are recorded.

use std::fmt::Debug;
use std::ops::Deref;

use parlour_core::client::{
    self, BufferTooSmall, CommandError, Config, Dropped, Event, Incoming, Message, Profile,
    SendError, Small,
};
use parlour_core::rand_core::CryptoRngCore;
use parlour_core::room::{StreamKey, Topic};
use parlour_core::rtp::AudioLevel;
use parlour_core::signal::{
    MAX_BODY, Moderation, Operation, Publish, Recipients, RequestId, Secret, StreamRef,
    SubscribePolicy, Targets,
};
use parlour_core::ticket::{Ticket, TicketError};
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;
use serde::{Deserialize, Serialize};

use crate::Sink;
use crate::log::{Checksum, Log};
use crate::make::{Made, MadeClient};
use crate::tape::Tape;

/// A call of a client, as a log keeps it.
#[derive(Serialize, Deserialize)]
pub(crate) enum Call<'a> {
    Datagram(&'a [u8]),
    Timeout,
    NetworkChanged,
    Transmit {
        capacity: usize,
    },
    Event,
    Message {
        capacity: usize,
    },
    /// All that a client asks by the method of the same name.
    #[serde(borrow)]
    Command(Operation<'a>),
    LossyMessage {
        to: Recipients,
        topic: Topic,
        body: &'a [u8],
    },
    Audio {
        key: StreamKey,
        timestamp: u32,
        voice: bool,
        level: u8,
        payload: &'a [u8],
    },
    Media {
        key: StreamKey,
        timestamp: u32,
        marker: bool,
        payload: &'a [u8],
    },
    Ping,
}

impl Call<'_> {
    /// Makes the call, and gives the checksum of what comes of it. Of a buffer the core uses no more than it is lent here,
    /// and a log may claim any.
    pub(crate) fn repeat<P: Profile>(self, client: &mut client::Client<P>, now: Instant) -> u32 {
        let mut buffer = Vec::new();
        match self {
            Self::Datagram(bytes) => {
                buffer.extend_from_slice(bytes);
                datagram(client, now, &mut buffer, &mut |_| ()).1
            }
            Self::Timeout => {
                client.handle_timeout(now);
                0
            }
            Self::NetworkChanged => {
                client.network_changed(now);
                0
            }
            Self::Ping => {
                client.ping();
                0
            }
            Self::Transmit { capacity } => {
                buffer.resize(capacity.min(MAX_DATAGRAM), 0);
                transmit(client, now, &mut buffer).1
            }
            Self::Event => Checksum::of(&client.poll_event()),
            Self::Message { capacity } => {
                buffer.resize(capacity.min(MAX_BODY), 0);
                Checksum::of(&client.poll_message(&mut buffer))
            }
            Self::Command(operation) => command(client, now, operation),
            Self::LossyMessage { to, topic, body } => {
                Checksum::of(&client.send_lossy_message(&to, &topic, body))
            }
            Self::Audio {
                key,
                timestamp,
                voice,
                level,
                payload,
            } => {
                let level = AudioLevel { voice, level };
                Checksum::of(&client.send_audio(now, &key, timestamp, level, payload))
            }
            Self::Media {
                key,
                timestamp,
                marker,
                payload,
            } => Checksum::of(&client.send_media(now, &key, timestamp, marker, payload)),
        }
    }
}

fn command<P: Profile>(
    client: &mut client::Client<P>,
    now: Instant,
    operation: Operation<'_>,
) -> u32 {
    match operation {
        Operation::Publish(publish) => Checksum::of(&client.publish(publish)),
        Operation::Unpublish { key } => Checksum::of(&client.unpublish(&key)),
        Operation::SetMuted { key, muted } => Checksum::of(&client.set_muted(&key, muted)),
        Operation::Subscribe(stream) => Checksum::of(&client.subscribe(&stream)),
        Operation::Unsubscribe(stream) => Checksum::of(&client.unsubscribe(&stream)),
        Operation::SetSubscribePolicy(policy) => Checksum::of(&client.set_subscribe_policy(policy)),
        Operation::Pin(stream) => Checksum::of(&client.pin(stream.as_ref())),
        Operation::Send { to, topic, body } => {
            Checksum::of(&client.send_message(&to, &topic, body))
        }
        Operation::Moderate { action, targets } => Checksum::of(&client.moderate(action, &targets)),
        Operation::EndSession => Checksum::of(&client.end_session()),
        Operation::RefreshToken { token } => Checksum::of(&client.refresh_token(&token)),
        Operation::RequestFloor => Checksum::of(&client.request_floor()),
        Operation::ReleaseFloor => Checksum::of(&client.release_floor()),
        Operation::Leave => Checksum::of(&client.leave(now)),
        // A later version's: what comes of it differs in any case.
        _ => 0,
    }
}

fn datagram<P: Profile>(
    client: &mut client::Client<P>,
    now: Instant,
    bytes: &mut [u8],
    receive: &mut dyn FnMut(Incoming<'_>),
) -> (Result<(), Dropped>, u32) {
    let mut checksum = Checksum::default();
    let handled = client.handle_datagram(now, bytes, &mut |incoming| {
        checksum.add(&incoming);
        receive(incoming);
    });
    (handled, checksum.with(&handled).finish())
}

type Transmitted = Result<Option<usize>, BufferTooSmall>;

fn transmit<P: Profile>(
    client: &mut client::Client<P>,
    now: Instant,
    out: &mut [u8],
) -> (Transmitted, u32) {
    let sent = client.poll_transmit(now, out);
    let bytes = sent.ok().flatten().and_then(|len| out.get(..len));
    let checksum = Checksum::default().with(&sent).bytes(bytes.unwrap_or(&[]));
    (sent, checksum.finish())
}

/// The core's [`Client`](client::Client), recorded if it was made by [`recorded`](Self::recorded). What can be read of it
/// is read through [`Deref`]; whatever changes it goes through a method here.
#[derive(Debug)]
pub struct Client<P: Profile = Small> {
    client: client::Client<P>,
    log: Option<Log>,
}

impl<P: Profile> Deref for Client<P> {
    type Target = client::Client<P>;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

/// What the core's client does under the same names; there it is documented.
#[allow(missing_docs, clippy::missing_errors_doc)]
impl<P: Profile> Client<P> {
    pub fn new(
        ticket: &Ticket<'_>,
        config: &Config,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Self, TicketError> {
        let client = client::Client::new(ticket, config, now, rng)?;
        Ok(Self { client, log: None })
    }

    /// Like [`new`](Self::new), and writes all that goes into the client to `sink`, **its token and the seed of its keys
    /// among it**.
    pub fn recorded(
        ticket: &Ticket<'_>,
        config: &Config,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
        sink: Sink,
    ) -> Result<Self, TicketError> {
        let mut tape = Tape {
            rng,
            bytes: Vec::new(),
        };
        let client = client::Client::new(ticket, config, now, &mut tape)?;
        let made = MadeClient::new::<P>(ticket, config, now, tape.bytes);
        let log = Some(Log::new(sink, now, &Made::Client(made)));
        Ok(Self { client, log })
    }

    pub fn handle_datagram(
        &mut self,
        now: Instant,
        bytes: &mut [u8],
        receive: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Dropped> {
        let Some(log) = &mut self.log else {
            return self.client.handle_datagram(now, bytes, receive);
        };
        log.call(Some(now), &Call::Datagram(bytes));
        let (handled, checksum) = datagram(&mut self.client, now, bytes, receive);
        log.output(checksum);
        handled
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.call(Some(now), Call::Timeout);
        self.client.handle_timeout(now);
        self.output(0);
    }

    pub fn ping(&mut self) {
        self.call(None, Call::Ping);
        self.client.ping();
        self.output(0);
    }

    pub fn network_changed(&mut self, now: Instant) {
        self.call(Some(now), Call::NetworkChanged);
        self.client.network_changed(now);
        self.output(0);
    }

    pub fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        let Some(log) = &mut self.log else {
            return self.client.poll_transmit(now, out);
        };
        let capacity = out.len();
        log.call(Some(now), &Call::Transmit { capacity });
        let (sent, checksum) = transmit(&mut self.client, now, out);
        log.output(checksum);
        sent
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.command(None, || Call::Event, client::Client::poll_event)
    }

    pub fn poll_message<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> Result<Option<Message<'b>>, BufferTooSmall> {
        let capacity = buffer.len();
        self.call(None, Call::Message { capacity });
        let message = self.client.poll_message(buffer);
        if let Some(log) = &self.log {
            log.output(Checksum::of(&message));
        }
        message
    }

    pub fn publish(&mut self, publish: Publish) -> Result<Option<RequestId>, CommandError> {
        let operation = || Operation::Publish(publish.clone());
        self.ask(operation, |client| client.publish(publish.clone()))
    }

    pub fn unpublish(&mut self, key: &StreamKey) -> Result<Option<RequestId>, CommandError> {
        let operation = || Operation::Unpublish { key: key.clone() };
        self.ask(operation, |client| client.unpublish(key))
    }

    pub fn set_muted(
        &mut self,
        key: &StreamKey,
        muted: bool,
    ) -> Result<Option<RequestId>, CommandError> {
        let operation = || Operation::SetMuted {
            key: key.clone(),
            muted,
        };
        self.ask(operation, |client| client.set_muted(key, muted))
    }

    pub fn subscribe(&mut self, stream: &StreamRef) -> Result<Option<RequestId>, CommandError> {
        let operation = || Operation::Subscribe(stream.clone());
        self.ask(operation, |client| client.subscribe(stream))
    }

    pub fn unsubscribe(&mut self, stream: &StreamRef) -> Result<Option<RequestId>, CommandError> {
        let operation = || Operation::Unsubscribe(stream.clone());
        self.ask(operation, |client| client.unsubscribe(stream))
    }

    pub fn set_subscribe_policy(
        &mut self,
        policy: SubscribePolicy,
    ) -> Result<Option<RequestId>, CommandError> {
        let operation = || Operation::SetSubscribePolicy(policy);
        self.ask(operation, |client| client.set_subscribe_policy(policy))
    }

    pub fn pin(&mut self, stream: Option<&StreamRef>) -> Result<Option<RequestId>, CommandError> {
        let operation = || Operation::Pin(stream.cloned());
        self.ask(operation, |client| client.pin(stream))
    }

    pub fn send_message(
        &mut self,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<RequestId, CommandError> {
        let operation = || Operation::Send {
            to: to.clone(),
            topic: topic.clone(),
            body,
        };
        self.ask(operation, |client| client.send_message(to, topic, body))
    }

    pub fn send_lossy_message(
        &mut self,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<(), CommandError> {
        let call = || Call::LossyMessage {
            to: to.clone(),
            topic: topic.clone(),
            body,
        };
        self.command(None, call, |client| {
            client.send_lossy_message(to, topic, body)
        })
    }

    pub fn moderate(
        &mut self,
        action: Moderation,
        targets: &Targets,
    ) -> Result<RequestId, CommandError> {
        let operation = || Operation::Moderate {
            action,
            targets: targets.clone(),
        };
        self.ask(operation, |client| client.moderate(action, targets))
    }

    pub fn end_session(&mut self) -> Result<RequestId, CommandError> {
        self.ask(|| Operation::EndSession, client::Client::end_session)
    }

    pub fn request_floor(&mut self) -> Result<RequestId, CommandError> {
        self.ask(|| Operation::RequestFloor, client::Client::request_floor)
    }

    pub fn release_floor(&mut self) -> Result<RequestId, CommandError> {
        self.ask(|| Operation::ReleaseFloor, client::Client::release_floor)
    }

    pub fn refresh_token(&mut self, token: &str) -> Result<Option<RequestId>, CommandError> {
        let operation = || Operation::RefreshToken {
            token: Secret(token),
        };
        self.ask(operation, |client| client.refresh_token(token))
    }

    pub fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        let call = || Call::Command(Operation::Leave);
        self.command(Some(now), call, |client| client.leave(now))
    }

    pub fn send_audio(
        &mut self,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        level: AudioLevel,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let call = || Call::Audio {
            key: key.clone(),
            timestamp,
            voice: level.voice,
            level: level.level,
            payload,
        };
        self.command(Some(now), call, |client| {
            client.send_audio(now, key, timestamp, level, payload)
        })
    }

    pub fn send_media(
        &mut self,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let call = || Call::Media {
            key: key.clone(),
            timestamp,
            marker,
            payload,
        };
        self.command(Some(now), call, |client| {
            client.send_media(now, key, timestamp, marker, payload)
        })
    }

    fn ask<'c, T: Debug>(
        &mut self,
        operation: impl FnOnce() -> Operation<'c>,
        ask: impl FnOnce(&mut client::Client<P>) -> T,
    ) -> T {
        self.command(None, || Call::Command(operation()), ask)
    }

    /// Makes a call all of whose output is its result. `call` is built only if it is recorded.
    fn command<'c, T: Debug>(
        &mut self,
        now: Option<Instant>,
        call: impl FnOnce() -> Call<'c>,
        make: impl FnOnce(&mut client::Client<P>) -> T,
    ) -> T {
        let Some(log) = &mut self.log else {
            return make(&mut self.client);
        };
        log.call(now, &call());
        let result = make(&mut self.client);
        log.output(Checksum::of(&result));
        result
    }

    fn call(&mut self, now: Option<Instant>, call: Call<'_>) {
        if let Some(log) = &mut self.log {
            log.call(now, &call);
        }
    }

    fn output(&self, checksum: u32) {
        if let Some(log) = &self.log {
            log.output(checksum);
        }
    }
}
