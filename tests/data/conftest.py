import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emotion_mlflow.data.manifest import COLUMNS, Manifest

SIDE = 48  # pixels of the generated pictures


def draw(seed, side=SIDE):
    """A picture of its own for each seed: random blocks, smoothed, so that JPEG keeps them."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def write_picture():
    def write(path, *, seed=0, side=SIDE):
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(seed, side).save(path)
        return path

    return write


@pytest.fixture
def write_npy_face(write_picture):
    """Writes one face in AffectNet's npy form; a label of None leaves its file out."""

    def write(part: Path, stem, *, seed, exp="3", val="0.5", aro="-0.25", lnd=(1.0, 2.0, 3.0, 4.0)):
        write_picture(part / "images" / f"{stem}.jpg", seed=seed)
        (part / "annotations").mkdir(exist_ok=True)
        for kind, label in (("exp", exp), ("val", val), ("aro", aro), ("lnd", lnd)):
            if label is not None:
                np.save(part / "annotations" / f"{stem}_{kind}.npy", np.array(label))

    return write


@pytest.fixture
def write_csv():
    def write(path, rows):
        """`rows`: dicts with the same keys."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def make_manifest(tmp_path):
    """A manifest from its labels alone: no pictures on disk, every face another content and a far-off hash."""

    def make(expression, *, ids=None, part="", rejected=0, landmark_width=0, two_parts=None, **columns):
        count = len(expression)
        parts = [part] * count if isinstance(part, str) else list(part)
        table = pd.DataFrame(
            {
                "id": ids or [f"{i:05d}" for i in range(count)],
                "path": [f"{i}.jpg" for i in range(count)],
                **dict.fromkeys(("crop_x", "crop_y", "crop_width", "crop_height"), np.nan),
                "width": SIDE,
                "height": SIDE,
                "expression": expression,
                "valence": 0.25,
                "arousal": -0.5,
                "identity": "",
                "source": "",
                "part": parts,
                "split": "",
                "content_hash": [f"{i:032x}" for i in range(count)],
                "picture_hash": np.random.default_rng(0).integers(1, 2**63, count, dtype=np.uint64),
            }
        ).assign(**columns)
        refused = pd.DataFrame(
            {"file": [f"{i}.jpg" for i in range(rejected)], "row": -1, "reason": "expected a face; got a cat"}
        )
        return Manifest(
            name="tiny",
            root=tmp_path,
            table=table.astype(COLUMNS)[list(COLUMNS)],
            landmarks=np.full((count, landmark_width), 5.0, dtype=np.float32),
            rejected=refused,
            two_parts="validation" in parts if two_parts is None else two_parts,
        )

    return make
