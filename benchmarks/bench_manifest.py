"""The second start on a set against the first: made-up faces in AffectNet's npy form, five files each.

Only the reading is timed. The files were just written, so the first start finds them in the system's memory: on a
cold disk it takes longer, and the ratio is smaller.
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.figures import Figure, Settings, ratio, seconds
from emotion_mlflow.data.read import read
from emotion_mlflow.labels import IBUG_68

FACES = 5000
SIDE = 32  # pixels: small pictures are quick to open, which makes the ratio harder to reach


def measure(settings: Settings) -> list[Figure]:
    """One ratio; each repeat has an empty cache."""
    faces = settings.faces or FACES
    first, second = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _make_faces(folder / "faces", faces)
        for number in range(settings.repeats or 5):
            cache = folder / f"cache{number}"
            first.append(seconds(lambda cache=cache: read(folder / "faces", cache_dir=cache)))
            second.append(seconds(lambda cache=cache: read(folder / "faces", cache_dir=cache)))
    sides = ("second start", "first start")
    return [ratio(f"reading {faces:,} faces ({5 * faces:,} files) again", second, first, target=0.15, sides=sides)]


def _make_faces(folder: Path, faces: int) -> None:
    rng = np.random.default_rng(0)
    images, annotations = folder / "train_set" / "images", folder / "train_set" / "annotations"
    images.mkdir(parents=True)
    annotations.mkdir()
    for number in range(faces):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(images / f"{number}.jpg")
        values = {"exp": str(number % 8), "val": "0.25", "aro": "-0.5"}
        for name, value in values.items():
            np.save(annotations / f"{number}_{name}.npy", np.array(value))
        np.save(annotations / f"{number}_lnd.npy", rng.uniform(0, SIDE, IBUG_68.width))
