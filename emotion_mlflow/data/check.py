"""What `data check` tells of a set, and the limit on rejected faces that the job keeps."""

import shlex
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emotion_mlflow.data.assembly import UNLABELLED, Refusal
from emotion_mlflow.data.leaks import Twins, crossing_identities, find_twins, leaks
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import EXPRESSIONS, SPLITS


@dataclass(frozen=True, kw_only=True)
class Report:
    """Counts, ranges and faults of one set."""

    name: str
    faces: int
    rejected: int
    reasons: list[dict[str, Any]]
    """{file, row, reason} of every rejected face."""
    splits: dict[str, dict[str, Any]]
    """Per split (an uncut set: as it names them itself): faces, faces a class, labelled faces a task."""
    ranges: dict[str, list[float] | None]
    """Least and greatest of each; None where nothing is labelled."""
    duplicates: dict[str, int]
    """exact: faces whose bytes and box an earlier face has; near: pairs of nearly equal pictures;
    crowded: pictures of so common a pattern (near-empty ones) that they were not compared fully."""
    leaks: int
    """Held-out faces with a twin in another split."""
    leak_pairs: list[dict[str, Any]]
    identities_crossing: list[str]
    landmark_width: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def check(manifest: Manifest, *, twins: Twins | None = None) -> Report:
    """The report of a set, by split where it is cut, else by its own parts. `twins` saves finding them."""
    table = manifest.table
    twins = twins or find_twins(table["content_hash"], table["picture_hash"].to_numpy())
    pairs = leaks(manifest, twins)
    return Report(
        name=manifest.name,
        faces=len(manifest),
        rejected=len(manifest.rejected),
        reasons=[_plain(row) for row in manifest.rejected.to_dict("records")],
        splits=_splits(manifest),
        ranges=_ranges(manifest),
        duplicates=_duplicates(manifest, twins),
        leaks=int(pairs["id"].nunique()),
        leak_pairs=[_plain(row) for row in pairs.to_dict("records")],
        identities_crossing=crossing_identities(manifest),
        landmark_width=manifest.landmarks.shape[1],
    )


def check_rejected(manifest: Manifest, max_rejected: float, *, data: str) -> None:
    """DataError where more than the share `max_rejected` (0..1) of the faces of the set `data` is at fault.

    Faces without any label are left out of the count on both sides.
    """
    faults = manifest.rejected[manifest.rejected["reason"] != UNLABELLED]
    rejected, total = len(faults), len(faults) + len(manifest)
    if rejected <= max_rejected * total:
        return
    raise DataError(
        f"at most {max_rejected:.3g} of the faces rejected (--max-rejected)",
        got=f"{rejected} of {total} ({rejected / total:.3g}), the first: {Refusal(*faults.iloc[0])}; "
        f"all of them: emotion-mlflow data check {shlex.quote(data)} --json",
        where=manifest.name,
    )


def _splits(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """In the order train, val, test; faces of a set of one part that is not cut are under `all`."""
    side = np.where((sides := manifest.sides()) == "", "all", sides)
    names = [name for name in (*SPLITS, "validation", "all") if (side == name).any()]
    return {name: _counts(manifest.rows(side == name)) for name in names}


def _counts(faces: Manifest) -> dict[str, Any]:
    expression = faces.table["expression"].to_numpy()
    classes = {name: int((expression == code).sum()) for code, name in enumerate(EXPRESSIONS)}
    labelled = {task: int(mask.sum()) for task, mask in faces.labelled().items()}
    return {"faces": len(faces), "classes": classes, "labelled": labelled}


def _ranges(manifest: Manifest) -> dict[str, list[float] | None]:
    columns = {name: manifest.table[name].to_numpy() for name in ("valence", "arousal", "width", "height")}
    columns["landmarks"] = manifest.landmarks.ravel()
    return {name: _range(values) for name, values in columns.items()}


def _range(values: np.ndarray) -> list[float] | None:
    known = values[np.isfinite(values)]
    return [round(float(known.min()), 6), round(float(known.max()), 6)] if len(known) else None


def _duplicates(manifest: Manifest, twins: Twins) -> dict[str, int]:
    """Near pairs are those across nodes, and of distinct contents within one."""
    content = manifest.table["content_hash"]
    kinds = manifest.table.assign(node=twins.node).groupby("node")["content_hash"].nunique().to_numpy()
    near = (kinds * (kinds - 1) // 2).sum() + (kinds[twins.first] * kinds[twins.second]).sum()
    return {"exact": int(content.duplicated().sum()), "near": int(near), "crowded": twins.crowded}


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    """Values that JSON knows."""
    return {str(key): value.item() if isinstance(value, np.generic) else value for key, value in row.items()}
