"""The faces of a job: read, checked, cut and decoded. Used by the jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from emotion_mlflow.config import DataConfig
from emotion_mlflow.data.check import check_rejected
from emotion_mlflow.data.leaks import Twins, crossing_identities, find_twins, leaks
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.sets import open_set
from emotion_mlflow.data.splits import cut
from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import SPLITS
from emotion_mlflow.reporter import Reporter


@dataclass(frozen=True, kw_only=True, eq=False)
class Faces:
    """The cut set and its pixels."""

    manifest: Manifest
    pixels: np.ndarray
    data_digest: str
    """Of the whole set before the cut: `evaluate` recognises it by this."""
    selected_on_test: bool

    @cached_property
    def parts(self) -> dict[str, Manifest]:
        """The faces of each split; `val` is `test` where validation was on the test faces."""
        return {name: self.manifest.split(self._held(name)) for name in SPLITS}

    @cached_property
    def digests(self) -> dict[str, str]:
        """Of each split's faces; a digest reads every label, so it is made once."""
        return {name: part.digest() for name, part in self.parts.items()}

    def pixels_of(self, name: str) -> np.ndarray:
        """(N, S, S, 3) uint8: a copy of the split's pictures, as large as they are."""
        return self.pixels[(self.manifest.table["split"] == self._held(name)).to_numpy()]

    def _held(self, name: str) -> str:
        return "test" if self.selected_on_test and name == "val" else name


def read_faces(data: str, *, data_format: str, max_rejected: float, cache_dir: Path, reporter: Reporter) -> Manifest:
    """The set of `data`, with its refused faces counted; DataError where they are more than `max_rejected`."""
    reporter.stage("reading faces")
    manifest = open_set(data, data_format=data_format, cache_dir=cache_dir, progress=reporter.advance)
    if len(manifest.rejected):
        reporter.warn(f"{len(manifest.rejected)} of {len(manifest) + len(manifest.rejected)} faces rejected")
    check_rejected(manifest, max_rejected, data=data)
    return manifest


def cut_faces(manifest: Manifest, config: DataConfig, reporter: Reporter) -> tuple[Manifest, pd.DataFrame]:
    """The set with its splits, and the pairs of twins that stand in two of them (`data.leaks.leaks`)."""
    reporter.stage("cutting splits")
    twins = _twins(manifest)
    whole = cut(
        manifest,
        split_seed=config.split_seed,
        twins=twins,
        limit=config.limit or None,
        selected_on_test=config.selected_on_test,
        drop_leaks=config.drop_leaks,
    )
    if len(whole) < len(manifest):  # a cut keeps the order: without a face left out they are the same
        twins = _twins(whole)
    found = leaks(whole, twins)
    if len(found):
        held_out = found["id"].nunique()
        reporter.warn(f"{held_out} held-out faces have a twin picture in another split (leaks): see --drop-leaks")
    if crossing := crossing_identities(whole):
        reporter.warn(f"{len(crossing)} identities have faces in more than one split, the first: {crossing[0]}")
    return whole, found


def require_labels(manifest: Manifest, tasks: Sequence[str], *, selected_on_test: bool) -> None:
    """DataError where a task has no label to learn from, or none to choose the best epoch by, in the cut set."""
    for split in ("train", "test" if selected_on_test else "val"):
        labelled = manifest.split(split).labelled()
        for task in tasks:
            if not labelled[task].any():
                raise DataError(
                    f"{split} faces with labels for {task}, or --tasks without it", got="none", where=manifest.name
                )


def require_memory(manifest: Manifest, *, image_size: int) -> None:
    """DataError where the pictures that a training holds at once, train's and those it chooses by, leave no memory."""
    counts = manifest.table["split"].value_counts()
    faces = counts["train"] + counts.get("val", counts["test"])
    needed, free = int(faces) * image_size**2 * 3, psutil.virtual_memory().available
    if needed > free:
        memory = f"{needed / 1e9:.3g} GB of free memory for {faces:,} faces of {image_size} px"
        less = "(--image-size and --limit make it less)"
        raise DataError(f"{memory} {less}", got=f"{free / 1e9:.3g} GB", where=manifest.name)


def _twins(manifest: Manifest) -> Twins:
    return find_twins(manifest.table["content_hash"], manifest.table["picture_hash"].to_numpy())


def mean_affect(truth: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Mean valence and arousal of the labelled faces; 0 where none is."""

    def mean(task: str) -> float:
        labelled = truth[f"{task}_labelled"] > 0
        return float(truth[task][labelled].mean()) if labelled.any() else 0.0

    return mean("valence"), mean("arousal")


def mean_shape(truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """(2K,) mean landmarks of the labelled faces, in shares of the picture; 0 where none is."""
    labelled = truth["landmarks_labelled"] > 0
    return truth["landmarks"][labelled].mean(axis=0) if labelled.any() else np.zeros(truth["landmarks"].shape[1])
