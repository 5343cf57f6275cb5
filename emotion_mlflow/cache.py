"""What is kept between runs - manifests, pixels, features, drawn faces, checkpoints - and its size limit."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from emotion_mlflow.errors import ConfigError

SECTIONS = ("manifests", "pixels", "features", "demo", "checkpoints")
TRIMMED = {"manifests": "*.parquet", "pixels": "*.npy", "features": "*/*.npy", "demo": "[!.]*"}
"""What goes of each section when the cache is full, unused for longest first; it can always be made again."""
BESIDE = ".txt"
"""Of a kept file's companion, which goes with it: the content hashes of features."""
UNFINISHED = 24 * 3600.0
"""Seconds after which a part of a file is what a killed write left."""
ABANDONED = 30 * 24 * 3600.0
"""Seconds without a new epoch after which the checkpoints of an unfinished run go too, last of all."""

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
    """Bytes removed so that the cache keeps below `limit_gb`: what was unused for longest first, checkpoints last.

    Checkpoints of runs that may still go on stay, whatever the limit; what killed writes left always goes.
    """
    excess = sum(sizes(cache_dir).values()) - limit_gb * 1e9
    removed = sum(_unlinked(part) for part in _left_over(cache_dir))
    known = [place for name, pattern in TRIMMED.items() for place in (cache_dir / name).glob(pattern)]
    runs = [run for run in (cache_dir / "checkpoints").glob("*") if run.is_dir()]  # beside them lie locks of cells
    abandoned = [run for run in runs if time.time() - _last_used(run) > ABANDONED]
    for place in (*sorted(known, key=_last_used), *sorted(abandoned, key=_last_used)):
        if removed >= excess:
            break
        if place.is_dir():
            removed += sum(facts.st_size for _, facts in _files(place))
            shutil.rmtree(place, ignore_errors=True)
        else:
            removed += sum(_unlinked(file) for file in (place, place.with_suffix(BESIDE)))
    return removed


def _left_over(cache_dir: Path) -> list[Path]:
    parts = [part for name in TRIMMED for part in (cache_dir / name).rglob("*.part")]
    return [part for part in parts if time.time() - _last_used(part) > UNFINISHED]


def _unlinked(file: Path) -> int:
    """Bytes of the file, which is gone now; 0 where it was before."""
    with contextlib.suppress(FileNotFoundError):
        size = file.stat().st_size
        file.unlink()
        return size
    return 0


def _last_used(place: Path) -> float:
    """Time of a file or folder; 0 where another run has removed it meanwhile."""
    try:
        return place.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def clear(cache_dir: Path) -> int:
    """Bytes removed: every section goes, nothing else in the folder is touched. ConfigError where some of it stays."""
    if cache_dir.exists() and not cache_dir.is_dir():
        raise ConfigError("a folder", got="a file", where=f"--cache-dir {cache_dir}")
    before = sum(sizes(cache_dir).values())
    for name in SECTIONS:
        shutil.rmtree(cache_dir / name, ignore_errors=True)
    left = sum(sizes(cache_dir).values())
    if left:
        got = f"{left:,} of {before:,} bytes that may not"
        raise ConfigError("files that may be removed", got=got, where=f"--cache-dir {cache_dir}")
    return before


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file below a folder, which may be absent; one that another run removes meanwhile is passed over."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            with contextlib.suppress(FileNotFoundError):
                yield file, file.lstat()
