"""What is kept between runs - manifests, pixels, features, drawn faces, checkpoints - and its size limit."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from emotion_mlflow.errors import ConfigError

SECTIONS = ("manifests", "pixels", "features", "demo", "checkpoints")
TRIMMED = ("pixels", "features")
"""Sections whose oldest files go when the cache is full; they can always be made again."""

DEFAULT_LIMIT = 40.0
"""GB."""


def default_cache_dir() -> Path:
    """The user's cache folder for this program."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("emotion-mlflow"))


def sizes(cache_dir: Path) -> dict[str, int]:
    """Bytes of each section."""
    return {name: sum(facts.st_size for _, facts in _files(cache_dir / name)) for name in SECTIONS}


def trim(cache_dir: Path, *, limit_gb: float) -> int:
    """Bytes removed so that the cache keeps below `limit_gb`, files unused for longest first."""
    excess = sum(sizes(cache_dir).values()) - limit_gb * 1e9
    removed = 0
    files = [found for name in TRIMMED for found in _files(cache_dir / name) if found[0].suffix == ".npy"]
    for file, facts in sorted(files, key=lambda found: found[1].st_mtime):
        if removed >= excess:
            break
        removed += facts.st_size
        file.unlink(missing_ok=True)
    return removed


def clear(cache_dir: Path) -> int:
    """Bytes removed: every section goes, nothing else in the folder is touched."""
    if cache_dir.exists() and not cache_dir.is_dir():
        raise ConfigError("a folder", got="a file", where=f"--cache-dir {cache_dir}")
    removed = sum(sizes(cache_dir).values())
    for name in SECTIONS:
        shutil.rmtree(cache_dir / name, ignore_errors=True)
    return removed


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file below a folder, which may be absent; one that another run removes meanwhile is passed over."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            with contextlib.suppress(FileNotFoundError):
                yield file, file.lstat()
