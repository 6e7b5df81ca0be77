//! The application's commands.
//!
//! In a session the server is asked at once, with a number that the application waits for. A lasting wish is noted too,
//! in the table of [`wishes`](super::wishes).

use super::BufferTooSmall;
use super::errors::CommandError;
use super::events::Message;
use super::machine::{Leaving, Machine, Status, Telling};
use super::outgoing::{MESSAGE, enqueue};
use super::profile::Parts;
use super::publications::Publication;
use super::subscriptions::Subscription;
use super::told::Told;
use super::{CloseCause, MAX_OUTSTANDING};
use crate::room::{CloseReason, StreamKey, Topic};
use crate::signal::{
    EncodeError, LossyRequest, MAX_MESSAGE, Operation, Publish, Recipients, RequestId, RequestRef,
    ServerMessage, StreamRef, decode, encode,
};
use crate::time::Duration;

/// How long to wait for the server's goodbye.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

impl Machine {
    /// Asks for what `operation` says. The number of the request is missing if a lasting wish was only noted.
    // Inlined into the methods of `Commands`: so a device links the verbs that it says, and no others.
    #[inline(always)]
    pub(super) fn ask(
        &mut self,
        parts: &mut Parts<'_>,
        operation: &Operation<'_>,
    ) -> Result<Option<RequestId>, CommandError> {
        self.check_open()?;
        match operation {
            Operation::Publish(publish) => self.publish(parts, operation, publish),
            Operation::Unpublish { key } => self.unpublish(parts, operation, key),
            Operation::SetMuted { key, muted } => {
                let publication = find(parts, key)?;
                let may_ask = publication.told != Told::Untold;
                let request = self.request_if(may_ask, operation)?;
                publication.set_muted(*muted, request);
                self.wishes_changed();
                Ok(request)
            }
            Operation::Subscribe(stream) => self.subscribe(parts, operation, stream, true),
            Operation::Unsubscribe(stream) => self.subscribe(parts, operation, stream, false),
            Operation::SetSubscribePolicy(policy) => {
                let request = self.request_if(true, operation)?;
                self.listening.set_policy(*policy, request);
                self.wishes_changed();
                Ok(request)
            }
            Operation::Pin(stream) => {
                let request = self.request_if(true, operation)?;
                self.listening.pin.clone_from(stream);
                self.listening.pin_told = Told::by(request);
                self.telling = Telling::Due;
                self.notice(parts);
                Ok(request)
            }
            Operation::RefreshToken { token } => self.refresh_token(operation, token),
            Operation::Leave => {
                self.leave(parts);
                Ok(None)
            }
            _ if !self.is_joined() => Err(CommandError::NotJoined),
            _ => self.request_if(true, operation),
        }
    }

    fn publish(
        &mut self,
        parts: &mut Parts<'_>,
        operation: &Operation<'_>,
        publish: &Publish,
    ) -> Result<Option<RequestId>, CommandError> {
        if !publish.codec.carries(publish.kind) {
            return Err(CommandError::CodecMismatch);
        }
        let of_that_key = |known: &&Publication| known.publish.key == publish.key;
        if parts
            .publications
            .iter()
            .any(|known| known.is(&publish.key))
        {
            return Err(CommandError::AlreadyPublished);
        }
        let ending = parts.publications.iter().position(Publication::is_ending);
        let ending = ending.filter(|_| parts.publications.is_full());
        if parts.publications.is_full() && ending.is_none() {
            return Err(CommandError::TooManyStreams);
        }
        // The server must first be told that the former stream of that name is gone.
        let mut former = parts.publications.iter().filter(of_that_key);
        let may_ask = former.all(Publication::is_ending);
        let request = self.request_if(may_ask, operation)?;
        let mut publication = Publication::new(publish.clone());
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

    fn unpublish(
        &mut self,
        parts: &mut Parts<'_>,
        operation: &Operation<'_>,
        key: &StreamKey,
    ) -> Result<Option<RequestId>, CommandError> {
        let publication = find(parts, key)?;
        // The server may know of it, even in the lobby or if the connection is resumed.
        let may_be_known = publication.told != Told::Untold;
        let request = self.request_if(may_be_known, operation)?;
        if may_be_known {
            publication.withdraw(request);
        } else {
            parts
                .publications
                .retain(|publication| !publication.is(key));
        }
        self.wishes_changed();
        Ok(request)
    }

    fn subscribe(
        &mut self,
        parts: &mut Parts<'_>,
        operation: &Operation<'_>,
        stream: &StreamRef,
        subscribed: bool,
    ) -> Result<Option<RequestId>, CommandError> {
        let known = |subscription: &Subscription| subscription.stream == *stream;
        let is_new = !parts.subscriptions.iter().any(known);
        let gone = match is_new && parts.subscriptions.is_full() {
            true => Some(unseen(parts).ok_or(CommandError::TooManySubscriptions)?),
            false => None,
        };
        let request = self.request_if(true, operation)?;
        if let Some(gone) = gone {
            parts.subscriptions.remove(gone);
        }
        (parts.subscriptions).retain(|subscription| !known(subscription));
        let _ = parts.subscriptions.push(Subscription {
            stream: stream.clone(),
            subscribed,
            told: Told::by(request),
        });
        self.telling = Telling::Due;
        Ok(request)
    }

    fn refresh_token(
        &mut self,
        operation: &Operation<'_>,
        token: &str,
    ) -> Result<Option<RequestId>, CommandError> {
        let stored = token.try_into().map_err(|_| CommandError::TokenLength)?;
        if token.is_empty() {
            return Err(CommandError::TokenLength);
        }
        let request = self.request_if(true, operation)?;
        match request {
            Some(request) => self.joining.keep_token(request, token),
            None => {
                self.token = stored;
                self.joining.renew(self.now);
            }
        }
        Ok(request)
    }

    fn leave(&mut self, parts: &mut Parts<'_>) {
        match self.status {
            Status::Waiting | Status::Joined => {
                self.leaving = Some(Leaving {
                    deadline: self.now + LEAVE_PATIENCE,
                    told: Told::Untold,
                });
                self.telling = Telling::Due;
                // No new keys for so short a time.
                self.joining.finish();
            }
            _ => self.close(parts, CloseCause::Closed(CloseReason::Left)),
        }
    }

    /// The contents of a Hello and the facts to tell the server may have changed.
    fn wishes_changed(&mut self) {
        self.joining.renew(self.now);
        self.telling = Telling::Due;
    }

    /// Asks the server, if there is a session to ask in; the application waits for the answer.
    fn request_if(
        &mut self,
        may_ask: bool,
        operation: &Operation<'_>,
    ) -> Result<Option<RequestId>, CommandError> {
        if !may_ask || !self.is_joined() {
            return Ok(None);
        }
        if self.requests.len() + self.events.replies() >= MAX_OUTSTANDING {
            return Err(CommandError::TooManyRequests);
        }
        let request = self.send_request(operation)?;
        self.requests.await_reply(request);
        Ok(Some(request))
    }

    pub(super) fn send_request(
        &mut self,
        operation: &Operation<'_>,
    ) -> Result<RequestId, CommandError> {
        let id = self.requests.next_id();
        let mut buffer = [0; MAX_MESSAGE];
        let encoded = encode(&RequestRef { id, operation }, &mut buffer);
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
        let encoded = encode(&message, &mut buffer);
        let len = encoded.map_err(|_| CommandError::MessageTooLong)?;
        let message = buffer.get(..len).unwrap_or_default();
        if message.len() >= parts.outgoing.max_record() {
            return Err(CommandError::MessageTooLong);
        }
        let dropped = enqueue(parts.outgoing, MESSAGE, message);
        self.count_unsent(dropped);
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

fn find<'p>(
    parts: &'p mut Parts<'_>,
    key: &StreamKey,
) -> Result<&'p mut Publication, CommandError> {
    (parts.publications.iter_mut())
        .find(|publication| publication.is(key))
        .ok_or(CommandError::UnknownStream)
}

/// The oldest explicit subscription to a stream of somebody who is not in the room, as far as is seen; it makes room for another.
fn unseen(parts: &Parts<'_>) -> Option<usize> {
    parts.room.version_for_resume()?;
    let is_unseen = |subscription: &Subscription| {
        let publisher = &subscription.stream.participant;
        parts.room.participant(publisher).is_none()
    };
    parts.subscriptions.iter().position(is_unseen)
}
