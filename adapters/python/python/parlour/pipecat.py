"""A transport for `pipecat <https://docs.pipecat.ai>`_: a pipeline that hears a room and speaks in it.

``pip install parlour[pipecat]``::

    transport = ParlourTransport(ticket, ParlourParams(audio_in_enabled=True, audio_out_enabled=True))
    pipeline = Pipeline([transport.input(), stt, llm, tts, transport.output()])

The participant joins when the pipeline starts, and leaves when it ends. An interruption silences it at once: what was sent to the
room ahead of its time is dropped, too.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InputTransportMessageFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    StartFrame,
    UserAudioRawFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams

from .audio import AudioWriter
from .errors import RequestError, WriteError
from .events import Closed, Message, ParticipantJoined, ParticipantLeft
from .names import AudioCodec
from .room import Room

AHEAD = 0.1
"""Seconds of sound that wait in the room's writer, so that a pipeline which is late by less leaves no gap."""


class ParlourParams(TransportParams):
    """What `TransportParams` has, and what is of a room.

    Sample rates are 8000, 16000, 24000, 32000, 44100 or 48000; there is one channel in and one out.
    """

    participant: str | None = None
    """Whom to hear; without it all, mixed."""
    stream_key: str = "voice"
    """The name of the stream that the pipeline speaks in."""
    codec: AudioCodec = AudioCodec.OPUS_VOICE
    """How that is coded."""
    message_topic: str = "pipecat"
    """The topic of messages that are transport messages of the pipeline, as JSON of at most 640 bytes."""


class _Stay:
    """The stay in the room that the two ends of a transport share."""

    def __init__(self, ticket: str) -> None:
        self._ticket = ticket
        self._room: Room | None = None
        self._ends = 0
        self._lock = asyncio.Lock()

    @property
    def room(self) -> Room:
        if self._room is None:
            raise RuntimeError("not in the room: the pipeline has not started")
        return self._room

    async def begin(self) -> Room:
        async with self._lock:
            if self._room is None:
                self._room = await Room.join(self._ticket)
            self._ends += 1
            return self._room

    async def end(self) -> None:
        async with self._lock:
            self._ends -= 1
            if self._ends == 0 and self._room is not None:
                await self._room.leave()


class ParlourInputTransport(BaseInputTransport):
    """What the room says, as frames of the pipeline."""

    def __init__(self, transport: ParlourTransport, stay: _Stay, params: ParlourParams, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        self._transport = transport
        self._stay = stay
        self._parlour = params
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = False

    async def start(self, frame: StartFrame) -> None:
        """Joins, and listens."""
        await super().start(frame)
        if self._begun:
            return
        room = await self._stay.begin()
        self._begun = True
        await self._transport.tell("on_joined")
        await self.set_transport_ready(frame)
        self._tasks.append(self.create_task(self._watch(room)))
        self._tasks.append(self.create_task(self._read_messages(room)))
        if self._params.audio_in_enabled:
            self._tasks.append(self.create_task(self._listen(room)))

    async def stop(self, frame: EndFrame) -> None:
        """Leaves, if the other end has, too."""
        await super().stop(frame)
        await self._leave()

    async def cancel(self, frame: CancelFrame) -> None:
        """The same."""
        await super().cancel(frame)
        await self._leave()

    async def cleanup(self) -> None:
        """The same."""
        await super().cleanup()  # type: ignore[no-untyped-call]
        await self._leave()

    async def _leave(self) -> None:
        if not self._begun:
            return
        self._begun = False
        for task in self._tasks:
            await self.cancel_task(task)
        self._tasks.clear()
        await self._stay.end()

    async def _listen(self, room: Room) -> None:
        whom = self._parlour.participant
        async for frame in room.audio(whom, sample_rate=self.sample_rate):
            if whom is None:
                heard = InputAudioRawFrame(audio=frame.pcm, sample_rate=frame.sample_rate, num_channels=1)
            else:
                heard = UserAudioRawFrame(
                    audio=frame.pcm, sample_rate=frame.sample_rate, num_channels=1, user_id=whom
                )
            await self.push_audio_frame(heard)

    async def _watch(self, room: Room) -> None:
        async for event in room.events():
            match event:
                case ParticipantJoined(participant):
                    await self._transport.tell("on_participant_joined", participant)
                case ParticipantLeft(participant, reason):
                    await self._transport.tell("on_participant_left", participant, reason)
                case Closed(cause):
                    await self._transport.tell("on_closed", cause)

    async def _read_messages(self, room: Room) -> None:
        async for message in room.messages():
            if not isinstance(message, Message):
                continue
            if message.topic != self._parlour.message_topic:
                await self._transport.tell("on_message", message)
                continue
            try:
                content = json.loads(message.body)
            except ValueError:
                await self._transport.tell("on_message", message)
            else:
                await self.push_frame(InputTransportMessageFrame(message=content))


class ParlourOutputTransport(BaseOutputTransport):
    """What the pipeline says, in the room."""

    def __init__(self, stay: _Stay, params: ParlourParams, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        self._stay = stay
        self._parlour = params
        self._voice: AudioWriter | None = None
        self._may_clear = True
        self._begun = False

    async def start(self, frame: StartFrame) -> None:
        """Joins, and publishes a stream."""
        await super().start(frame)
        if self._begun:
            return
        room = await self._stay.begin()
        self._begun = True
        if self._params.audio_out_enabled:
            self._voice = await room.publish_audio(
                self._parlour.stream_key, sample_rate=self.sample_rate, codec=self._parlour.codec
            )
        await self.set_transport_ready(frame)

    async def stop(self, frame: EndFrame) -> None:
        """Leaves when all is said, if the other end has, too."""
        await super().stop(frame)
        if self._voice is not None:
            with suppress(WriteError):
                await self._voice.play(b"")  # returns when what was ahead is said
        await self._leave()

    async def cancel(self, frame: CancelFrame) -> None:
        """Leaves at once, if the other end has, too."""
        await super().cancel(frame)
        await self._leave()

    async def cleanup(self) -> None:
        """The same."""
        await super().cleanup()  # type: ignore[no-untyped-call]
        await self._leave()

    async def _leave(self) -> None:
        if not self._begun:
            return
        self._begun = False
        if self._voice is not None:
            self._voice.unpublish()
            self._voice = None
        await self._stay.end()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """As the base does; an interruption also drops what the room's writer has."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame) and self._voice is not None and self._may_clear:
            self._voice.clear()

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Says a piece; returns when no more than 100 ms of it waits. False if it was interrupted, or the room is closed."""
        if self._voice is None:
            return False
        self._may_clear = frame.interruptible
        try:
            return await self._voice.play(frame.audio, ahead=AHEAD)
        except WriteError:
            # The end of the room is told by `on_closed`.
            return False

    async def send_message(self, frame: OutputTransportMessageFrame | OutputTransportMessageUrgentFrame) -> None:
        """Sends a transport message to all in the room."""
        try:
            await self._stay.room.send_message(json.dumps(frame.message), topic=self._parlour.message_topic)
        except RequestError as error:
            await self.push_error(f"{self}: {error}", exception=error)


class ParlourTransport(BaseTransport):
    """A room as the transport of a pipeline.

    Events, for ``@transport.event_handler(…)``; each handler gets the transport first:

    * ``on_joined()``
    * ``on_participant_joined(participant)``, also of those who were there before
    * ``on_participant_left(participant, reason: CloseReason)``
    * ``on_message(message: Message)``, of messages with a topic other than `ParlourParams.message_topic`
    * ``on_closed(cause: CloseCause)``: kicked, say. End the pipeline then
    """

    def __init__(
        self,
        ticket: str,
        params: ParlourParams | None = None,
        *,
        name: str | None = None,
        input_name: str | None = None,
        output_name: str | None = None,
    ) -> None:
        super().__init__(name=name, input_name=input_name, output_name=output_name)
        self._params = params or ParlourParams(audio_in_enabled=True, audio_out_enabled=True)
        self._stay = _Stay(ticket)
        self._input: ParlourInputTransport | None = None
        self._output: ParlourOutputTransport | None = None
        for event in ("on_joined", "on_participant_joined", "on_participant_left", "on_message", "on_closed"):
            self._register_event_handler(event)

    @property
    def room(self) -> Room:
        """The room, once the pipeline has started: for moderation, attributes, and all else that pipecat has no frame for.

        :raises RuntimeError: it has not
        """
        return self._stay.room

    def input(self) -> ParlourInputTransport:
        """The first processor of the pipeline."""
        if self._input is None:
            self._input = ParlourInputTransport(self, self._stay, self._params, name=self._input_name)
        return self._input

    def output(self) -> ParlourOutputTransport:
        """The last one, or the last but an aggregator."""
        if self._output is None:
            self._output = ParlourOutputTransport(self._stay, self._params, name=self._output_name)
        return self._output

    async def tell(self, event: str, *about: object) -> None:
        """Calls the handlers of an event."""
        await self._call_event_handler(event, *about)
