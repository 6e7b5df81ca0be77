//! Events for the application, and their bounded queue.

use thiserror::Error;

use super::requests::{MAX_OUTSTANDING, RequestFailure};
use crate::room::{
    AttributeKey, CloseReason, ConnectionState, DisplayName, Grants, ParticipantId, StreamKey,
};
use crate::rtp::{AudioFrame, RtpPacket};
use crate::signal::{JoinRefusal, Outcome, Redirect, Refusal, RequestId, StreamRef};
use crate::video::Feedback;

/// Most events that wait; replies wait beside them.
const MAX_EVENTS: usize = 16;

/// Something happened. [`Client::state`](super::Client::state) already shows it.
///
/// Events about the room concern remote participants, except `Censored`, `SpeakerChanged`,
/// `PresenterChanged`, `MainChanged`, `FloorChanged`, `StreamMuted` and `AttributeChanged`, which may also concern
/// oneself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// In the session. Audio may be sent.
    Joined {
        /// Whether an earlier connection goes on, as if it had never broken.
        resumed: bool,
    },
    /// In the lobby, until a moderator decides.
    Waiting,
    /// Send there from now on, and take nothing from the former address.
    Redirected(#[cfg_attr(feature = "defmt", defmt(Debug2Format))] Redirect),
    /// No answer from the server to which this client was redirected: send to the ticket's address again.
    RedirectEnded,
    /// [`Client::state`](super::Client::state) is complete: all that is to be known here is.
    Synchronized,
    /// A participant is in the session, or has come into view; its streams are in the state.
    ParticipantJoined {
        /// The participant.
        participant: ParticipantId,
        /// Whether it was there before this end was: told before [`Synchronized`](Self::Synchronized), after joining or a
        /// reconnection without resume.
        present: bool,
    },
    /// A participant left the session.
    ParticipantLeft {
        /// The participant.
        participant: ParticipantId,
        /// The reason.
        reason: CloseReason,
    },
    /// A participant is out of view: left, or not tracked any more.
    ParticipantHidden(ParticipantId),
    /// A participant fell silent or came back.
    ConnectionChanged {
        /// The participant.
        participant: ParticipantId,
        /// Its state now.
        state: ConnectionState,
    },
    /// A participant published a stream, or changed the stream under this key.
    StreamPublished(StreamRef),
    /// A participant no longer publishes a stream.
    StreamUnpublished(StreamRef),
    /// A publisher muted or unmuted its stream.
    StreamMuted {
        /// The stream.
        stream: StreamRef,
        /// Silenced or not.
        muted: bool,
    },
    /// A moderator silenced somebody, or lifted that.
    Censored {
        /// The participant.
        participant: ParticipantId,
        /// Silenced or not.
        censored: bool,
    },
    /// An attribute of somebody has another value, or is new, or gone:
    /// [`RoomState::attribute`](crate::room::RoomState::attribute) has it.
    AttributeChanged {
        /// The participant.
        participant: ParticipantId,
        /// The attribute's key.
        key: AttributeKey,
    },
    /// A participant began to speak: 60 ms of its received audio were louder than its background. Several
    /// participants may speak at once. Only participants in this end's slots are reported, as many as there are
    /// slots: one that speaks already when this end joins is reported with its first frames. In a mix, only the
    /// loudest in each packet is reported.
    SpeakingStarted {
        /// The participant.
        participant: ParticipantId,
    },
    /// A participant fell silent, for 400 ms, or cannot be heard any more: it is muted or censored, publishes no
    /// audio, or is gone. Exactly one follows each [`SpeakingStarted`](Self::SpeakingStarted).
    SpeakingStopped {
        /// The participant.
        participant: ParticipantId,
    },
    /// The active speaker changed.
    SpeakerChanged(Option<ParticipantId>),
    /// The presenter changed.
    PresenterChanged(Option<ParticipantId>),
    /// The main participant changed, see [`Client::main_participant`](super::Client::main_participant).
    MainChanged(Option<ParticipantId>),
    /// The holder of the floor changed.
    FloorChanged(Option<ParticipantId>),
    /// The number of participants in the session.
    CountChanged(u32),
    /// The application at the server records the session from now on, or no more. Told before
    /// [`Synchronized`](Self::Synchronized) where the session is recorded already.
    RecordingChanged(bool),
    /// One's own stream is published, under this SSRC: send.
    Published {
        /// The stream's key.
        key: StreamKey,
        /// The SSRC of its packets.
        ssrc: u32,
    },
    /// One's own stream is not published, and not tried again. [`Refusal::UnknownStream`]: it was, and the application at
    /// the server has ended it.
    PublishRefused {
        /// The stream's key.
        key: StreamKey,
        /// The reason.
        refusal: Refusal,
    },
    /// The server does not take the subscribe policy, with which the client joined or that was set
    /// without a session.
    PolicyRefused(Refusal),
    /// The answer to a request: exactly one comes for each.
    Replied {
        /// The request.
        request: RequestId,
        /// The result.
        result: Result<Outcome, RequestFailure>,
    },
    /// [`Client::poll_message`](super::Client::poll_message) has messages.
    MessageReceived,
    /// The server dropped this many messages, because they were taken too slowly.
    MessagesMissed(u16),
    /// This many packets were dropped before they were sent, the oldest first, because too many
    /// waited.
    PacketsDropped(u32),
    /// A participant waits in the lobby. Participants with the grant to admit are told of the first
    /// [`MAX_WAITING`](crate::room::MAX_WAITING). Those that wait when this participant joins, or gets the grant, are
    /// told before the first [`LobbyChanged`](Self::LobbyChanged).
    Knocked {
        /// The participant.
        participant: ParticipantId,
        /// The display name.
        name: DisplayName,
    },
    /// One of those no longer waits in the lobby: admitted, denied, or gone. Or this participant may not admit any more, or
    /// has to be told anew.
    KnockEnded(ParticipantId),
    /// All changes of the lobby so far are told: [`Client::lobby`](super::Client::lobby) has the outcome.
    LobbyChanged {
        /// The number of waiting participants, also beyond those told by [`Knocked`](Self::Knocked).
        waiting: u32,
    },
    /// The token runs out: give a newer one to
    /// [`Commands::refresh_token`](super::Commands::refresh_token).
    TokenExpiring {
        /// The remaining time in seconds.
        seconds: u16,
    },
    /// A new token allows more than the one before, or less: these are all the grants now. For each
    /// stream that may not be published any more [`PublishRefused`](Self::PublishRefused) follows.
    GrantsChanged(Grants),
    /// The connection broke; it is being restored, for as long as the client is driven.
    Reconnecting(ReconnectCause),
    /// Events were dropped, because too many waited: read the client's state anew. No
    /// [`MessageReceived`](Self::MessageReceived) is among them.
    EventsMissed,
    /// It is over. Nothing follows.
    Closed(CloseCause),
}

/// The reason that a connection is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReconnectCause {
    /// The server was silent, though asked several times.
    Silence,
    /// The server does not know the connection any more: it was restarted.
    Reset,
    /// The network changed, and the server does not answer over the new one.
    NetworkChanged,
    /// The server sent this participant elsewhere.
    Redirected,
    /// The keys are used up and new ones could not be had.
    KeysExhausted,
}

/// The reason that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CloseCause {
    /// The connection was closed, by either end.
    #[error("closed: {0}")]
    Closed(CloseReason),
    /// The join was refused.
    #[error("not admitted: {0}")]
    Refused(JoinRefusal),
    /// The server speaks another version of the protocol.
    #[error("the server speaks version {supported} of the protocol: use a client that does too")]
    VersionMismatch {
        /// The version that the server speaks.
        supported: u8,
    },
}

/// The contents of a datagram that cannot wait, lent out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A frame of sound for one of the slots.
    Audio {
        /// Which slot, and so which decoder: 0 up to the number of slots.
        slot: u8,
        /// The frame. Its timestamps count 48 kHz whatever its codec; its `speaker` is the SSRC
        /// of the stream, for [`RoomState::find_stream`](crate::room::RoomState::find_stream).
        frame: AudioFrame<'a>,
    },
    /// A packet of a Video or Screen stream that is subscribed to; its SSRC says of which.
    ///
    /// It goes to the stream's [`PictureReceiver`](crate::video::PictureReceiver).
    Media(RtpPacket<'a>),
    /// What receivers need of one's own Video or Screen stream. It goes to the stream's
    /// [`PictureSender`](crate::video::PictureSender).
    Feedback {
        /// The stream.
        key: &'a StreamKey,
        /// What they need.
        feedback: Feedback<'a>,
    },
    /// A lossy message.
    Message(Message<'a>),
}

/// An application message from another participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The sender.
    pub from: ParticipantId,
    /// The topic.
    pub topic: crate::room::Topic,
    /// The contents.
    pub body: &'a [u8],
}

impl Event {
    /// Whether it still matters to somebody who reads the state anew.
    fn outlasts_overflow(&self) -> bool {
        matches!(
            self,
            Self::Joined { .. }
                | Self::Waiting
                | Self::Redirected(_)
                | Self::RedirectEnded
                | Self::Published { .. }
                | Self::PublishRefused { .. }
                | Self::PolicyRefused(_)
                | Self::MessageReceived
                | Self::MessagesMissed(_)
                | Self::TokenExpiring { .. }
                | Self::Reconnecting(_)
                | Self::Closed(_)
        )
    }
}

/// Events that the application has yet to take.
#[derive(Debug)]
pub(super) struct Events {
    waiting: heapless::Vec<Event, MAX_EVENTS>,
    /// As many as requests may be outstanding; a request is while its reply waits here.
    replies: heapless::Deque<(RequestId, Result<Outcome, RequestFailure>), MAX_OUTSTANDING>,
}

impl Events {
    pub(super) const fn new() -> Self {
        Self {
            waiting: heapless::Vec::new(),
            replies: heapless::Deque::new(),
        }
    }

    /// Appends an event. If there is no place, those that the state shows anyway make room.
    pub(super) fn push(&mut self, event: Event) {
        if self.merge(&event) {
            return;
        }
        let Err(event) = self.waiting.push(event) else {
            return;
        };
        self.waiting.retain(Event::outlasts_overflow);
        // One place for the notice, one for the event.
        while self.waiting.len() > MAX_EVENTS - 2 {
            // Messages that nobody takes would stop all signalling: that notice stays.
            let notice = matches!(self.waiting.first(), Some(Event::MessageReceived));
            self.waiting.remove(usize::from(notice));
        }
        let _ = self.waiting.push(Event::EventsMissed);
        let _ = self.waiting.push(event);
    }

    /// Adds `event` to one that waits, where two say no more than one.
    fn merge(&mut self, event: &Event) -> bool {
        match event {
            Event::MessageReceived => {
                let mut waiting = self.waiting.iter();
                waiting.any(|waiting| matches!(waiting, Event::MessageReceived))
            }
            Event::MessagesMissed(more) => self.waiting.iter_mut().any(|waiting| {
                let Event::MessagesMissed(messages) = waiting else {
                    return false;
                };
                *messages = messages.saturating_add(*more);
                true
            }),
            Event::LobbyChanged { waiting } => match self.waiting.last_mut() {
                Some(Event::LobbyChanged { waiting: before }) => {
                    *before = *waiting;
                    true
                }
                _ => false,
            },
            Event::PacketsDropped(more) => self.waiting.iter_mut().any(|waiting| {
                let Event::PacketsDropped(packets) = waiting else {
                    return false;
                };
                *packets = packets.saturating_add(*more);
                true
            }),
            _ => false,
        }
    }

    /// Appends the reply to a request, of which no more than [`MAX_OUTSTANDING`] are outstanding.
    pub(super) fn push_reply(
        &mut self,
        request: RequestId,
        result: Result<Outcome, RequestFailure>,
    ) {
        let _ = self.replies.push_back((request, result));
    }

    /// How many replies wait.
    pub(super) fn replies(&self) -> usize {
        self.replies.len()
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        if let Some((request, result)) = self.replies.pop_front() {
            return Some(Event::Replied { request, result });
        }
        (!self.waiting.is_empty()).then(|| self.waiting.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(name: &str) -> Event {
        Event::SpeakerChanged(ParticipantId::new(name).ok())
    }

    fn drain(events: &mut Events) -> std::vec::Vec<Event> {
        core::iter::from_fn(|| events.pop()).collect()
    }

    #[test]
    fn on_overflow_what_the_state_shows_makes_room() {
        let mut events = Events::new();
        events.push(Event::Joined { resumed: false });
        for _ in 0..MAX_EVENTS - 1 {
            events.push(speaker("a"));
        }
        events.push(speaker("b"));
        let kept = [
            Event::Joined { resumed: false },
            Event::EventsMissed,
            speaker("b"),
        ];
        assert_eq!(drain(&mut events), kept);
    }

    #[test]
    fn on_overflow_of_what_nothing_shows_the_oldest_are_dropped() {
        let mut events = Events::new();
        for seconds in 0..40 {
            events.push(Event::TokenExpiring { seconds });
        }
        let left = drain(&mut events);
        assert_eq!(left.len(), MAX_EVENTS);
        assert!(left.contains(&Event::EventsMissed));
        assert_eq!(left.last(), Some(&Event::TokenExpiring { seconds: 39 }));
    }

    #[test]
    fn replies_have_their_own_places() {
        let mut events = Events::new();
        for n in 0..16 {
            events.push_reply(RequestId(n), Ok(Outcome::Done));
        }
        for _ in 0..100 {
            events.push(speaker("a"));
        }
        assert_eq!(events.replies(), MAX_OUTSTANDING);
        let replied = drain(&mut events)
            .iter()
            .filter(|event| matches!(event, Event::Replied { .. }))
            .count();
        assert_eq!(replied, MAX_OUTSTANDING);
    }

    #[test]
    fn what_two_say_is_said_once() {
        let mut events = Events::new();
        events.push(Event::MessageReceived);
        events.push(Event::PacketsDropped(2));
        events.push(Event::MessageReceived);
        events.push(Event::PacketsDropped(3));
        events.push(Event::MessagesMissed(4));
        events.push(Event::LobbyChanged { waiting: 1 });
        events.push(Event::MessagesMissed(5));
        events.push(Event::LobbyChanged { waiting: 2 });
        let once = [
            Event::MessageReceived,
            Event::PacketsDropped(5),
            Event::MessagesMissed(9),
            Event::LobbyChanged { waiting: 2 },
        ];
        assert_eq!(drain(&mut events), once);
    }

    #[test]
    fn on_overflow_the_notice_of_messages_is_kept() {
        let mut events = Events::new();
        events.push(Event::MessageReceived);
        for _ in 0..40 {
            events.push(speaker("a"));
        }
        assert_eq!(drain(&mut events).first(), Some(&Event::MessageReceived));

        events.push(Event::MessageReceived);
        for seconds in 0..40 {
            events.push(Event::TokenExpiring { seconds });
        }
        assert_eq!(drain(&mut events).first(), Some(&Event::MessageReceived));
    }
}
