"""The files of a run: predictions, history, figures. Used by the jobs.

People's faces leave the machine only by choice: `show_faces` governs every figure here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from PIL import Image

from emotion_mlflow.config import AUTO, SHOW_FACES
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.evaluate import Scored

if TYPE_CHECKING:
    from emotion_mlflow.plots import FacesToShow


def write_artifacts(
    folder: Path,
    *,
    tables: Mapping[str, pd.DataFrame],
    test: Scored,
    manifest: Manifest,
    pixels: np.ndarray,
    history: pd.DataFrame | None,
    best_epoch: int | None,
    show_faces: str,
    tracking_uri: str,
) -> None:
    """predictions/<split>.parquet, history.csv, intervals.csv, per_class.csv and figures/*.png below `folder`."""
    from emotion_mlflow import plots

    (folder / "predictions").mkdir(parents=True)
    for split, table in tables.items():
        table.to_parquet(folder / "predictions" / f"{split}.parquet", index=False)
    if history is not None:
        history.to_csv(folder / "history.csv", index=False)
    _write_intervals(folder / f"intervals_{test.split}.csv", test)
    shown = faces_to_show(test, manifest, pixels, how=how_to_show(show_faces, manifest, tracking_uri))
    made = plots.figures(test.answers, history=history, layout=manifest.layout, best_epoch=best_epoch, faces=shown)
    plots.save_all(folder / "figures", made)


def how_to_show(show_faces: str, manifest: Manifest, tracking_uri: str) -> str:
    """`full`, `thumbnails` or `none`: auto is full for drawings, thumbnails in a store on this machine, else none."""
    if show_faces not in SHOW_FACES:
        raise ConfigError(f"one of {', '.join(SHOW_FACES)}", got=show_faces, where="--show-faces")
    if show_faces != AUTO:
        return show_faces
    if manifest.drawn:
        return "full"
    return "thumbnails" if urlsplit(tracking_uri).scheme in ("sqlite", "file") else "none"


def faces_to_show(scored: Scored, manifest: Manifest, pixels: np.ndarray, *, how: str) -> "FacesToShow":
    """What figures may show of the faces: `how` is of `how_to_show`."""
    from emotion_mlflow import plots
    from emotion_mlflow.plots.faces import THUMBNAIL_SIDE

    pictures = None
    if how != "none":
        rows = plots.rows_to_load(scored.answers, layout=manifest.layout)
        side = THUMBNAIL_SIDE if how == "thumbnails" else pixels.shape[1]
        pictures = {row: _at_most(pixels[row], side) for row in rows}
    return plots.FacesToShow(
        ids=manifest.table["id"].tolist(),
        pictures=pictures,
        sizes=manifest.table[["width", "height"]].to_numpy(),
        thumbnails=how == "thumbnails",
    )


def _at_most(picture: np.ndarray, side: int) -> np.ndarray:
    if picture.shape[0] <= side:
        return np.asarray(picture)
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))


def _write_intervals(file: Path, scored: Scored) -> None:
    rows = [
        {
            "metric": name,
            "value": value,
            "low": scored.intervals[name].low if name in scored.intervals else np.nan,
            "high": scored.intervals[name].high if name in scored.intervals else np.nan,
            "faces": scored.faces[name.split("/")[0]],
        }
        for name, value in scored.scores.items()
    ]
    pd.DataFrame(rows).to_csv(file, index=False)
