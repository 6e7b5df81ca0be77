"""A room that this process takes part in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from types import TracebackType

from . import _parlour, _types
from .audio import AudioReader, AudioWriter
from .events import Event, Message, MessagesMissed, close_cause, make_event, make_message
from .names import (
    ALL,
    AudioCodec,
    Codec,
    ConnectionState,
    Everybody,
    Grants,
    StreamKind,
    SubscribePolicy,
    Transport,
)
from .values import CloseCause, Lobby, Participant, Statistics, Stream, StreamRef, Waiting

Whom = str | Iterable[str] | Everybody
"""One id, any number of ids, or `ALL`."""


def ids_of(whom: Whom) -> list[str] | None:
    """The ids; ``None`` for all."""
    if isinstance(whom, Everybody):
        return None
    return [whom] if isinstance(whom, str) else list(whom)


def _participant(described: _types.Participant) -> Participant:
    id, name, connection, censored, attributes, streams, speaking, level = described
    return Participant(
        id,
        name,
        ConnectionState(connection),
        censored,
        attributes,
        tuple(Stream(key, StreamKind(kind), Codec(codec), muted) for key, kind, codec, muted in streams),
        speaking,
        level,
    )


class Events(AsyncIterator[Event]):
    """The events of a room, in their order. A reader that is too slow loses the oldest, and `Lagged` counts them."""

    def __init__(self, events: _parlour.Events) -> None:
        self._events = events

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        return make_event(await self._events.next())


class Messages(AsyncIterator[Message | MessagesMissed]):
    """The messages to this participant, in their order."""

    def __init__(self, messages: _parlour.Messages) -> None:
        self._messages = messages

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> Message | MessagesMissed:
        return make_message(await self._messages.next())


class Room:
    """A room that this process takes part in::

        async with await Room.join(ticket) as room:
            mic = await room.publish_audio("mic", sample_rate=24_000)
            await mic.play(pcm)

    The participant leaves at the end of ``async with``, with `leave`, or when this object and all that it has made
    are gone. What is no coroutine may be called from any thread.
    """

    def __init__(self, room: _parlour.Room) -> None:
        """Not for applications: see `join`."""
        self._room = room

    @classmethod
    async def join(
        cls,
        ticket: str,
        *,
        slots: int = 16,
        policy: SubscribePolicy | str = SubscribePolicy.ALL,
        transport: Transport | str = Transport.AUTO,
        web: str | None = None,
        wait_in_lobby: bool = True,
        timeout: float = 10.0,
    ) -> Room:
        """Joins the room that ``ticket`` is for.

        :param slots: how many voices to hear at a time, at most 32; the server picks the loudest
        :param policy: whom to hear without asking for each
        :param transport: how packets travel
        :param web: where the server takes WebSockets, if that is not ``https://`` and the ticket's host
        :param wait_in_lobby: whether to wait there until a moderator decides, or to return the room at once
        :param timeout: seconds without an answer after which to give up
        :raises JoinError: its message says what to do
        """
        joined = await _parlour.Room.join(ticket, slots, str(policy), str(transport), web, wait_in_lobby, timeout)
        return cls(joined)

    async def __aenter__(self) -> Room:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Leaves, and returns when the server knows or a second has passed."""
        await self._room.leave()

    async def closed(self) -> CloseCause:
        """Waits until the participation has ended, and says why."""
        return close_cause(*await self._room.closed())

    @property
    def close_cause(self) -> CloseCause | None:
        """Why the participation has ended; ``None`` as long as it lasts."""
        cause = self._room.close_cause
        return None if cause is None else close_cause(*cause)

    @property
    def me(self) -> str | None:
        """This participant's id; ``None`` in the lobby."""
        return self._room.me

    @property
    def session(self) -> str | None:
        """The current run of the room; ``None`` in the lobby."""
        return self._room.session

    @property
    def grants(self) -> Grants:
        """This participant's grants."""
        return Grants(self._room.grants)

    @property
    def participants(self) -> list[Participant]:
        """The others, in the order of their ids. Of more than 128, the most relevant ones."""
        return [_participant(described) for described in self._room.participants]

    def participant(self, id: str) -> Participant | None:
        """One participant, oneself among them; ``None`` if it is not in the session, or not known here."""
        described = self._room.participant(id)
        return None if described is None else _participant(described)

    @property
    def is_recorded(self) -> bool:
        """Whether the session is recorded, by the word of the server's application."""
        return self._room.is_recorded

    @property
    def main_participant(self) -> str | None:
        """The participant to show large."""
        return self._room.main_participant

    @property
    def lobby(self) -> Lobby:
        """Who waits; nobody if this participant lacks `Grants.ADMIT`."""
        waiting, others = self._room.lobby
        return Lobby(tuple(Waiting(*one) for one in waiting), others)

    @property
    def statistics(self) -> Statistics:
        """How well the connection does."""
        return Statistics(*self._room.statistics)

    def events(self) -> Events:
        """The events from now on; on the first call, all since joining. They end after `Closed`."""
        return Events(self._room.events())

    def messages(self) -> Messages:
        """The messages to this participant, also those since joining.

        There is one queue: several readers take messages from each other. A reader that does not read makes the server hold back
        messages, and the room's state stands still: read on, or drop the reader.
        """
        return Messages(self._room.messages())

    def audio(
        self,
        participant: str | StreamRef | None = None,
        *,
        slot: int | None = None,
        sample_rate: int = 48_000,
        frame_ms: int = 20,
    ) -> AudioReader:
        """What is heard from now on::

            async for frame in room.audio("anna", sample_rate=16_000):
                recognize(frame.pcm)

        :param participant: whom to hear: one participant, one stream, or without it all, mixed
        :param slot: what one slot carries instead: now one voice, now another; `AudioFrame.stream` says whose
        :param sample_rate: 8000, 16000, 24000, 32000, 44100 or 48000
        :param frame_ms: the length of a frame, 5 to 1000
        :raises ReadError: there is no such slot
        """
        if participant is not None and slot is not None:
            raise ValueError("either a participant or a slot: leave one out")
        of: tuple[str, str | None] | None = (participant, None) if isinstance(participant, str) else participant
        return AudioReader(self._room.audio(of, slot, sample_rate, frame_ms), sample_rate)

    async def publish_audio(
        self,
        key: str = "mic",
        *,
        sample_rate: int = 48_000,
        codec: AudioCodec | str = AudioCodec.OPUS_VOICE,
        bitrate: int | None = None,
        muted: bool = False,
    ) -> AudioWriter:
        """Publishes audio.

        :param key: its name among one's own streams: 1 to 16 printable ASCII characters
        :param sample_rate: of the PCM that is written: 8000, 16000, 24000, 32000, 44100 or 48000
        :param codec: `AudioCodec.OPUS_VOICE` for a voice, `AudioCodec.OPUS` for anything else
        :param bitrate: of Opus, 6000 to 128000 bits per second
        :raises PublishError:
        """
        writer = await self._room.publish_audio(key, sample_rate, str(codec), bitrate, muted)
        return AudioWriter(writer, sample_rate)

    async def set_muted(self, key: str, muted: bool) -> None:
        """Silences one's own stream, or lets it be heard again.

        :raises RequestError:
        """
        await self._room.set_muted(key, muted)

    async def send_message(self, body: bytes | str, *, topic: str = "chat", to: Whom = ALL) -> int:
        """Sends a message of at most 640 bytes, reliably and in order.

        :param to: at most eight ids, or `ALL` others
        :return: to how many it went
        :raises RequestError:
        """
        return await self._room.send_message(ids_of(to), topic, _bytes(body))

    def send_lossy_message(self, body: bytes | str, *, topic: str, to: Whom = ALL) -> None:
        """Sends a message of at most 640 bytes that may get lost: for what is worthless when late.

        :raises RequestError:
        """
        self._room.send_lossy_message(ids_of(to), topic, _bytes(body))

    async def kick(self, whom: Whom) -> int:
        """Removes participants from the session, for which `Grants.KICK` is needed. They cannot return to it.

        :return: how many
        :raises RequestError: one of those named is not there, or a grant is missing
        """
        return await self._room.moderate("kick", ids_of(whom))

    async def censor(self, whom: Whom) -> int:
        """Silences participants; says how many.

        :raises RequestError:
        """
        return await self._room.moderate("censor", ids_of(whom))

    async def uncensor(self, whom: Whom) -> int:
        """Lifts that; says of how many.

        :raises RequestError:
        """
        return await self._room.moderate("uncensor", ids_of(whom))

    async def admit(self, whom: Whom) -> int:
        """Lets participants in from the lobby; says how many.

        :raises RequestError:
        """
        return await self._room.moderate("admit", ids_of(whom))

    async def deny(self, whom: Whom) -> int:
        """Turns participants in the lobby away; says how many.

        :raises RequestError:
        """
        return await self._room.moderate("deny", ids_of(whom))

    async def end_session(self) -> None:
        """Ends the session for everybody.

        :raises RequestError:
        """
        await self._room.end_session()

    async def set_attribute(self, key: str, value: bytes | str, *, of: str | None = None) -> None:
        """Gives an attribute a value of at most 64 bytes, which all others see; an empty one removes it.

        :param of: whose; without it one's own. Others' need `Grants.SET_ATTRIBUTES`
        :raises RequestError:
        """
        await self._room.set_attribute(of, key, _bytes(value))

    async def subscribe(self, stream: StreamRef) -> None:
        """Receives a stream, whatever the policy says.

        :raises RequestError:
        """
        await self._room.subscribe(stream)

    async def unsubscribe(self, stream: StreamRef) -> None:
        """Receives a stream no more, whatever the policy says.

        :raises RequestError:
        """
        await self._room.unsubscribe(stream)

    async def set_subscribe_policy(self, policy: SubscribePolicy | str) -> None:
        """Says which audio streams to receive without asking for each.

        :raises RequestError:
        """
        await self._room.set_subscribe_policy(str(policy))

    async def pin(self, stream: StreamRef | None) -> None:
        """Keeps one slot for a stream, whatever others do, or for none.

        :raises RequestError:
        """
        await self._room.pin(stream)

    async def request_floor(self) -> None:
        """Asks for the floor.

        :raises RequestError:
        """
        await self._room.request_floor()

    async def release_floor(self) -> None:
        """Gives the floor back.

        :raises RequestError:
        """
        await self._room.release_floor()

    async def refresh_token(self, token: str) -> None:
        """Replaces the token by a newer one for the same participant and room.

        :raises RequestError:
        """
        await self._room.refresh_token(token)


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)
