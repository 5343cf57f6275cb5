"""The one table every reader yields: a row a face. What comes after it knows no file format.

Used by every room that handles faces.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from emotion_mlflow.labels import TASKS, LandmarkLayout, landmark_layout

COLUMNS = {
    "id": "str",  # unique in the set
    "path": "str",  # of the picture, relative to `root`
    "crop_x": "float32",  # the face's box in the picture file, pixels; all four NaN: the whole picture
    "crop_y": "float32",
    "crop_width": "float32",
    "crop_height": "float32",
    "width": "int32",  # of the face picture after the crop, pixels
    "height": "int32",
    "expression": "int8",  # 0-7, -1: no label
    "valence": "float32",  # -1..1, NaN: no label
    "arousal": "float32",
    "identity": "str",  # "" where unknown
    "source": "str",  # "" where unknown
    "part": "str",  # the part the set itself gives: "train", "validation", or "" where it has one part only
    "split": "str",  # "train", "val", "test"; "" before the cut
    "content_hash": "str",  # sha256 of the picture file's bytes and the crop, 32 hex digits
    "picture_hash": "uint64",  # perceptual hash of the face picture
}

REJECTED_COLUMNS = ("file", "row", "reason")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A set of faces, one row each, and what was refused on the way."""

    name: str
    """Data name for people: `demo`, or the folder's or table's name."""
    root: Path
    """Folder that every `path` is relative to."""
    table: pd.DataFrame
    """(N rows) with COLUMNS, index 0..N-1."""
    landmarks: np.ndarray
    """(N, 2K) float32, x0, y0, x1, y1, ... pixels of the face picture; a row without is all NaN; K = 0: none."""
    rejected: pd.DataFrame
    """REJECTED_COLUMNS; `row` is -1 where the fault is not in a table."""
    drawn: bool = False
    """The faces are drawings, no person's: they may be shown anywhere."""
    two_parts: bool = False
    """The set itself has a train and a validation part."""

    def __len__(self) -> int:
        return len(self.table)

    @property
    def layout(self) -> LandmarkLayout:
        return landmark_layout(self.landmarks.shape[1])

    def rows(self, keep: np.ndarray | Sequence[int]) -> "Manifest":
        """The same set with the rows `keep` ((N,) bool or positions) only, renumbered."""
        picked = np.asarray(keep)
        table = self.table.loc[picked] if picked.dtype == bool else self.table.iloc[picked]
        return replace(self, table=table.reset_index(drop=True), landmarks=self.landmarks[picked])

    def split(self, name: str) -> "Manifest":
        """The faces of one split; `all` is every face."""
        return self if name == "all" else self.rows((self.table["split"] == name).to_numpy())

    def labelled(self) -> dict[str, np.ndarray]:
        """For each task (N,) bool: which faces carry its label."""
        return {
            "expression": (self.table["expression"] >= 0).to_numpy(),
            "valence": self.table["valence"].notna().to_numpy(),
            "arousal": self.table["arousal"].notna().to_numpy(),
            "landmarks": np.isfinite(self.landmarks).all(axis=1) & (self.landmarks.shape[1] > 0),
        }

    def sides(self) -> np.ndarray:
        """(N,) object: each face's split; before the cut what the set itself says.

        That is train, val and test where it names its val faces, else its parts, train and validation or "".
        """
        split, part = (self.table[name].to_numpy().astype(object) for name in ("split", "part"))
        if not (split != "").any():
            return part
        return np.where(split != "", split, np.where(part == "validation", "test", part))

    def tasks(self) -> tuple[str, ...]:
        """Tasks that can be learnt: labelled for a face of every side to learn from or to choose by."""
        labelled, sides = self.labelled(), self.sides()
        needed = [sides == name for name in ("", "train", "val") if (sides == name).any()] or [sides != ""]
        return tuple(task for task in TASKS if all((labelled[task] & side).any() for side in needed))

    def digest(self) -> str:
        """32 hex digits over ids, contents and labels in order of id: equal for the same faces wherever they lie."""
        order = self._order()
        labels = self.table[["id", "content_hash", "expression", "valence", "arousal"]].iloc[order]
        digest = hashlib.sha256(labels.to_csv(index=False, float_format="%.6g").encode())
        digest.update(np.ascontiguousarray(self.landmarks[order], dtype="<f4").tobytes())
        return digest.hexdigest()[:32]

    def cut_digest(self, digest: str = "") -> str:
        """As `digest`, over parts, named splits and identities too: what decides on which side of a cut a face is.

        digest: this set's own, where it is known already; it reads every label.
        """
        sides = self.table[["id", "part", "split", "identity"]].iloc[self._order()]
        return hashlib.sha256(((digest or self.digest()) + sides.to_csv(index=False)).encode()).hexdigest()[:32]

    def _order(self) -> np.ndarray:
        return np.argsort(self.table["id"].to_numpy().astype(str), kind="stable")
