"""The state of a training on disk: written whole or not at all, checked when read. Used by `train` and the job.

One file an epoch, `epoch-0003.npz`, with its SHA-256 beside it; the last two are kept, so that a damaged one can be
passed over for the one before.
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

KEPT = 2
_NOTES = "notes"


@dataclass(frozen=True, kw_only=True)
class State:
    """Arrays by name, and plain JSON values."""

    epoch: int
    arrays: Mapping[str, np.ndarray]
    notes: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one training, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, state: State) -> None:
        """Adds a checkpoint and drops all but the last two."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._file(state.epoch)
        notes = np.frombuffer(json.dumps(dict(state.notes)).encode(), np.uint8)
        part = file.with_suffix(".part")
        try:
            with part.open("wb", buffering=0) as target:
                arrays: dict[str, Any] = {f"array/{name}": values for name, values in state.arrays.items()}
                arrays[_NOTES] = notes
                summed = _Summed(target)
                np.savez(summed, **arrays)
                os.fsync(target.fileno())
            _sum_file(file).write_text(summed.digest.hexdigest())
            part.replace(file)
        except OSError:  # a full disk: the room is needed, and the checkpoints before are whole
            part.unlink(missing_ok=True)
            raise
        for old in self._files()[:-KEPT]:
            old.unlink()
            _sum_file(old).unlink(missing_ok=True)

    def load(self) -> tuple[State | None, list[Path]]:
        """The newest whole checkpoint, or None, and the damaged ones that were passed over."""
        damaged: list[Path] = []
        for file in reversed(self._files()):
            state = _read(file)
            if state:
                return state, damaged
            damaged.append(file)
        return None, damaged

    def remove(self) -> None:
        """Deletes them: the training is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04d}.npz"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.npz"))


class _Summed(io.RawIOBase):
    """Adds up what is written: reading 300 MB back takes a quarter of a second an epoch.

    It cannot seek, so that the zip's headers are not written again after the sum has seen them.
    """

    def __init__(self, target: io.FileIO) -> None:
        self.target, self.digest = target, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        self.digest.update(block)
        left = memoryview(block).cast("B")
        while left:  # an unbuffered write may take a part only
            left = left[self.target.write(left) :]
        return memoryview(block).nbytes


def _read(file: Path) -> State | None:
    try:
        if _sum_file(file).read_text() != _sha256(file):
            return None
        with np.load(file, allow_pickle=False) as stored:
            notes = json.loads(stored[_NOTES].tobytes())
            arrays = {name.removeprefix("array/"): stored[name] for name in stored.files if name != _NOTES}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return State(epoch=int(file.stem.removeprefix("epoch-")), arrays=arrays, notes=notes)


def _sum_file(file: Path) -> Path:
    return file.with_suffix(".sha256")


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
