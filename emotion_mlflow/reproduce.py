"""A saved model's answers to 32 drawn faces, logged with it, so that they can be asked for again. Used by the jobs.

Drawn faces, since people's must not leave the machine. The table has a row a picture: `picture` (PNG bytes),
`expression`, `probability_<name>`, `valence`, `arousal`, `landmarks` (pixels of the picture); no column for a task
that was not learnt.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from emotion_mlflow.data.drawing import draw_face
from emotion_mlflow.data.parquet import UNREADABLE
from emotion_mlflow.errors import DataError

PICTURES = 32
FILE = "predictions/check.parquet"


def write_check(model: Any, file: Path) -> None:
    """`model`: an AffectModel, asked as a server asks it."""
    rng = np.random.default_rng(0)
    pictures = [_png(draw_face(rng)[0]) for _ in range(PICTURES)]
    rows = []
    for picture, told in zip(pictures, model.predict(None, pictures), strict=True):
        answer = told if isinstance(told, dict) else told.model_dump()
        row = {"picture": picture} | {key: answer[key] for key in ("expression", "valence", "arousal") if key in answer}
        row |= {f"probability_{name}": value for name, value in answer.get("probabilities", {}).items()}
        rows.append(row | ({"landmarks": np.ravel(answer["landmarks"])} if "landmarks" in answer else {}))
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(file, index=False)


def read_check(file: Path) -> pd.DataFrame:
    """The table that `write_check` wrote; DataError where it cannot be read."""
    try:
        table = pd.read_parquet(file)
    except (OSError, *UNREADABLE) as error:
        raise DataError("a table of answers to drawn faces", got=error, where=file) from None
    if "picture" not in table:
        raise DataError("a column picture", got=", ".join(map(str, table.columns)), where=file)
    return table


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
