//! The room server, in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parlour_tokio::core::server::{Config, MixConfig, ModerateError};
use parlour_tokio::{ParticipantId, RoomId, Selection, Server as Running, ServerConfig, Topic};
use pyo3::prelude::*;
use tokio::sync::RwLock;

use crate::errors::{self, BindError};
use crate::names;
use crate::runtime::awaitable;
use crate::tokens::{ApiKey, claims};

#[pyclass(frozen, module = "parlour._parlour")]
pub(crate) struct Server {
    /// `None` once it is shut down.
    server: Arc<RwLock<Option<Running>>>,
    addresses: Vec<(String, u16)>,
    ticket_base: String,
}

/// A room's participants: id, name, censored.
type Participants = Vec<(String, String, bool)>;

fn selection(ids: Option<Vec<String>>) -> PyResult<Selection> {
    Ok(match ids {
        Some(ids) => Selection::Only(names::participants(ids)?),
        None => Selection::all(),
    })
}

fn room_id(room: &str) -> PyResult<RoomId> {
    RoomId::new(room).map_err(errors::value)
}

fn shut_down() -> PyErr {
    BindError::new_err("the server is shut down: make another one")
}

#[pymethods]
impl Server {
    #[new]
    fn new(
        py: Python<'_>,
        address: &str,
        keys: Vec<PyRef<'_, ApiKey>>,
        host: Option<String>,
        key_file: Option<PathBuf>,
        workers: Option<usize>,
        mix: bool,
    ) -> PyResult<Self> {
        let address: SocketAddr = address.parse().map_err(errors::value)?;
        let mut keys = keys.iter().map(|key| key.0.clone());
        let first = keys
            .next()
            .ok_or_else(|| BindError::new_err("a server needs an API key"))?;
        let mut config = ServerConfig::new(address, first);
        config.api_keys.extend(keys);
        config.host = host;
        config.key_file = key_file;
        config.workers = workers.unwrap_or(config.workers);
        config.limits = Config {
            mix: mix.then(MixConfig::default),
            ..config.limits
        };
        let server = py.detach(|| Running::bind(config)).map_err(errors::bind)?;
        let addresses = server.addresses().iter();
        Ok(Self {
            addresses: addresses
                .map(|at| (at.ip().to_string(), at.port()))
                .collect(),
            ticket_base: server.ticket_base(),
            server: Arc::new(RwLock::new(Some(server))),
        })
    }

    #[getter]
    fn addresses(&self) -> Vec<(String, u16)> {
        self.addresses.clone()
    }

    #[getter]
    fn ticket_base(&self) -> &str {
        &self.ticket_base
    }

    #[allow(clippy::too_many_arguments)]
    fn ticket(
        &self,
        py: Python<'_>,
        room: &str,
        participant: &str,
        name: &str,
        grants: u16,
        lobby: bool,
        lifetime: f64,
    ) -> PyResult<String> {
        let claims = claims(room, participant, name, grants, lobby, lifetime)?;
        py.detach(|| {
            let server = self.server.blocking_read();
            let server = server.as_ref().ok_or_else(shut_down)?;
            server.ticket(&claims).map_err(errors::token)
        })
    }

    /// What the application does to those with these ids, or to all; the ids of those for whom it took effect.
    fn moderate<'py>(
        &self,
        py: Python<'py>,
        action: String,
        room: &str,
        whom: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (room, whom) = (room_id(room)?, selection(whom)?);
        let server = Arc::clone(&self.server);
        awaitable(py, async move {
            let server = server.read().await;
            let server = server.as_ref().ok_or_else(shut_down)?;
            let moderated = match action.as_str() {
                "kick" => server.kick(&room, whom, true).await,
                "censor" => server.censor(&room, whom).await,
                "uncensor" => server.uncensor(&room, whom).await,
                "admit" => server.admit(&room, whom).await,
                "deny" => server.deny(&room, whom).await,
                other => return Err(names::no_such("moderation", other)),
            };
            let affected = moderated.map_err(errors::moderate)?.affected;
            let ids: Vec<_> = affected.iter().map(ParticipantId::to_string).collect();
            Ok(ids)
        })
    }

    fn end_session<'py>(&self, py: Python<'py>, room: &str) -> PyResult<Bound<'py, PyAny>> {
        let room = room_id(room)?;
        let server = Arc::clone(&self.server);
        awaitable(py, async move {
            let server = server.read().await;
            let server = server.as_ref().ok_or_else(shut_down)?;
            server.end_session(&room).await.map_err(errors::moderate)
        })
    }

    fn record<'py>(
        &self,
        py: Python<'py>,
        room: &str,
        recorded: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let room = room_id(room)?;
        let server = Arc::clone(&self.server);
        awaitable(py, async move {
            let server = server.read().await;
            let server = server.as_ref().ok_or_else(shut_down)?;
            let session = server.room(&room).await.and_then(|room| room.session);
            let session = session.ok_or_else(|| errors::moderate(ModerateError::UnknownRoom))?;
            let told = server.record(&room, session, recorded).await;
            told.map_err(errors::moderate)
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn send_message<'py>(
        &self,
        py: Python<'py>,
        room: &str,
        sender: &str,
        to: Option<Vec<String>>,
        topic: &str,
        body: Vec<u8>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (room, sender, to) = (
            room_id(room)?,
            names::participant(sender)?,
            names::recipients(to)?,
        );
        let topic = Topic::new(topic).map_err(errors::value)?;
        let server = Arc::clone(&self.server);
        awaitable(py, async move {
            let server = server.read().await;
            let server = server.as_ref().ok_or_else(shut_down)?;
            let sent = server.send(&room, &sender, &to, &topic, &body).await;
            sent.map_err(errors::moderate)
        })
    }

    /// Those in the session of a room; none if there is no session.
    fn participants<'py>(&self, py: Python<'py>, room: &str) -> PyResult<Bound<'py, PyAny>> {
        let room = room_id(room)?;
        let server = Arc::clone(&self.server);
        awaitable(py, async move {
            let server = server.read().await;
            let server = server.as_ref().ok_or_else(shut_down)?;
            let found = server.room(&room).await;
            let present = found.map(|room| room.participants).unwrap_or_default();
            let present = present.into_iter().map(|info| {
                let (id, name) = (info.participant.id, info.participant.name);
                (id.to_string(), name.to_string(), info.participant.censored)
            });
            let present: Participants = present.collect();
            Ok(present)
        })
    }

    fn shutdown<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let server = Arc::clone(&self.server);
        awaitable(py, async move {
            let server = server.write().await.take();
            if let Some(server) = server {
                server.shutdown().await;
            }
            Ok(())
        })
    }
}
