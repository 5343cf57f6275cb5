"""Faces as a reader found them -> the manifest, labels and pictures read side by side. Used by data.read."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from emotion_mlflow.data.folder import Folder
from emotion_mlflow.data.manifest import COLUMNS, REJECTED_COLUMNS, Manifest
from emotion_mlflow.data.pictures import Box, PictureFacts, inspect, quiet_pillow
from emotion_mlflow.data.values import Labels
from emotion_mlflow.errors import DataError

Progress = Callable[[int, int], None]

NOT_IN_A_TABLE = -1
UNLABELLED = "expected a label for at least one task; got none"
"""The one refusal that is no fault: AffectNet's None, Uncertain and No-Face without landmarks."""
_BLOCK = 64  # faces a thread takes at once


@dataclass(frozen=True, slots=True)
class Answer:
    """What the set says about one face."""

    path: str
    crop: Box | None
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A face to be read: who it is, and how its answer is come by."""

    id: str
    long_id: str
    """Taken where several faces share `id`, as two boxes in one picture do."""
    file: str
    """What a rejection names."""
    row: int = NOT_IN_A_TABLE
    part: str = ""
    split: str = ""
    identity: str = ""
    source: str = ""
    answer: Callable[[], Answer]
    """Reads the labels; DataError where they cannot be. Called in a thread."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One face that is left out, and why."""

    file: str
    row: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}{'' if self.row < 0 else f' row {self.row}'}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a reader hands on: faces still to be opened, and what it has refused already."""

    faces: Sequence[Face]
    refused: Sequence[Refusal] = ()
    two_parts: bool = False
    tables: tuple[str, ...] = ()
    suffixes: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class _Seen:
    face: Face
    answer: Answer
    facts: PictureFacts


def assemble(findings: Findings, folder: Folder, *, name: str, progress: Progress | None = None) -> Manifest:
    """The manifest of every face that can be read; the others are in `rejected`. DataError where none can."""
    faces, doubles = _unique(findings.faces)
    results = list(_read_all(faces, folder, progress))
    seen, odd = _equal_widths([result for result in results if isinstance(result, _Seen)])
    refused = [
        *findings.refused,
        *doubles,
        *(result for result in results if isinstance(result, Refusal)),
        *odd,
    ]
    if not seen:
        first = f", the first: {refused[0]}" if refused else ""
        raise DataError("at least one readable face", got=f"none, {len(refused)} rejected{first}", where=folder.root)
    return Manifest(
        name=name,
        root=folder.root,
        table=_table(seen),
        landmarks=_landmarks(seen),
        rejected=_rejected(refused),
        two_parts=findings.two_parts,
    )


def _unique(faces: Sequence[Face]) -> tuple[list[Face], list[Refusal]]:
    """The faces with no id twice; the first of two equal ones stays."""
    longer: dict[str, set[str]] = {}
    for face in faces:
        longer.setdefault(face.id, set()).add(face.long_id)
    taken: dict[str, Face] = {}
    doubles = []
    for face in faces:
        name = face.id if len(longer[face.id]) == 1 else face.long_id
        if name in taken:
            first = taken[name]
            place = first.file if first.row < 0 else f"{first.file} row {first.row}"
            doubles.append(Refusal(face.file, face.row, f"expected an id of its own; got {name}, as {place} has"))
        else:
            taken[name] = face if name == face.id else replace(face, id=name)
    return list(taken.values()), doubles


def _read_all(faces: list[Face], folder: Folder, progress: Progress | None) -> Iterable[_Seen | Refusal]:
    blocks = [faces[start : start + _BLOCK] for start in range(0, len(faces), _BLOCK)]
    done = 0
    with quiet_pillow(), ThreadPoolExecutor(min(32, 2 * (os.cpu_count() or 1))) as pool:
        for results in pool.map(partial(_read_block, folder), blocks):
            yield from results
            done += len(results)
            if progress:
                progress(done, len(faces))


def _read_block(folder: Folder, block: list[Face]) -> list[_Seen | Refusal]:
    return [_read(folder, face) for face in block]


def _read(folder: Folder, face: Face) -> _Seen | Refusal:
    try:
        answer = face.answer()
        require_text(face.id)
        if answer.labels.empty:
            return Refusal(face.file, face.row, UNLABELLED)
        return _Seen(face, answer, inspect(Path(folder.full(answer.path)), crop=answer.crop))
    except DataError as error:
        return Refusal(face.file, face.row, str(error).replace(f"{folder.root}{os.sep}", ""))


def require_text(name: str) -> None:
    """DataError for what is no text, as a file's name may be: no table, JSON or server takes it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError("a file name in UTF-8", got=name) from None


def _equal_widths(seen: list[_Seen]) -> tuple[list[_Seen], list[Refusal]]:
    """The faces whose landmarks are as many as most faces have, or that have none."""
    widths = Counter(len(points) for item in seen if (points := item.answer.labels.landmarks) is not None)
    usual = max(widths, key=lambda width: (widths[width], width), default=0)
    kept, odd = [], []
    for item in seen:
        points = item.answer.labels.landmarks
        if points is None or len(points) == usual:
            kept.append(item)
        else:
            reason = f"expected {usual} landmark numbers as the other faces have; got {len(points)}"
            odd.append(Refusal(item.face.file, item.face.row, reason))
    return kept, odd


def _table(seen: list[_Seen]) -> pd.DataFrame:
    boxes = np.array([item.facts.crop or (np.nan,) * 4 for item in seen], dtype=np.float32)
    columns = {
        "id": [item.face.id for item in seen],
        "path": [item.answer.path for item in seen],
        **dict(zip(("crop_x", "crop_y", "crop_width", "crop_height"), boxes.T, strict=True)),
        "width": [item.facts.width for item in seen],
        "height": [item.facts.height for item in seen],
        "expression": [item.answer.labels.expression for item in seen],
        "valence": [item.answer.labels.valence for item in seen],
        "arousal": [item.answer.labels.arousal for item in seen],
        "identity": [item.face.identity for item in seen],
        "source": [item.face.source for item in seen],
        "part": [item.face.part for item in seen],
        "split": [item.face.split for item in seen],
        "content_hash": [item.facts.content_hash for item in seen],
        "picture_hash": np.array([item.facts.picture_hash for item in seen], dtype=np.uint64),
    }
    return pd.DataFrame(columns).astype(COLUMNS)[list(COLUMNS)]


def _landmarks(seen: list[_Seen]) -> np.ndarray:
    """(N, 2K) float32, moved into the face's box; NaN rows for faces without."""
    width = max((len(points) for item in seen if (points := item.answer.labels.landmarks) is not None), default=0)
    landmarks = np.full((len(seen), width), np.nan, dtype=np.float32)
    for row, item in zip(landmarks, seen, strict=True):
        if item.answer.labels.landmarks is not None:
            row[:] = item.answer.labels.landmarks
            if item.facts.crop is not None:
                row[0::2] -= item.facts.crop[0]
                row[1::2] -= item.facts.crop[1]
    return landmarks


def _rejected(refused: list[Refusal]) -> pd.DataFrame:
    rows = [(_written(refusal.file), refusal.row, _written(refusal.reason)) for refusal in refused]
    table = pd.DataFrame(rows, columns=list(REJECTED_COLUMNS))
    return table.astype({"file": "str", "row": "int64", "reason": "str"})


def _written(text: str) -> str:
    """As a table takes it: bytes in no encoding are written out."""
    return text.encode(errors="backslashreplace").decode()
