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


def run(script: str) -> subprocess.CompletedProcess[str]:
    script = "import asyncio, sys\nfrom pathlib import Path\nfrom parlour import *\n" + textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)


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
        from parlour import _parlour

        def threads():
            return sorted(Path(f"{task}/comm").read_text().strip() for task in Path("/proc/self/task").iterdir())

        before = threads()

        async def main():
            async with Server("127.0.0.1:0", ApiKey("test", "x" * 32)) as server:
                async with await Room.join(server.ticket("kitchen", "anna")) as room:
                    await anext(room.audio())
            assert "parlour-asyncio" in threads()

        asyncio.run(main())
        _parlour.shutdown()  # what Python calls when it exits
        assert threads() == before, threads()
        try:
            asyncio.run(Room.join("parlour://x"))
        except RuntimeError as error:
            print(error)
        """
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "Python is exiting\n"


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
