"""A data folder's listing: its files, where links lead, and one signature of all. Used by the readers.

Directories are listed once, with `os.scandir`; no reader asks the file system about a single file.
"""

import hashlib
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from emotion_mlflow.errors import DataError

_OUTSIDE = "a path inside the data folder"


class FileFact(NamedTuple):
    """What the listing tells of one file. A tuple: a large set has over a million, made at every start."""

    size: int
    modified: int
    """Nanoseconds."""
    target: str
    """Where a symbolic link leads; "" for a plain file."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a manifest was made from: the files in `directories` that end in a suffix, and tables."""

    directories: tuple[str, ...]
    suffixes: tuple[str, ...]
    tables: tuple[str, ...] = ()


class Folder:
    """One data folder. Paths are relative to its root, with slashes."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._base = os.path.realpath(self.root)
        self._listings: dict[str, dict[str, FileFact] | DataError] = {}
        self._lock = Lock()

    @property
    def directories(self) -> tuple[str, ...]:
        """Those listed so far, absent ones too: a file that appears there later changes the signature."""
        return tuple(sorted(self._listings))

    def files(self, directory: str) -> dict[str, FileFact]:
        """The files straight in `directory`; none where there is none. DataError: it lies outside."""
        found = self._listings.get(directory)
        if found is None:
            with self._lock:
                found = self._listings.get(directory)
                if found is None:
                    found = self._listings[directory] = self._scan(directory)
        if isinstance(found, DataError):
            raise DataError(found.expected, got=found.got, where=found.where)
        return found

    def has(self, path: str) -> bool:
        """Whether the listing holds `path`. DataError where it is not inside the folder."""
        directory, name = posixpath.split(_clean(path))
        return name in self.files(directory)

    def locate(self, path: str) -> str:
        """The same path, cleaned. DataError: no such file, or one that is not inside the folder."""
        clean, fact = self._inside(path)
        if fact is None:
            raise DataError("a file", got="none there", where=path[:200] or "an empty path")
        return clean

    def inside(self, path: str) -> str:
        """The same path, cleaned, whether there is a file or not. DataError where it leads out of the folder."""
        return self._inside(path)[0]

    def _inside(self, path: str) -> tuple[str, FileFact | None]:
        clean = _clean(path)
        directory, name = posixpath.split(clean)
        fact = self.files(directory).get(name)
        if fact is not None and fact.target and not self._holds(fact.target):
            raise DataError(_OUTSIDE, got=f"a link to {fact.target}", where=path[:200])
        return clean, fact

    def full(self, path: str) -> str:
        return f"{self._base}{os.sep}{path}"

    def signature(self, watch: Watch) -> str:
        """32 hex digits over the name, size and time of every watched file."""
        digest = hashlib.sha256()
        for directory in watch.directories:
            try:
                files, state = self.files(directory), ""
            except DataError as error:
                files, state = {}, str(error)
            lines = [
                f"{name}\t{fact.size}\t{fact.modified}\t{fact.target}"
                for name, fact in files.items()
                if name.endswith(watch.suffixes)
            ]
            lines.sort()
            digest.update(f"{directory}\0{state}{len(lines)}\n".encode(errors="surrogateescape"))
            digest.update("\n".join(lines).encode(errors="surrogateescape"))
        for table in watch.tables:
            digest.update(f"{table}\t{self._table_fact(table)}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()[:32]

    def _table_fact(self, table: str) -> FileFact | None:
        directory, name = posixpath.split(table)
        return self.files(directory).get(name)

    def _scan(self, directory: str) -> dict[str, FileFact] | DataError:
        """An unusable folder is remembered like any other, so that its mending is noticed."""
        place = self.full(directory) if directory else self._base
        try:
            real = os.path.realpath(place)
        except ValueError:  # a NUL in a name
            return {}
        if not self._holds(real):
            return DataError(_OUTSIDE, got=f"a link to {real}", where=directory)
        try:
            with os.scandir(place) as entries:
                return {entry.name: fact for entry in entries if (fact := _fact(entry)) is not None}
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}
        except OSError as error:
            return DataError("a readable folder", got=error.strerror, where=directory)

    def _holds(self, real: str) -> bool:
        return real == self._base or real.startswith(self._base.rstrip(os.sep) + os.sep)


def _clean(path: str) -> str:
    """The path without `.` and double slashes. DataError where it is absolute or climbs."""
    parts = path.replace("\\", "/").split("/")
    if (parts[0] == "" and len(parts) > 1) or path[1:2] == ":" or ".." in parts:
        raise DataError(_OUTSIDE, got=path[:200])
    return posixpath.normpath(path)


def _fact(entry: "os.DirEntry[str]") -> FileFact | None:
    """None for directories and for links that lead nowhere."""
    try:
        link = entry.is_symlink()
        if not entry.is_file():
            return None
        status = entry.stat()
    except OSError:
        return None
    return FileFact(status.st_size, status.st_mtime_ns, os.path.realpath(entry.path) if link else "")
