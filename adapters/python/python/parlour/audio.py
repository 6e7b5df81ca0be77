"""Sound in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from . import _parlour, _types
from .values import AudioFrame, StreamRef


class AudioReader(AsyncIterator[AudioFrame]):
    """What is heard, as frames of PCM. `Room.audio` makes it.

    ``async for`` gives frames at the pace of the machine's clock, and ends when the participation ends;
    `Room.close_cause` then says why. Missing packets are concealed. Unread audio waits in a jitter buffer for half a
    second; what is older is dropped.
    """

    def __init__(self, reader: _parlour.AudioReader, sample_rate: int) -> None:
        self._reader = reader
        self._sample_rate = sample_rate

    @property
    def sample_rate(self) -> int:
        """Samples per second."""
        return self._sample_rate

    def _frame(self, frame: _types.Frame) -> AudioFrame:
        pcm, stream = frame
        return AudioFrame(pcm, self._sample_rate, None if stream is None else StreamRef(*stream))

    def __aiter__(self) -> AudioReader:
        return self

    async def __anext__(self) -> AudioFrame:
        return self._frame(await self._reader.next_frame())

    def read(self, samples: int) -> AudioFrame:
        """The next so many samples to play, at once. For the callback of a sound card, whose clock then sets the pace.

        :raises ReadError: an ``async for`` waits for the same reader
        """
        return self._frame(self._reader.read(samples))


class AudioWriter:
    """An audio stream of one's own. `Room.publish_audio` makes it, and it is published as long as this object lives.

    It takes mono PCM: ``bytes`` of 16-bit integers in this machine's order, ``array("h")``, a ``memoryview`` of either, or an array
    of numpy's ``int16``.
    """

    def __init__(self, writer: _parlour.AudioWriter, sample_rate: int) -> None:
        self._writer = writer
        self._sample_rate = sample_rate
        self._played = 0.0

    @property
    def key(self) -> str:
        """Its name among one's own streams."""
        return self._writer.key

    @property
    def sample_rate(self) -> int:
        """Samples per second of the PCM that it takes."""
        return self._sample_rate

    @property
    def played(self) -> float:
        """How many seconds have been heard so far, as far as this end can tell. Audio that was cleared does not count."""
        played = self._writer.played
        if played is not None:
            self._played = played
        return self._played

    def write(self, pcm: _types.PcmLike) -> None:
        """Takes PCM from a source that has a clock, such as a microphone, in pieces of any length. Never waits.

        Up to a minute of sound waits to be sent at its pace; of more, the oldest is dropped. Encoding happens in this call: a
        file is better played.

        :raises WriteError: the room is closed, or the stream is not published any more
        """
        self._writer.write(pcm)

    async def play(self, pcm: _types.PcmLike, *, ahead: float = 0.0) -> bool:
        """Plays PCM of any length at its pace; returns when all but its last 40 ms has been heard, or at `clear`.

        Calls that follow each other leave no gap; calls at the same time take turns. A task that is cancelled meanwhile stops, but
        up to 200 ms that was handed over is still sent: to be silent at once, `clear`.

        :param ahead: seconds of the sound that may still wait when it returns: for a source that makes the next piece only then, and
            may be late
        :return: whether it was played whole; false if it was cleared
        :raises WriteError: the room is closed, or the stream is not published any more
        """
        return await self._writer.play(pcm, ahead)

    def clear(self) -> None:
        """Drops what is not sent yet, and ends all calls of `play`. A listener hears at most what its jitter buffer holds.

        :raises WriteError: the stream is not published any more
        """
        self._writer.clear()

    def set_voice(self, voice: bool) -> None:
        """Says whether what is written from now on is a voice. Sound that is none does not make this participant a speaker.

        :raises WriteError: the stream is not published any more
        """
        self._writer.set_voice(voice)

    async def set_muted(self, muted: bool) -> None:
        """Silences the stream, or lets it be heard again.

        :raises RequestError:
        """
        await self._writer.set_muted(muted)

    def unpublish(self) -> None:
        """Ends the stream. What was not sent yet is dropped."""
        _ = self.played
        self._writer.unpublish()
