"""What goes wrong, a class for each kind of operation. The message says what to do."""

from __future__ import annotations

from .names import CloseReason, JoinRefusal, Refusal


class ParlourError(Exception):
    """Any error of this package, but for values that make no sense: those are `ValueError` and `TypeError`."""


class JoinError(ParlourError):
    """A room was not joined."""

    refusal: JoinRefusal | None
    """If the server said no."""
    reason: CloseReason | None
    """If the server closed the connection before the join was complete: denied in the lobby, say."""

    def __init__(self, message: str, refusal: str | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.refusal = None if refusal is None else JoinRefusal(refusal)
        self.reason = None if reason is None else CloseReason(reason)


class RequestError(ParlourError):
    """A request to the server failed."""

    refusal: Refusal | None
    """If the server said no."""

    def __init__(self, message: str, refusal: str | None = None) -> None:
        super().__init__(message)
        self.refusal = None if refusal is None else Refusal(refusal)


class PublishError(RequestError):
    """A stream is not published."""


class WriteError(ParlourError):
    """Audio was not sent."""


class ReadError(ParlourError):
    """There is no such reader, or it is in use."""


class TokenError(ParlourError):
    """A token was not minted, or is not valid."""


class BindError(ParlourError):
    """A server does not run."""


class ModerateError(ParlourError):
    """The server's own moderation failed: there is no such session."""
