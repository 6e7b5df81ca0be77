"""Says a tone, and listens for its echo: ``python -m parlour.examples.tone TICKET``. Fails if none comes within 10 s."""

from __future__ import annotations

import asyncio
import math
import sys
from array import array

from parlour import AudioCodec, JoinError, Room

RATE = 16_000


async def tone(ticket: str) -> None:
    """Joins, says one second, and returns when it was heard."""
    second = array("h", (int(8_000 * math.sin(math.tau * 440 * n / RATE)) for n in range(RATE)))
    async with await Room.join(ticket) as room:
        mic = await room.publish_audio("tone", sample_rate=RATE, codec=AudioCodec.OPUS)
        heard = room.audio(sample_rate=RATE)
        await mic.play(second)
        print("said one second of a tone", flush=True)
        async for frame in heard:
            if max(memoryview(frame.pcm).cast("h")) > 4_000:
                print("heard it")
                return
    print(room.close_cause)


def main() -> None:
    """The command."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m parlour.examples.tone TICKET")
    try:
        asyncio.run(asyncio.wait_for(tone(sys.argv[1]), 10))
    except TimeoutError:
        sys.exit("heard nothing for 10 s: is the echo in the room?")
    except JoinError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
