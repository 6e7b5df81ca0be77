"""What is known of a room at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .names import CloseReason, Codec, ConnectionState, Grants, JoinRefusal, StreamKind


class StreamRef(NamedTuple):
    """One stream of one participant."""

    participant: str
    key: str


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that a participant publishes."""

    key: str
    kind: StreamKind
    codec: Codec
    muted: bool


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant as this one knows it."""

    id: str
    name: str
    """The name to show."""
    connection: ConnectionState
    censored: bool
    """Silenced by a moderator."""
    attributes: Mapping[str, bytes]
    streams: tuple[Stream, ...]
    speaking: bool
    """Whether it speaks, as `SpeakingStarted` and `SpeakingStopped` tell. Always false for oneself."""
    level: int | None
    """How loud it is, in dBov: 0 is the loudest, -127 is silence. ``None`` if nothing was heard of it for 400 ms."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A participant in the lobby."""

    participant: str
    name: str


@dataclass(frozen=True, slots=True)
class Lobby:
    """The lobby, as a participant that may admit knows it."""

    waiting: tuple[Waiting, ...]
    """Those who came first, at most 32."""
    others: int
    """How many more wait."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """How well the connection does."""

    rtt: float | None
    """Seconds to the server and back."""
    media_sent: int
    """Media packets that were sent."""
    unsent: int
    """Packets that were dropped before they were sent."""
    uplink_loss: int | None
    """Share of this end's packets that the server lately missed, in 1/256."""
    uplink_jitter: float
    """How unevenly they reached it, in seconds."""
    downlink_loss: int | None
    """Share of the server's packets that were lately lost, in 1/256."""
    quality: int | None
    """0 (unusable) to 100 (perfect)."""


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """Mono PCM: 16-bit integers in this machine's order of bytes.

    ``memoryview(frame.pcm).cast("h")`` has the samples; so has ``numpy.frombuffer(frame.pcm, "int16")``.
    """

    pcm: bytes
    sample_rate: int
    stream: StreamRef | None
    """The stream that is heard at the end of it; ``None`` in silence, and in a mix of all."""

    @property
    def samples(self) -> int:
        """How many samples it has."""
        return len(self.pcm) // 2


@dataclass(frozen=True, slots=True)
class CloseCause:
    """Why a participation has ended."""

    reason: CloseReason | None
    """If the connection was closed."""
    refusal: JoinRefusal | None
    """If the server did not take the participant back after a lost connection."""
    message: str
    """The same for people."""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    room: str
    participant: str
    name: str
    grants: Grants
    lobby: bool
    """Whether its bearer waits until a moderator admits it."""
    not_before: int | None
    """In seconds since 1970, as the two that follow."""
    issued: int | None
    expires: int
