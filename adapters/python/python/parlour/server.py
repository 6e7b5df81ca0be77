"""The room server, in this process: for tests, and for applications that bring their own."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike, fspath
from types import TracebackType
from typing import NamedTuple

from . import _parlour
from .names import ALL, Grants
from .room import Whom, ids_of
from .tokens import ApiKey


class ServerParticipant(NamedTuple):
    """A participant of a session, as the server knows it."""

    id: str
    name: str
    censored: bool


class Server:
    """A running room server::

        async with Server("127.0.0.1:0", ApiKey("my-app", secret)) as server:
            room = await Room.join(server.ticket("kitchen", "anna"))

    It has threads of its own, and needs no event loop until it is shut down.
    """

    def __init__(
        self,
        address: str,
        key: ApiKey | Iterable[ApiKey],
        *,
        host: str | None = None,
        key_file: str | PathLike[str] | None = None,
        workers: int | None = None,
        mix: bool = False,
    ) -> None:
        """Starts it.

        :param address: ``ip:port`` of the first worker, for UDP and TCP; worker ``n`` listens ``n`` ports further. Port 0: any
            that is free
        :param key: the API keys whose tokens are accepted; the first one signs this server's tickets
        :param host: the name by which participants reach this machine: what tickets say
        :param key_file: the file of the private key, made if it is missing. Without it, every start makes former tickets invalid
        :param workers: threads that serve rooms; by default one per processor
        :param mix: whether it mixes for participants whose policy is `SubscribePolicy.MIX`
        :raises BindError: the address is in use, or another reason that the message tells
        """
        keys = [key] if isinstance(key, ApiKey) else list(key)
        self._server = _parlour.Server(
            address, keys, host, None if key_file is None else fspath(key_file), workers, mix
        )

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.shutdown()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The address of each worker."""
        return self._server.addresses

    @property
    def ticket_base(self) -> str:
        """All of a ticket but ``#`` and the token."""
        return self._server.ticket_base

    def ticket(
        self,
        room: str,
        participant: str,
        *,
        name: str = "",
        grants: Grants = Grants.PARTICIPANT,
        lobby: bool = False,
        lifetime: float = 3600.0,
    ) -> str:
        """A ticket: all that joining needs, as one string. The parameters are those of `mint_token`.

        :raises ValueError: room, participant or name is not one
        :raises BindError: the server is shut down
        """
        return self._server.ticket(room, participant, name, int(grants), lobby, lifetime)

    async def participants(self, room: str) -> list[ServerParticipant]:
        """Those in the session of a room, in the order of their ids; none if there is no session."""
        return [ServerParticipant(*present) for present in await self._server.participants(room)]

    async def kick(self, room: str, whom: Whom) -> list[str]:
        """Removes participants from the session for good; gives the ids of those who were there.

        :raises ModerateError: there is no session in that room
        """
        return await self._server.moderate("kick", room, ids_of(whom))

    async def censor(self, room: str, whom: Whom) -> list[str]:
        """Silences participants, also when they join the session anew.

        :raises ModerateError:
        """
        return await self._server.moderate("censor", room, ids_of(whom))

    async def uncensor(self, room: str, whom: Whom) -> list[str]:
        """Lifts that.

        :raises ModerateError:
        """
        return await self._server.moderate("uncensor", room, ids_of(whom))

    async def admit(self, room: str, whom: Whom) -> list[str]:
        """Lets participants in from the lobby.

        :raises ModerateError:
        """
        return await self._server.moderate("admit", room, ids_of(whom))

    async def deny(self, room: str, whom: Whom) -> list[str]:
        """Turns participants in the lobby away.

        :raises ModerateError:
        """
        return await self._server.moderate("deny", room, ids_of(whom))

    async def end_session(self, room: str) -> None:
        """Ends the session in a room for everybody.

        :raises ModerateError:
        """
        await self._server.end_session(room)

    async def record(self, room: str, recorded: bool = True) -> None:
        """Tells everybody in the session of a room that you record it, or no longer do. Say so before you begin.

        :raises ModerateError: there is no session in that room
        """
        await self._server.record(room, recorded)

    async def send_message(
        self, room: str, body: bytes | str, *, sender: str, topic: str = "chat", to: Whom = ALL
    ) -> int:
        """Sends a message of at most 640 bytes, with ``sender`` as the sender that participants see.

        :return: to how many it went
        :raises ModerateError:
        """
        body = body.encode() if isinstance(body, str) else body
        return await self._server.send_message(room, sender, ids_of(to), topic, body)

    async def shutdown(self) -> None:
        """Tells everybody that the server shuts down, waits at most a second until they know, and ends its threads."""
        await self._server.shutdown()
