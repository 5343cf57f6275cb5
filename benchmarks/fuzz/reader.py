"""What a reader under fire is: how its bad inputs are made, and how one is read. Used by `campaign_fuzz` and tests."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchmarks.fuzz.guard import Guard
from benchmarks.fuzz.pictures import face

Prepared = tuple[st.SearchStrategy[Any], Callable[[Any], Any]]
"""The inputs, and the reading of one; it returns, or raises an EmotionError."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader under fire."""

    name: str
    prepare: Callable[[Guard], Prepared]
    """Lays what is needed into the guard's folders."""
    share: int
    """Inputs of every 1,000 of a campaign."""
    heavy: bool = False
    """Imports MLflow or TensorFlow."""


class WrongAnswerError(AssertionError):
    """A reader took a damaged file and answered something impossible."""


def lay_traps(guard: Guard) -> None:
    """A face, and names that lead out of the folder, in a circle, nowhere, or to a pipe that nobody writes to."""
    inside, outside = guard.inside, guard.outside
    for place in (inside / "face.png", outside / "secret.png", outside / "secret.jpg"):
        place.write_bytes(face())
    for name, target in (("link.png", "../outside/secret.png"), ("linked", "../outside"), ("loop.png", "loop.png")):
        (inside / name).unlink(missing_ok=True)
        (inside / name).symlink_to(target)
    if not (inside / "pipe.png").exists():
        os.mkfifo(inside / "pipe.png")


def written(file: Path, content: bytes) -> Path:
    """The file, holding `content`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file
