"""A set of faces by the name a user gives: `demo`, a folder or a table. Used by the job and the command line."""

from collections.abc import Callable
from pathlib import Path

from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.read import read
from emotion_mlflow.places import expanded, in_full

DEMO = "demo"


def from_anywhere(data: str) -> str:
    """The set's name as it holds from another folder too: `demo`, or the whole path."""
    return data if data == DEMO else str(in_full(data, "--data"))


def open_set(
    data: str,
    *,
    data_format: str,
    cache_dir: Path,
    fresh: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """The manifest of `data`, not cut yet; `fresh` reads every byte again. DataError where it cannot be read."""
    if data == DEMO:
        from emotion_mlflow.data.demo import demo_manifest

        return demo_manifest(cache_dir / "demo", fresh=fresh, progress=progress)
    return read(expanded(data), data_format=data_format, cache_dir=cache_dir, fresh=fresh, progress=progress)
