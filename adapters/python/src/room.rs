//! A room that was joined.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use parlour_tokio::core::signal::StreamRef;
use parlour_tokio::{
    JoinOptions, Participant, ParticipantId, RequestError, Room as Joined, StreamKey,
};
use pyo3::prelude::*;

use crate::audio::{AudioReader, AudioWriter, options};
use crate::errors;
use crate::events::{Events, Messages, cause};
use crate::names::{self, snake};
use crate::pcm::sample_rate;
use crate::runtime::awaitable;

/// A stream: key, kind, codec, muted.
type Stream = (String, String, String, bool);

/// A participant: id, name, connection, censored, attributes, streams, speaking, level.
type Described = (
    String,
    String,
    String,
    bool,
    BTreeMap<String, Vec<u8>>,
    Vec<Stream>,
    bool,
    Option<i8>,
);

fn described(participant: Participant) -> Described {
    let attributes = participant.attributes.iter();
    let attributes = attributes.map(|(key, value)| (key.to_string(), value.as_bytes().to_vec()));
    let streams = participant.streams.iter().map(|stream| {
        let (kind, codec) = (snake(stream.kind), snake(stream.codec));
        (stream.key.to_string(), kind, codec, stream.muted)
    });
    (
        participant.id.to_string(),
        participant.name.to_string(),
        snake(participant.connection),
        participant.censored,
        attributes.collect(),
        streams.collect(),
        participant.speaking,
        participant.level,
    )
}

#[pyclass(frozen, module = "parlour._parlour")]
pub(crate) struct Room(Joined);

impl Room {
    /// Asks for something that has no answer but that it is done.
    fn ask<'py, T, F>(
        &self,
        py: Python<'py>,
        ask: impl FnOnce(Joined) -> F,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Result<T, RequestError>> + Send + 'static,
        T: for<'p> IntoPyObject<'p> + Send + 'static,
    {
        let asked = ask(self.0.clone());
        awaitable(py, async move { asked.await.map_err(errors::request) })
    }
}

fn stream((participant, key): (String, String)) -> PyResult<StreamRef> {
    Ok(StreamRef {
        participant: names::participant(&participant)?,
        key: StreamKey::new(&key).map_err(errors::value)?,
    })
}

#[pymethods]
impl Room {
    #[staticmethod]
    #[allow(clippy::too_many_arguments)]
    fn join<'py>(
        py: Python<'py>,
        ticket: String,
        slots: u8,
        policy: &str,
        transport: &str,
        web: Option<String>,
        wait_in_lobby: bool,
        timeout: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = JoinOptions {
            slots,
            policy: names::policy(policy)?,
            transport: names::transport(transport)?,
            web,
            wait_in_lobby,
            timeout: names::seconds(timeout)?,
            ..JoinOptions::default()
        };
        awaitable(py, async move {
            let joined = Joined::join_with(&ticket, options).await;
            joined.map(Room).map_err(errors::join)
        })
    }

    fn leave<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let room = self.0.clone();
        awaitable(py, async move {
            room.leave().await;
            Ok(())
        })
    }

    fn closed<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let room = self.0.clone();
        awaitable(py, async move { Ok(cause(room.closed().await)) })
    }

    /// As `closed` says, if it has come to that.
    #[getter]
    fn close_cause(&self) -> Option<(Option<String>, Option<String>, String)> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(self.0.closed()).poll(&mut context) {
            Poll::Ready(closed) => Some(cause(closed)),
            Poll::Pending => None,
        }
    }

    #[getter]
    fn me(&self) -> Option<String> {
        self.0.me().map(|id| id.to_string())
    }

    #[getter]
    fn grants(&self) -> u16 {
        self.0.grants().bits()
    }

    #[getter]
    fn session(&self) -> Option<String> {
        self.0.session().map(|session| session.to_string())
    }

    #[getter]
    fn is_recorded(&self) -> bool {
        self.0.with_state(|state| state.is_recorded())
    }

    #[getter]
    fn main_participant(&self) -> Option<String> {
        self.0.main_participant().map(|id| id.to_string())
    }

    #[getter]
    fn participants(&self) -> Vec<Described> {
        self.0.participants().into_iter().map(described).collect()
    }

    fn participant(&self, id: &str) -> PyResult<Option<Described>> {
        let id: ParticipantId = names::participant(id)?;
        Ok(self.0.participant(&id).map(described))
    }

    /// Those who wait, with their names, and the number of others.
    #[getter]
    fn lobby(&self) -> (Vec<(String, String)>, u32) {
        let lobby = self.0.lobby();
        let waiting = lobby.waiting.iter();
        let waiting = waiting.map(|one| (one.participant.to_string(), one.name.to_string()));
        (waiting.collect(), lobby.others)
    }

    /// In the order of the fields of `Statistics`, with seconds for durations.
    #[getter]
    #[allow(clippy::type_complexity)]
    fn statistics(
        &self,
    ) -> (
        Option<f64>,
        u64,
        u32,
        Option<u8>,
        f64,
        Option<u8>,
        Option<u8>,
    ) {
        let statistics = self.0.statistics();
        (
            statistics.rtt.map(|rtt| rtt.as_secs_f64()),
            statistics.media_sent,
            statistics.unsent,
            statistics.uplink_loss,
            statistics.uplink_jitter.as_secs_f64(),
            statistics.downlink_loss,
            statistics.quality,
        )
    }

    fn events(&self) -> Events {
        Events::new(&self.0)
    }

    fn messages(&self) -> Messages {
        Messages::new(&self.0)
    }

    fn audio(
        &self,
        py: Python<'_>,
        of: Option<(String, Option<String>)>,
        slot: Option<u8>,
        sample_rate: u32,
        frame_ms: u16,
    ) -> PyResult<AudioReader> {
        AudioReader::new(py, &self.0, of, slot, sample_rate, frame_ms)
    }

    fn publish_audio<'py>(
        &self,
        py: Python<'py>,
        key: String,
        hz: u32,
        codec: &str,
        bitrate: Option<u32>,
        muted: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let rate = sample_rate(hz)?;
        let options = options(codec, rate, bitrate, muted)?;
        let room = self.0.clone();
        awaitable(py, async move {
            let writer = room.publish_audio(&key, options).await;
            let writer = writer.map_err(errors::publish)?;
            Ok(AudioWriter::new(room, writer, rate))
        })
    }

    fn set_muted<'py>(
        &self,
        py: Python<'py>,
        key: String,
        muted: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, |room| async move { room.set_muted(&key, muted).await })
    }

    fn send_message<'py>(
        &self,
        py: Python<'py>,
        to: Option<Vec<String>>,
        topic: String,
        body: Vec<u8>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let to = names::recipients(to)?;
        self.ask(py, |room| async move {
            room.send_message(&to, &topic, &body).await
        })
    }

    fn send_lossy_message(
        &self,
        to: Option<Vec<String>>,
        topic: &str,
        body: &[u8],
    ) -> PyResult<()> {
        let sent = (self.0).send_lossy_message(&names::recipients(to)?, topic, body);
        sent.map_err(errors::request)
    }

    /// What a moderator does to those with these ids, or to all.
    fn moderate<'py>(
        &self,
        py: Python<'py>,
        action: String,
        whom: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let whom = names::whom(whom)?;
        let room = self.0.clone();
        awaitable(py, async move {
            let moderated = match action.as_str() {
                "kick" => room.kick(whom).await,
                "censor" => room.censor(whom).await,
                "uncensor" => room.uncensor(whom).await,
                "admit" => room.admit(whom).await,
                "deny" => room.deny(whom).await,
                other => return Err(names::no_such("moderation", other)),
            };
            moderated.map_err(errors::request)
        })
    }

    fn set_attribute<'py>(
        &self,
        py: Python<'py>,
        of: Option<String>,
        key: String,
        value: Vec<u8>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let of = of.map(|id| names::participant(&id)).transpose()?;
        self.ask(py, |room| async move {
            match of {
                Some(of) => room.set_attribute_of(&of, &key, value).await,
                None => room.set_attribute(&key, value).await,
            }
        })
    }

    fn subscribe<'py>(&self, py: Python<'py>, to: (String, String)) -> PyResult<Bound<'py, PyAny>> {
        let to = stream(to)?;
        self.ask(py, |room| async move { room.subscribe(&to).await })
    }

    fn unsubscribe<'py>(
        &self,
        py: Python<'py>,
        from_: (String, String),
    ) -> PyResult<Bound<'py, PyAny>> {
        let from = stream(from_)?;
        self.ask(py, |room| async move { room.unsubscribe(&from).await })
    }

    fn set_subscribe_policy<'py>(
        &self,
        py: Python<'py>,
        policy: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let policy = names::policy(policy)?;
        self.ask(
            py,
            |room| async move { room.set_subscribe_policy(policy).await },
        )
    }

    fn pin<'py>(
        &self,
        py: Python<'py>,
        to: Option<(String, String)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let to = to.map(stream).transpose()?;
        self.ask(py, |room| async move { room.pin(to.as_ref()).await })
    }

    fn request_floor<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, |room| async move { room.request_floor().await })
    }

    fn release_floor<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, |room| async move { room.release_floor().await })
    }

    fn refresh_token<'py>(&self, py: Python<'py>, token: String) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, |room| async move { room.refresh_token(&token).await })
    }

    fn end_session<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, |room| async move { room.end_session().await })
    }
}
