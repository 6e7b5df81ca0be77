"""What it does to the process that it is in: threads, the interpreter's lock, memory, the exit."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import RATE, meeting, scenario, tone
from memory import growth

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def threads() -> set[str]:
    return {task.name for task in Path("/proc/self/task").iterdir()}


def run(script: str, first: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a script, and something before it imports the package."""
    parts = [LOOK, first, "from parlour import *", script]
    script = "\n".join(map(textwrap.dedent, parts))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)


LOOK = """
import asyncio, atexit
from pathlib import Path

def threads():
    return sorted(Path(f"{task}/comm").read_text().strip() for task in Path("/proc/self/task").iterdir())

before = threads() if Path("/proc/self/task").exists() else []
"""

EXIT = """
    server = Server("127.0.0.1:0", ApiKey("test", "x" * 32))

    async def main():
        rooms = [await Room.join(server.ticket("kitchen", name)) for name in ("anna", "ben")]
        mic = await rooms[0].publish_audio()
        globals()["kept"] = rooms, mic, server
        waiting = [asyncio.ensure_future(anext(reader)) for reader in (
            rooms[0].events(), rooms[1].messages(), rooms[1].audio())]
        playing = asyncio.create_task(mic.play(bytes(48_000 * 20)))
        await asyncio.sleep(0.2)
        {last}

    asyncio.run(main())
    print("done")
"""


@pytest.mark.parametrize("last", ["pass", "raise SystemExit(0)"])
def test_a_program_that_never_leaves_exits_at_once_and_silently(last: str) -> None:
    begins = time.monotonic()
    ended = run(EXIT.replace("{last}", last))
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert time.monotonic() - begins < 10


@on_linux
def test_no_thread_is_left_at_the_end() -> None:
    ended = run(
        """
        async def main():
            async with Server("127.0.0.1:0", ApiKey("test", "x" * 32)) as server:
                room = await Room.join(server.ticket("kitchen", "anna"))
                await anext(room.audio())
                assert "parlour-asyncio" in threads()
            return room

        room = asyncio.run(main())

        @atexit.register  # the last that is registered is the first that is called
        def before_the_end():
            assert "parlour-asyncio" in threads()
        """,
        # It is the first that is registered.
        first="""
        @atexit.register
        def at_the_end():
            print(threads() == before)
            try:
                asyncio.run(Room.join("parlour://x"))
            except RuntimeError as error:
                print(error)
        """,
    )
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    assert ended.stdout == "True\nPython is exiting\n"


@on_linux
@scenario
async def test_sound_makes_no_threads() -> None:
    async with meeting("anna", "ben") as (_, [anna, ben]):
        mic = await anna.publish_audio(sample_rate=RATE)
        frames = ben.audio(sample_rate=RATE)
        mic.write(tone(440, 4))
        for _ in range(25):
            await anext(frames)
        before = threads()
        for _ in range(75):
            await anext(frames)
        await mic.play(tone(440, 0.1))
        assert threads() == before


@scenario
async def test_others_run_while_sound_is_encoded() -> None:
    async with meeting("anna", "ben") as (_, [anna, _]):
        mic = await anna.publish_audio(sample_rate=48_000, codec="opus")
        sound = tone(440, 30, 48_000)
        turns = 0
        writing = asyncio.create_task(asyncio.to_thread(mic.write, sound))
        while not writing.done():
            await asyncio.sleep(0.001)
            turns += 1
        # With the interpreter's lock held there is one, or two.
        assert turns > 20, f"{turns} turns of the event loop meanwhile"


@on_linux
def test_joins_leave_no_memory_behind() -> None:
    """The full number is that of `tests/memory.py`."""
    assert asyncio.run(growth(200)) < 4_096
