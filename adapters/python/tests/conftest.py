"""A server in this process, and sound that can be told apart. Nothing leaves this machine."""

from __future__ import annotations

import asyncio
import functools
import math
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from parlour import AudioReader, Grants, Room, Server
from parlour.tokens import ApiKey

RATE = 16_000
FRAME = RATE // 50
SECRET = "c2VjcmV0IG9mIGF0IGxlYXN0IDMyIGJ5dGVz"


def scenario(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test that is a coroutine, with an event loop of its own and half a minute."""

    @functools.wraps(test)
    def run() -> None:
        async def bounded() -> None:
            await asyncio.wait_for(test(), 30)

        asyncio.run(bounded())

    return run


def serve() -> Server:
    return Server("127.0.0.1:0", ApiKey("test", SECRET), workers=1)


@asynccontextmanager
async def meeting(
    *names: str, grants: Grants = Grants.PARTICIPANT | Grants.MODERATOR
) -> AsyncIterator[tuple[Server, list[Room]]]:
    """A server, and participants with these names in its room ``kitchen`` who know each other."""
    async with serve() as server:
        rooms = [await Room.join(server.ticket("kitchen", name, grants=grants)) for name in names]
        await until(lambda: all(len(room.participants) == len(names) - 1 for room in rooms))
        try:
            yield server, rooms
        finally:
            await asyncio.gather(*(room.leave() for room in rooms))


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds; the test's time is the limit."""
    while not holds():
        await asyncio.sleep(0.01)


def tone(hz: float, seconds: float, rate: int = RATE) -> array[int]:
    return array("h", (int(8_000 * math.sin(math.tau * hz * n / rate)) for n in range(int(rate * seconds))))


def amplitude(pcm: bytes, hz: float, rate: int = RATE) -> float:
    """How strong a frequency is in it, by Goertzel's algorithm."""
    samples = memoryview(pcm).cast("h")
    k = 2 * math.cos(math.tau * hz / rate)
    one = two = 0.0
    for sample in samples:
        one, two = sample + k * one - two, one
    power = one * one + two * two - k * one * two
    return 2 * math.sqrt(max(power, 0.0)) / max(len(samples), 1)


async def hears(reader: AudioReader, hz: float) -> None:
    """Returns when a tone, and no other an octave above, has been heard for 200 ms."""
    heard = 0
    async for frame in reader:
        is_tone = amplitude(frame.pcm, hz) > 3_000 and amplitude(frame.pcm, 2 * hz) < 1_000
        heard = heard + 1 if is_tone else 0
        if heard == 10:
            return
    raise AssertionError("the room was closed")


async def is_silent(reader: AudioReader) -> None:
    """Returns when nothing has been heard for 300 ms, but the noise that conceals a pause: 23 dB below these tones."""
    quiet = 0
    async for frame in reader:
        quiet = quiet + 1 if max(map(abs, memoryview(frame.pcm).cast("h"))) < 1_000 else 0
        if quiet == 15:
            return
    raise AssertionError("the room was closed")
