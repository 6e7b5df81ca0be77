"""Repeats what it hears, two seconds later: ``python -m parlour.examples.echo TICKET``."""

from __future__ import annotations

import asyncio
import sys
from collections import deque

from parlour import JoinError, Room

RATE = 24_000
DELAY = 100  # frames of 20 ms


async def echo(ticket: str) -> None:
    """Joins, and repeats until the room is closed."""
    async with await Room.join(ticket) as room:
        print(f"in the room as {room.me}, with {len(room.participants)} others", flush=True)
        mic = await room.publish_audio("echo", sample_rate=RATE)
        waiting: deque[bytes] = deque()
        async for frame in room.audio(sample_rate=RATE):
            waiting.append(frame.pcm)
            if len(waiting) > DELAY:
                mic.write(waiting.popleft())
    print(room.close_cause)


def main() -> None:
    """The command."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m parlour.examples.echo TICKET")
    try:
        asyncio.run(echo(sys.argv[1]))
    except JoinError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
