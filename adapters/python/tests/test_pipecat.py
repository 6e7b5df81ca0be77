"""A pipeline of pipecat in a room, with services that follow a script.

A tone of 440 Hz means "hello" to it, and it answers ten seconds of 1,000 Hz. A tone of 1,500 Hz interrupts it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

if "PARLOUR_REQUIRE_PIPECAT" not in os.environ:
    pytest.importorskip("pipecat")

from conftest import RATE, amplitude, hears, is_silent, meeting, scenario, tone, until
from parlour import AudioCodec, AudioWriter, CloseCause, CloseReason, Message, Room
from parlour.pipecat import ParlourParams, ParlourTransport
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    UserAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

ANSWER = 10.0


class Ears(FrameProcessor):
    """Speech recognition, and detection of interruptions."""

    def __init__(self) -> None:
        super().__init__()
        self.users: set[str] = set()
        # Frames with each tone, until there have been so many without it: on a busy machine, a tone may have gaps.
        self._loud = {440: 0, 1_500: 0}
        self._quiet = {440: 0, 1_500: 0}

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, InputAudioRawFrame):
            await self.push_frame(frame, direction)
            return
        if isinstance(frame, UserAudioRawFrame):
            self.users.add(frame.user_id)
        if self._begins(frame, 440):
            await self.push_frame(TranscriptionFrame("hello", "anna", ""))
        if self._begins(frame, 1_500):
            await self.broadcast_interruption()  # type: ignore[no-untyped-call]

    def _begins(self, frame: InputAudioRawFrame, hz: int) -> bool:
        """Whether this is the third frame of a tone."""
        if amplitude(frame.audio, hz, frame.sample_rate) > 3_000:
            self._loud[hz] += 1
            self._quiet[hz] = 0
            return self._loud[hz] == 3
        self._quiet[hz] += 1
        if self._quiet[hz] == 20:
            self._loud[hz] = 0
        return False


class Mind(FrameProcessor):
    """The language model; also keeps what the transport says."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []
        self.bot: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TranscriptionFrame(text="hello"):
                await self.push_frame(TTSSpeakFrame("good morning"))
                return
            case InputTransportMessageFrame():
                self.messages.append(frame.message)
                await self.push_frame(OutputTransportMessageUrgentFrame({"echo": frame.message}))
            case BotStartedSpeakingFrame() if direction is FrameDirection.UPSTREAM:
                self.bot.append("started")
            case BotStoppedSpeakingFrame() if direction is FrameDirection.UPSTREAM:
                self.bot.append("stopped")
        await self.push_frame(frame, direction)


class Mouth(TTSService):
    """Speech synthesis: a tone, as fast as it can be made."""

    def __init__(self) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(push_start_frame=True, push_stop_frames=True, stop_frame_timeout_s=0.3, settings=settings)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        assert text == "good morning"
        sound = tone(1_000, ANSWER, self.sample_rate).tobytes()
        step = self.sample_rate  # half a second
        for begin in range(0, len(sound), step):
            yield TTSAudioRawFrame(sound[begin : begin + step], self.sample_rate, 1, context_id=context_id)


@asynccontextmanager
async def bot(
    ticket: str, params: ParlourParams, transport: ParlourTransport | None = None
) -> AsyncIterator[tuple[ParlourTransport, Ears, Mind, PipelineWorker]]:
    transport = transport or ParlourTransport(ticket, params)
    ears, mind = Ears(), Mind()
    pipeline = Pipeline([transport.input(), ears, mind, Mouth(), transport.output()])
    worker = PipelineWorker(pipeline, params=PipelineParams(), enable_rtvi=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        yield transport, ears, mind, worker
    finally:
        await worker.cancel()
        await running


async def say(mic: AudioWriter, hz: float) -> None:
    await mic.play(tone(hz, 0.5))


def both_ways(**more: Any) -> ParlourParams:
    return ParlourParams(audio_in_enabled=True, audio_out_enabled=True, codec=AudioCodec.OPUS, **more)


def test_a_pipeline_hears_the_room_answers_and_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    # So much waits in the room's writer that to empty pipecat's own queue is not enough.
    monkeypatch.setattr("parlour.pipecat.AHEAD", 3.0)
    scenario(interrupted)()


async def interrupted() -> None:
    async with meeting("anna") as (server, [anna]):
        mic = await anna.publish_audio(sample_rate=RATE, codec="opus")
        heard = anna.audio("bot", sample_rate=RATE)
        async with bot(server.ticket("kitchen", "bot"), both_ways()) as (transport, _, mind, _worker):
            await until(lambda: any(one.streams for one in anna.participants))
            await say(mic, 440)
            await hears(heard, 1_000)
            assert mind.bot == ["started"]

            interrupting = asyncio.create_task(say(mic, 1_500))
            await until(lambda: mind.bot == ["started", "stopped"])
            begins = asyncio.get_running_loop().time()
            await is_silent(heard)
            silent_after = asyncio.get_running_loop().time() - begins - 0.3
            print(f"silent {silent_after * 1_000:.0f} ms after the interruption")
            assert silent_after < 0.5
            await interrupting
            assert mind.bot == ["started", "stopped"]
            # 3 s had been handed over at least.
            voice = transport.output()._voice
            assert voice is not None and voice.played < 2

            # It is of use again, and nothing of the former answer is left.
            await say(mic, 440)
            await hears(heard, 1_000)
        await until(lambda: anna.participants == [])


@scenario
async def test_an_answer_is_heard_whole_before_the_pipeline_ends() -> None:
    async with meeting("anna") as (server, [anna]):
        heard = anna.audio("bot", sample_rate=RATE)
        params = both_ways(audio_out_end_silence_secs=0)
        async with bot(server.ticket("kitchen", "bot"), params) as (_, _ears, _mind, worker):
            await until(lambda: any(one.streams for one in anna.participants))
            sound = tone(1_000, 2, 24_000).tobytes()
            await worker.queue_frames([TTSAudioRawFrame(sound, 24_000, 1), EndFrame()])
            loud = 0
            while anna.participants:
                frame = await anext(heard)
                loud += amplitude(frame.pcm, 1_000) > 3_000
            # 2 s are 100 frames; the last 40 ms may be cut off by the end.
            assert 97 <= loud <= 102


@scenario
async def test_one_participant_is_heard_by_name_and_messages_go_both_ways() -> None:
    async with meeting("anna", "ben") as (server, [anna, ben]):
        mics = [await room.publish_audio(sample_rate=RATE, codec="opus") for room in (anna, ben)]
        ticket, params = server.ticket("kitchen", "bot"), both_ways(participant="anna")
        transport = ParlourTransport(ticket, params)
        told: list[object] = []
        for event in ("on_joined", "on_participant_joined", "on_participant_left", "on_message"):

            async def tell(_: ParlourTransport, *about: object, event: str = event) -> None:
                told.append((event, *about))

            transport.add_event_handler(event, tell)
        async with bot(ticket, params, transport) as (_, ears, mind, _worker):
            await until(lambda: any(one.streams for one in anna.participants if one.id == "bot"))
            await say(mics[1], 440)
            assert ears.users == {"anna"} and mind.bot == []
            await say(mics[0], 440)
            await until(lambda: mind.bot == ["started"])

            messages = anna.messages()
            await anna.send_message('{"lamp": "on"}', topic="pipecat")
            await anna.send_message("7", topic="chat")
            await anna.send_message("no json", topic="pipecat")
            assert await anext(messages) == Message("bot", "pipecat", b'{"echo": {"lamp": "on"}}')
            assert mind.messages == [{"lamp": "on"}]
            await ben.leave()
            await until(lambda: ("on_participant_left", "ben", CloseReason.LEFT) in told)
            assert told[0] == ("on_joined",)
            assert {("on_participant_joined", "anna"), ("on_participant_joined", "ben")} <= set(told)
            assert ("on_message", Message("anna", "chat", b"7")) in told
            assert ("on_message", Message("anna", "pipecat", b"no json")) in told


@scenario
async def test_a_bot_that_is_kicked_is_told() -> None:
    async with meeting("anna") as (server, [anna]):
        ticket = server.ticket("kitchen", "bot")
        transport = ParlourTransport(ticket, both_ways())
        with pytest.raises(RuntimeError, match="not started"):
            _ = transport.room
        causes: list[CloseCause] = []

        async with bot(ticket, both_ways(), transport) as (_, _ears, _mind, worker):

            async def closed(_: ParlourTransport, cause: CloseCause) -> None:
                causes.append(cause)
                await worker.cancel()

            transport.add_event_handler("on_closed", closed)
            await until(lambda: any(one.streams for one in anna.participants))
            assert isinstance(transport.room, Room)
            await anna.kick("bot")
            await until(lambda: bool(causes))
            assert causes[0].reason is CloseReason.KICKED
            await until(worker.has_finished)
