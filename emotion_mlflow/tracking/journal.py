"""What the tracking server has not confirmed yet, on this machine's disk: append-only, checksummed, flushed.

Knows files and nothing of MLflow. A line is `<checksum> <JSON>`; `entries` holds what is to be sent, `sent` what the
server confirmed, `files/<number>/` what is to be uploaded. Used by the other modules of this room.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from emotion_mlflow.errors import TrackingError

ASIDE = ".damaged"
"""What a journal's folder is called once it was sent but for its damaged lines."""
_DIGITS = 16


class JournalBusyError(TrackingError):
    """Another process is sending this journal."""


class UnsendableError(TrackingError):
    """An entry that can never be sent: what it needs is damaged or was never written."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One write of a run; `payload` is plain JSON. Numbers rise by order of writing, from 1."""

    number: int
    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class KeptFile:
    """A copy of a file to be uploaded as artifact `path`."""

    path: str
    local: Path
    size: int
    sha256: str

    def whole(self) -> bool:
        """Is the copy still what was put in?"""
        with contextlib.suppress(OSError):
            return (
                self.local.is_file() and self.local.stat().st_size == self.size and _sha256(self.local) == self.sha256
            )
        return False


class Journal:
    """The journal of one run, held by one process at a time; several threads may use it.

    Opening it cuts off a line that a crash left half-written (`torn`): its append never returned. `damaged` counts the
    whole lines that can't be read; they stay.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changed = threading.Condition()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _locked(folder / "lock")
        except OSError as error:
            raise _no_room(error, folder) from None
        self.exists = (folder / "entries").is_file()
        """Whether anything was ever written to it; nothing was, or it was all sent and removed, where it is new."""
        try:
            self.entries, self.damaged, self.torn = _read(folder / "entries")
            marks, _, _ = _read(folder / "sent")  # a lost mark costs a question to the server
        except OSError as error:
            self._lock.close()
            raise _no_room(error, folder) from None
        self.results: dict[int, Any] = {mark.number: mark.payload.get("result") for mark in marks}
        self.refused: dict[int, str] = {
            mark.number: str(mark.payload["refused"]) for mark in marks if mark.payload.get("refused")
        }
        self._waiting = deque(entry for entry in self.entries if entry.number not in self.results)
        self._next = max([0, *self.results, *(entry.number for entry in self.entries)]) + 1
        self.inherited = self._waiting[-1].number if self._waiting else 0
        """The newest entry that an earlier process may have sent without hearing, or noting, the answer; 0: none."""

    def append(self, kind: str, payload: Mapping[str, Any], files: Mapping[str, Path | bytes] | None = None) -> int:
        """The new entry's number, once it is on the disk; TrackingError, and nothing half-written, where it is full.

        `files`: contents by artifact path; they are copied, so that the originals may go.
        """
        with self._changed:
            number, count, file = self._next, len(self.entries), self.folder / "entries"
            place, before = self.folder / "files" / str(number), _size(file)
            try:
                kept = [_keep(place / name, content, name) for name, content in (files or {}).items()]
                whole = dict(payload) | ({"files": kept} if files else {})
                entry = Entry(number=number, kind=kind, payload=whole)
                _append(file, {"n": number, "kind": kind, "payload": whole})
                self.entries.append(entry)
                self._waiting.append(entry)
                self._next = number + 1
            except BaseException as error:  # a stop signal too, at any moment: what is not whole was never written
                _cut(file, before)
                del self.entries[count:]
                self._waiting = deque(entry for entry in self._waiting if entry.number < number)
                self._next = number
                shutil.rmtree(place, ignore_errors=True)
                if isinstance(error, OSError):
                    raise _no_room(error, self.folder) from None
                raise
            self._changed.notify_all()
            return number

    def first_unsent(self, seconds: float) -> Entry | None:
        """The entry that is next to be sent; None where there is none within so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), seconds)
            return self._waiting[0] if self._waiting else None

    def confirm(self, number: int, result: Any = None, *, refused: str = "") -> None:
        """The server has it; or it never will (`refused` says why)."""
        with self._changed:
            # On a full disk the mark is lost: a later process then asks the server before it sends the entry again.
            with contextlib.suppress(OSError):
                payload = {"result": result} | ({"refused": refused} if refused else {})
                _append(self.folder / "sent", {"n": number, "kind": "sent", "payload": payload})
            self.results[number] = result
            if refused:
                self.refused[number] = refused
            self._waiting.popleft()
            self._changed.notify_all()

    def wait_until_sent(self, seconds: float) -> int:
        """How many entries are unsent, at the latest after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)
            return len(self._waiting)

    @property
    def unsent(self) -> int:
        """Entries that the server has not confirmed."""
        return len(self._waiting)

    def files_of(self, entry: Entry) -> list[KeptFile]:
        """Its copies; UnsendableError where the entry names none of ours."""
        place = (self.folder / "files" / str(entry.number)).resolve()
        try:
            kept = [
                KeptFile(path=one["path"], local=place / one["path"], size=one["size"], sha256=one["sha256"])
                for one in entry.payload.get("files", [])
            ]
            ours = all(one.local.resolve().is_relative_to(place) for one in kept)
        except (KeyError, TypeError, ValueError, OSError):
            ours = False
        if not ours:
            raise UnsendableError("files that the training wrote", got="other ones", where=self.folder)
        return kept

    def last(self, kind: str) -> Entry | None:
        """The newest entry of a kind, sent or not."""
        return next((entry for entry in reversed(self.entries) if entry.kind == kind), None)

    def close(self) -> None:
        """Lets another process have it."""
        self._lock.close()

    def remove(self) -> None:
        """Deletes it: everything was sent. What is not a journal's stays."""
        for name in ("entries", "sent", "lock"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "files", ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()
        self.close()

    def set_aside(self) -> Path:
        """Keeps it under another name, which nobody sends: everything readable was sent, and some of it was damaged."""
        aside, number = self.folder.with_name(f"{self.folder.name}{ASIDE}"), 1
        while aside.exists():  # a run that is resumed may leave several
            number += 1
            aside = self.folder.with_name(f"{self.folder.name}.{number}{ASIDE}")
        self.folder.rename(aside)
        self.close()
        return aside


def _line(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    return hashlib.sha256(text).hexdigest()[:_DIGITS].encode() + b" " + text + b"\n"


def _append(file: Path, content: Mapping[str, Any]) -> None:
    """On the disk when it returns; the file is as before where it fails."""
    before = _size(file)
    try:
        with file.open("ab") as target:
            target.write(_line(content))
            target.flush()
            os.fsync(target.fileno())
    except BaseException:  # a stop signal too
        _cut(file, before)
        raise


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _cut(file: Path, size: int) -> None:
    with contextlib.suppress(OSError):
        os.truncate(file, size)


def _read(file: Path) -> tuple[list[Entry], int, bool]:
    """The good lines, in order; how many are damaged; whether a crash left half a line, which is cut off the file."""
    if not file.is_file():
        return [], 0, False
    *lines, rest = file.read_bytes().split(b"\n")
    if rest:
        os.truncate(file, file.stat().st_size - len(rest))
    entries: list[Entry] = []
    for line in lines:
        entry = _entry(line, after=entries[-1].number if entries else 0)
        if entry:
            entries.append(entry)
    return entries, len(lines) - len(entries), bool(rest)


def _entry(line: bytes, *, after: int) -> Entry | None:
    checksum, _, text = line.partition(b" ")
    if hashlib.sha256(text).hexdigest()[:_DIGITS].encode() != checksum:
        return None
    try:
        read = json.loads(text)
        entry = Entry(number=int(read["n"]), kind=str(read["kind"]), payload=dict(read["payload"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return entry if entry.number > after else None


def _keep(target: Path, content: Path | bytes, name: str) -> dict[str, Any]:
    """Copies a file, or writes it, so that it is on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as kept:
        if isinstance(content, bytes):
            kept.write(content)
        else:
            with content.open("rb") as source:
                shutil.copyfileobj(source, kept, 1 << 22)
        kept.flush()
        os.fsync(kept.fileno())
    return {"path": name, "size": target.stat().st_size, "sha256": _sha256(target)}


def _locked(file: Path) -> IO[str]:
    """The open lock file; JournalBusyError where another process, or this one, has it."""
    lock = file.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise JournalBusyError(
            "a run that no process is at work on", got="one that another process sends", where=file.parent.name
        ) from None
    return lock


def _no_room(error: OSError, folder: Path) -> TrackingError:
    got = os.strerror(error.errno) if error.errno else str(error)
    return TrackingError("room for what the tracking server has not confirmed", got=got, where=folder)


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
