"""The files of a run: predictions, history, figures. Used by the jobs.

People's faces leave the machine only by choice: `show_faces` governs every figure here.
"""

from collections.abc import Mapping
from dataclasses import asdict
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
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics import expression
from emotion_mlflow.metrics.suite import Answers, labelled, suite

if TYPE_CHECKING:
    from emotion_mlflow.plots import FacesToShow
    from emotion_mlflow.tracking.journaled import JournaledRun
    from emotion_mlflow.tracking.runs import Run


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
    run: "Run | JournaledRun",
) -> None:
    """predictions/*.parquet, history.csv, figures/*.png; tables of intervals, classes, confusions, sources."""
    from emotion_mlflow import plots

    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    for split, table in tables.items():
        table.to_parquet(folder / "predictions" / f"{split}.parquet", index=False)
    if history is not None:
        history.to_csv(folder / "history.csv", index=False)
    intervals_table(test).to_csv(folder / f"intervals_{test.split}.csv", index=False)
    per_source(test.answers, manifest).to_csv(folder / f"per_source_{test.split}.csv", index=False)
    if test.answers.probabilities is not None:
        per_class(test.answers).to_csv(folder / f"per_class_{test.split}.csv", index=False)
        confusion(test.answers).to_csv(folder / f"confusion_{test.split}.csv")
    shown = faces_to_show(
        test, manifest, pixels, how=how_to_show(show_faces, manifest, run.tracking_uri, run.artifact_uri)
    )
    made = plots.figures(test.answers, history=history, layout=manifest.layout, best_epoch=best_epoch, faces=shown)
    plots.save_all(folder / "figures", made)


def how_to_show(show_faces: str, manifest: Manifest, tracking_uri: str, artifact_uri: str) -> str:
    """`full`, `thumbnails` or `none`: auto is full for drawings, thumbnails where all stays on this machine, else none.

    A store here may keep its artifacts elsewhere: both addresses count.
    """
    if show_faces not in SHOW_FACES:
        raise ConfigError(f"one of {', '.join(SHOW_FACES)}", got=show_faces, where="--show-faces")
    if show_faces != AUTO:
        return show_faces
    if manifest.drawn:
        return "full"
    stays = urlsplit(tracking_uri).scheme in ("sqlite", "file") and urlsplit(artifact_uri).scheme in ("", "file")
    return "thumbnails" if stays else "none"


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


def per_class(answers: Answers) -> pd.DataFrame:
    """Precision, recall, F1, faces, answers, ROC AUC and average precision of each expression, in label order."""
    true, probabilities = answers.pair("expression")
    scores = expression.per_class(true, expression.predicted_labels(probabilities))
    roc_auc, average_precision = expression.class_areas(true, probabilities)
    table = pd.DataFrame([asdict(one) for one in scores])
    return table.assign(roc_auc=roc_auc, average_precision=average_precision)


def confusion(answers: Answers) -> pd.DataFrame:
    """Faces of each true expression (row) by the answer (column)."""
    true, probabilities = answers.pair("expression")
    table = expression.confusion(true, expression.predicted_labels(probabilities))
    return pd.DataFrame(table, index=pd.Index(EXPRESSIONS, name="true"), columns=list(EXPRESSIONS))


def per_source(answers: Answers, manifest: Manifest) -> pd.DataFrame:
    """The whole suite on the faces of each source, a row a figure: source, faces, metric, value."""
    sources = manifest.table["source"].to_numpy().astype(str)
    rows = []
    for source in np.unique(sources):
        part = answers.rows(sources == source)
        counts = labelled(part)
        for name, value in suite(part, layout=manifest.layout).items():
            rows.append({"source": source, "faces": counts[name.split("/")[0]], "metric": name, "value": value})
    return pd.DataFrame(rows)


def intervals_table(scored: Scored) -> pd.DataFrame:
    """Every metric with its 95 % interval and the faces that it rests on."""
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
    return pd.DataFrame(rows)
