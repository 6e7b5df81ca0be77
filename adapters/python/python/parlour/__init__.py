"""Real-time audio rooms: take part in one, mint tickets, and run the server.

::

    import asyncio, sys
    from parlour import Room

    async def main(ticket: str) -> None:
        async with await Room.join(ticket) as room:
            async for frame in room.audio(sample_rate=16_000):
                ...  # frame.pcm: 20 ms of everybody else, as 16-bit mono

    asyncio.run(main(sys.argv[1]))

``docs/PYTHON.md`` of the repository is the guide.
"""

import atexit

from . import _parlour
from .audio import AudioReader, AudioWriter
from .errors import (
    BindError,
    JoinError,
    ModerateError,
    ParlourError,
    PublishError,
    ReadError,
    RequestError,
    TokenError,
    WriteError,
)
from .events import (
    AttributeChanged,
    Censored,
    Closed,
    ConnectionChanged,
    CountChanged,
    Event,
    EventsMissed,
    FloorChanged,
    GrantsChanged,
    Joined,
    KnockEnded,
    Knocked,
    Lagged,
    LobbyChanged,
    LossyMessage,
    MainChanged,
    Message,
    MessagesMissed,
    PacketsDropped,
    ParticipantHidden,
    ParticipantJoined,
    ParticipantLeft,
    PolicyRefused,
    PresenterChanged,
    Published,
    PublishRefused,
    Reconnecting,
    RecordingChanged,
    RedirectEnded,
    SpeakerChanged,
    SpeakingStarted,
    SpeakingStopped,
    StreamMuted,
    StreamPublished,
    StreamUnpublished,
    Synchronized,
    TokenExpiring,
    TransportChanged,
    UnknownEvent,
    WaitingInLobby,
)
from .names import (
    ALL,
    AudioCodec,
    CloseReason,
    Codec,
    ConnectionState,
    Everybody,
    Grants,
    JoinRefusal,
    ReconnectCause,
    Refusal,
    StreamKind,
    SubscribePolicy,
    Transport,
)
from .room import Events, Messages, Room
from .server import Server, ServerParticipant
from .tokens import ApiKey, mint_token, verify_token
from .values import AudioFrame, Claims, CloseCause, Lobby, Participant, Statistics, Stream, StreamRef, Waiting

# Before Python takes itself apart: what runs on other threads would still want to hand it results.
atexit.register(_parlour.shutdown)

__all__ = [
    "ALL",
    "ApiKey",
    "AttributeChanged",
    "AudioCodec",
    "AudioFrame",
    "AudioReader",
    "AudioWriter",
    "BindError",
    "Censored",
    "Claims",
    "CloseCause",
    "CloseReason",
    "Closed",
    "Codec",
    "ConnectionChanged",
    "ConnectionState",
    "CountChanged",
    "Event",
    "Events",
    "EventsMissed",
    "Everybody",
    "FloorChanged",
    "Grants",
    "GrantsChanged",
    "JoinError",
    "JoinRefusal",
    "Joined",
    "KnockEnded",
    "Knocked",
    "Lagged",
    "Lobby",
    "LobbyChanged",
    "LossyMessage",
    "MainChanged",
    "Message",
    "Messages",
    "MessagesMissed",
    "ModerateError",
    "PacketsDropped",
    "ParlourError",
    "Participant",
    "ParticipantHidden",
    "ParticipantJoined",
    "ParticipantLeft",
    "PolicyRefused",
    "PresenterChanged",
    "PublishError",
    "PublishRefused",
    "Published",
    "ReadError",
    "ReconnectCause",
    "Reconnecting",
    "RecordingChanged",
    "RedirectEnded",
    "Refusal",
    "RequestError",
    "Room",
    "Server",
    "ServerParticipant",
    "SpeakerChanged",
    "SpeakingStarted",
    "SpeakingStopped",
    "Statistics",
    "Stream",
    "StreamKind",
    "StreamMuted",
    "StreamPublished",
    "StreamRef",
    "StreamUnpublished",
    "SubscribePolicy",
    "Synchronized",
    "TokenError",
    "TokenExpiring",
    "Transport",
    "TransportChanged",
    "UnknownEvent",
    "Waiting",
    "WaitingInLobby",
    "WriteError",
    "mint_token",
    "verify_token",
]
