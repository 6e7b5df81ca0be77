//! Hello and the answers to it.

use alloc::boxed::Box;
use alloc::string::ToString;

use zeroize::Zeroizing;

use super::Front;
use super::joins::{HelloId, Stage};
use crate::link::Ids;
use crate::secure::{MAX_HELLO_PAYLOAD, ResponderHandshake, Transport, ephemeral_key};
use crate::server::context::Context;
use crate::server::keys::{JoinKey, Wake};
use crate::server::member::Reach;
use crate::server::promise::{Pending, Wish};
use crate::server::{Dropped, Event, Path, Refused};
use crate::signal::{Answer, Join, JoinRefusal, MAX_MESSAGE, MAX_SLOTS, Secret, decode, encode};
use crate::wire::{ConnectionId, MAX_DATAGRAM, Packet};

/// What a Welcome offers.
pub(crate) struct Welcome {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) transport: Transport,
    pub(crate) ids: Ids,
}

impl Front {
    pub(crate) fn handle_hello(
        &mut self,
        cx: &mut Context,
        from: Path,
        client_id: ConnectionId,
        cookie: Option<&[u8; 16]>,
        noise: &[u8],
        len: usize,
    ) -> Result<(), Dropped> {
        let now = cx.now;
        if self.shutting_down {
            return Err(Dropped::ShuttingDown);
        }
        let ephemeral = ephemeral_key(noise).ok_or(Dropped::Malformed)?;
        let hello: HelloId = (from, client_id, ephemeral.0);
        if let Some(key) = self.joins.find(&hello) {
            return self.repeat_welcome(key, len);
        }
        let (source, address) = (from.source(), from.to_bytes());
        self.cookies.handle_timeout(now, &mut cx.rng);
        let is_proven = from.is_proven()
            || cookie.is_some_and(|cookie| self.cookies.verify(&address, client_id, cookie));
        let per_address = cx.config.half_open_per_address;
        // Who was turned away is kept only to be told again: others come first. Nothing was promised to it.
        let mut gives_way = None;
        if is_proven {
            if self.joins.count_proven_from(source) >= per_address {
                let refused = self.joins.oldest_refused_from(source);
                gives_way = Some(refused.ok_or(Dropped::HalfOpenFull)?);
            }
            if !self.proven_hellos.take(now, source) {
                return Err(Dropped::TooManyHellos);
            }
        } else if self.joins.len() >= cx.config.retry_threshold
            || self.joins.count_from(source) >= per_address
            || !self.hellos.take(now)
        {
            let cookie = self.cookies.issue(&address, client_id);
            let retry = Packet::Retry {
                client_id,
                cookie: &cookie,
            };
            self.send_stateless(from, &retry)?;
            cx.statistics.retries += 1;
            return Ok(());
        }
        if gives_way.is_none() && self.joins.len() >= cx.config.half_open {
            let refused = self.joins.oldest_refused();
            gives_way = Some(refused.ok_or(Dropped::HalfOpenFull)?);
        }

        let mut payload = Zeroizing::new([0; MAX_HELLO_PAYLOAD]);
        let (handshake, payload) =
            ResponderHandshake::read(&self.keys, client_id, noise, payload.as_mut_slice())
                .map_err(|_| Dropped::BadHandshake)?;
        cx.statistics.handshakes += 1;
        if let Some(refused) = gives_way {
            self.forget(cx, refused);
        }
        let join = decode::<Join<'_>>(payload)
            .ok()
            .filter(|join| join.participants > 0 && usize::from(join.slots) <= MAX_SLOTS);

        let mut reach = Reach::new(from);
        reach.received(len);
        let expires = now + cx.config.join_timeout;
        let wish = Box::new(join.as_ref().map(Wish::new).unwrap_or_default());
        let stage = Stage::Asked {
            handshake: Box::new(handshake),
            wish,
        };
        let (key, id) = self.joins.insert(hello, reach, is_proven, stage);
        if let Some(half_open) = self.joins.get_mut(key) {
            let timers = &mut cx.timers;
            timers.set(Wake::Join(key), &mut half_open.alarm, Some(expires));
        }
        match join {
            Some(join) => cx.events.push(Event::JoinRequested {
                join: id,
                token: Secret(join.token.to_string()),
                from,
            }),
            None => self.answer_refused(cx, key, JoinRefusal::Malformed.into()),
        }
        Ok(())
    }

    fn repeat_welcome(&mut self, key: JoinKey, len: usize) -> Result<(), Dropped> {
        let join = self.joins.get_mut(key).ok_or(Dropped::Repeated)?;
        if matches!(join.stage, Stage::Asked { .. }) {
            return Err(Dropped::Repeated);
        }
        join.reach.received(len);
        self.joins.set_ready(key);
        Ok(())
    }

    /// Turns a join away that is not answered.
    pub(crate) fn answer_refused(&mut self, cx: &mut Context, key: JoinKey, refused: Refused) {
        let join = self.joins.get_mut(key);
        let Some(from) = join.map(|join| join.hello.0) else {
            return;
        };
        self.answer_without_connection(cx, key, &Answer::Refused(refused.refusal));
        cx.join_refused(from, refused);
    }

    /// Answers a join with a refusal or a redirect.
    pub(crate) fn answer_without_connection(
        &mut self,
        cx: &mut Context,
        key: JoinKey,
        answer: &Answer,
    ) {
        let Some((handshake, _)) = self.take_question(key) else {
            return;
        };
        let local = cx.random_connection_id();
        if let Some(welcome) = self.make_welcome(cx, key, &handshake, local, answer) {
            self.set_answered(key, welcome.bytes, None);
        }
    }

    /// What is needed to answer a join: it can be answered once.
    pub(crate) fn take_question(
        &mut self,
        key: JoinKey,
    ) -> Option<(Box<ResponderHandshake>, Box<Wish>)> {
        let join = self.joins.get_mut(key)?;
        let answered = Stage::Answered {
            welcome: Box::default(),
            pending: None,
        };
        match core::mem::replace(&mut join.stage, answered) {
            Stage::Asked { handshake, wish } => Some((handshake, wish)),
            stage @ Stage::Answered { .. } => {
                join.stage = stage;
                None
            }
        }
    }

    pub(crate) fn make_welcome(
        &mut self,
        cx: &mut Context,
        key: JoinKey,
        handshake: &ResponderHandshake,
        local: ConnectionId,
        answer: &Answer,
    ) -> Option<Welcome> {
        let peer = self.joins.get_mut(key)?.client_id();
        let mut payload = Zeroizing::new([0; MAX_MESSAGE]);
        let len = encode(answer, payload.as_mut_slice()).ok()?;
        let payload = payload.get(..len)?;
        let mut noise = [0; MAX_DATAGRAM];
        let (len, transport) = handshake
            .answer(&mut cx.rng, local, payload, &mut noise)
            .ok()?;
        let packet = Packet::Welcome {
            client_id: peer,
            noise: noise.get(..len)?,
        };
        let mut welcome = alloc::vec![0; packet.encoded_len()];
        packet.encode(&mut welcome).ok()?;
        Some(Welcome {
            bytes: welcome.into_boxed_slice(),
            transport,
            ids: Ids { local, peer },
        })
    }

    /// Has the answer to a join sent, and keeps what it promises.
    pub(crate) fn set_answered(
        &mut self,
        key: JoinKey,
        welcome: Box<[u8]>,
        pending: Option<Box<Pending>>,
    ) {
        if let Some(join) = self.joins.get_mut(key) {
            join.stage = Stage::Answered { welcome, pending };
            self.joins.set_ready(key);
        }
    }
}
