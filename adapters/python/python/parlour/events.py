"""Events of a room, and messages.

::

    async for event in room.events():
        match event:
            case parlour.ParticipantJoined(participant, present=False):
                print(f"{participant} has come")
            case parlour.SpeakingStarted(participant):
                print(f"{participant} speaks")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from ._types import Described
from .names import CloseReason, ConnectionState, Grants, JoinRefusal, ReconnectCause, Refusal, Transport
from .values import CloseCause, StreamRef


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened; the room's state already shows it."""


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """In the session. Audio may be sent."""

    resumed: bool
    """Whether an earlier connection goes on, as if it had never broken."""


@dataclass(frozen=True, slots=True)
class WaitingInLobby(Event):
    """In the lobby, until a moderator decides."""


@dataclass(frozen=True, slots=True)
class RedirectEnded(Event):
    """The server to which this participant was redirected does not answer."""


@dataclass(frozen=True, slots=True)
class Synchronized(Event):
    """The room's state is complete: all who were present before have been told."""


@dataclass(frozen=True, slots=True)
class ParticipantJoined(Event):
    """A participant is in the session."""

    participant: str
    present: bool
    """Whether it was there before this one was."""


@dataclass(frozen=True, slots=True)
class ParticipantLeft(Event):
    """A participant left the session."""

    participant: str
    reason: CloseReason


@dataclass(frozen=True, slots=True)
class ParticipantHidden(Event):
    """A participant is out of view: it left, or is not tracked any more."""

    participant: str


@dataclass(frozen=True, slots=True)
class ConnectionChanged(Event):
    """A participant fell silent or came back."""

    participant: str
    state: ConnectionState


@dataclass(frozen=True, slots=True)
class StreamPublished(Event):
    """A participant published a stream, or changed it."""

    stream: StreamRef


@dataclass(frozen=True, slots=True)
class StreamUnpublished(Event):
    """A participant no longer publishes a stream."""

    stream: StreamRef


@dataclass(frozen=True, slots=True)
class StreamMuted(Event):
    """A publisher muted or unmuted its stream."""

    stream: StreamRef
    muted: bool


@dataclass(frozen=True, slots=True)
class Censored(Event):
    """A moderator silenced somebody, or lifted that."""

    participant: str
    censored: bool


@dataclass(frozen=True, slots=True)
class AttributeChanged(Event):
    """An attribute of somebody has another value, or is new, or gone."""

    participant: str
    key: str


@dataclass(frozen=True, slots=True)
class SpeakingStarted(Event):
    """A participant began to speak."""

    participant: str


@dataclass(frozen=True, slots=True)
class SpeakingStopped(Event):
    """A participant fell silent, for 400 ms, or cannot be heard any more."""

    participant: str


@dataclass(frozen=True, slots=True)
class SpeakerChanged(Event):
    """The one participant to show as the speaker."""

    participant: str | None


@dataclass(frozen=True, slots=True)
class PresenterChanged(Event):
    """The participant that shares a screen."""

    participant: str | None


@dataclass(frozen=True, slots=True)
class MainChanged(Event):
    """The participant to show large."""

    participant: str | None


@dataclass(frozen=True, slots=True)
class FloorChanged(Event):
    """The holder of the floor."""

    participant: str | None


@dataclass(frozen=True, slots=True)
class CountChanged(Event):
    """The number of participants in the session."""

    count: int


@dataclass(frozen=True, slots=True)
class RecordingChanged(Event):
    """Whether the server's application records the session from now on."""

    recorded: bool


@dataclass(frozen=True, slots=True)
class Published(Event):
    """One's own stream is published."""

    key: str
    ssrc: int


@dataclass(frozen=True, slots=True)
class PublishRefused(Event):
    """One's own stream is not published, or not any more."""

    key: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class PolicyRefused(Event):
    """The server does not take the subscribe policy."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class PacketsDropped(Event):
    """So many packets were dropped before they were sent."""

    count: int


@dataclass(frozen=True, slots=True)
class Knocked(Event):
    """A participant waits in the lobby."""

    participant: str
    name: str


@dataclass(frozen=True, slots=True)
class KnockEnded(Event):
    """One of those no longer waits."""

    participant: str


@dataclass(frozen=True, slots=True)
class LobbyChanged(Event):
    """All changes of the lobby so far are told."""

    waiting: int


@dataclass(frozen=True, slots=True)
class TokenExpiring(Event):
    """The token runs out: call `Room.refresh_token`."""

    seconds: int


@dataclass(frozen=True, slots=True)
class GrantsChanged(Event):
    """These are all the grants now."""

    grants: Grants


@dataclass(frozen=True, slots=True)
class Reconnecting(Event):
    """The connection broke; it is being restored."""

    cause: ReconnectCause


@dataclass(frozen=True, slots=True)
class EventsMissed(Event):
    """Events were dropped: read the room's state anew."""


@dataclass(frozen=True, slots=True)
class TransportChanged(Event):
    """Packets travel otherwise than before."""

    transport: Transport


@dataclass(frozen=True, slots=True)
class LossyMessage(Event):
    """Another participant sent a message by the lossy way."""

    sender: str
    topic: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Lagged(Event):
    """This reader was too slow, and so many events are lost to it."""

    missed: int


@dataclass(frozen=True, slots=True)
class Closed(Event):
    """It is over. Nothing follows."""

    cause: CloseCause


@dataclass(frozen=True, slots=True)
class UnknownEvent(Event):
    """An event that this package has no class for."""

    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message that another participant, or the application at the server, sent."""

    sender: str
    topic: str
    body: bytes


@dataclass(frozen=True, slots=True)
class MessagesMissed:
    """So many messages are lost, because they were read too slowly."""

    count: int


def close_cause(reason: str | None, refusal: str | None, message: str) -> CloseCause:
    """The cause of these names."""
    return CloseCause(
        None if reason is None else CloseReason(reason),
        None if refusal is None else JoinRefusal(refusal),
        message,
    )


# Those whose fields are not what comes.
_CONVERTED: dict[str, Callable[..., object]] = {
    "ParticipantLeft": lambda participant, reason: ParticipantLeft(participant, CloseReason(reason)),
    "ConnectionChanged": lambda participant, state: ConnectionChanged(participant, ConnectionState(state)),
    "StreamPublished": lambda stream: StreamPublished(StreamRef(*stream)),
    "StreamUnpublished": lambda stream: StreamUnpublished(StreamRef(*stream)),
    "StreamMuted": lambda stream, muted: StreamMuted(StreamRef(*stream), muted),
    "PublishRefused": lambda key, refusal: PublishRefused(key, Refusal(refusal)),
    "PolicyRefused": lambda refusal: PolicyRefused(Refusal(refusal)),
    "GrantsChanged": lambda bits: GrantsChanged(Grants(bits)),
    "Reconnecting": lambda cause: Reconnecting(ReconnectCause(cause)),
    "TransportChanged": lambda transport: TransportChanged(Transport(transport)),
    "Closed": lambda *cause: Closed(close_cause(*cause)),
}


def make_event(described: Described) -> Event:
    """The event of a name and fields."""
    name, fields = described
    made = _CONVERTED.get(name) or globals()[name]
    return cast(Event, made(*fields))


def make_message(described: Described) -> Message | MessagesMissed:
    """The message of a name and fields."""
    name, fields = described
    return cast("Message | MessagesMissed", globals()[name](*fields))
