"""A server on this machine, and two tickets for a try: ``python -m parlour.examples.server``. Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import secrets

from parlour import ApiKey, Server


async def serve() -> None:
    """Serves until it is cancelled."""
    async with Server("127.0.0.1:0", ApiKey("try", secrets.token_hex(32)), workers=1) as server:
        for participant in ("echo", "you"):
            print(f"ticket for {participant}: '{server.ticket('kitchen', participant)}'", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """The command."""
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
