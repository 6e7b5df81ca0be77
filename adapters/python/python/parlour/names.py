"""The words of the protocol. Each is also a plain string: ``CloseReason.KICKED == "kicked"``."""

from __future__ import annotations

from enum import Enum, IntFlag, StrEnum


class CloseReason(StrEnum):
    """Why a participant is no longer in the session."""

    LEFT = "left"
    KICKED = "kicked"
    SESSION_ENDED = "session_ended"
    REPLACED = "replaced"
    TOKEN_EXPIRED = "token_expired"
    ROOM_FULL = "room_full"
    CONNECTION_LOST = "connection_lost"
    SERVER_SHUTDOWN = "server_shutdown"
    PROTOCOL_ERROR = "protocol_error"
    DENIED = "denied"
    ALONE_TOO_LONG = "alone_too_long"
    SESSION_TOO_LONG = "session_too_long"


class JoinRefusal(StrEnum):
    """Why the server refuses a join."""

    INVALID_TOKEN = "invalid_token"
    TOKEN_EXPIRED = "token_expired"
    WRONG_ROOM = "wrong_room"
    ROOM_FULL = "room_full"
    KICKED = "kicked"
    DENIED = "denied"
    SESSION_ENDED = "session_ended"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    REPLACED = "replaced"
    TOO_OFTEN = "too_often"
    UNKNOWN_ROOM = "unknown_room"
    ROOM_DISABLED = "room_disabled"
    BANNED = "banned"
    TOKEN_REVOKED = "token_revoked"
    DUPLICATE_PARTICIPANT = "duplicate_participant"


class Refusal(StrEnum):
    """Why the server refuses a request."""

    NOT_PERMITTED = "not_permitted"
    UNKNOWN_PARTICIPANT = "unknown_participant"
    UNKNOWN_STREAM = "unknown_stream"
    ALREADY_PUBLISHED = "already_published"
    TOO_MANY_STREAMS = "too_many_streams"
    CODEC_MISMATCH = "codec_mismatch"
    TOO_MANY_SUBSCRIPTIONS = "too_many_subscriptions"
    RATE_LIMITED = "rate_limited"
    INVALID_TOKEN = "invalid_token"
    FLOOR_TAKEN = "floor_taken"
    FLOOR_NOT_HELD = "floor_not_held"
    MIX_UNAVAILABLE = "mix_unavailable"
    MESSAGE_TOO_LONG = "message_too_long"
    TOO_MANY_ATTRIBUTES = "too_many_attributes"


class ConnectionState(StrEnum):
    """Whether a participant is in touch with the server."""

    CONNECTED = "connected"
    RECONNECTING = "reconnecting"


class ReconnectCause(StrEnum):
    """Why the connection is restored."""

    SILENCE = "silence"
    RESET = "reset"
    NETWORK_CHANGED = "network_changed"
    REDIRECTED = "redirected"
    KEYS_EXHAUSTED = "keys_exhausted"


class StreamKind(StrEnum):
    """What a stream is of."""

    AUDIO = "audio"
    VIDEO = "video"
    SCREEN = "screen"


class Codec(StrEnum):
    """How a stream is coded."""

    OPUS = "opus"
    PCMU = "pcmu"
    PCMA = "pcma"
    VP8 = "vp8"
    H264 = "h264"
    JPEG = "jpeg"


class AudioCodec(StrEnum):
    """How audio that is written is coded."""

    OPUS_VOICE = "opus_voice"
    """Opus at 32 kb/s that does not send silence. After about a second it takes a steady tone for background noise."""
    OPUS = "opus"
    """Opus at 32 kb/s that sends everything: for music and test tones."""
    PCMU = "pcmu"
    """G.711 µ-law."""
    PCMA = "pcma"
    """G.711 A-law."""


class SubscribePolicy(StrEnum):
    """Which audio streams a participant hears without asking for each."""

    ALL = "all"
    NONE = "none"
    MIX = "mix"
    MIX_PCMU = "mix_pcmu"


class Transport(StrEnum):
    """How packets travel."""

    AUTO = "auto"
    """By UDP, or by TCP and WebSocket where UDP is not answered. Only for joining."""
    UDP = "udp"
    TCP = "tcp"
    WEBSOCKET = "websocket"


class Everybody(Enum):
    """All others: whom a moderation concerns, or a message goes to."""

    ALL = "all"


ALL = Everybody.ALL
"""All others: ``await room.kick(parlour.ALL)``."""


class Grants(IntFlag):
    """The rights that a token gives its bearer."""

    PUBLISH_AUDIO = 1 << 0
    PUBLISH_VIDEO = 1 << 1
    PUBLISH_SCREEN = 1 << 2
    SUBSCRIBE = 1 << 3
    SEND_MESSAGES = 1 << 4
    REQUEST_FLOOR = 1 << 5
    KICK = 1 << 6
    CENSOR = 1 << 7
    END_SESSION = 1 << 8
    ADMIT = 1 << 9
    SET_ATTRIBUTES = 1 << 10

    PARTICIPANT = PUBLISH_AUDIO | PUBLISH_VIDEO | PUBLISH_SCREEN | SUBSCRIBE | SEND_MESSAGES | REQUEST_FLOOR
    """An ordinary party of a meeting."""
    MODERATOR = KICK | CENSOR | END_SESSION | ADMIT | SET_ATTRIBUTES
    """The additional rights of a moderator."""
