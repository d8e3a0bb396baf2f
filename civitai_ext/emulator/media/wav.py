"""WAV files: a melody, or the tones that stand for speech."""

from __future__ import annotations

import io
import math
import random
import struct
import wave
from dataclasses import dataclass

_RATE = 8000
_NOTE = _RATE // 4
_SCALE = (0, 2, 4, 7, 9, 12, 14, 16)


@dataclass(frozen=True)
class Sound:
    """A sound whose notes the seed chooses.

    Attributes:
        seed: Chooses the notes.
        seconds: How long it lasts.
        words: What it stands for, when it stands for speech or singing.

    """

    seed: int
    seconds: float
    words: str = ""

    def render(self) -> bytes:
        """Make the samples and write the file."""
        choose = random.Random(self.seed)  # noqa: S311 - reproducible on purpose
        key = 220 * 2 ** (choose.randrange(12) / 12)
        notes = [_note(key * 2 ** (step / 12)) for step in _SCALE]
        count = round(self.seconds * _RATE)
        samples = b"".join(choose.choice(notes) for _ in range(count // _NOTE + 1))[: 2 * count]
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as made:
            made.setnchannels(1)
            made.setsampwidth(2)
            made.setframerate(_RATE)
            made.writeframes(samples)
        return buffer.getvalue()


def length(content: bytes) -> float:
    """Tell how many seconds a WAV file lasts.

    >>> length(Sound(1, 1.5).render())
    1.5

    Raises:
        ValueError: The bytes are no WAV file.

    """
    try:
        with wave.open(io.BytesIO(content)) as read:
            return float(read.getnframes()) / float(read.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError) as error:
        raise ValueError("not a WAV file") from error


def _note(pitch: float) -> bytes:
    turn = 2 * math.pi * pitch / _RATE
    # Each note fades out, so that no click is heard between two.
    values = (round(9000 * (1 - place / _NOTE) * math.sin(turn * place)) for place in range(_NOTE))
    return struct.pack(f"<{_NOTE}h", *values)
