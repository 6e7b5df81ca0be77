"""Tokens: permission to join a room, and the grants there."""

from __future__ import annotations

from collections.abc import Iterable

from . import _parlour
from .names import Grants
from .values import Claims

ApiKey = _parlour.ApiKey


def mint_token(
    key: ApiKey,
    room: str,
    participant: str,
    *,
    name: str = "",
    grants: Grants = Grants.PARTICIPANT,
    lobby: bool = False,
    lifetime: float = 3600.0,
) -> str:
    """Makes a token. Needs no server: only the API key.

    A ticket is the server's `Server.ticket_base`, a ``#`` and a token.

    :param name: the name shown to others
    :param lobby: whether its bearer has to wait until a moderator admits it
    :param lifetime: seconds for which it is valid
    :raises ValueError: room, participant or name is not one
    :raises TokenError: the token would be too long
    """
    return _parlour.mint_token(key, room, participant, name, int(grants), lobby, lifetime)


def verify_token(token: str, keys: Iterable[ApiKey]) -> Claims:
    """Verifies a token, and says what it says.

    :raises TokenError: it is not valid; the message says why
    """
    room, participant, name, grants, lobby, not_before, issued, expires = _parlour.verify_token(token, list(keys))
    return Claims(room, participant, name, Grants(grants), lobby, not_before, issued, expires)
