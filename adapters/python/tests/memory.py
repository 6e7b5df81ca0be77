"""Joins, speaks, hears and leaves again and again, and prints how much memory that took: ``python tests/memory.py 10000``.

Server and participants are in this process, so it is the growth of both. Linux only.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from pathlib import Path

from conftest import RATE, serve, tone
from parlour import Room


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def growth(joins: int, report: bool = False) -> float:
    """Bytes per join, of the second half of so many."""
    sound = tone(440, 0.04)
    half, begins = 0, time.monotonic()
    async with serve() as server:
        for n in range(joins):
            async with await Room.join(server.ticket("kitchen", f"p{n}")) as room:
                mic = await room.publish_audio("mic", sample_rate=RATE)
                frames, events, messages = room.audio(sample_rate=RATE, frame_ms=5), room.events(), room.messages()
                mic.write(sound)
                await anext(frames)
                await anext(events)
                del frames, events, messages, mic
            if n + 1 == joins // 2:
                gc.collect()
                half = resident()
            if report and (n + 1) % (joins // 10) == 0:
                print(f"{n + 1} joins: {resident() / 1e6:.1f} MB, {time.monotonic() - begins:.0f} s", flush=True)
        gc.collect()
        return (resident() - half) / (joins - joins // 2)


if __name__ == "__main__":
    print(f"{asyncio.run(growth(int(sys.argv[1]), report=True)):.0f} bytes per join in the second half")
