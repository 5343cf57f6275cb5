"""The embedded set: drawn people with exact labels, made in seconds and kept in the cache. Used by `sets`."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from emotion_mlflow.data.drawing import SIZE, draw_face
from emotion_mlflow.data.face_person import draw_person
from emotion_mlflow.data.manifest import COLUMNS, REJECTED_COLUMNS, Manifest
from emotion_mlflow.data.parquet import UNREADABLE
from emotion_mlflow.data.pictures import NO_PICTURE_HASH, inspect
from emotion_mlflow.errors import DataError, first_line
from emotion_mlflow.labels import EXPRESSIONS, IBUG_68, PIXEL_CENTRE

VERSION = 3
"""Raised whenever the same seed would give other pictures or labels."""

PARTS = ("train", "validation")
TRAIN_FACES, VALIDATION_FACES = 1600, 640

_TABLE = "labels.parquet"
_log = logging.getLogger(__name__)
_REPORT_EVERY = 32  # faces between two calls of `progress`


@dataclass(frozen=True)
class _Plan:
    """Which face of which person is drawn, and from which random stream."""

    part: str
    person: int
    face: int

    @property
    def id(self) -> str:
        return f"{self.identity}-{self.face}"

    @property
    def identity(self) -> str:
        return f"{self.part}-{self.person:04d}"

    @property
    def expression(self) -> int:
        return self.face

    def stream(self, seed: int, *, face: int) -> np.random.Generator:
        return np.random.default_rng((seed, PARTS.index(self.part), self.person, face))


def demo_manifest(
    cache_dir: Path,
    *,
    seed: int = 0,
    train: int = TRAIN_FACES,
    validation: int = VALIDATION_FACES,
    fresh: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """The drawn faces of one seed: `train` and `validation` of them, each person with one face an expression.

    The first call draws them below `cache_dir`, later ones read what is there; several processes may do so at once.
    With `fresh` every byte that is there is read, and a set with a damaged picture drawn again.
    `progress` hears (faces drawn, faces in all). DataError: a negative seed or an empty part.
    """
    if seed < 0 or train < 1 or validation < 1:
        got = f"seed {seed}, {train} train and {validation} validation faces"
        raise DataError("a seed of at least 0 and a face in each part", got=got, where="the demo faces")
    folder = cache_dir / f"demo-{seed}-{VERSION}-{train}-{validation}"
    table = _kept(folder, faces=train + validation)
    if table is not None and fresh and not _whole(folder, table):
        shutil.rmtree(folder)
        table = None
    if table is None:
        plans = [*_plans("train", train), *_plans("validation", validation)]
        table = _draw_all(folder, plans, seed=seed, progress=progress)
    else:
        os.utime(folder)  # the age by which a full cache is trimmed
    landmarks = np.stack(table.pop("landmarks").to_list()).astype(np.float32)
    return Manifest(
        name="demo",
        root=folder,
        table=table.astype(COLUMNS),
        landmarks=landmarks,
        rejected=pd.DataFrame(columns=list(REJECTED_COLUMNS)),
        drawn=True,
        two_parts=True,
    )


def _plans(part: str, faces: int) -> Iterator[_Plan]:
    for number in range(faces):
        person, face = divmod(number, len(EXPRESSIONS))
        yield _Plan(part, person, face)


def _kept(folder: Path, *, faces: int) -> pd.DataFrame | None:
    """The labels in a whole folder; None where it is absent, a file of it is gone or the labels are damaged."""
    file = folder / _TABLE
    if not file.is_file() or sum(1 for _ in os.scandir(folder)) != faces + 1:
        return None
    try:
        table = pd.read_parquet(file)[[*COLUMNS, "landmarks"]]
        if len(table) != faces:
            raise ValueError(f"{len(table)} rows for {faces} faces")
        return table
    except (OSError, *UNREADABLE) as error:
        _log.warning("the drawn faces' %s are damaged (%s): they are drawn again", file, first_line(error))
        return None


def _whole(folder: Path, table: pd.DataFrame) -> bool:
    """Are all pictures as they were drawn? If one is not, that is said."""
    for path, content_hash in zip(table["path"], table["content_hash"], strict=True):
        try:
            if inspect(folder / path).content_hash == content_hash:
                continue
        except DataError:
            pass
        _log.warning("the drawn face %s is damaged: all are drawn again", folder / path)
        return False
    return True


def _draw_all(
    folder: Path, plans: list[_Plan], *, seed: int, progress: Callable[[int, int], None] | None
) -> pd.DataFrame:
    """Draws into a folder of its own and renames it, so that nobody ever reads half a set."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        rows = []
        for number, plan in enumerate(plans, start=1):
            rows.append(_draw_one(workshop, plan, seed=seed))
            if progress and (number % _REPORT_EVERY == 0 or number == len(plans)):
                progress(number, len(plans))
        table = pd.DataFrame(rows)
        table.to_parquet(workshop / _TABLE, index=False)
        _put_in_place(workshop, folder, faces=len(plans))
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return table


def _put_in_place(workshop: Path, folder: Path, *, faces: int) -> None:
    """Renames the finished set; where another process was first, its equal set stays."""
    if folder.exists() and _kept(folder, faces=faces) is None:
        damaged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-damaged-", dir=folder.parent))
        os.replace(folder, damaged / folder.name)
        shutil.rmtree(damaged, ignore_errors=True)
    try:
        os.rename(workshop, folder)
    except OSError:
        if _kept(folder, faces=faces) is None:
            raise


def _draw_one(workshop: Path, plan: _Plan, *, seed: int) -> dict[str, object]:
    """Draws one face into the folder; its row of the table, with its landmarks."""
    person = draw_person(plan.stream(seed, face=len(EXPRESSIONS)))
    image, labels = draw_face(plan.stream(seed, face=plan.face), expression=plan.expression, person=person)
    file = workshop / f"{plan.id}.png"
    Image.fromarray(image).save(file, compress_level=1)  # noise hardly shrinks: the quick level costs 3 % more
    facts = inspect(file)
    nothing = dict.fromkeys(("crop_x", "crop_y", "crop_width", "crop_height"), np.nan)
    return {
        "id": plan.id,
        "path": file.name,
        **nothing,
        "width": SIZE,
        "height": SIZE,
        "expression": labels.expression,
        "valence": labels.valence,
        "arousal": labels.arousal,
        "identity": plan.identity,
        "source": labels.covered or "clear",
        "part": plan.part,
        "split": "",
        "content_hash": facts.content_hash,
        "picture_hash": NO_PICTURE_HASH,  # drawn faces share their features: what looks near is chance, not a copy
        "landmarks": (labels.landmarks - PIXEL_CENTRE).reshape(IBUG_68.width),
    }
