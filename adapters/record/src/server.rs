//! A server whose inputs are recorded.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

use parlour_core::rand_core::CryptoRngCore;
use parlour_core::room::{ParticipantId, RoomId, Topic};
use parlour_core::secure::KeyPair;
use parlour_core::server::{
    self, Admission, AdmitError, BufferTooSmall, Config, Dropped, Event, Gather, JoinId,
    ModerateError, Path, RefreshError, RefreshId, Transmit, UnknownJoin,
};
use parlour_core::signal::{JoinRefusal, Recipients, Redirect};
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;
use serde::{Deserialize, Serialize};

use crate::Sink;
use crate::log::{Checksum, Log};
use crate::make::{Admission as LoggedAdmission, LoggedGather, Made, MadeServer};
use crate::tape::Tape;

/// Questions that are remembered. The server forgets a join after seconds, so one further back is answered for nothing.
const MAX_QUESTIONS: usize = 65_536;

/// A call of a server, as a log keeps it. A question is known by its place among all questions of its kind.
#[derive(Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time is on the stack, none is kept"
)]
pub(crate) enum Call<'a> {
    Datagram {
        from: From,
        bytes: &'a [u8],
    },
    Timeout,
    Transmit {
        capacity: usize,
    },
    Event,
    Admit {
        join: u64,
        admission: Box<LoggedAdmission>,
    },
    Refuse {
        join: u64,
        refusal: JoinRefusal,
    },
    Redirect {
        join: u64,
        to: SocketAddr,
    },
    Refresh {
        refresh: u64,
        answer: Option<Box<LoggedAdmission>>,
    },
    AdmitWaiting(RoomId, ParticipantId),
    DenyWaiting(RoomId, ParticipantId),
    Kick(RoomId, ParticipantId),
    Censor(RoomId, ParticipantId, bool),
    EndSession(RoomId),
    Send {
        room: RoomId,
        from: ParticipantId,
        to: Recipients,
        topic: Topic,
        body: &'a [u8],
    },
    Shutdown,
    Load(u8),
    Gather(RoomId, Option<LoggedGather>),
    Behind(bool),
    RedirectTo {
        join: u64,
        to: Redirect,
    },
}

/// A [`Path`], as a log keeps it.
#[derive(Serialize, Deserialize)]
pub(crate) enum From {
    Udp(SocketAddr),
    Stream(u64, IpAddr),
    /// From the first address, to the second.
    UdpAt(SocketAddr, IpAddr),
}

impl From {
    fn new(path: Path) -> Self {
        match path {
            Path::Udp {
                remote,
                local: None,
            } => Self::Udp(remote),
            Path::Udp {
                remote,
                local: Some(local),
            } => Self::UdpAt(remote, local),
            Path::Stream { id, from } => Self::Stream(id, from),
        }
    }

    fn path(&self) -> Path {
        match *self {
            Self::Udp(remote) => Path::udp(remote),
            Self::UdpAt(remote, local) => Path::Udp {
                remote,
                local: Some(local),
            },
            Self::Stream(id, from) => Path::Stream { id, from },
        }
    }
}

/// Questions to the embedder, and the places that they had among all of their kind.
#[derive(Debug)]
pub(crate) struct Questions {
    joins: Places<JoinId>,
    refreshes: Places<RefreshId>,
}

#[derive(Debug)]
struct Places<Id> {
    asked: u64,
    places: BTreeMap<Id, u64>,
}

impl<Id: Ord + Copy> Places<Id> {
    const fn new() -> Self {
        Self {
            asked: 0,
            places: BTreeMap::new(),
        }
    }

    fn note(&mut self, id: Id) {
        self.places.insert(id, self.asked);
        self.asked += 1;
        if self.places.len() > MAX_QUESTIONS {
            self.places.pop_first();
        }
    }

    /// The place of a question. One that nobody asked, or that was answered, has the place that none has.
    fn take(&mut self, id: Id) -> u64 {
        self.places.remove(&id).unwrap_or(u64::MAX)
    }

    /// The question at a place.
    fn find(&mut self, place: u64) -> Option<Id> {
        let mut found = self.places.iter().filter(|(_, at)| **at == place);
        let id = *found.next()?.0;
        self.places.remove(&id);
        Some(id)
    }
}

impl Questions {
    pub(crate) const fn new() -> Self {
        Self {
            joins: Places::new(),
            refreshes: Places::new(),
        }
    }

    fn note(&mut self, event: Option<&Event>) {
        match event {
            Some(Event::JoinRequested { join, .. }) => self.joins.note(*join),
            Some(Event::RefreshRequested { refresh, .. }) => self.refreshes.note(*refresh),
            _ => {}
        }
    }
}

impl Call<'_> {
    /// Makes the call, and gives the checksum of what comes of it. The answer to a question that does not wait was refused by
    /// the core without effect, and is left out.
    pub(crate) fn repeat(
        self,
        server: &mut server::Server,
        questions: &mut Questions,
        now: Instant,
    ) -> u32 {
        let mut buffer = Vec::new();
        match self {
            Self::Datagram { from, bytes } => {
                buffer.extend_from_slice(bytes);
                Checksum::of(&server.handle_datagram(now, from.path(), &mut buffer))
            }
            Self::Timeout => {
                server.handle_timeout(now);
                0
            }
            Self::Transmit { capacity } => {
                // The core uses no more of it, and a log may claim any.
                buffer.resize(capacity.min(MAX_DATAGRAM), 0);
                transmit(server, now, &mut buffer).1
            }
            Self::Event => {
                let event = server.poll_event();
                questions.note(event.as_ref());
                Checksum::of(&event)
            }
            Self::Admit { join, admission } => match questions.joins.find(join) {
                Some(join) => Checksum::of(&server.admit(now, join, (*admission).into())),
                None => Checksum::of(&Err::<(), _>(AdmitError::UnknownJoin)),
            },
            Self::Refuse { join, refusal } => match questions.joins.find(join) {
                Some(join) => Checksum::of(&server.refuse(now, join, refusal)),
                None => Checksum::of(&Err::<(), _>(UnknownJoin)),
            },
            Self::Redirect { join, to } => {
                let to = Redirect::Address(to);
                Self::RedirectTo { join, to }.repeat(server, questions, now)
            }
            Self::RedirectTo { join, to } => match questions.joins.find(join) {
                Some(join) => Checksum::of(&server.redirect(now, join, to)),
                None => Checksum::of(&Err::<(), _>(UnknownJoin)),
            },
            Self::Refresh { refresh, answer } => match questions.refreshes.find(refresh) {
                Some(refresh) => {
                    let answer = answer.map(|admission| (*admission).into()).ok_or(());
                    Checksum::of(&server.refresh(now, refresh, answer))
                }
                None => Checksum::of(&Err::<(), _>(RefreshError::UnknownRefresh)),
            },
            Self::AdmitWaiting(room, id) => Checksum::of(&server.admit_waiting(now, &room, &id)),
            Self::DenyWaiting(room, id) => Checksum::of(&server.deny_waiting(now, &room, &id)),
            Self::Kick(room, id) => Checksum::of(&server.kick(now, &room, &id)),
            Self::Censor(room, id, censored) => {
                Checksum::of(&server.censor(now, &room, &id, censored))
            }
            Self::EndSession(room) => Checksum::of(&server.end_session(now, &room)),
            Self::Send {
                room,
                from,
                to,
                topic,
                body,
            } => Checksum::of(&server.send(now, &room, &from, &to, &topic, body)),
            Self::Shutdown => {
                server.shutdown(now);
                0
            }
            Self::Load(percent) => {
                server.set_load(percent);
                Checksum::of(&())
            }
            Self::Gather(room, gather) => {
                Checksum::of(&server.set_gather(&room, gather.map(|gather| gather.0)))
            }
            Self::Behind(behind) => {
                server.set_behind(behind);
                Checksum::of(&())
            }
        }
    }
}

type Transmitted = Result<Option<Transmit>, BufferTooSmall>;

fn transmit(server: &mut server::Server, now: Instant, out: &mut [u8]) -> (Transmitted, u32) {
    let sent = server.poll_transmit(now, out);
    let len = sent.ok().flatten().map_or(0, |sent| sent.len);
    let bytes = out.get(..len).unwrap_or_default();
    let checksum = Checksum::default().with(&sent).bytes(bytes);
    (sent, checksum.finish())
}

/// The core's [`Server`](server::Server), recorded if it was made by [`recorded`](Self::recorded). What can be read of it
/// is read through [`Deref`]; whatever changes it goes through a method here.
#[derive(Debug)]
pub struct Server {
    server: server::Server,
    record: Option<Record>,
}

#[derive(Debug)]
struct Record {
    log: Log,
    questions: Questions,
}

impl Deref for Server {
    type Target = server::Server;

    fn deref(&self) -> &Self::Target {
        &self.server
    }
}

/// What the core's server does under the same names; there it is documented.
#[allow(missing_docs, clippy::missing_errors_doc)]
impl Server {
    pub fn new(config: Config, keys: KeyPair, now: Instant, rng: &mut dyn CryptoRngCore) -> Self {
        Self {
            server: server::Server::new(config, keys, now, rng),
            record: None,
        }
    }

    /// Like [`new`](Self::new), and writes all that goes into the server to `sink`, **its private key and everybody's
    /// tokens among it**.
    pub fn recorded(
        config: Config,
        keys: KeyPair,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
        sink: Sink,
    ) -> Self {
        let mut tape = Tape {
            rng,
            bytes: Vec::new(),
        };
        let server = server::Server::new(config.clone(), keys.clone(), now, &mut tape);
        let made = MadeServer::new(config, &keys, now, tape.bytes);
        let record = Some(Record {
            log: Log::new(sink, now, &Made::Server(Box::new(made))),
            questions: Questions::new(),
        });
        Self { server, record }
    }

    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: Path,
        bytes: &mut [u8],
    ) -> Result<(), Dropped> {
        if let Some(record) = &mut self.record {
            let from = From::new(from);
            record.log.call(Some(now), &Call::Datagram { from, bytes });
        }
        let handled = self.server.handle_datagram(now, from, bytes);
        self.output(&handled);
        handled
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.event_free(now, Call::Timeout, server::Server::handle_timeout);
    }

    pub fn shutdown(&mut self, now: Instant) {
        self.event_free(now, Call::Shutdown, server::Server::shutdown);
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.command(None, |_| Call::Event, server::Server::poll_event);
        if let Some(record) = &mut self.record {
            record.questions.note(event.as_ref());
        }
        event
    }

    pub fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<Transmit>, BufferTooSmall> {
        let Some(Record { log, .. }) = &mut self.record else {
            return self.server.poll_transmit(now, out);
        };
        let capacity = out.len();
        log.call(Some(now), &Call::Transmit { capacity });
        let (sent, checksum) = transmit(&mut self.server, now, out);
        log.output(checksum);
        sent
    }

    pub fn admit(
        &mut self,
        now: Instant,
        join: JoinId,
        admission: Admission,
    ) -> Result<(), AdmitError> {
        let call = |questions: &mut Questions| Call::Admit {
            join: questions.joins.take(join),
            admission: Box::new((&admission).into()),
        };
        self.command(Some(now), call, |server| {
            server.admit(now, join, admission.clone())
        })
    }

    pub fn refuse(
        &mut self,
        now: Instant,
        join: JoinId,
        refusal: JoinRefusal,
    ) -> Result<(), UnknownJoin> {
        let call = |questions: &mut Questions| Call::Refuse {
            join: questions.joins.take(join),
            refusal,
        };
        self.command(Some(now), call, |server| server.refuse(now, join, refusal))
    }

    pub fn redirect(
        &mut self,
        now: Instant,
        join: JoinId,
        to: Redirect,
    ) -> Result<(), UnknownJoin> {
        let call = |questions: &mut Questions| Call::RedirectTo {
            join: questions.joins.take(join),
            to,
        };
        self.command(Some(now), call, |server| server.redirect(now, join, to))
    }

    #[allow(clippy::result_unit_err)]
    pub fn refresh(
        &mut self,
        now: Instant,
        refresh: RefreshId,
        answer: Result<Admission, ()>,
    ) -> Result<(), RefreshError> {
        let call = |questions: &mut Questions| Call::Refresh {
            refresh: questions.refreshes.take(refresh),
            answer: answer
                .as_ref()
                .ok()
                .map(|admission| Box::new(admission.into())),
        };
        self.command(Some(now), call, |server| {
            server.refresh(now, refresh, answer.clone())
        })
    }

    pub fn admit_waiting(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::AdmitWaiting(room.clone(), participant.clone());
        self.command(Some(now), call, |server| {
            server.admit_waiting(now, room, participant)
        })
    }

    pub fn deny_waiting(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::DenyWaiting(room.clone(), participant.clone());
        self.command(Some(now), call, |server| {
            server.deny_waiting(now, room, participant)
        })
    }

    pub fn kick(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::Kick(room.clone(), participant.clone());
        self.command(Some(now), call, |server| {
            server.kick(now, room, participant)
        })
    }

    pub fn censor(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
        censored: bool,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::Censor(room.clone(), participant.clone(), censored);
        self.command(Some(now), call, |server| {
            server.censor(now, room, participant, censored)
        })
    }

    pub fn end_session(&mut self, now: Instant, room: &RoomId) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::EndSession(room.clone());
        self.command(Some(now), call, |server| server.end_session(now, room))
    }

    pub fn set_load(&mut self, percent: u8) {
        self.command(
            None,
            |_| Call::Load(percent),
            |server| server.set_load(percent),
        );
    }

    pub fn set_behind(&mut self, behind: bool) {
        self.command(
            None,
            |_| Call::Behind(behind),
            |server| server.set_behind(behind),
        );
    }

    pub fn set_gather(
        &mut self,
        room: &RoomId,
        gather: Option<Gather>,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::Gather(room.clone(), gather.map(LoggedGather));
        self.command(None, call, |server| server.set_gather(room, gather))
    }

    pub fn send(
        &mut self,
        now: Instant,
        room: &RoomId,
        from: &ParticipantId,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<u16, ModerateError> {
        let call = |_: &mut _| Call::Send {
            room: room.clone(),
            from: from.clone(),
            to: to.clone(),
            topic: topic.clone(),
            body,
        };
        self.command(Some(now), call, |server| {
            server.send(now, room, from, to, topic, body)
        })
    }

    /// Makes a call all of whose output is its result. `call` is built only if it is recorded.
    fn command<'c, T: Debug>(
        &mut self,
        now: Option<Instant>,
        call: impl FnOnce(&mut Questions) -> Call<'c>,
        make: impl FnOnce(&mut server::Server) -> T,
    ) -> T {
        if let Some(Record { log, questions }) = &mut self.record {
            log.call(now, &call(questions));
        }
        let result = make(&mut self.server);
        self.output(&result);
        result
    }

    fn event_free(
        &mut self,
        now: Instant,
        call: Call<'_>,
        make: impl FnOnce(&mut server::Server, Instant),
    ) {
        if let Some(record) = &mut self.record {
            record.log.call(Some(now), &call);
        }
        make(&mut self.server, now);
        if let Some(record) = &self.record {
            record.log.output(0);
        }
    }

    fn output(&self, result: &impl Debug) {
        if let Some(record) = &self.record {
            record.log.output(Checksum::of(result));
        }
    }
}
