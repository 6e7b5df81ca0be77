//! What the application asks for, and how the server comes to know.
//!
//! A lasting wish is noted first. In a session it is asked for at once, with a number that the application waits
//! for; what could not be asked then, [`Machine::tell`] asks for later.

use super::BufferTooSmall;
use super::errors::CommandError;
use super::events::Message;
use super::machine::{Leaving, Machine, Status, Telling};
use super::media::{MESSAGE, enqueue};
use super::profile::Parts;
use super::publications::{Publication, Stage};
use super::subscriptions::Wish;
use super::{CloseCause, MAX_OUTSTANDING};
use crate::room::{CloseReason, StreamKey, Topic};
use crate::signal::{
    EncodeError, LossyRequest, MAX_MESSAGE, MAX_TOKEN, Operation, Publish, Recipients, Request,
    RequestId, Secret, ServerMessage, StreamRef, SubscribePolicy, decode, encode_whole,
};
use crate::time::{Duration, Instant};

/// How long to wait for the server's goodbye.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

impl Machine {
    // Lasting wishes

    pub(super) fn publish(
        &mut self,
        parts: &mut Parts<'_>,
        publish: Publish,
    ) -> Result<Option<RequestId>, CommandError> {
        self.check_open()?;
        if !publish.codec.carries(publish.kind) {
            return Err(CommandError::CodecMismatch);
        }
        let known = |known: &&Publication| known.publish.key == publish.key && !known.is_ending();
        let known = parts.publications.iter().find(known).map(|p| p.stage);
        if known.is_some_and(|stage| stage != Stage::Withdrawn) {
            return Err(CommandError::AlreadyPublished);
        }
        let ending = parts.publications.iter().position(Publication::is_ending);
        let ending = ending.filter(|_| parts.publications.is_full());
        if parts.publications.is_full() && ending.is_none() {
            return Err(CommandError::TooManyStreams);
        }
        // The server must first be told that the former stream of that name is gone.
        let may_ask = self.is_joined() && known.is_none();
        let request = if may_ask {
            Some(self.request(Operation::Publish(publish.clone()))?)
        } else {
            None
        };
        let mut publication = Publication::new(publish);
        if request.is_some() {
            publication.asked(request);
        }
        if let Some(ending) = ending {
            // The server was told. It is only kept to be told again, should that be refused.
            parts.publications.remove(ending);
        }
        let _ = parts.publications.push(publication);
        self.wishes_changed();
        Ok(request)
    }

    pub(super) fn unpublish(
        &mut self,
        parts: &mut Parts<'_>,
        key: &StreamKey,
    ) -> Result<Option<RequestId>, CommandError> {
        self.check_open()?;
        let publication = find(parts, key)?;
        let mut request = None;
        let told = publication.stage != Stage::Local;
        if told && self.is_joined() {
            request = Some(self.request(Operation::Unpublish { key: key.clone() })?);
        }
        if told {
            // The server may know of it, even in the lobby or if the connection is resumed.
            publication.withdrawn(request);
        } else {
            parts
                .publications
                .retain(|publication| !publication.is(key));
        }
        self.wishes_changed();
        Ok(request)
    }

    pub(super) fn set_muted(
        &mut self,
        parts: &mut Parts<'_>,
        key: &StreamKey,
        muted: bool,
    ) -> Result<Option<RequestId>, CommandError> {
        self.check_open()?;
        let publication = find(parts, key)?;
        let mut request = None;
        if self.is_joined() && publication.stage != Stage::Local {
            let key = key.clone();
            let id = self.request(Operation::SetMuted { key, muted })?;
            publication.mute_told(muted, id);
            request = Some(id);
        }
        publication.publish.muted = muted;
        self.wishes_changed();
        Ok(request)
    }

    pub(super) fn wish(
        &mut self,
        parts: &mut Parts<'_>,
        stream: &StreamRef,
        subscribed: bool,
    ) -> Result<Option<RequestId>, CommandError> {
        self.check_open()?;
        let known = |wish: &Wish| wish.stream == *stream;
        if parts.wishes.is_full() && !parts.wishes.iter().any(known) {
            return Err(CommandError::TooManySubscriptions);
        }
        let mut wish = Wish::new(stream.clone(), subscribed);
        let mut request = None;
        if self.is_joined() {
            let id = self.request(wish.operation())?;
            wish.told(id);
            request = Some(id);
        }
        parts.wishes.retain(|wish| !known(wish));
        let _ = parts.wishes.push(wish);
        self.telling = Telling::Due;
        Ok(request)
    }

    pub(super) fn set_policy(
        &mut self,
        policy: SubscribePolicy,
    ) -> Result<Option<RequestId>, CommandError> {
        self.check_open()?;
        let mut request = None;
        if self.is_joined() {
            request = Some(self.request(Operation::SetSubscribePolicy(policy))?);
        }
        self.subscriptions.policy = policy;
        if let Some(request) = request {
            self.subscriptions.policy_told(request);
        }
        self.wishes_changed();
        Ok(request)
    }

    pub(super) fn pin(
        &mut self,
        parts: &mut Parts<'_>,
        stream: Option<&StreamRef>,
    ) -> Result<Option<RequestId>, CommandError> {
        self.check_open()?;
        let mut request = None;
        if self.is_joined() {
            request = Some(self.request(Operation::Pin(stream.cloned()))?);
        }
        self.subscriptions.pin = stream.cloned();
        match request {
            Some(request) => self.subscriptions.pin_told(request),
            None => self.subscriptions.pin_told = false,
        }
        self.telling = Telling::Due;
        self.notice(parts);
        Ok(request)
    }

    pub(super) fn refresh_token(&mut self, token: &str) -> Result<Option<RequestId>, CommandError> {
        self.check_open()?;
        let stored: heapless::String<MAX_TOKEN> =
            token.try_into().map_err(|_| CommandError::TokenLength)?;
        if token.is_empty() {
            return Err(CommandError::TokenLength);
        }
        if self.is_joined() {
            let request = self.request(Operation::RefreshToken {
                token: Secret(token),
            })?;
            self.joining.keep_token(request, token);
            return Ok(Some(request));
        }
        self.token = stored;
        self.joining.renew(self.now);
        Ok(None)
    }

    /// What a Hello says and what the server is to be told may be different now.
    fn wishes_changed(&mut self) {
        self.joining.renew(self.now);
        self.telling = Telling::Due;
    }

    /// Tells the server what it has not been told: after a new join, all wishes but those that travelled in
    /// Hello.
    pub(super) fn tell(&mut self, parts: &mut Parts<'_>) {
        if matches!(self.telling, Telling::Paused(end) if end <= self.now) {
            self.telling = Telling::Due;
        }
        while self.telling == Telling::Due {
            let window = self.live_link().map_or(0, |link| link.free_window());
            let Some(untold) = self.next_untold(parts) else {
                self.telling = Telling::Nothing;
                return;
            };
            let operation = untold.operation(self, parts);
            let sent = match operation {
                Some(operation) if window > 0 => self.send_request(operation).ok(),
                _ => None,
            };
            match sent {
                Some(request) => untold.told(self, parts, request),
                None => self.telling = Telling::Blocked,
            }
        }
    }

    fn next_untold(&self, parts: &Parts<'_>) -> Option<Untold> {
        if self.leaving.is_some_and(|leaving| !leaving.told) {
            return Some(Untold::Leave);
        }
        if !self.is_joined() || self.leaving.is_some() {
            return None;
        }
        let place = |of: fn(&Publication) -> bool| parts.publications.iter().position(of);
        let untold = place(|p| p.stage == Stage::Withdrawn && !p.is_ending());
        let untold = untold.map(Untold::Withdrawn);
        untold
            .or_else(|| place(|p| p.stage == Stage::Local).map(Untold::Publish))
            .or_else(|| place(Publication::is_mute_untold).map(Untold::Mute))
            .or_else(|| {
                let untold = parts.wishes.iter().position(|wish| !wish.told);
                untold.map(Untold::Wish)
            })
            .or_else(|| {
                let subscriptions = &self.subscriptions;
                let untold = subscriptions.policy != subscriptions.told_policy;
                untold.then_some(Untold::Policy)
            })
            .or_else(|| (!self.subscriptions.pin_told).then_some(Untold::Pin))
    }

    // Acts

    /// Asks something of the server; the application waits for the answer.
    pub(super) fn request(&mut self, operation: Operation<'_>) -> Result<RequestId, CommandError> {
        self.check_open()?;
        if !self.is_joined() {
            return Err(CommandError::NotJoined);
        }
        if self.requests.len() + self.events.replies() >= MAX_OUTSTANDING {
            return Err(CommandError::TooManyRequests);
        }
        let request = self.send_request(operation)?;
        self.requests.await_reply(request);
        Ok(request)
    }

    fn send_request(&mut self, operation: Operation<'_>) -> Result<RequestId, CommandError> {
        let id = self.requests.next_id();
        let mut buffer = [0; MAX_MESSAGE];
        let encoded = encode_whole(&Request { id, operation }, &mut buffer);
        let len = encoded.map_err(|error| match error {
            EncodeError::TokenTooLong => CommandError::TokenLength,
            _ => CommandError::MessageTooLong,
        })?;
        let link = self.live_link().ok_or(CommandError::NotJoined)?;
        let message = buffer.get(..len).unwrap_or_default();
        link.send(message).map_err(|_| CommandError::Full)?;
        Ok(id)
    }

    pub(super) fn send_lossy_message(
        &mut self,
        parts: &mut Parts<'_>,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<(), CommandError> {
        self.check_open()?;
        if !self.is_joined() {
            return Err(CommandError::NotJoined);
        }
        let message = LossyRequest {
            to: to.clone(),
            topic: topic.clone(),
            body,
        };
        let mut buffer = [0; MAX_MESSAGE];
        let encoded = encode_whole(&message, &mut buffer);
        let len = encoded.map_err(|_| CommandError::MessageTooLong)?;
        let message = buffer.get(..len).unwrap_or_default();
        if message.len() >= parts.outgoing.max_record() {
            return Err(CommandError::MessageTooLong);
        }
        let dropped = enqueue(parts.outgoing, MESSAGE, message);
        self.count_unsent(dropped);
        Ok(())
    }

    pub(super) fn leave(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
    ) -> Result<(), CommandError> {
        self.advance(now);
        self.check_open()?;
        match self.status {
            Status::Waiting | Status::Joined => {
                self.leaving = Some(Leaving {
                    deadline: self.now + LEAVE_PATIENCE,
                    told: false,
                });
                self.telling = Telling::Due;
                // No new keys for so short a time.
                self.joining.finish();
            }
            _ => self.close(parts, CloseCause::Closed(CloseReason::Left)),
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), CommandError> {
        if self.status.is_closed() || self.leaving.is_some() {
            return Err(CommandError::Closed);
        }
        Ok(())
    }

    // Output

    pub(super) fn poll_message<'b>(
        &mut self,
        parts: &mut Parts<'_>,
        buffer: &'b mut [u8],
    ) -> Result<Option<Message<'b>>, BufferTooSmall> {
        let Some(record) = parts.inbox.front() else {
            return Ok(None);
        };
        let Ok(ServerMessage::Deliver { from, topic, body }) = decode(record) else {
            // Only such messages are put in.
            parts.inbox.pop_front();
            return Ok(None);
        };
        let needed = body.len();
        let place = buffer.get_mut(..needed).ok_or(BufferTooSmall { needed })?;
        place.copy_from_slice(body);
        parts.inbox.pop_front();
        Ok(Some(Message {
            from,
            topic,
            body: place,
        }))
    }
}

/// One thing to tell the server; places are those in the lists of [`Parts`].
#[derive(Debug, Clone, Copy)]
enum Untold {
    Leave,
    Withdrawn(usize),
    Publish(usize),
    Mute(usize),
    Wish(usize),
    Policy,
    Pin,
}

impl Untold {
    fn operation(self, machine: &Machine, parts: &Parts<'_>) -> Option<Operation<'static>> {
        let publish = |place: usize| Some(parts.publications.get(place)?.publish.clone());
        Some(match self {
            Self::Leave => Operation::Leave,
            Self::Withdrawn(place) => Operation::Unpublish {
                key: publish(place)?.key,
            },
            Self::Publish(place) => Operation::Publish(publish(place)?),
            Self::Mute(place) => {
                let Publish { key, muted, .. } = publish(place)?;
                Operation::SetMuted { key, muted }
            }
            Self::Wish(place) => parts.wishes.get(place)?.operation(),
            Self::Policy => Operation::SetSubscribePolicy(machine.subscriptions.policy),
            Self::Pin => Operation::Pin(machine.subscriptions.pin.clone()),
        })
    }

    fn told(self, machine: &mut Machine, parts: &mut Parts<'_>, request: RequestId) {
        match self {
            Self::Leave => {
                if let Some(leaving) = &mut machine.leaving {
                    leaving.told = true;
                }
            }
            Self::Withdrawn(place) => {
                if let Some(publication) = parts.publications.get_mut(place) {
                    publication.withdrawn(Some(request));
                }
            }
            Self::Publish(place) => {
                if let Some(publication) = parts.publications.get_mut(place) {
                    publication.asked(Some(request));
                }
            }
            Self::Mute(place) => {
                if let Some(publication) = parts.publications.get_mut(place) {
                    publication.mute_told(publication.publish.muted, request);
                }
            }
            Self::Wish(place) => {
                if let Some(wish) = parts.wishes.get_mut(place) {
                    wish.told(request);
                }
            }
            Self::Policy => machine.subscriptions.policy_told(request),
            Self::Pin => machine.subscriptions.pin_told(request),
        }
    }
}

fn find<'p>(
    parts: &'p mut Parts<'_>,
    key: &StreamKey,
) -> Result<&'p mut Publication, CommandError> {
    (parts.publications.iter_mut())
        .find(|publication| publication.is(key))
        .ok_or(CommandError::UnknownStream)
}
