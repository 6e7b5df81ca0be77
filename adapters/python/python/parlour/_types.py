"""How the compiled module says things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer

    PcmLike: TypeAlias = Buffer
    """Mono PCM: ``bytes`` of 16-bit integers, ``array("h")``, ``memoryview``, or an array of numpy's ``int16``."""

Described: TypeAlias = tuple[str, list[Any]]
"""The name of a class and its fields."""

Stream: TypeAlias = tuple[str, str]
"""Participant and key."""

Frame: TypeAlias = tuple[bytes, Stream | None]
"""PCM, and the stream that is heard."""

Participant: TypeAlias = tuple[
    str, str, str, bool, dict[str, bytes], list[tuple[str, str, str, bool]], bool, int | None
]
"""In the order of the fields of `parlour.Participant`; of each stream key, kind, codec, muted."""

Cause: TypeAlias = tuple[str | None, str | None, str]
"""Names of reason and refusal, and the message."""

Statistics: TypeAlias = tuple[float | None, int, int, int | None, float, int | None, int | None]
"""In the order of the fields of `parlour.Statistics`."""

Claims: TypeAlias = tuple[str, str, str, int, bool, int | None, int | None, int]
"""In the order of the fields of `parlour.Claims`."""
