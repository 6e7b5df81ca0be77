"""Real sound between two participants of a server in this process."""

from __future__ import annotations

import asyncio
from array import array

import parlour
import pytest
from conftest import FRAME, RATE, amplitude, hears, is_silent, meeting, scenario, tone, until
from parlour import AudioCodec, AudioWriter, CloseReason, StreamRef


async def sing(mic: AudioWriter, hz: float) -> None:
    while True:
        await mic.play(tone(hz, 1.0))


@scenario
async def test_a_tone_is_heard_and_muting_silences_it() -> None:
    async with meeting("anna", "ben") as (_, [anna, ben]):
        mic = await anna.publish_audio("mic", sample_rate=RATE, codec=AudioCodec.OPUS)
        mixed, of_anna = ben.audio(sample_rate=RATE), ben.audio("anna", sample_rate=RATE)
        singing = asyncio.create_task(sing(mic, 440))
        await asyncio.gather(hears(mixed, 440), hears(of_anna, 440))
        frame = await anext(of_anna)
        assert frame.stream == StreamRef("anna", "mic") and frame.samples == FRAME

        await mic.set_muted(True)
        await is_silent(mixed)
        await until(lambda: ben.participants[0].streams[0].muted)
        await anna.set_muted("mic", False)
        await hears(mixed, 440)
        singing.cancel()


@scenario
async def test_voices_are_told_apart_by_participant_stream_and_slot() -> None:
    async with meeting("anna", "ben", "carl") as (_, [anna, ben, carl]):
        mics = [await room.publish_audio("mic", sample_rate=RATE, codec="opus") for room in (anna, ben)]
        of_anna = carl.audio("anna", sample_rate=RATE)
        of_ben = carl.audio(StreamRef("ben", "mic"), sample_rate=RATE)
        slot = carl.audio(slot=0, sample_rate=RATE)
        singing = [asyncio.create_task(sing(mic, hz)) for mic, hz in zip(mics, (440, 1_000), strict=True)]
        await asyncio.gather(hears(of_anna, 440), hears(of_ben, 1_000))
        frame = await anext(slot)
        assert frame.stream in {StreamRef("anna", "mic"), StreamRef("ben", "mic")}
        for task in singing:
            task.cancel()


@scenario
async def test_kick_ends_the_frames_with_a_reason() -> None:
    async with meeting("anna", "ben") as (_, [anna, ben]):
        frames = ben.audio(sample_rate=RATE)

        async def listen() -> int:
            count = 0
            async for _ in frames:
                count += 1
            return count

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.1)
        assert ben.close_cause is None
        assert await anna.kick("ben") == 1
        assert await listening > 1
        assert ben.close_cause is not None and ben.close_cause.reason is CloseReason.KICKED
        assert await ben.closed() == ben.close_cause
        assert str(ben.close_cause) == "closed: kicked by a moderator"
        with pytest.raises(StopAsyncIteration):
            await anext(frames)


@scenario
async def test_what_is_played_counts_and_what_is_cleared_does_not() -> None:
    async with meeting("anna", "ben") as (_, [anna, ben]):
        mic = await anna.publish_audio(sample_rate=RATE, codec="opus")
        heard = ben.audio(sample_rate=RATE)
        assert await mic.play(tone(440, 0.5)) is True
        assert mic.played == pytest.approx(0.5, abs=0.06)

        begins = mic.played
        playing = asyncio.create_task(mic.play(tone(440, 20)))
        behind = asyncio.create_task(mic.play(tone(1_000, 20)))
        await hears(heard, 440)
        mic.clear()
        assert await playing is False and await behind is False
        played = mic.played - begins
        assert 0.1 < played < 3
        await is_silent(heard)
        assert mic.played - begins == pytest.approx(played, abs=0.06)

        # It is of use again, also by `write`, in pieces that are no frames.
        for _ in range(100):
            mic.write(tone(1_000, 0.02))
        await hears(heard, 1_000)


@scenario
async def test_play_that_is_cancelled_stops() -> None:
    async with meeting("anna", "ben") as (_, [anna, ben]):
        mic = await anna.publish_audio(sample_rate=RATE, codec="opus")
        heard = ben.audio(sample_rate=RATE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(mic.play(tone(440, 20)), 0.5)
        assert mic.played < 1
        await is_silent(heard)


@scenario
async def test_pcm_of_any_kind_is_the_same_sound() -> None:
    async with meeting("anna", "ben") as (_, [anna, ben]):
        mic = await anna.publish_audio(sample_rate=RATE, codec="pcmu")
        heard = ben.audio(sample_rate=RATE)
        samples = tone(440, 0.4)
        for pcm in (samples, samples.tobytes(), bytearray(samples.tobytes()), memoryview(samples)):
            await mic.play(pcm)
            await hears(heard, 440)
        for wrong, error in (
            (b"\x00", ValueError),
            (array("f", [0.0, 0.5]), TypeError),
            ("text", TypeError),
            (memoryview(samples.tobytes()).cast("b").cast("h", (len(samples) // 2, 2)), ValueError),
        ):
            with pytest.raises(error):
                mic.write(wrong)  # type: ignore[arg-type]


@scenario
async def test_a_reader_is_read_at_once_or_awaited() -> None:
    async with meeting("anna", "ben") as (_, [_, ben]):
        reader = ben.audio(sample_rate=44_100, frame_ms=10)
        assert reader.read(1_000).pcm == bytes(2_000)
        assert (await anext(reader)).samples == 441
        waiting = asyncio.ensure_future(anext(ben.audio(sample_rate=RATE, frame_ms=1_000)))
        await waiting
        slow = ben.audio(sample_rate=RATE, frame_ms=1_000)
        await anext(slow)
        second = asyncio.ensure_future(anext(slow))
        await asyncio.sleep(0.1)
        with pytest.raises(parlour.ReadError):
            slow.read(10)
        second.cancel()
        with pytest.raises(ValueError, match="11025"):
            ben.audio(sample_rate=11_025)
        with pytest.raises(ValueError, match="1000 ms"):
            ben.audio(frame_ms=1)
        with pytest.raises(ValueError, match="leave one out"):
            ben.audio("anna", slot=0)
        with pytest.raises(parlour.ReadError):
            ben.audio(slot=31)


def test_numpy_reads_and_writes_it_without_a_copy_of_ours() -> None:
    numpy = pytest.importorskip("numpy")

    @scenario
    async def with_numpy() -> None:
        async with meeting("anna", "ben") as (_, [anna, ben]):
            mic = await anna.publish_audio(sample_rate=RATE, codec="opus")
            heard = ben.audio(sample_rate=RATE)
            time = numpy.arange(RATE) / RATE
            playing = asyncio.create_task(mic.play((8_000 * numpy.sin(2 * numpy.pi * 440 * time)).astype("int16")))
            loudest = 0
            for _ in range(30):
                frame = await anext(heard)
                loudest = max(loudest, int(numpy.abs(numpy.frombuffer(frame.pcm, "int16").astype("int32")).max()))
            assert loudest > 6_000
            await playing
            with pytest.raises(TypeError, match="astype"):
                mic.write(numpy.zeros(10))

    with_numpy()


def test_amplitude_finds_its_own_frequency_only() -> None:
    pcm = tone(440, 0.02).tobytes()
    assert amplitude(pcm, 440) > 7_000 and amplitude(pcm, 1_500) < 1_000
