//! A server whose inputs are recorded.

use std::net::{IpAddr, SocketAddr};

use parlour_core::rand_core::CryptoRngCore;
use parlour_core::room::{
    AttributeKey, AttributeValue, CloseReason, Grants, ParticipantId, RoomId, SessionId, StreamKey,
    Topic,
};
use parlour_core::secure::KeyPair;
use parlour_core::server::{
    self, Act, Admission, AdmitError, BufferTooSmall, Config, Dropped, Event, Gather, JoinId,
    ModerateError, Moderated, Path, RefreshError, RefreshId, Refused, RoomLimits, Selection,
    Tapped, Transmit, UnknownJoin,
};
use parlour_core::signal::{Recipients, Redirect};
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;
use serde::{Deserialize, Serialize};

use crate::log::Checksum;
use crate::make::{
    Admission as LoggedAdmission, LoggedAct, LoggedGather, LoggedLimits, LoggedSelection, Made,
    MadeServer, Refused as LoggedRefused,
};
use crate::questions::Questions;
use crate::recorder::Machine;
use crate::tape::Tape;
use crate::{Recorder, Sink};

/// A call of a server, as a log keeps it. A question is known by its place among all questions of its kind.
#[derive(Debug, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time is on the stack, none is kept"
)]
pub enum Call<'a> {
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
        refused: Box<LoggedRefused>,
    },
    Redirect {
        join: u64,
        to: Redirect,
    },
    Refresh {
        refresh: u64,
        answer: Option<Box<LoggedAdmission>>,
    },
    Moderate(RoomId, LoggedAct, LoggedSelection),
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
    SetAttribute(RoomId, ParticipantId, AttributeKey, Option<AttributeValue>),
    Unpublish(RoomId, ParticipantId, StreamKey),
    SetGrants(RoomId, ParticipantId, Grants),
    CloseRoom(RoomId, CloseReason),
    RoomLimits(RoomId, LoggedLimits),
    Record(RoomId, SessionId, bool),
}

/// A [`Path`], as a log keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub enum From {
    Udp(SocketAddr, Option<IpAddr>),
    Stream(u64, IpAddr),
}

impl From {
    const fn new(path: Path) -> Self {
        match path {
            Path::Udp { remote, local } => Self::Udp(remote, local),
            Path::Stream { id, from } => Self::Stream(id, from),
        }
    }

    const fn path(&self) -> Path {
        match *self {
            Self::Udp(remote, local) => Path::Udp { remote, local },
            Self::Stream(id, from) => Path::Stream { id, from },
        }
    }
}

impl Machine for server::Server {
    type Call<'a> = Call<'a>;
    type Context = Questions;

    /// The core refused an answer to an unknown question without effect, so it is omitted.
    fn make(
        &mut self,
        questions: &mut Questions,
        now: Instant,
        call: Call<'_>,
        checksum: &mut Checksum,
    ) {
        let mut buffer = Vec::new();
        match call {
            Call::Datagram { from, bytes } => {
                buffer.extend_from_slice(bytes);
                checksum.add(&self.handle_datagram(now, from.path(), &mut buffer));
            }
            Call::Timeout => checksum.add(&self.handle_timeout(now)),
            Call::Transmit { capacity } => {
                // The core writes at most one datagram, and a log may claim any capacity.
                buffer.resize(capacity.min(MAX_DATAGRAM), 0);
                let _ = transmit(self, now, &mut buffer, checksum);
            }
            Call::Event => {
                let event = self.poll_event();
                questions.note(event.as_ref());
                checksum.add(&event);
            }
            Call::Admit { join, admission } => match questions.joins.find(join) {
                Some(join) => checksum.add(&self.admit(now, join, (*admission).into())),
                None => checksum.add(&Err::<(), _>(AdmitError::UnknownJoin)),
            },
            Call::Refuse { join, refused } => match questions.joins.find(join) {
                Some(join) => checksum.add(&self.refuse(now, join, *refused)),
                None => checksum.add(&Err::<(), _>(UnknownJoin)),
            },
            Call::Redirect { join, to } => match questions.joins.find(join) {
                Some(join) => checksum.add(&self.redirect(now, join, to)),
                None => checksum.add(&Err::<(), _>(UnknownJoin)),
            },
            Call::Refresh { refresh, answer } => match questions.refreshes.find(refresh) {
                Some(refresh) => {
                    let answer = answer.map(|admission| (*admission).into()).ok_or(());
                    checksum.add(&self.refresh(now, refresh, answer));
                }
                None => checksum.add(&Err::<(), _>(RefreshError::UnknownRefresh)),
            },
            Call::Moderate(room, act, selection) => {
                checksum.add(&self.moderate(now, &room, act.0, &selection.0));
            }
            Call::EndSession(room) => checksum.add(&self.end_session(now, &room)),
            Call::Send {
                room,
                from,
                to,
                topic,
                body,
            } => checksum.add(&self.send(now, &room, &from, &to, &topic, body)),
            Call::Shutdown => checksum.add(&self.shutdown(now)),
            Call::Load(percent) => checksum.add(&self.set_load(percent)),
            Call::Gather(room, gather) => {
                checksum.add(&self.set_gather(&room, gather.map(|gather| gather.0)));
            }
            Call::Behind(behind) => checksum.add(&self.set_behind(behind)),
            Call::SetAttribute(room, id, key, value) => {
                checksum.add(&self.set_attribute(now, &room, &id, &key, value.as_ref()));
            }
            Call::Unpublish(room, id, key) => {
                checksum.add(&self.unpublish(now, &room, &id, &key));
            }
            Call::SetGrants(room, id, grants) => {
                checksum.add(&self.set_grants(now, &room, &id, grants));
            }
            Call::CloseRoom(room, reason) => checksum.add(&self.close_room(now, &room, reason)),
            Call::RoomLimits(room, limits) => {
                checksum.add(&self.set_room_limits(now, &room, limits.0));
            }
            Call::Record(room, session, recorded) => {
                checksum.add(&self.record(now, &room, session, recorded));
            }
        }
    }
}

fn transmit(
    server: &mut server::Server,
    now: Instant,
    out: &mut [u8],
    checksum: &mut Checksum,
) -> Result<Option<Transmit>, BufferTooSmall> {
    let sent = server.poll_transmit(now, out);
    checksum.add(&sent);
    checksum.bytes(out.get(..sent.ok().flatten().map_or(0, |sent| sent.len)));
    sent
}

/// The core's [`Server`](server::Server), recorded if it was made by [`recorded`](Self::recorded).
pub type Server = Recorder<server::Server>;

/// The methods of the core's server under the same names; see its documentation.
#[allow(missing_docs, clippy::missing_errors_doc)]
impl Server {
    pub fn new(config: Config, keys: KeyPair, now: Instant, rng: &mut dyn CryptoRngCore) -> Self {
        Self::unrecorded(server::Server::new(config, keys, now, rng))
    }

    /// Like [`new`](Self::new), and writes all inputs of the server to `sink`, **including its private key and all
    /// participants' tokens**.
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
        Self::begin(server, sink, now, &Made::Server(Box::new(made)))
    }

    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: Path,
        bytes: &mut [u8],
    ) -> Result<(), Dropped> {
        let call = |_: &mut _| Call::Datagram {
            from: From::new(from),
            bytes,
        };
        let is_recorded = self.before(Some(now), call);
        let handled = self.machine.handle_datagram(now, from, bytes);
        if is_recorded {
            self.after(Checksum::default().with(&handled));
        }
        handled
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.call(
            Some(now),
            |_| Call::Timeout,
            |server| server.handle_timeout(now),
        );
    }

    pub fn shutdown(&mut self, now: Instant) {
        self.call(Some(now), |_| Call::Shutdown, |server| server.shutdown(now));
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.call(None, |_| Call::Event, server::Server::poll_event);
        if let Some(questions) = self.context() {
            questions.note(event.as_ref());
        }
        event
    }

    pub fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<Transmit>, BufferTooSmall> {
        let capacity = out.len();
        if !self.before(Some(now), |_| Call::Transmit { capacity }) {
            return self.machine.poll_transmit(now, out);
        }
        let mut checksum = Checksum::default();
        let sent = transmit(&mut self.machine, now, out, &mut checksum);
        self.after(checksum);
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
        self.call(Some(now), call, |server| {
            server.admit(now, join, admission.clone())
        })
    }

    pub fn refuse(
        &mut self,
        now: Instant,
        join: JoinId,
        refused: impl Into<Refused>,
    ) -> Result<(), UnknownJoin> {
        let refused = refused.into();
        let call = |questions: &mut Questions| Call::Refuse {
            join: questions.joins.take(join),
            refused: Box::new(refused.clone().into()),
        };
        self.call(Some(now), call, |server| {
            server.refuse(now, join, refused.clone())
        })
    }

    pub fn redirect(
        &mut self,
        now: Instant,
        join: JoinId,
        to: Redirect,
    ) -> Result<(), UnknownJoin> {
        let call = |questions: &mut Questions| Call::Redirect {
            join: questions.joins.take(join),
            to,
        };
        self.call(Some(now), call, |server| server.redirect(now, join, to))
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
        self.call(Some(now), call, |server| {
            server.refresh(now, refresh, answer.clone())
        })
    }

    pub fn moderate(
        &mut self,
        now: Instant,
        room: &RoomId,
        act: Act,
        selection: &Selection,
    ) -> Result<Moderated, ModerateError> {
        let call = |_: &mut _| {
            let selection = LoggedSelection(selection.clone());
            Call::Moderate(room.clone(), LoggedAct(act), selection)
        };
        self.call(Some(now), call, |server| {
            server.moderate(now, room, act, selection)
        })
    }

    pub fn unpublish(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
        stream: &StreamKey,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::Unpublish(room.clone(), participant.clone(), stream.clone());
        self.call(Some(now), call, |server| {
            server.unpublish(now, room, participant, stream)
        })
    }

    pub fn set_grants(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
        grants: Grants,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::SetGrants(room.clone(), participant.clone(), grants);
        self.call(Some(now), call, |server| {
            server.set_grants(now, room, participant, grants)
        })
    }

    pub fn close_room(
        &mut self,
        now: Instant,
        room: &RoomId,
        reason: CloseReason,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::CloseRoom(room.clone(), reason);
        self.call(Some(now), call, |server| {
            server.close_room(now, room, reason)
        })
    }

    pub fn set_room_limits(
        &mut self,
        now: Instant,
        room: &RoomId,
        limits: RoomLimits,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::RoomLimits(room.clone(), LoggedLimits(limits));
        self.call(Some(now), call, |server| {
            server.set_room_limits(now, room, limits)
        })
    }

    pub fn record(
        &mut self,
        now: Instant,
        room: &RoomId,
        session: SessionId,
        recorded: bool,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::Record(room.clone(), session, recorded);
        self.call(Some(now), call, |server| {
            server.record(now, room, session, recorded)
        })
    }

    pub fn set_attribute(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
        key: &AttributeKey,
        value: Option<&AttributeValue>,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| {
            let (room, participant) = (room.clone(), participant.clone());
            Call::SetAttribute(room, participant, key.clone(), value.cloned())
        };
        self.call(Some(now), call, |server| {
            server.set_attribute(now, room, participant, key, value)
        })
    }

    pub fn end_session(&mut self, now: Instant, room: &RoomId) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::EndSession(room.clone());
        self.call(Some(now), call, |server| server.end_session(now, room))
    }

    pub fn set_load(&mut self, percent: u8) {
        self.call(
            None,
            |_| Call::Load(percent),
            |server| server.set_load(percent),
        );
    }

    pub fn set_behind(&mut self, behind: bool) {
        self.call(
            None,
            |_| Call::Behind(behind),
            |server| server.set_behind(behind),
        );
    }

    /// Not recorded, as nothing that the server does depends on it.
    pub fn set_tapped(&mut self, room: &RoomId, tapped: bool) -> Result<SessionId, ModerateError> {
        self.machine.set_tapped(room, tapped)
    }

    /// Not recorded: see [`set_tapped`](Self::set_tapped).
    pub fn poll_tapped(&mut self) -> Option<Tapped> {
        self.machine.poll_tapped()
    }

    pub fn set_gather(
        &mut self,
        room: &RoomId,
        gather: Option<Gather>,
    ) -> Result<(), ModerateError> {
        let call = |_: &mut _| Call::Gather(room.clone(), gather.map(LoggedGather));
        self.call(None, call, |server| server.set_gather(room, gather))
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
        self.call(Some(now), call, |server| {
            server.send(now, room, from, to, topic, body)
        })
    }
}
