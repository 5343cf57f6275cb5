"""The state of a training on disk: written whole or not at all, checked when read. Used by `train` and the job.

One file an epoch, `epoch-0003.npz`, a zip archive with a CRC-32 of each array; the last two are kept, so that a damaged
one can be passed over for the one before.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

KEPT = 2
_NOTES = "notes"
_NAME = re.compile("epoch-[0-9]{4,9}[.]npz")


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
            with part.open("wb") as target:
                arrays: dict[str, Any] = {f"array/{name}": values for name, values in state.arrays.items()}
                arrays[_NOTES] = notes
                np.savez(target, **arrays)
                target.flush()
                os.fsync(target.fileno())
            part.replace(file)
        except OSError:  # a full disk: the room is needed, and the checkpoints before are whole
            part.unlink(missing_ok=True)
            raise
        for old in self._files()[:-KEPT]:
            old.unlink()

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
        return sorted(file for file in self.folder.glob("epoch-*.npz") if _NAME.fullmatch(file.name))


def _read(file: Path) -> State | None:
    """None where it is damaged; reading an array holds it against its CRC-32."""
    try:
        with (
            warnings.catch_warnings(action="error"),  # such as of sizes that overflow
            file.open("rb") as source,
            np.load(source, allow_pickle=False) as stored,
        ):
            notes = json.loads(stored[_NOTES].tobytes())
            arrays = {name.removeprefix("array/"): stored[name] for name in stored.files if name != _NOTES}
    except Exception:  # noqa: BLE001  a damaged zip archive raises nearly anything
        return None
    return State(epoch=int(file.stem.removeprefix("epoch-")), arrays=arrays, notes=notes)
